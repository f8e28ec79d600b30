"""Single entries: set, correct, withdraw, and their history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import click

from tarazy.accreditation.entries import Entry, fields_of
from tarazy.config.settings import Settings
from tarazy.pool import moments
from tarazy.pool.cli.common import Misuse, Wanting, folding_table, json_option, ledger, print_json, settings_option
from tarazy.pool.cli.register.shared import KINDS, WHY, record, recorder, tell

_VALUES = click.argument("values", nargs=-1, metavar="COLUMN=VALUE…")


@click.command("set")
@click.argument("kind", type=KINDS)
@click.argument("key")
@_VALUES
@settings_option
@click.option("--from", "valid_from", help="From when it holds: a day or an instant; from now if absent.")
@click.option("--to", "valid_to", help="Last day, or the instant at which it ends; open if absent.")
@click.option("--why", help="Kept with the entry.")
@json_option
def set_entry(
    kind: str,
    key: str,
    values: tuple[str, ...],
    settings: Settings,
    valid_from: str | None,
    valid_to: str | None,
    why: str | None,
    as_json: bool,
) -> None:
    """Record what holds from a moment on: a new entry, or another version of one.

    Columns that are not named stay as they are in the version in force.
    """
    from tarazy.accreditation.exporting import shown
    from tarazy.accreditation.sheets import Line
    from tarazy.accreditation.snapshot import version_at

    told = _told(kind, values)
    begins = _begins(valid_from)
    known = _versions(settings, kind, key)
    current = version_at(known, begins)
    if known and current is None:
        _require_all(kind, key, told)
    cells = {**(shown(current) if current else {}), **told, kind: key}
    cells |= {"valid_from": valid_from or "", "valid_to": valid_to or "", "corrects": "", "why": why or ""}
    tell(record(settings, [Line(f"{kind} {key}", None, kind, dict(cells))]), as_json)


def _require_all(kind: str, key: str, told: Mapping[str, object]) -> None:
    """Raise `Wanting` where columns are to stay as they are in a version that is not in force."""
    absent = [name for name, field in fields_of(kind).items() if field.required and name not in {*told, kind}]
    if absent:
        raise Wanting(
            f"no version of {kind} {key} holds then, so nothing can stay as it is: name {', '.join(absent)} too, or "
            f"let the entry begin earlier with `tarazy register correct {kind} {key} NUMBER valid_from=DAY --why …`"
        )


def _begins(valid_from: str | None) -> datetime:
    from tarazy.accreditation.fields import read_valid_from

    try:
        return read_valid_from(valid_from) if valid_from else datetime.now(UTC)
    except ValueError as error:
        raise Misuse(f"--from: {error}") from None


@click.command("correct")
@click.argument("kind", type=KINDS)
@click.argument("key")
@click.argument("number", type=click.IntRange(min=1))
@_VALUES
@settings_option
@WHY
@json_option
def correct(
    kind: str, key: str, number: int, values: tuple[str, ...], settings: Settings, why: str, as_json: bool
) -> None:
    """Put a version in the place of entry NUMBER, which was recorded wrongly. `history` tells the numbers.

    Columns that are not named stay as they are in it, its validity too.
    """
    from tarazy.accreditation.exporting import shown
    from tarazy.accreditation.sheets import Line

    told = _told(kind, values)
    wrong = next((row for row in _versions(settings, kind, key) if row.entry == number), None)
    if wrong is None:
        raise Wanting(f"{kind} {key} has no entry {number}; see `tarazy register history {kind} {key}`")
    cells = {**shown(wrong), **told, "corrects": str(number), "why": why}
    tell(record(settings, [Line(f"{kind} {key}", None, kind, dict(cells))]), as_json)


@click.command("withdraw")
@click.argument("kind", type=KINDS)
@click.argument("key")
@click.argument("number", type=click.IntRange(min=1))
@settings_option
@WHY
def withdraw(kind: str, key: str, number: int, settings: Settings, why: str) -> None:
    """Take back entry NUMBER, which should never have been recorded; what it covered holds again."""
    from tarazy.accreditation.registers import withdraw as take_back

    with ledger(settings) as engine:
        try:
            with engine.begin() as connection:
                now = datetime.now(UTC)
                take_back(connection, kind, key, number, why=why, recorded_at=now, recorded_by=recorder())
        except (LookupError, ValueError) as error:
            raise Wanting(str(error)) from None
    click.echo(f"entry {number} of {kind} {key} is taken back")


@click.command("history")
@click.argument("kind", type=KINDS)
@click.argument("key")
@settings_option
@json_option
def history(kind: str, key: str, settings: Settings, as_json: bool) -> None:
    """Show every version of an entry: what it said otherwise than the one before, who recorded it, when and why."""
    from rich.console import Console

    from tarazy.accreditation.exporting import differences, recorded, shown

    versions = _versions(settings, kind, key)[::-1]
    if not versions:
        raise Wanting(f"there is no {kind} {key}")
    corrected = {row.corrects: row.entry for row in versions if row.corrects}
    rows = [
        {**recorded(row), "corrected_by": str(corrected.get(row.entry, "")), "columns": shown(row)} for row in versions
    ]
    if as_json:
        print_json(rows)
        return
    table = folding_table("entry", moments.heading("recorded"), "by", "valid", "what", "why", "stands")
    for row, version in zip(rows, versions, strict=True):
        by = row["corrected_by"]
        columns = shown(version)
        table.add_row(
            str(version.entry),
            moments.cell(version.recorded_at),
            version.recorded_by,
            f"{columns['valid_from']} – {columns['valid_to']}",
            "\n".join(
                f"{name}: {text}"
                for name, (_, text) in differences(versions, version).items()
                if name not in ("valid_from", "valid_to")
            ),
            version.why or "",
            f"corrected by {by}" if by else "withdrawal" if version.valid_to == version.valid_from else "yes",
        )
    Console().print(table)


def _versions(settings: Settings, kind: str, key: str) -> list[Entry]:
    from tarazy.accreditation.registers import versions_of
    from tarazy.database.engine import reader

    with ledger(settings) as engine, reader(engine).begin() as connection:
        return versions_of(connection, kind, key)


def _told(kind: str, values: Sequence[str]) -> dict[str, str]:
    """COLUMN=VALUE arguments, each once and of a column that there is."""
    told: dict[str, str] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or name not in fields_of(kind) or name in (kind, "corrects", "why"):
            known = ", ".join(name for name in fields_of(kind) if name not in (kind, "corrects", "why"))
            raise Misuse(f"{text[:60]!r}: expected COLUMN=VALUE with one of the columns {known}")
        if name in told:
            raise Misuse(f"{name} is given twice")
        told[name] = value
    return told
