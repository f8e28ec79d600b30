"""`tarazy user`: the people who sign in to the portal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import click
from sqlalchemy import Connection

from tarazy.config.settings import Settings
from tarazy.pool import moments
from tarazy.pool.cli.common import Wanting, folding_table, json_option, ledger, print_json, settings_option
from tarazy.pool.cli.register.shared import recorder
from tarazy.portal.rights import Role

_T = TypeVar("_T")
_ROLES = (Role.OPERATOR, Role.INSPECTOR, Role.MINER)


@click.group()
def user() -> None:
    """People who sign in to the portal, with a password and a code of their phone; programs have tokens."""


@user.command("invite")
@click.argument("name")
@settings_option
@click.option("--role", type=click.Choice([role.value for role in _ROLES]), help="What the person is.")
@click.option("--party", help="The party of a miner.")
@click.option("--again", is_flag=True, help="The person lost the password or the phone: end both, and invite anew.")
@json_option
def invite(name: str, settings: Settings, role: str | None, party: str | None, again: bool, as_json: bool) -> None:
    """Invite NAME and print the link, this once: it counts for a week and for one person."""
    from tarazy.portal import users

    now = datetime.now(UTC)
    if again:
        text = _done(settings, lambda connection: users.invite_again(connection, name, now, recorder()))
    elif role is not None:
        chosen = Role(role)
        text = _done(settings, lambda connection: users.invite(connection, name, chosen, party, now, recorder()))
    else:
        raise click.UsageError("give --role for a new person, or --again for one who has lost the way in")
    link = f"{_portal_url(settings)}/{settings.language}/join/#{text}"
    if as_json:
        print_json({"name": name, "link": link, "ends_at": now + users.INVITATION})
    else:
        click.echo(link)
        click.echo("hand it to this person alone: whoever opens it first is let in; it counts for 7 days", err=True)


@user.command("list")
@settings_option
@json_option
def list_users(settings: Settings, as_json: bool) -> None:
    """Show who may sign in, and who is invited."""
    from rich.console import Console

    from tarazy.database.engine import reader
    from tarazy.portal.users import users

    with ledger(settings) as engine, reader(engine).begin() as connection:
        found = users(connection)
    if as_json:
        print_json([{name: getattr(row, name) for name in row.__slots__} for row in found])
        return
    table = folding_table("name", "role", "party", moments.heading("joined"), moments.heading("invitation until"))
    for row in found:
        table.add_row(
            row.name, row.role, row.party or "", moments.cell(row.joined_at), moments.cell(row.invitation_ends_at)
        )
    Console().print(table)


@user.command("remove")
@click.argument("name")
@settings_option
def remove(name: str, settings: Settings) -> None:
    """End NAME for good; a running server ends the sessions within a second."""
    from tarazy.portal import users

    _done(settings, lambda connection: users.remove(connection, name, datetime.now(UTC), recorder()))
    click.echo(f"user {name} is removed")


def _done(settings: Settings, work: Callable[[Connection], _T]) -> _T:
    from tarazy.portal.users import UserError

    with ledger(settings) as engine:
        try:
            with engine.begin() as connection:
                return work(connection)
        except UserError as error:
            raise Wanting(str(error)) from None


def _portal_url(settings: Settings) -> str:
    portal = settings.portal
    host = f"[{portal.host}]" if ":" in portal.host else portal.host
    return portal.public_url or f"http://{host}:{portal.port}"
