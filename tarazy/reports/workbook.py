"""Render a `Document` as an XLSX workbook: a sheet for the cover and for each section, the same bytes each time."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import UTC, date
from decimal import Decimal
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font

from tarazy.reports.document import Block, Document, Facts, Figure, Notice, Paragraph, Table

_DIGITS = 15
"""Spreadsheets hold no more digits than this in a number."""
_WHEN = (1980, 1, 1, 0, 0, 0)
"""Time of each part of the archive: it must not tell when the workbook was built."""
_BOLD = Font(bold=True)
_FORBIDDEN = re.compile(r"[\[\]:*?/\\]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def render_workbook(document: Document) -> bytes:
    """The document's workbook. Figures are numbers and days, and no text is a formula."""
    book = Workbook(write_only=True)
    created = document.created.astimezone(UTC).replace(tzinfo=None, microsecond=0)
    book.properties.title, book.properties.creator = document.title, "Tarazy"
    book.properties.keywords, book.properties.language = f"sha256:{document.digest}", document.lang
    book.properties.created = created
    _sheet(book, document.title, document.title, document.cover)
    for number, section in enumerate(document.sections, 1):
        title = f"{number}. {section.title}"
        _sheet(book, title, title, section.blocks)
    out = io.BytesIO()
    book.save(out)
    return _repacked(out.getvalue(), f"{created.isoformat()}Z")


def _sheet(book: Any, name: str, title: str, blocks: tuple[Block, ...]) -> None:
    sheet = book.create_sheet(_FORBIDDEN.sub(" ", name)[:31])
    tables = [block for block in blocks if isinstance(block, Table)]
    widths = [column.width * 0.8 for column in max((table.columns for table in tables), key=len, default=())]
    for index, width in enumerate(widths or (40.0, 100.0)):
        sheet.column_dimensions[chr(ord("A") + index)].width = max(10.0, width)
    sheet.append([_cell(sheet, title, bold=True, wrap=False)])
    for block in blocks:
        sheet.append([])
        match block:
            case Paragraph(text):
                sheet.append([_cell(sheet, text, wrap=False)])
            case Notice(text):
                sheet.append([_cell(sheet, text, bold=True, wrap=False)])
            case Facts(pairs):
                for pair in pairs:
                    sheet.append([_cell(sheet, cell) for cell in pair])
            case Table(caption, columns, rows, total):
                sheet.append([_cell(sheet, caption, bold=True, wrap=False)])
                sheet.append([_cell(sheet, column.heading, bold=True) for column in columns])
                for row in rows:
                    sheet.append([_cell(sheet, cell) for cell in row])
                if total:
                    sheet.append([_cell(sheet, cell, bold=True) for cell in total])


def _cell(sheet: Any, text: str, *, bold: bool = False, wrap: bool = True) -> Any:
    cell = WriteOnlyCell(sheet)
    value = text.value if isinstance(text, Figure) else None
    if isinstance(value, date):
        cell.value, cell.number_format = value, "dd.mm.yyyy"
    elif isinstance(value, int | Decimal) and len(Decimal(value).as_tuple().digits) <= _DIGITS:
        places = text.places if isinstance(text, Figure) else 0
        cell.value, cell.number_format = value, "#,##0" + ("." + "0" * places if places else "")
    else:
        cell.value, cell.data_type, cell.number_format = _CONTROLS.sub("\ufffd", text), "s", "@"
    if bold:
        cell.font = _BOLD
    cell.alignment = Alignment(wrap_text=wrap, vertical="top")
    return cell


def _repacked(content: bytes, created: str) -> bytes:
    """The archive without the moment at which it was written."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for name in sorted(old.namelist(), key=lambda name: (name != "[Content_Types].xml", name)):
            part = old.read(name)
            if name == "docProps/core.xml":
                part = re.sub(rb"(<dcterms:modified[^>]*>)[^<]*", rb"\g<1>" + created.encode(), part)
            new.writestr(zipfile.ZipInfo(name, _WHEN), part, zipfile.ZIP_DEFLATED)
    return out.getvalue()
