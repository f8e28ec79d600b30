"""`tarazy admission`: who may mine, who might have at any instant, who was let in and who turned away, and why."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from tarazy.config.settings import Settings
from tarazy.pool import moments
from tarazy.pool.cli.common import (
    InstantParam,
    Misuse,
    Wanting,
    folding_table,
    json_option,
    ledger,
    print_json,
    progress_bar,
    settings_option,
)
from tarazy.pool.cli.register.shared import AS_OF, KNOWN_AT

if TYPE_CHECKING:
    from tarazy.accreditation.admission import Decision
    from tarazy.accreditation.decisions import DecisionSummary
    from tarazy.accreditation.places import Place
    from tarazy.accreditation.snapshot import Registers

_AROUND = timedelta(minutes=30)
_PERIOD = timedelta(hours=24)


@click.group()
def admission() -> None:
    """Who may mine here, who might have at any instant, who was turned away, and why."""


@admission.command("explain")
@click.argument("login", metavar="ACCOUNT.WORKER")
@click.argument("address")
@settings_option
@click.option("--server", help="Key of the server that is asked; this one's if absent.")
@click.option("--port-site", "port_sites", multiple=True, help="Site that the listener is for; may be repeated.")
@click.option("--certificate-site", default="", help="Site that the peer's TLS certificate names.")
@AS_OF
@KNOWN_AT
@json_option
def explain(
    login: str,
    address: str,
    settings: Settings,
    server: str | None,
    port_sites: tuple[str, ...],
    certificate_site: str,
    as_of: datetime,
    known_at: datetime | None,
    as_json: bool,
) -> None:
    """Decide as the server would on ACCOUNT.WORKER from ADDRESS, and tell what that rests on.

    Exit code 1 for a refusal.
    """
    from tarazy.accreditation.admission import Question, decide
    from tarazy.accreditation.evidence import EvidenceRule
    from tarazy.accreditation.geo import parse_address
    from tarazy.stratum.login import split_login

    own = settings.accreditation
    if parse_address(address) is None:
        raise Misuse(f"{address} is no IP address; give the one that the miner comes from, such as 2.72.0.10")
    question = Question(*split_login(login), address, server or own.server, certificate_site, port_sites)
    registers = _registers(settings, as_of, known_at)
    decision = decide(registers, question, as_of, EvidenceRule.of(own), own.demo_addresses)
    if as_json:
        print_json({"as_of": as_of, "known_at": known_at, **question._asdict(), **_plain(decision)})
    else:
        _tell(decision)
    if not decision.admitted:
        raise Wanting(f"refused: {decision.text}")


def _plain(decision: Decision) -> dict[str, Any]:
    return {
        "admitted": decision.admitted,
        "text": decision.text,
        "party": decision.party,
        "site": decision.site,
        "reasons": [{"reason": reason, **_explained(reason)} for reason in decision.reasons],
        "entries": [entry._asdict() for entry in decision.entries],
        "evidence": dict(decision.evidence),
    }


def _explained(reason: str) -> dict[str, str]:
    """What a reason means and what a miner does next."""
    from tarazy.reports.language import text

    return {"meaning": text("en", f"words.reason.{reason}"), "cure": text("en", f"portal.cure.{reason}")}


def _tell(decision: Decision) -> None:
    place = f"party {decision.party or 'unknown'}, site {decision.site or 'none'}"
    click.echo(f"{'admitted' if decision.admitted else 'refused'}: {place}")
    for reason in decision.reasons:
        said = _explained(reason)
        click.echo(f"  {reason}: {said['meaning']}; {said['cure']}")
    click.echo("rests on")
    for entry in decision.entries:
        click.echo(f"  {entry.register} {entry.key}, entry {entry.entry}")
    for source, verdict in decision.evidence:
        click.echo(f"  address, by {source}: {verdict}")


@admission.command("at")
@click.argument("instant", type=InstantParam())
@settings_option
@KNOWN_AT
@json_option
def at(instant: datetime, settings: Settings, known_at: datetime | None, as_json: bool) -> None:
    """Who might mine at INSTANT, where, on which machines, and who was turned away within half an hour of it.

    A party is shown as admitted at a site when its registers let it mine from the site's networks; `explain` asks
    about one address.
    """
    from tarazy.accreditation.decisions import ADMITTED
    from tarazy.accreditation.places import places

    own = settings.accreditation
    found = places(_registers(settings, instant, known_at), own.server, own.country)
    around = _decisions(settings, instant - _AROUND, instant + _AROUND)
    refused = [row for row in around if row.kind != ADMITTED]
    if as_json:
        told = {"as_of": instant, "known_at": known_at, "server": own.server}
        items = [place.plain() for place in found]
        print_json({**told, "places": items, "refused": [row.plain() for row in refused]})
        return
    certificates = sorted({place.rested_on("certificate") for place in found} - {""})
    click.echo(f"server {own.server}, certificate {', '.join(certificates) or 'none'}")
    _tell_places(found)
    if refused:
        click.echo("turned away within half an hour")
        _tell_summaries(refused)
    else:
        click.echo("nobody was turned away within half an hour")


def _tell_places(found: Iterable[Place]) -> None:
    from rich.console import Console

    table = folding_table("party", "BIN", "site", "machines", "licence", "might mine")
    for place in found:
        outcome = "yes" if place.decision.admitted else ", ".join(place.decision.reasons)
        table.add_row(
            place.party.party,
            place.party.bin,
            place.site,
            str(len(place.machines)),
            place.rested_on("licence"),
            outcome,
        )
    Console().print(table)


@admission.command("log")
@settings_option
@click.option(
    "--from", "since", type=InstantParam(), help="Only from this moment on; 24 hours before the end if absent."
)
@click.option("--to", "until", type=InstantParam(), default="now", show_default=True, help="Only before this moment.")
@click.option("--party", help="Only on this party.")
@click.option("--refused", is_flag=True, help="Only who was turned away.")
@json_option
def log(
    settings: Settings, since: datetime | None, until: datetime, party: str | None, refused: bool, as_json: bool
) -> None:
    """Who was let in and who was turned away, by the audit log: logins of one account with equal outcome together."""
    from tarazy.accreditation.decisions import ADMITTED

    rows = _decisions(settings, since or until - _PERIOD, until)
    rows = [row for row in rows if (party is None or row.party == party) and not (refused and row.kind == ADMITTED)]
    if as_json:
        print_json([row.plain() for row in rows])
    else:
        _tell_summaries(rows)


def _tell_summaries(rows: Iterable[DecisionSummary]) -> None:
    from rich.console import Console

    table = folding_table(moments.heading("last"), "account", "party", "from", "count", "outcome")
    for row in rows:
        table.add_row(
            moments.cell(row.last),
            row.account,
            row.party,
            " ".join([*sorted(row.sites), *sorted(row.peers)]),
            str(row.count),
            ", ".join(row.reasons) or row.kind,
        )
    Console().print(table)


def _registers(settings: Settings, instant: datetime, known_at: datetime | None) -> Registers:
    from tarazy.accreditation.registers import as_of
    from tarazy.database.engine import reader

    with ledger(settings) as engine, progress_bar("Reading the registers"), reader(engine).begin() as connection:
        return as_of(connection, instant, known_at)


def _decisions(settings: Settings, since: datetime, until: datetime) -> list[DecisionSummary]:
    """In order of their last."""
    from tarazy.accreditation.decisions import decisions_during
    from tarazy.database.engine import reader

    with ledger(settings) as engine, progress_bar("Reading the audit log"), reader(engine).begin() as connection:
        return sorted(decisions_during(connection, since, until), key=lambda row: row.last)
