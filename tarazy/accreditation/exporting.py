"""Registers into spreadsheets and texts, so that an import takes them back as they are."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from tarazy.accreditation.entries import Entry, content_of, fields_of
from tarazy.accreditation.fields import LEGAL_ZONE

RECORD = ("entry", "recorded_at", "recorded_by")
"""Columns of a history that nobody fills in: number of the version, when and by whom it was recorded."""
OF_THE_CORRECTION = ("corrects", "why")
"""Columns that tell of this ledger's record: a history has them, what is in force is exported without."""
_LARGEST_NUMBER = 10**15
"""Spreadsheets hold no more digits than this in a number."""


@dataclass(frozen=True, slots=True)
class ColumnDescription:
    """What a column of a register's table expects."""

    name: str
    required: bool
    hint: str
    example: str
    words: tuple[str, ...]
    """Those that alone may stand in it; none: others too."""
    reference: str | None
    """Register whose key it names."""


def columns_of(kind: str) -> tuple[ColumnDescription, ...]:
    """The columns of a register's table in order; raises KeyError when there is no such register."""
    return tuple(
        ColumnDescription(name, field.required, field.hint, field.example, field.words, field.reference)
        for name, field in fields_of(kind).items()
    )


def shown(entry: Entry) -> dict[str, str]:
    """An entry's columns as text, as a person reads them and as an import takes them."""
    return {name: _shown(name, value) for name, value in content_of(entry).items()}


def differences(versions: Sequence[Entry], version: Entry) -> dict[str, tuple[str, str]]:
    """Column → text before and after, in which a version differs from the one it corrects or follows.

    `versions`: all of one entry, the earliest recorded first. Of the first one, all columns that are filled.
    """
    index = versions.index(version)
    corrected = next((row for row in versions if row.entry == version.corrects), None)
    before = corrected or (versions[index - 1] if index else None)
    old = shown(before) if before else {}
    return {
        name: (old.get(name, ""), text)
        for name, text in shown(version).items()
        if text != old.get(name, "") and name not in OF_THE_CORRECTION
    }


def _shown(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        day = shown_day(name, value)
        return day.isoformat() if day else value.astimezone(LEGAL_ZONE).isoformat()
    return " ".join(value) if isinstance(value, tuple) else str(value)


def shown_day(name: str, instant: datetime) -> date | None:
    """The day that an instant of column `name` is told by, if it is one: valid from its begin, or to its end."""
    local = instant.astimezone(LEGAL_ZONE)
    if local.time() != time():
        return None
    return local.date() - timedelta(days=name == "valid_to")


def recorded(entry: Entry) -> dict[str, str]:
    """What is known of a version beside its content, as text."""
    at = entry.recorded_at.astimezone(LEGAL_ZONE).isoformat() if entry.recorded_at else ""
    return {"entry": str(entry.entry), "recorded_at": at, "recorded_by": entry.recorded_by}


def to_csv(kind: str, entries: Iterable[Entry] | None = None, *, history: bool = False) -> str:
    """CSV (`;`, UTF-8 with a byte order mark) of `entries`; without them a template with one example row.

    A `history` has the columns of `RECORD` before the others, and tells what was corrected and why; it is to be read,
    not to be imported.
    """
    columns = columns_of(kind)
    example = {column.name: column.example for column in columns if column.required}
    out = io.StringIO()
    names = [*(RECORD if history else ()), *(column.name for column in columns)]
    writer = csv.DictWriter(out, names, delimiter=";", restval="")
    writer.writeheader()
    rows = ({**recorded(entry), **shown(entry)} if history else _without(shown(entry), "") for entry in entries or ())
    writer.writerows([example] if entries is None else rows)
    return "\ufeff" + out.getvalue()


def to_xlsx(registers: Mapping[str, Iterable[Entry]], *, history: bool = False) -> bytes:
    """A workbook with a sheet for each register; days and numbers are what they are, and no text is a formula."""
    from openpyxl import Workbook  # late, as below: a start need not wait for it

    book = Workbook(write_only=True)
    for kind, entries in registers.items():
        sheet = book.create_sheet(kind)
        sheet.freeze_panes = "A2"
        names = [*(RECORD if history else ()), *fields_of(kind)]
        for number, name in enumerate(names):
            sheet.column_dimensions[chr(ord("A") + number)].width = max(12, len(name) + 2)
        sheet.append([_header(sheet, name) for name in names])
        for entry in entries:
            content = content_of(entry)
            record = {name: getattr(entry, name) for name in RECORD}
            values = {**record, **content} if history else _without(content, None)
            sheet.append([_cell(sheet, name, values[name]) for name in names])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _without(row: Mapping[str, Any], nothing: Any) -> dict[str, Any]:
    """A row that can be edited and imported anywhere: it names no entry of this ledger, and gives no old reason."""
    return {**row, **dict.fromkeys(OF_THE_CORRECTION, nothing)}


def _header(sheet: Any, name: str) -> Any:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font

    cell = WriteOnlyCell(sheet, name)
    cell.font = Font(bold=True)
    return cell


def _cell(sheet: Any, name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        day = shown_day(name, value)
        if day is not None:
            return day
        local = value.astimezone(LEGAL_ZONE)
        value = local.replace(tzinfo=None) if not local.microsecond else local.isoformat()
    if value is None or isinstance(value, date):
        return value
    if isinstance(value, int) and value < _LARGEST_NUMBER:
        return value
    from openpyxl.cell import WriteOnlyCell

    cell = WriteOnlyCell(sheet, _shown(name, value))
    cell.data_type = "s"
    cell.number_format = "@"
    return cell
