"""Which addresses lie in the country: lists of several sources, and what they say together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tarazy.accreditation.evidence import (
    INDICATION,
    EvidenceRule,
    Origin,
    disagreements,
    evidence_of,
    list_map,
    lists_in_force,
)
from tarazy.accreditation.geo import address_text, parse_address, range_of
from tarazy.config.settings import Settings
from tarazy.database.engine import reader
from tarazy.pool.cli.common import (
    Misuse,
    Wanting,
    folding_table,
    json_option,
    ledger,
    print_json,
    progress_bar,
    settings_option,
)
from tarazy.pool.cli.register.shared import AS_OF, KNOWN_AT, recorder

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tarazy.accreditation.geo import Ranges, Reduced
    from tarazy.accreditation.geo_update import GeoChange
    from tarazy.accreditation.snapshot import Registers

_RECENT = timedelta(days=7)
"""Miners admitted within this time are looked at anew."""
_SHOWN = 20


@click.group()
def geo() -> None:
    """Lists of the country's addresses: shipped blocks, a registry's statistics, a database in MaxMind's format."""


@geo.command("update")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@settings_option
@click.option("--dated-on", type=click.DateTime(["%Y-%m-%d"]), help="Day of a list of blocks; the others tell it.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and record nothing.")
@click.option("--force", is_flag=True, help="Record it in spite of the objections, which are kept with it.")
@json_option
def update(
    path: Path, settings: Settings, dated_on: datetime | None, dry_run: bool, force: bool, as_json: bool
) -> None:
    """Take the country's addresses from FILE, in place of what its source said before.

    FILE is a list of CIDR blocks, a delegated statistics file of a registry (also .gz), or an .mmdb database of
    countries or cities. Running servers follow within a second.
    """
    from tarazy.accreditation.geo_update import record
    from tarazy.accreditation.sources import SourceError, read_source

    country = settings.accreditation.country
    try:
        with progress_bar(f"Reading {path.name}") as tell:
            reduced = read_source(path, country, dated_on.date() if dated_on else None, tell)
    except SourceError as error:
        raise Wanting(f"nothing was recorded: {error}") from None
    now = datetime.now(UTC)
    with ledger(settings) as engine:
        with reader(engine).begin() as connection:
            change = _plan(connection, settings, reduced, now)
        recorded = not dry_run and not change.known and (force or not change.objections)
        if recorded:
            note = f"recorded in spite of: {'; '.join(change.objections)}"[:500] if change.objections else ""
            try:
                with engine.begin() as connection:
                    record(connection, reduced, country, now, recorder(), note)
            except ValueError as error:
                raise Wanting(f"nothing was recorded: {error}") from None
    if as_json:
        print_json({"recorded": recorded, **_told(reduced, change)})
    else:
        _print(reduced, change, recorded)
    if change.objections and not recorded and not change.known:
        raise Wanting("it meets objections: see whether the file is the right one; --force records it all the same")


def _plan(connection: Connection, settings: Settings, reduced: Reduced, now: datetime) -> GeoChange:
    from tarazy.accreditation.decisions import decisions_between
    from tarazy.accreditation.geo_update import plan
    from tarazy.accreditation.registers import as_of

    registers = as_of(connection, now)
    admitted = decisions_between(connection, now - _RECENT, now)
    return plan(registers, reduced, EvidenceRule.of(settings.accreditation), now.date(), admitted)


def _told(reduced: Reduced, change: GeoChange) -> dict[str, Any]:
    return {
        "source": reduced.source,
        "file": reduced.file,
        "file_digest": reduced.file_digest,
        "digest": reduced.ranges.digest,
        "dated_on": reduced.dated_on,
        **{name: _figures(each) for name, each in (("before", change.before), ("after", change.after))},
        **{name: {**_figures(each), "list": _ranges(each)} for name, each in _differences(change)},
        "moved": [
            {"register": one.register, "key": one.key, "place": one.place, "before": one.before, "after": one.after}
            for one in change.moved
        ],
        "objections": list(change.objections),
        "already_recorded": change.known,
    }


def _differences(change: GeoChange) -> tuple[tuple[str, Ranges], ...]:
    return ("added", change.added), ("removed", change.removed)


def _figures(ranges: Ranges) -> dict[str, int]:
    return {
        "ranges": len(ranges),
        "ipv4_addresses": ranges.ipv4_addresses,
        "ipv6_subnets": ranges.ipv6_subnets,
    }


def _ranges(ranges: Ranges) -> list[str]:
    return [f"{address_text(first)}-{address_text(last)}" for first, last in ranges]


