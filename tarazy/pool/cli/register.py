"""`tarazy register`: who may mine, from where, on what."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy import Engine

from tarazy.accreditation import audit
from tarazy.accreditation.entries import ENTRY_TYPES, Entry
from tarazy.accreditation.sheets import Line, TableFault
from tarazy.accreditation.tables import REGISTERS
from tarazy.config.settings import Settings
from tarazy.database.engine import reader
from tarazy.pool.cli.common import (
    InstantParam,
    Wanting,
    folding_table,
    json_option,
    ledger,
    print_json,
    settings_option,
)

_KINDS = click.Choice(list(REGISTERS))
_OUTPUT = click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File; standard output when absent."
)
_AS_OF = click.option("--as-of", type=InstantParam(), default="now", show_default=True, help="Valid at this moment.")


@click.group()
def register() -> None:
    """Registers: parties, licences, sites, placements, certificate, servers, equipment, meters.

    Nothing in them is ever changed or removed; a new row says what holds from its `valid_from` on.
    """


@register.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@settings_option
@click.option("--kind", type=_KINDS, help="Register of a CSV file that is not named after it.")
@click.option("--why", help="Why rows correct what is recorded from the same day, where they do not say it themselves.")
@json_option
def import_files(files: tuple[Path, ...], settings: Settings, kind: str | None, why: str | None, as_json: bool) -> None:
    """Import CSV or XLSX files, all rows or none. Every fault is told by file, row and column, with a cure."""
    from tarazy.accreditation.importing import import_registers
    from tarazy.accreditation.sheets import RegisterImportError, read_table

    now, user = datetime.now(UTC), getpass.getuser()
    cooling = settings.accreditation.wallet_cooling
    with ledger(settings) as engine:
        try:
            lines = [line for file in files for line in read_table(file, kind)]
            if faults := list(_faults_elsewhere(lines)):
                raise RegisterImportError(faults)
            with engine.begin() as connection:
                result = import_registers(connection, lines, now, user, why=why, cooling=cooling)
                names = [file.name for file in files]
                event = audit.AuditEvent("register-import", {"files": names, "added": result.added, "by": user})
                audit.append(connection, [event], now)
        except (RegisterImportError, ValueError) as error:
            raise Wanting(f"nothing was imported:\n{error}") from None
    warnings = [str(warning) for warning in result.warnings]
    if as_json:
        print_json({"added": result.added, "unchanged": result.unchanged, "warnings": warnings})
        return
    for name in REGISTERS:
        if name in result.added or name in result.unchanged:
            click.echo(f"{name}: {result.added.get(name, 0)} added, {result.unchanged.get(name, 0)} there already")
    for warning in warnings:
        click.echo(f"note: {warning}", err=True)


@register.command("columns")
@click.argument("kind", type=_KINDS)
@json_option
def columns(kind: str, as_json: bool) -> None:
    """Tell what a register's file must contain, column by column."""
    from tarazy.accreditation.importing import columns_of

    described = columns_of(kind)
    if as_json:
        print_json(
            [
                {"name": column.name, "required": column.required, "hint": column.hint, "example": column.example}
                for column in described
            ]
        )
        return
    from rich.console import Console

    table = folding_table("column", "needed", "what it holds", "example")
    for column in described:
        table.add_row(column.name, "yes" if column.required else "", column.hint, column.example)
    Console().print(table)


@register.command("show")
@click.argument("kind", type=_KINDS)
@settings_option
@_AS_OF
@json_option
def show(kind: str, settings: Settings, as_of: datetime, as_json: bool) -> None:
    """Show what is in force; columns without a value are left out."""
    from tarazy.accreditation.importing import shown

    rows = [shown(entry) for entry in _entries(settings, kind, as_of)]
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo(f"no {kind} is in force at {as_of.isoformat(timespec='seconds')}")
        return
    from rich.console import Console

    filled = [column for column in rows[0] if any(row[column] for row in rows)]
    table = folding_table(*filled)
    for row in rows:
        table.add_row(*(row[column] for column in filled))
    Console().print(table)


@register.command("export")
@click.argument("kind", type=_KINDS)
@settings_option
@_AS_OF
@_OUTPUT
def export(kind: str, settings: Settings, as_of: datetime, output: Path | None) -> None:
    """Write what is in force as CSV, as `import` takes it."""
    from tarazy.accreditation.importing import to_csv

    _write(to_csv(kind, _entries(settings, kind, as_of)), output)


@register.command("template")
@click.argument("kind", type=_KINDS)
@_OUTPUT
def template(kind: str, output: Path | None) -> None:
    """Write a CSV with the columns of a register and an example row."""
    from tarazy.accreditation.importing import to_csv

    _write(to_csv(kind), output)


def _write(text: str, output: Path | None) -> None:
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


@register.command("revoke")
@click.argument("number")
@settings_option
@click.option("--reason", required=True, help="Kept with the entry and told in reports.")
@json_option
def revoke(number: str, settings: Settings, reason: str, as_json: bool) -> None:
    """End licence NUMBER for good, now. A running server ends its holder's connections within a second."""
    from tarazy.accreditation.registers import revoke_licence

    with ledger(settings) as engine:
        _record(engine, number, reason, revoke_licence)
    if as_json:
        print_json({"licence": number, "status": "revoked", "reason": reason})
    else:
        click.echo(f"licence {number} is revoked")


@register.command("suspend")
@click.argument("number")
@settings_option
@click.option("--until", type=InstantParam(), required=True, help="When it holds again.")
@click.option("--reason", required=True, help="Kept with the entry and told in reports.")
@json_option
def suspend(number: str, settings: Settings, until: datetime, reason: str, as_json: bool) -> None:
    """Suspend licence NUMBER from now until a moment."""
    from functools import partial

    from tarazy.accreditation.registers import suspend_licence

    with ledger(settings) as engine:
        _record(engine, number, reason, partial(suspend_licence, until=until))
    if as_json:
        print_json({"licence": number, "status": "suspended", "until": until, "reason": reason})
    else:
        click.echo(f"licence {number} is suspended until {until.isoformat(timespec='seconds')}")


def _faults_elsewhere(lines: Iterable[Line]) -> Iterator[TableFault]:
    """What only the rooms beyond the registers can tell: addresses of another chain, meters nobody can read."""
    from tarazy.accounting.energy.profiles import known_profiles
    from tarazy.pool.templates import TemplateError, address_script

    for line in lines:
        if line.kind == "wallet" and isinstance(address := line.cells.get("address"), str):
            try:
                address_script(address)
            except TemplateError as error:
                yield TableFault(line.source, str(error), line.row, "address")
        if line.kind == "meter" and (profile := line.cells.get("profile")) not in known_profiles():
            problem = f"no meter profile {profile!r}; expected one of: {', '.join(known_profiles())}"
            yield TableFault(line.source, problem, line.row, "profile")


def _entries(settings: Settings, kind: str, as_of: datetime) -> list[Entry]:
    from tarazy.accreditation.registers import as_of as read_registers

    with ledger(settings) as engine, reader(engine).begin() as connection:
        registers = read_registers(connection, as_of)
    return sorted(registers.in_force(ENTRY_TYPES[kind]).values(), key=lambda entry: entry.key)


def _record(engine: Engine, number: str, reason: str, change: Callable[..., None]) -> None:
    now, user = datetime.now(UTC), getpass.getuser()
    try:
        with engine.begin() as connection:
            change(connection, number, since=now, reason=reason, recorded_at=now, recorded_by=user)
    except (LookupError, ValueError) as error:
        raise Wanting(str(error)) from None
