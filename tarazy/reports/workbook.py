"""Render a `Document` as an XLSX workbook: a sheet for the cover and for each section, the same bytes each time."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from xlsxwriter import Workbook

from tarazy.config.law.calendar import ALMATY
from tarazy.reports.document import Block, Document, Facts, Figure, Notice, Paragraph, Table

_DIGITS = 15
"""Spreadsheets hold no more digits than this in a number."""
_LONGEST_TEXT = 32_767
"""Characters that a cell holds."""
_PART = 1 << 20
_FORBIDDEN = re.compile(r"[\[\]:*?/\\]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def render_workbook(document: Document) -> Iterator[bytes]:
    """The document's workbook, put together on disk row by row. Figures are numbers and dates, no text is a formula."""
    with tempfile.TemporaryDirectory(prefix="tarazy-") as directory:
        file = Path(directory) / "book.xlsx"
        book = Workbook(str(file), {"constant_memory": True, "tmpdir": directory, "default_date_format": "dd.mm.yyyy"})
        book.set_properties(
            {
                "title": document.title,
                "author": "Tarazy",
                "keywords": f"sha256:{document.digest}",
                "created": document.created.astimezone(UTC).replace(tzinfo=None, microsecond=0),
            }
        )
        writer = _Writer(book)
        writer.sheet(document.title, document.title, document.cover)
        for number, section in enumerate(document.sections, 1):
            title = f"{number}. {section.title}"
            writer.sheet(title, title, section.blocks)
        book.close()
        with file.open("rb") as opened:
            yield from iter(partial(opened.read, _PART), b"")


class _Writer:
    """Writes sheets from top to bottom: a row that is written is not held."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._formats: dict[tuple[str, bool, bool], Any] = {}

    def sheet(self, name: str, title: str, blocks: tuple[Block, ...]) -> None:
        """One more sheet."""
        self._sheet = self._book.add_worksheet(self._name(name))
        self._row = 0
        tables = [block for block in blocks if isinstance(block, Table)]
        widths = [column.width * 0.8 for column in max((table.columns for table in tables), key=len, default=())]
        for index, width in enumerate(widths or (40.0, 100.0)):
            self._sheet.set_column(index, index, max(10.0, width))
        self._write([title], bold=True, wrap=False)
        for block in blocks:
            self._row += 1
            match block:
                case Paragraph(text):
                    self._write([text], wrap=False)
                case Notice(text):
                    self._write([text], bold=True, wrap=False)
                case Facts(pairs):
                    for pair in pairs:
                        self._write(pair)
                case Table(caption, columns, rows, total):
                    self._write([caption], bold=True, wrap=False)
                    self._write([column.heading for column in columns], bold=True)
                    for row in rows:
                        self._write(row)
                    if total:
                        self._write(total, bold=True)

    def _name(self, name: str) -> str:
        return _FORBIDDEN.sub(" ", name)[:31].strip("'")

    def _write(self, cells: Sequence[str], *, bold: bool = False, wrap: bool = True) -> None:
        for column, cell in enumerate(cells):
            self._cell(column, cell, bold, wrap)
        self._row += 1

    def _cell(self, column: int, text: str, bold: bool, wrap: bool) -> None:
        value = text.value if isinstance(text, Figure) else None
        at = self._row, column
        if isinstance(value, datetime):
            local = value.astimezone(ALMATY)
            shown = self._format(f'dd.mm.yyyy hh:mm:ss "{local.isoformat()[-6:]}"', bold, wrap)
            self._sheet.write_datetime(*at, local.replace(tzinfo=None), shown)
        elif isinstance(value, date):
            self._sheet.write_datetime(*at, value, self._format("dd.mm.yyyy", bold, wrap))
        elif isinstance(value, int | Decimal) and len(Decimal(value).normalize().as_tuple().digits) <= _DIGITS:
            places = text.places if isinstance(text, Figure) else 0
            shown = self._format("#,##0" + ("." + "0" * places if places else ""), bold, wrap)
            self._sheet.write_number(*at, value, shown)
        else:
            plain = _CONTROLS.sub("\ufffd", text)[:_LONGEST_TEXT]
            self._sheet.write_string(*at, plain, self._format("@", bold, wrap))

    def _format(self, number: str, bold: bool, wrap: bool) -> Any:
        """One of the book's formats; each is made once."""
        key = number, bold, wrap
        if key not in self._formats:
            told = {"num_format": number, "bold": bold, "text_wrap": wrap, "valign": "top"}
            self._formats[key] = self._book.add_format(told)
        return self._formats[key]
