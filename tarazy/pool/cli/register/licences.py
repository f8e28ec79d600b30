"""Licences as the authority's decisions change them: suspended, revoked, issued anew."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import click

from tarazy.config.settings import Settings
from tarazy.pool import moments
from tarazy.pool.cli.common import InstantParam, Wanting, json_option, ledger, print_json, settings_option
from tarazy.pool.cli.register.shared import law_of, recorder

T = TypeVar("T")

_REASON = click.option("--reason", required=True, help="Kept with the entry and told in reports.")
_SINCE = click.option("--from", "since", type=InstantParam(), default="now", show_default=True, help="From when.")


@click.command("revoke")
@click.argument("number")
@settings_option
@_SINCE
@_REASON
@json_option
def revoke(number: str, settings: Settings, since: datetime, reason: str, as_json: bool) -> None:
    """End licence NUMBER for good. A running server ends its holder's connections within a second."""
    from tarazy.accreditation.registers import revoke_licence

    _record(settings, lambda connection, **by: revoke_licence(connection, number, since=since, reason=reason, **by))
    if as_json:
        print_json({"licence": number, "status": "revoked", "from": since, "reason": reason})
    else:
        click.echo(f"licence {number} is revoked")


@click.command("suspend")
@click.argument("number")
@settings_option
@_SINCE
@click.option("--until", type=InstantParam(), required=True, help="When it holds again.")
@_REASON
@json_option
def suspend(number: str, settings: Settings, since: datetime, until: datetime, reason: str, as_json: bool) -> None:
    """Suspend licence NUMBER until a moment."""
    from tarazy.accreditation.licence_terms import term_warnings
    from tarazy.accreditation.registers import suspend_licence

    law = law_of(settings)
    suspended = _record(
        settings,
        lambda connection, **by: suspend_licence(connection, number, since=since, until=until, reason=reason, **by),
    )
    for warning in term_warnings(suspended, law):
        click.echo(f"note: licence {number} {warning}", err=True)
    if as_json:
        print_json({"licence": number, "status": "suspended", "from": since, "until": until, "reason": reason})
    else:
        click.echo(f"licence {number} is suspended until {moments.told(until)}")


@click.command("reissue")
@click.argument("number")
@click.argument("new_number")
@settings_option
@_SINCE
@click.option("--reason", default="re-issued", show_default=True, help="Kept with the end of the old licence.")
@json_option
def reissue(number: str, new_number: str, settings: Settings, since: datetime, reason: str, as_json: bool) -> None:
    """Put licence NEW_NUMBER in the place of licence NUMBER, which ends when the new one begins.

    Holder, sub-type and end stay; record other terms with `register correct`.
    """
    from tarazy.accreditation.registers import reissue_licence

    _record(
        settings,
        lambda connection, **by: reissue_licence(connection, number, new_number, since=since, reason=reason, **by),
    )
    if as_json:
        print_json({"licence": new_number, "replaces": number, "from": since})
    else:
        click.echo(f"licence {new_number} replaces {number}")


def _record(settings: Settings, change: Callable[..., T]) -> T:
    now = datetime.now(UTC)
    with ledger(settings) as engine:
        try:
            with engine.begin() as connection:
                return change(connection, recorded_at=now, recorded_by=recorder())
        except (LookupError, ValueError) as error:
            raise Wanting(str(error)) from None
