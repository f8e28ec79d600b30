"""Render a `Document` as CSV for spreadsheets: semicolons, UTF-8 with a byte order mark, the same bytes each time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal

from tarazy.config.law.calendar import ALMATY
from tarazy.reports.document import Block, Document, Facts, Figure, Notice, Paragraph, Table
from tarazy.reports.typeset import printable

_DECIMAL_SIGN = {"kk": ",", "ru": ",", "en": "."}
_FORMULA = "=+-@\t\r"
"""With these a spreadsheet takes a text for a formula."""


def render_csv(document: Document) -> Iterator[bytes]:
    """The document's text and tables, a row at a time. Figures are numbers and dates, and no text is a formula."""
    yield b"\xef\xbb\xbf"
    line = io.StringIO()
    writer = csv.writer(line, delimiter=";", lineterminator="\r\n")
    for row in _rows(document):
        writer.writerow([_cell(cell, document.lang) for cell in row])
        yield line.getvalue().encode()
        line.seek(0)
        line.truncate()


def _rows(document: Document) -> Iterator[Sequence[str]]:
    yield (document.title,)
    yield (document.header,)
    yield (document.footer,)
    yield from _blocks(document.cover)
    for number, section in enumerate(document.sections, 1):
        yield ()
        yield (f"{number}. {section.title}",)
        yield from _blocks(section.blocks)


def _blocks(blocks: Sequence[Block]) -> Iterator[Sequence[str]]:
    for block in blocks:
        yield ()
        match block:
            case Paragraph(text) | Notice(text):
                yield (text,)
            case Facts(pairs):
                yield from pairs
            case Table(caption, columns, rows, total):
                yield (caption,)
                yield [column.heading for column in columns]
                yield from rows
                if total:
                    yield total


def _cell(text: str, lang: str) -> str:
    value = text.value if isinstance(text, Figure) else None
    if isinstance(value, datetime):
        return value.astimezone(ALMATY).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(text, Figure) and isinstance(value, int | Decimal):
        number = (
            f"{value:.{text.places}f}" if text.places else f"{value:f}" if isinstance(value, Decimal) else str(value)
        )
        return number.replace(".", _DECIMAL_SIGN[lang])
    shown = printable(text)
    return f"'{shown}" if shown[:1] in _FORMULA and shown else shown
