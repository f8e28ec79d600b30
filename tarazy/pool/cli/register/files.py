"""Registers as files: import, export, templates, and what is in force on the screen."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tarazy.accreditation.entries import BY_HAND, Entry
from tarazy.config.settings import Settings
from tarazy.pool import moments
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
from tarazy.pool.cli.register.shared import AS_OF, KINDS, KNOWN_AT, law_of, record, recorder, tell

if TYPE_CHECKING:
    from tarazy.accreditation.importing import ImportPlan
    from tarazy.accreditation.sheets import Line

_OUTPUT = click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File; standard output when absent."
)


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@settings_option
@click.option("--kind", type=KINDS, help="Register of a CSV file that is not named after it.")
@click.option("--why", help="Why rows correct what is recorded from the same day, where they do not say it themselves.")
@click.option("--dry-run", "dry", is_flag=True, help="Show what would change, and record nothing.")
@json_option
def import_files(
    files: tuple[Path, ...], settings: Settings, kind: str | None, why: str | None, dry: bool, as_json: bool
) -> None:
    """Import CSV or XLSX files, all rows or none. Every fault is told by file, row and column, with a cure."""
    from tarazy.accreditation.sheets import RegisterImportError, read_table

    lines: list[Line] = []
    with progress_bar("Reading the files") as progress:
        for number, file in enumerate(files, start=1):
            try:
                lines += read_table(file, kind)
            except RegisterImportError as error:
                raise Wanting(f"nothing was recorded:\n{error}") from None
            progress(number, len(files))
    if dry:
        tell(_plan(settings, lines, why), as_json, dry=True)
        return
    with progress_bar(f"Recording {len(lines)} rows"):
        plan = record(settings, lines, why=why, event={"files": [file.name for file in files]})
    tell(plan, as_json, columns=False)


def _plan(settings: Settings, lines: list[Line], why: str | None) -> ImportPlan:
    from tarazy.accreditation.importing import plan_import
    from tarazy.accreditation.sheets import RegisterImportError
    from tarazy.database.engine import reader
    from tarazy.pool.usable import require_usable

    cooling = settings.accreditation.wallet_cooling
    with ledger(settings) as engine, reader(engine).begin() as connection:
        try:
            require_usable(lines, settings.chain.address_chain)
            return plan_import(
                connection, lines, datetime.now(UTC), recorder(), law_of(settings), why=why, cooling=cooling
            )
        except RegisterImportError as error:
            raise Wanting(f"nothing would be recorded:\n{error}") from None


@click.command("export")
@click.argument("kind", type=KINDS, required=False)
@settings_option
@AS_OF
@KNOWN_AT
@click.option(
    "--history", is_flag=True, help="Every version with its number, time and author; to be read, not imported."
)
@_OUTPUT
def export(
    kind: str | None,
    settings: Settings,
    as_of: datetime,
    known_at: datetime | None,
    history: bool,
    output: Path | None,
) -> None:
    """Write what is in force as `import` takes it: CSV, or XLSX where the file is named so.

    Without KIND every register, a sheet each.
    """
    from tarazy.accreditation.exporting import to_csv, to_xlsx

    workbook = output is not None and output.suffix.lower() == ".xlsx"
    if kind is None and not workbook:
        raise Misuse("name a register, or an XLSX file with -o for all of them")
    held = _held(settings, [kind] if kind else list(BY_HAND), as_of, known_at, history=history)
    if workbook and output is not None:
        output.write_bytes(to_xlsx(held, history=history))
    elif kind is not None:
        _write(to_csv(kind, held[kind], history=history), output)


@click.command("template")
@click.argument("kind", type=KINDS)
@_OUTPUT
def template(kind: str, output: Path | None) -> None:
    """Write a CSV with the columns of a register and an example row."""
    from tarazy.accreditation.exporting import to_csv

    _write(to_csv(kind), output)


@click.command("columns")
@click.argument("kind", type=KINDS)
@json_option
def columns(kind: str, as_json: bool) -> None:
    """Tell what a register's file must contain, column by column."""
    from rich.console import Console

    from tarazy.accreditation.exporting import columns_of

    described = columns_of(kind)
    if as_json:
        print_json(
            [
                {"name": column.name, "required": column.required, "hint": column.hint, "example": column.example}
                for column in described
            ]
        )
        return
    table = folding_table("column", "needed", "what it holds", "example")
    for column in described:
        table.add_row(column.name, "yes" if column.required else "", column.hint, column.example)
    Console().print(table)


@click.command("show")
@click.argument("kind", type=KINDS)
@click.argument("key", required=False)
@settings_option
@AS_OF
@KNOWN_AT
@json_option
def show(
    kind: str, key: str | None, settings: Settings, as_of: datetime, known_at: datetime | None, as_json: bool
) -> None:
    """Show what is in force, or one entry of it; columns without a value are left out."""
    from rich.console import Console

    from tarazy.accreditation.exporting import shown

    entries = _held(settings, [kind], as_of, known_at)[kind]
    rows = [shown(entry) for entry in entries if key in (None, entry.key)]
    if as_json:
        print_json(rows)
        return
    if not rows:
        which = kind if key is None else f"{kind} {key}"
        click.echo(f"no {which} is in force at {moments.told(as_of)}")
        return
    filled = [column for column in rows[0] if any(row[column] for row in rows)]
    if key is not None:
        table = folding_table("column", "value")
        for column in filled:
            table.add_row(column, rows[0][column])
    else:
        table = folding_table(*filled)
        for row in rows:
            table.add_row(*(row[column] for column in filled))
    Console().print(table)


def _held(
    settings: Settings, kinds: list[str], as_of: datetime, known_at: datetime | None, *, history: bool = False
) -> dict[str, list[Entry]]:
    """Entries of each register in force, or every known version, in order of keys and numbers."""
    from tarazy.accreditation.registers import as_of as read_registers
    from tarazy.database.engine import reader

    with ledger(settings) as engine, progress_bar("Reading the registers"), reader(engine).begin() as connection:
        registers = read_registers(connection, as_of, known_at)
    if history:
        return {
            kind: [row for versions in registers.histories(kind).values() for row in reversed(versions)]
            for kind in kinds
        }
    return {kind: list(registers.in_force(BY_HAND[kind]).values()) for kind in kinds}


def _write(text: str, output: Path | None) -> None:
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
