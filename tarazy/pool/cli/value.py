"""`tarazy value`: what a coin is worth in tenge, as the authority publishes it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tarazy.config.settings import Settings
from tarazy.pool import moments
from tarazy.pool.cli.common import FOUND_WANTING, Wanting, json_option, ledger, print_json, settings_option
from tarazy.pool.cli.register.shared import KNOWN_AT, law_of, recorder

if TYPE_CHECKING:
    from tarazy.accounting.assets.values import Counts


@click.group()
def value() -> None:
    """Published values of coins in tenge, by day."""


@value.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@settings_option
@click.option("--source", required=True, help="Who published the file, and where.")
@click.option("--why", help="Why days that are recorded otherwise are corrected.")
@click.option("--dry-run", "dry", is_flag=True, help="Tell what would be recorded, and record nothing.")
@json_option
def import_file(file: Path, settings: Settings, source: str, why: str | None, dry: bool, as_json: bool) -> None:
    """Import a CSV or XLSX with the columns asset, day and value_kzt, all rows or none. The file is kept."""
    from tarazy.accounting.assets.values import AssetError, import_values
    from tarazy.accreditation import audit
    from tarazy.accreditation.documents import DocumentError, store
    from tarazy.accreditation.sheets import RegisterImportError
    from tarazy.pool.imported import read_values

    now, by = datetime.now(UTC), recorder()
    try:
        described, content, values = read_values(file, source)
        with ledger(settings) as engine, engine.begin() as connection:
            counts = import_values(connection, values, described, now, by, why)
            if not dry and counts.added + counts.corrected:
                store(connection, content, now)
                body = {"file": described.name, "digest": described.digest, "source": source, "by": by}
                rows = {"added": counts.added, "corrected": counts.corrected}
                audit.append(connection, [audit.AuditEvent("value-import", {**body, **rows})], now)
            if dry:
                connection.rollback()
    except (AssetError, DocumentError, RegisterImportError) as error:
        raise Wanting(f"nothing was recorded:\n{error}") from None
    tell_counts(counts, as_json, dry=dry)


def tell_counts(counts: Counts, as_json: bool, *, dry: bool) -> None:
    """Print how many rows were or would be recorded."""
    if as_json:
        print_json(
            {
                "recorded": not dry,
                "added": counts.added,
                "corrected": counts.corrected,
                "unchanged": counts.unchanged,
            }
        )
        return
    click.echo(f"{counts.added} added, {counts.corrected} corrected, {counts.unchanged} there already")
    if dry:
        click.echo("nothing was recorded")


@value.command("show")
@click.argument("day", type=click.DateTime(["%Y-%m-%d"]))
@settings_option
@click.option("--asset", default="Bitcoin", show_default=True, help="Its name as published.")
@KNOWN_AT
@json_option
def show(day: datetime, settings: Settings, asset: str, known_at: datetime | None, as_json: bool) -> None:
    """Tell what one coin was worth on DAY by the rule in force, or why there is no figure (exit code 1)."""
    from tarazy.accounting.assets.values import values_on
    from tarazy.config.law.working_days import WorkingDays
    from tarazy.database.engine import reader
    from tarazy.pool.imported import read_asset

    book = law_of(settings)
    asked: date = day.date()
    try:
        name = read_asset(asset)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    with ledger(settings) as engine, reader(engine).begin() as connection:
        valued = values_on(connection, book, WorkingDays(book), [asked], known_at or datetime.now(UTC), name)[asked]
    recorded = valued.recorded
    told = {
        "asset": name,
        "day": asked,
        "value_day": valued.value_day,
        "value_kzt": recorded and recorded.value.value_kzt,
        "file": recorded and recorded.file.name,
        "digest": recorded and recorded.file.digest,
        "source": recorded and recorded.file.source,
        "imported_at": recorded and recorded.imported_at,
        "corrects": recorded and recorded.corrects,
        "rule": valued.rule and valued.rule.id,
        "confirmed": valued.rule and valued.rule.confirmed,
        "absent": valued.absent,
        "doubts": sorted(valued.doubts),
    }
    if as_json:
        print_json(told)
    else:
        for key, each in told.items():
            if each not in (None, []):
                click.echo(f"{key}: {', '.join(each) if isinstance(each, list) else moments.plain(each)}")
    if valued.absent:
        click.echo(_REASONS[valued.absent].format(asset=name, day=valued.value_day), err=True)
        raise SystemExit(FOUND_WANTING)


_REASONS = {
    "no_rule": "no figure: no rule of the topic asset_valuation is in force on that day",
    "not_listed": "no figure: the rule's list of assets lacks {asset}",
    "no_value": "no figure: no value of {asset} on {day} was imported; import the published file",
}