def _print(reduced: Reduced, change: GeoChange, recorded: bool) -> None:
    click.echo(f"{reduced.source}: {reduced.file} of {reduced.dated_on}")
    sets = (("before", change.before), ("after", change.after), *_differences(change))
    for name, ranges in sets:
        click.echo(
            f"  {name:8} {len(ranges):>8,} ranges  {ranges.ipv4_addresses:>14,} IPv4 addresses"
            f"  {ranges.ipv6_subnets:>18,} IPv6 /64 networks"
        )
    for sign, ranges in (("+", change.added), ("-", change.removed)):
        lines = _ranges(ranges)
        for line in lines[:_SHOWN]:
            click.echo(f"  {sign} {line}")
        if len(lines) > _SHOWN:
            click.echo(f"  {sign} … and {len(lines) - _SHOWN:,} more; --json tells them all")
    for one in change.moved:
        click.echo(f"  {one.register} {one.key}: {one.place} {one.before} → {one.after}")
    for objection in change.objections:
        click.echo(f"  objection: {objection}")
    click.echo("it is recorded already" if change.known else "recorded" if recorded else "nothing was recorded")


@geo.command("show")
@settings_option
@AS_OF
@KNOWN_AT
@json_option
def show(settings: Settings, as_of: datetime, known_at: datetime | None, as_json: bool) -> None:
    """Show the lists in force with their days, and where they differ on registered networks."""
    registers, rule = _registers(settings, as_of, known_at), EvidenceRule.of(settings.accreditation)
    ages = settings.accreditation.evidence.maximum_age_days.model_dump()
    lists = [
        {
            "source": source,
            "asked": source in rule.sources,
            "file": listed.entry.file if listed.entry else "shipped with this program",
            "dated_on": listed.dated_on,
            "days": (days := (as_of.date() - listed.dated_on).days),
            "too_old": days > ages[source],
            "entry": listed.entry.entry if listed.entry else None,
            "digest": listed.digest,
            **_figures(listed.ranges),
        }
        for source, listed in lists_in_force(registers, rule.country).items()
    ]
    disputed: list[dict[str, Any]] = [
        {
            "register": one.register,
            "key": one.key,
            "network": one.network,
            "part": f"{address_text(one.first)}-{address_text(one.last)}",
            "private": one.private,
            "origin": one.evidence.origin,
            "sources": dict(one.evidence.verdicts),
        }
        for one in disagreements(registers, rule)
    ]
    if as_json:
        print_json({"rule": rule.agreement, "lists": lists, "disagreements": disputed, "remark": INDICATION})
        return
    from rich.console import Console
    from rich.text import Text

    table = folding_table("source", "day", "age", "ranges", "IPv4 addresses", "IPv6 /64", "file")
    for each in lists:
        age = f"{each['days']} d{', too old' if each['too_old'] else ''}{'' if each['asked'] else ', not asked'}"
        figures = (f"{each[name]:,}" for name in ("ranges", "ipv4_addresses", "ipv6_subnets"))
        table.add_row(str(each["source"]), str(each["dated_on"]), age, *figures, Text(str(each["file"])))
    Console().print(table)
    click.echo(f"{rule.agreement} of {', '.join(rule.sources)} must agree; {INDICATION}")
    for entry in disputed:
        said = ", ".join(f"{source} {verdict}" for source, verdict in entry["sources"].items())
        private = "; private addresses are no evidence" if entry["private"] else ""
        click.echo(f"{entry['register']} {entry['key']}: {entry['part']} is {entry['origin']} ({said}{private})")


@geo.command("explain")
@click.argument("address")
@settings_option
@AS_OF
@KNOWN_AT
@json_option
def explain(address: str, settings: Settings, as_of: datetime, known_at: datetime | None, as_json: bool) -> None:
    """Tell what each source says of ADDRESS, and what follows."""
    number = parse_address(address)
    if number is None:
        raise Misuse(f"{address[:60]!r} is no IPv4 or IPv6 address")
    registers, rule = _registers(settings, as_of, known_at), EvidenceRule.of(settings.accreditation)
    sites = [
        site
        for site in registers.sites.values()
        if any(first <= number <= last for first, last in map(range_of, site.networks))
    ]
    lists = list_map(registers, rule.country)
    evidence = evidence_of(number, lists, sites, rule, settings.accreditation.demo_addresses)
    if as_json:
        told = {"origin": evidence.origin, "sources": dict(evidence.verdicts), "sites": [site.site for site in sites]}
        print_json({"address": address, **told, "remark": INDICATION})
        return
    for source, verdict in evidence.verdicts:
        click.echo(f"{source:8} {verdict}")
    for site in sites:
        click.echo(f"in the networks of site {site.site}, {site.country}")
    click.echo(f"{_MEANS[evidence.origin]}; {INDICATION}")


_MEANS = {
    Origin.HOME: "counts as in the country",
    Origin.FOREIGN: "does not count as in the country",
    Origin.DISPUTED: "the sources differ, so it does not count as in the country",
    Origin.LOOPBACK: "loopback, which is in no country",
}


def _registers(settings: Settings, as_of: datetime, known_at: datetime | None) -> Registers:
    from tarazy.accreditation.registers import as_of as read_registers

    with ledger(settings) as engine, reader(engine).begin() as connection:
        return read_registers(connection, as_of, known_at)
