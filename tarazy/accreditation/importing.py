"""Registers out of spreadsheets and into them: everything checked first, nothing half done."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from tarazy.accreditation.bin import bin_layout_warning
from tarazy.accreditation.checking import relation_faults
from tarazy.accreditation.entries import (
    ENTRY_TYPES,
    OPTIONAL,
    Entry,
    Party,
    PartyKind,
    content_of,
    fields_of,
)
from tarazy.accreditation.registers import append_all, as_of
from tarazy.accreditation.sheets import Line, RegisterImportError, TableFault, Unreadable, read_table
from tarazy.accreditation.snapshot import Registers, version_at

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
        ColumnDescription(name, name not in OPTIONAL, field.hint, field.example)
        for name, field in fields_of(kind).items()
    )


def import_registers(
    connection: Connection, lines: Sequence[Line], recorded_at: datetime, recorded_by: str
) -> ImportResult:
    """Record `lines`, of any registers and in any order, all or none.

    A line that says word for word what a version already says is left out, so a file may be imported again.
    An empty valid_from means `recorded_at`. Raises `RegisterImportError` with every fault found.
    """
    faults: list[TableFault] = []
    good: list[tuple[Line, Entry]] = []
    for line in lines:
        entry, found = _entry(line, recorded_at)
        faults += found
        if entry is not None:
            good.append((line, entry))
    named = [(line.kind, str(line.cells.get(line.kind))) for line in lines]
    for fault in relation_faults(connection, [entry for _, entry in good], named):
        line = good[fault.index][0]
        faults.append(TableFault(line.source, fault.problem, line.row, fault.column))
    if faults:
        place = {(line.source, line.row): number for number, line in enumerate(lines)}
        raise RegisterImportError(sorted(faults, key=lambda fault: place[fault.source, fault.row or 0]))
    registers = as_of(connection, recorded_at)
    new = [entry for line, entry in good if not _is_recorded(registers, line, entry, recorded_at)]
    append_all(connection, new, recorded_at, recorded_by)
    added = Counter(entry.register for entry in new)
    unchanged = Counter(entry.register for _, entry in good) - added
    return ImportResult(dict(added), dict(unchanged), tuple(_warnings(good)))


def _entry(line: Line, recorded_at: datetime) -> tuple[Entry | None, list[TableFault]]:
    values: dict[str, Any] = {}
    faults = []
    for name, field in fields_of(line.kind).items():
        cell = line.cells.get(name)
        if cell is None or cell == "":
            values[name] = recorded_at if name == "valid_from" else None
            if name not in OPTIONAL:
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


def _is_recorded(registers: Registers, line: Line, entry: Entry, recorded_at: datetime) -> bool:
    content = content_of(entry)
    if line.cells.get("valid_from") in (None, ""):
        versions = registers.versions_of(entry.register, entry.key)
        current = version_at(versions, recorded_at)
        return current is not None and content == {**content_of(current), "valid_from": recorded_at}
    return any(content == content_of(version) for version in registers.versions_of(entry.register, entry.key))


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
