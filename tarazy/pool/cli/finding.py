"""`tarazy finding`: what does not fit together, and who has it in hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from tarazy.accreditation.entries import FindingKind
from tarazy.config.settings import Settings
from tarazy.pool import moments
from tarazy.pool.cli.common import Wanting, folding_table, json_option, ledger, print_json, settings_option
from tarazy.pool.cli.register.shared import WHY, recorder

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tarazy.accreditation.entries import Finding


@click.group()
def finding() -> None:
    """Findings about work and registers: their evidence, owner and history."""


@finding.command("list")
@settings_option
@click.option("--all", "everything", is_flag=True, help="Also those that are resolved or dismissed.")
@click.option("--kind", type=click.Choice([kind.value for kind in FindingKind]), help="Of this kind alone.")
@json_option
def list_findings(settings: Settings, everything: bool, kind: str | None, as_json: bool) -> None:
    """Show the findings that wait for somebody."""
    from rich.console import Console

    from tarazy.portal.desk import plain
    from tarazy.reports.attention import finding_text

    found = [row for row in _in_force(settings) if (everything or row.is_open) and (kind is None or row.kind == kind)]
    if as_json:
        print_json([{**plain(row), "text": finding_text("en", row)} for row in found])
        return
    table = folding_table("finding", "severity", "state", moments.heading("since"), "owner", "what")
    for row in found:
        severity = f"{row.severity}, stops mining" if row.blocks and row.is_open else str(row.severity)
        since, owner = moments.cell(row.valid_from), row.owner or ""
        table.add_row(row.finding, severity, row.state, since, owner, finding_text("en", row))
    if found:
        Console().print(table)
    else:
        click.echo("nothing was found" if everything else "nothing waits for anybody", err=True)


@finding.command("show")
@click.argument("key")
@settings_option
@json_option
def show(key: str, settings: Settings, as_json: bool) -> None:
    """Show the evidence and the history of the finding KEY."""
    from tarazy.database.engine import reader
    from tarazy.portal.desk import history, plain
    from tarazy.portal.shelf import Moment

    with ledger(settings) as engine, reader(engine).begin() as connection:
        versions = history(connection, "finding", key, Moment(datetime.now(UTC), None))
    if not versions:
        raise Wanting(f"there is no finding {key}; see `tarazy finding list --all`")
    rows = [plain(row) for row in versions]
    if as_json:
        print_json(rows)
        return
    newest = rows[-1]
    for name in ("finding", "kind", "severity", "of_register", "of_key", "party", "site", "state", "owner", "blocks"):
        click.echo(f"{name}: {newest[name] if newest[name] is not None else ''}")
    click.echo("evidence:")
    for name, value in newest["evidence"].items():
        click.echo(f"  {name}: {', '.join(map(str, value)) if isinstance(value, list) else value}")
    click.echo("history:")
    for row, version in zip(rows, versions, strict=True):
        why = f": {row['why']}" if row["why"] else ""
        recorded = moments.plain(version.recorded_at)
        click.echo(f"  {recorded}  {row['state']}, {row['severity']}, by {row['recorded_by']}{why}")


@finding.command("take")
@click.argument("key")
@settings_option
@click.option("--owner", help="Who has it in hand.  [default: you]")
@click.option("--why", help="Kept with the finding.")
@json_option
def take_finding(key: str, settings: Settings, owner: str | None, why: str | None, as_json: bool) -> None:
    """Give the finding KEY an owner."""
    from tarazy.accreditation.findings import take

    by = recorder()
    _move(settings, lambda connection, now: take(connection, key, owner or by, now, by, why), as_json)


@finding.command("resolve")
@click.argument("key")
@settings_option
@WHY
@json_option
def resolve_finding(key: str, settings: Settings, why: str, as_json: bool) -> None:
    """Close the finding KEY, whose cause is mended. Should it still be so, it is opened again."""
    from tarazy.accreditation.findings import resolve

    _move(settings, lambda connection, now: resolve(connection, key, now, recorder(), why), as_json)


@finding.command("dismiss")
@click.argument("key")
@settings_option
@WHY
@json_option
def dismiss_finding(key: str, settings: Settings, why: str, as_json: bool) -> None:
    """Say that the finding KEY is no fault; it is not opened again while it lasts."""
    from tarazy.accreditation.findings import dismiss

    _move(settings, lambda connection, now: dismiss(connection, key, now, recorder(), why), as_json)


def _in_force(settings: Settings) -> list[Finding]:
    from tarazy.accreditation.registers import as_of
    from tarazy.database.engine import reader

    with ledger(settings) as engine, reader(engine).begin() as connection:
        return list(as_of(connection, datetime.now(UTC)).findings.values())


def _move(settings: Settings, act: Callable[[Connection, datetime], Finding], as_json: bool) -> None:
    from tarazy.accreditation.findings import FindingError
    from tarazy.accreditation.tables import lock_writers
    from tarazy.portal.desk import plain

    with ledger(settings) as engine:
        try:
            with engine.begin() as connection:
                lock_writers(connection)
                moved = act(connection, datetime.now(UTC))
        except FindingError as error:
            raise Wanting(str(error)) from None
    if as_json:
        print_json(plain(moved))
    else:
        click.echo(f"{moved.finding}: {moved.state}{f', owner {moved.owner}' if moved.owner else ''}")
