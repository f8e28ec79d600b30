"""Registers out of spreadsheets and into them: everything checked first, nothing half done."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from tarazy.accreditation.bin import bin_layout_warning
from tarazy.accreditation.checking import COOLING, Recording, relation_faults
from tarazy.accreditation.entries import (
    ENTRY_TYPES,
    Entry,
    Party,
    PartyKind,
    content_of,
    fields_of,
)
from tarazy.accreditation.registers import append_all, as_of
from tarazy.accreditation.sheets import Line, RegisterImportError, TableFault, Unreadable, read_table
from tarazy.accreditation.snapshot import Registers, standing, version_at

__all__ = ["ImportResult", "RegisterImportError", "columns_of", "import_registers", "read_table", "to_csv"]


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did, by register."""

    added: dict[str, int]
    unchanged: dict[str, int]
    """Rows that were recorded already, word for word; they were left out."""
    warnings: tuple[TableFault, ...]


@dataclass(frozen=True, slots=True)
class ColumnDescription:
    """What a column of a register's table expects."""

    name: str
    required: bool
    hint: str
    example: str


def columns_of(kind: str) -> tuple[ColumnDescription, ...]:
    """The columns of a register's table in order; raises KeyError when there is no such register."""
    return tuple(
        ColumnDescription(name, field.required, field.hint, field.example) for name, field in fields_of(kind).items()
    )


def import_registers(
    connection: Connection,
    lines: Sequence[Line],
    recorded_at: datetime,
    recorded_by: str,
    *,
    why: str | None = None,
    cooling: timedelta = COOLING,
) -> ImportResult:
    """Record `lines`, of any registers and in any order, all or none.

    A line that says word for word what a version already says is left out, so a file may be imported again.
    One that says something else from the same instant on corrects that version, for the reason it gives or `why`.
    An empty valid_from means `recorded_at`. Raises `RegisterImportError` with every fault found.
    """
    faults: list[TableFault] = []
    good: list[tuple[Line, Entry]] = []
    for line in lines:
        entry, found = _entry(line, recorded_at)
        faults += found
        if entry is not None:
            good.append((line, entry))
    registers = as_of(connection, recorded_at)
    told = [(line, entry) for line, entry in good if not _is_recorded(registers, line, entry, recorded_at)]
    new = [(line, _as_correction(registers, entry, why)) for line, entry in told]
    named = [(line.kind, str(line.cells.get(line.kind))) for line in lines]
    recording = Recording(recorded_at, recorded_by, cooling)
    for fault in relation_faults(connection, [entry for _, entry in new], recording, named):
        line = new[fault.index][0]
        faults.append(TableFault(line.source, fault.problem, line.row, fault.column))
    if faults:
        place = {(line.source, line.row): number for number, line in enumerate(lines)}
        raise RegisterImportError(sorted(faults, key=lambda fault: place[fault.source, fault.row or 0]))
    append_all(connection, [entry for _, entry in new], recorded_at, recorded_by, cooling)
    added = Counter(entry.register for _, entry in new)
    unchanged = Counter(entry.register for _, entry in good) - added
    return ImportResult(dict(added), dict(unchanged), tuple(_warnings(good)))


def _entry(line: Line, recorded_at: datetime) -> tuple[Entry | None, list[TableFault]]:
    values: dict[str, Any] = {"valid_from": recorded_at}
    faults = []
    for name, field in fields_of(line.kind).items():
        cell = line.cells.get(name)
        if cell is None or cell == "":
            if field.required:
                faults.append(TableFault(line.source, f"is empty; expected {field.hint}", line.row, name))
            continue
        if isinstance(cell, Unreadable):
            faults.append(TableFault(line.source, cell.problem, line.row, name))
            continue
        try:
            values[name] = field.read(cell)
        except ValueError as error:
            faults.append(TableFault(line.source, str(error), line.row, name))
    return (None, faults) if faults else (ENTRY_TYPES[line.kind](**values), [])


def _as_correction(registers: Registers, entry: Entry, why: str | None) -> Entry:
    """`entry` in the place of the version that begins when it does, if there is one and a reason."""
    why = entry.why or why
    if entry.corrects is not None or why is None:
        return entry
    for version in standing(registers.versions_of(entry.register, entry.key)):
        if version.valid_from == entry.valid_from:
            return replace(entry, corrects=version.entry, why=why)
    return entry


_OF_THE_CORRECTION = ("corrects", "why")


def _is_recorded(registers: Registers, line: Line, entry: Entry, recorded_at: datetime) -> bool:
    def said(version: Entry) -> dict[str, Any]:
        return {name: value for name, value in content_of(version).items() if name not in _OF_THE_CORRECTION}

    versions = registers.versions_of(entry.register, entry.key)
    if line.cells.get("valid_from") in (None, ""):
        current = version_at(versions, recorded_at)
        return current is not None and said(entry) == {**said(current), "valid_from": recorded_at}
    if entry.corrects is not None:
        return any(content_of(entry) == content_of(version) for version in versions)
    return any(said(entry) == said(version) for version in versions)


def _warnings(good: Iterable[tuple[Line, Entry]]) -> Iterable[TableFault]:
    for line, entry in good:
        if isinstance(entry, Party) and entry.kind is PartyKind.LEGAL:
            warning = bin_layout_warning(entry.bin)
            if warning:
                yield TableFault(line.source, warning, line.row, "bin")


def shown(entry: Entry) -> dict[str, str]:
    """An entry's columns as text, as a person reads them and as an import takes them."""
    return {name: _shown(value) for name, value in content_of(entry).items()}


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return " ".join(value) if isinstance(value, tuple) else str(value)


def to_csv(kind: str, entries: Iterable[Entry] | None = None) -> str:
    """CSV (`;`, UTF-8 with a byte order mark) of `entries`; without them a template with one example row."""
    columns = columns_of(kind)
    example = {column.name: column.example for column in columns if column.required}
    out = io.StringIO()
    writer = csv.DictWriter(out, [column.name for column in columns], delimiter=";", restval="")
    writer.writeheader()
    writer.writerows([example] if entries is None else (shown(entry) for entry in entries))
    return "\ufeff" + out.getvalue()
