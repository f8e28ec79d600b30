"""Spreadsheets into lines of cells: CSV and XLSX files, read with bounded work (invariant 10)."""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tarazy.accreditation.entries import BY_HAND, fields_of
from tarazy.accreditation.fields import Cell, Field
from tarazy.accreditation.problems import Problem

MAXIMUM_BYTES = 16 * 2**20
MAXIMUM_UNPACKED_BYTES = 64 * 2**20
MAXIMUM_PARTS = 200
MAXIMUM_ELEMENTS = 4_000_000
"""XML elements in all sheets, and in the table of texts: some 100,000 rows of ten cells."""
MAXIMUM_ROW_ELEMENTS = 1_000
MAXIMUM_OTHER_ELEMENTS = 100_000
"""XML elements in a part that is no sheet and no table of texts, such as the styles."""
MAXIMUM_LINE = 65_536
"""Characters of a line of CSV."""
MAXIMUM_ROWS = 100_000
MAXIMUM_BLANK_ROWS = 10_000
MAXIMUM_COLUMNS = 40
MAXIMUM_FAULTS = 200
_BLANK = (None, "")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What stands in a cell in place of a value."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table, not yet judged."""

    source: str
    """File name, and sheet if it has any."""
    row: int | None
    """As a spreadsheet numbers it, the header is row 1; None where there is no sheet."""
    kind: str
    """Name of the register, or of what else the table holds."""
    cells: dict[str, Cell | Unreadable]


@dataclass(frozen=True, slots=True)
class TableFault:
    """What is wrong in a file, where, and the cure."""

    source: str
    problem: str
    row: int | None = None
    column: str | None = None

    def __str__(self) -> str:
        row = f", row {self.row}" if self.row else ""
        column = f", column {self.column}" if self.column else ""
        told = f"{self.source}{row}{column}: {self.problem}"
        return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in told)


class RegisterImportError(Exception):
    """Files cannot be imported; nothing was. One line of text for each fault, the first 200 of them."""

    def __init__(self, faults: Sequence[TableFault]) -> None:
        shown = [str(fault) for fault in faults[:MAXIMUM_FAULTS]]
        more = len(faults) - len(shown)
        super().__init__("\n".join([*shown, *([f"… and {more} more"] if more else [])]))
        self.faults = tuple(faults[:MAXIMUM_FAULTS])


_Row = Sequence[Cell | Unreadable]
_NO_VALUES = {
    "f": Unreadable(Problem("formula")),
    "e": Unreadable(Problem("cell-error")),
}


def read_table(path: Path, kind: str | None = None) -> list[Line]:
    """Lines of a CSV file, named after its register unless `kind` is given, or of an XLSX with a sheet each.

    Raises `RegisterImportError` when the file is no such table.
    """
    source = path.name
    content = read_content(path)
    if content[:2] == b"PK":
        return [line for table in _xlsx_tables(content, source, kind) for line in table]
    register = _register(source, kind or path.stem)
    return list(_lines(source, register, fields_of(register), _csv_rows(content, source)))


def read_sheet(path: Path, kind: str, fields: Mapping[str, Field]) -> list[tuple[Line, dict[str, Any]]]:
    """Lines of a table that is no register, a CSV file or an XLSX of one sheet, with their values by `fields`.

    Raises `RegisterImportError` when the file is no such table or a cell breaks its column's rule.
    """
    return sheet_rows(read_content(path), path.name, kind, fields)


def sheet_rows(
    content: bytes, source: str, kind: str, fields: Mapping[str, Field]
) -> list[tuple[Line, dict[str, Any]]]:
    """The same of a file's content, `source` being its name."""
    if content[:2] == b"PK":
        sheets = _sheets(content, source)
        if len(sheets) > 1:
            raise _fail(source, Problem("sheets-several"))
        rows = _xlsx_rows(sheets[0], source)
    else:
        rows = _csv_rows(content, source)
    lines = list(_lines(source, kind, fields, rows))
    faults: list[TableFault] = []
    values = [_values(line, fields, faults) for line in lines]
    if faults:
        raise RegisterImportError(faults)
    return list(zip(lines, values, strict=True))


