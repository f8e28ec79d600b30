"""`tarazy sale`: coins that miners sold, with the documents of the deals."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tarazy.config.settings import Settings
from tarazy.pool import moments
from tarazy.pool.cli.common import Misuse, Wanting, folding_table, json_option, ledger, print_json, settings_option
from tarazy.pool.cli.register.shared import KNOWN_AT, recorder
from tarazy.pool.cli.value import tell_counts

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tarazy.accounting.assets.sales import Sale

_WHY = click.option("--why", help="Why deals that are recorded otherwise are corrected.")


@click.group()
def sale() -> None:
    """Sales of mined coins."""


@sale.command("add")
@settings_option
@click.option("--party", required=True, help="Key of the miner that sold.")
@click.option("--exchange", required=True, help="Name of the exchange.")
@click.option("--exchange-licence", help="Number of its AIFC licence; without it the sale does not count as such.")
@click.option("--deal", required=True, help="Number of the deal at the exchange.")
@click.option("--asset", default="Bitcoin", show_default=True)
@click.option("--quantity", required=True, help="Satoshi; 0 takes a recorded sale back.")
@click.option("--sold-at", required=True, help="Instant of the deal, or a day.")
@click.option("--document", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Document of the deal.")
@_WHY
@json_option
def add(settings: Settings, why: str | None, as_json: bool, document: Path | None, **cells: str | None) -> None:
    """Record one sale, or correct it with --why. Its document is kept."""
    from tarazy.pool.imported import SALE_COLUMNS, sale_of

    values: dict[str, object] = {"document": document and document.name}
    for name, cell in cells.items():
        try:
            values[name] = None if cell is None else SALE_COLUMNS[name].read(cell)
        except ValueError as error:
            raise Misuse(f"--{name.replace('_', '-')}: {error}") from None
    folder = document.parent if document else Path()
    _record(settings, lambda connection, now: [sale_of(connection, values, folder, now)], why, as_json)


@sale.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@settings_option
@_WHY
@click.option("--dry-run", "dry", is_flag=True, help="Tell what would be recorded, and record nothing.")
@json_option
def import_file(file: Path, settings: Settings, why: str | None, dry: bool, as_json: bool) -> None:
    """Import a CSV or XLSX of sales, all rows or none.

    Columns: party, exchange, exchange_licence, deal, asset, quantity, sold_at, document.
    """
    from tarazy.pool.imported import read_sales

    _record(settings, lambda connection, now: read_sales(connection, file, now), why, as_json, dry=dry)


def _record(
    settings: Settings,
    read: Callable[[Connection, datetime], list[Sale]],
    why: str | None,
    as_json: bool,
    *,
    dry: bool = False,
) -> None:
    from tarazy.accounting.assets.sales import record_sales
    from tarazy.accreditation import audit
    from tarazy.accreditation.sheets import RegisterImportError
    from tarazy.reports.canonical import canonical_json, digest

    now, by = datetime.now(UTC), recorder()
    try:
        with ledger(settings) as engine, engine.begin() as connection:
            sales = read(connection, now)
            counts = record_sales(connection, sales, now, by, why)
            if not dry and counts.added + counts.corrected:
                body = {"added": counts.added, "corrected": counts.corrected, "by": by, "why": why}
                event = audit.AuditEvent("sale", {**body, "digest": digest(canonical_json(sales))})
                audit.append(connection, [event], now)
            if dry:
                connection.rollback()
    except (RegisterImportError, ValueError) as error:
        raise Wanting(f"nothing was recorded:\n{error}") from None
    tell_counts(counts, as_json, dry=dry)


@sale.command("list")
@settings_option
@click.option("--party", help="Of this miner alone.")
@click.option("--year", type=click.IntRange(2000, 2199), help="Of this year alone.")
@KNOWN_AT
@json_option
def list_sales(
    settings: Settings, party: str | None, year: int | None, known_at: datetime | None, as_json: bool
) -> None:
    """Show the sales that stand recorded."""
    from dataclasses import asdict
    from datetime import date

    from rich.console import Console

    from tarazy.accounting.assets.sales import standing_sales
    from tarazy.accounting.assets.values import BITCOIN
    from tarazy.config.law.calendar import day_start
    from tarazy.database.engine import reader

    start, end = (day_start(date(each, 1, 1)) for each in ((year, year + 1) if year else (2000, 2200)))
    with ledger(settings) as engine, reader(engine).begin() as connection:
        found = standing_sales(connection, start, end, known_at or datetime.now(UTC), party)
    if as_json:
        rows = [
            {"entry": each.entry, "corrects": each.corrects, "why": each.why, **asdict(each.sale)} for each in found
        ]
        print_json(rows)
        return
    if not found:
        click.echo("no sale is recorded", err=True)
        return
    table = folding_table(
        "entry", "party", "exchange, AIFC licence, deal", moments.heading("sold"), "satoshi", "document"
    )
    for column in table.columns[-3:]:
        column.no_wrap = True
    for each in found:
        told = each.sale
        where = f"{told.exchange}, {told.exchange_licence or 'no licence'}, {told.deal}"
        quantity = f"{told.quantity}" if told.asset == BITCOIN else f"{told.quantity} {told.asset}"
        moment, document = moments.cell(told.sold_at), (told.document or "missing")[:12]
        table.add_row(str(each.entry), told.party, where, moment, quantity, document)
    Console().print(table)