def _values(line: Line, fields: Mapping[str, Field], faults: list[TableFault]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, field in fields.items():
        cell = line.cells.get(name)
        try:
            if isinstance(cell, Unreadable):
                raise ValueError(cell.problem)
            if cell in _BLANK and field.required:
                raise ValueError(Problem("empty-cell"))
            values[name] = None if cell in _BLANK else field.read(cell)
        except ValueError as error:
            faults.append(TableFault(line.source, str(error), line.row, name))
    return values


def _fail(source: str, problem: Problem, row: int | None = None, column: str | None = None) -> RegisterImportError:
    return RegisterImportError([TableFault(source, problem, row, column)])


def read_content(path: Path) -> bytes:
    """A file, which is no larger than a table may be. Raises `RegisterImportError`."""
    source = path.name
    try:
        if not path.is_file():
            raise _fail(source, Problem("no-file"))
        with path.open("rb") as file:
            content = file.read(MAXIMUM_BYTES + 1)
    except OSError as error:
        raise _fail(source, Problem("file-unreadable", why=error.strerror or "")) from None
    if len(content) > MAXIMUM_BYTES:
        raise _fail(source, Problem("too-large", limit=MAXIMUM_BYTES // 2**20))
    return content


def _register(source: str, name: str) -> str:
    register = name.strip().lower()
    if register not in BY_HAND:
        known = ", ".join(BY_HAND)
        raise _fail(source, Problem("no-register", name=name[:40], known=known))
    return register


def _csv_rows(content: bytes, source: str) -> Iterator[_Row]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        raise _fail(source, Problem("not-utf8"), row) from None
    if "\0" in text:
        raise _fail(source, Problem("binary"))
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > MAXIMUM_LINE:
            raise _fail(source, Problem("line-long", limit=MAXIMUM_LINE), number)
    header = text.partition("\n")[0]
    delimiter = ";" if header.count(";") >= header.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        try:
            yield list(next(reader))
        except StopIteration:
            return
        except csv.Error as error:
            raise _fail(source, Problem("not-csv", why=str(error)), reader.line_num) from None


def _sheets(content: bytes, source: str) -> list[Any]:
    _check_archive(content, source)
    try:
        from openpyxl import load_workbook  # late: a start need not wait for it

        sheets: list[Any] = load_workbook(io.BytesIO(content), read_only=True, keep_links=False).worksheets
    except Exception as error:  # whatever the damage provokes in the parser
        raise _fail(source, Problem("damaged", why=type(error).__name__)) from None
    if not sheets:
        raise _fail(source, Problem("no-sheets"))
    return sheets


def _xlsx_tables(content: bytes, source: str, kind: str | None) -> Iterator[Iterator[Line]]:
    sheets = _sheets(content, source)
    if len(sheets) > len(BY_HAND):
        raise _fail(source, Problem("sheets-many", count=len(sheets)))
    if kind is not None and len(sheets) > 1:
        raise _fail(source, Problem("sheets-kind"))
    for sheet in sheets:
        place = f"{source}, sheet {sheet.title}"
        register = _register(place, kind or sheet.title)
        yield _lines(place, register, fields_of(register), _xlsx_rows(sheet, place))


def _check_archive(content: bytes, source: str) -> None:
    """Refuse what would cost more than a register may: the parser counts nothing before it has built it."""
    too_large = _fail(source, Problem("unpacked", limit=MAXIMUM_UNPACKED_BYTES // 2**20))
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            if len(parts) > MAXIMUM_PARTS or sum(part.file_size for part in parts) > MAXIMUM_UNPACKED_BYTES:
                raise too_large
            sheets = texts = 0
            for part in parts:
                with archive.open(part) as opened:
                    xml = opened.read(MAXIMUM_UNPACKED_BYTES + 1)
                elements = xml.count(b"<")
                if "worksheets/" in part.filename:
                    sheets += elements
                    if not _in_small_pieces(xml, b"<row"):
                        raise _fail(source, Problem("cells-many", limit=MAXIMUM_COLUMNS))
                elif (
                    part.filename.endswith("sharedStrings.xml")
                    and _in_small_pieces(xml, b"<si")
                    and not _ROW.search(xml)  # a sheet may stand under any name
                ):
                    texts += elements
                elif elements > MAXIMUM_OTHER_ELEMENTS:
                    raise _fail(source, Problem("part-large", part=part.filename))
            if max(sheets, texts) > MAXIMUM_ELEMENTS:
                raise _fail(source, Problem("cells-total"))
    except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, EOFError, RuntimeError):
        raise _fail(source, Problem("damaged-file")) from None


_ROW = re.compile(rb"<[^<>\s]*row[\s/>]")


def _in_small_pieces(xml: bytes, opening: bytes) -> bool:
    return all(piece.count(b"<") <= MAXIMUM_ROW_ELEMENTS for piece in xml.split(opening))


def _xlsx_rows(sheet: Any, source: str) -> Iterator[_Row]:
    sheet.reset_dimensions()
    rows = sheet.iter_rows(max_col=MAXIMUM_COLUMNS + 1)
    number = 0
    while True:
        number += 1
        try:
            cells = next(rows)
        except StopIteration:
            return
        except Exception as error:  # whatever the damage provokes in the parser
            raise _fail(source, Problem("damaged-row", why=type(error).__name__), number) from None
        yield [_NO_VALUES.get(cell.data_type, cell.value) for cell in cells]


def _lines(source: str, kind: str, fields: Mapping[str, Field], rows: Iterator[_Row]) -> Iterator[Line]:
    header = _header(source, fields, next(rows, []))
    count = blank = 0
    for number, raw in enumerate(rows, start=2):
        cells = [cell.strip() if isinstance(cell, str) else cell for cell in raw]
        if all(cell in _BLANK for cell in cells):
            blank += 1
            if blank > MAXIMUM_BLANK_ROWS:
                raise _fail(source, Problem("blank-rows", limit=MAXIMUM_BLANK_ROWS), number)
            continue
        count += 1
        if count > MAXIMUM_ROWS:
            raise _fail(source, Problem("rows-many", limit=MAXIMUM_ROWS), number)
        if any(cell not in _BLANK for cell in islice(cells, len(header), None)):
            raise _fail(source, Problem("cells-beyond"), number)
        yield Line(source, number, kind, dict(zip(header, cells, strict=False)))


def _header(source: str, expected: Mapping[str, Field], cells: _Row) -> list[str]:
    header = ["" if cell is None else str(cell).strip().lower() for cell in cells]
    while header and not header[-1]:
        header.pop()
    if not header:
        raise _fail(source, Problem("header-empty", columns=", ".join(expected)), 1)
    if len(header) > MAXIMUM_COLUMNS:
        raise _fail(source, Problem("columns-many", limit=MAXIMUM_COLUMNS, columns=", ".join(expected)), 1)
    faults = [
        TableFault(source, Problem("column-unknown", columns=", ".join(expected)), 1, name[:40] or "(empty)")
        for name in header
        if name not in expected
    ]
    faults += [
        TableFault(source, Problem("column-twice"), 1, name)
        for name in sorted({name for name in header if name in expected and header.count(name) > 1})
    ]
    faults += [
        TableFault(source, Problem("column-missing"), 1, name)
        for name in expected
        if name not in header and expected[name].required
    ]
    if faults:
        raise RegisterImportError(faults)
    return header
