"""CSV and HTML of a document: what people and spreadsheets make of them."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from openpyxl import load_workbook

from tarazy.reports.delimited import render_csv
from tarazy.reports.document import Column, Document, Facts, Figure, Notice, Paragraph, Rows, Section, Table
from tarazy.reports.layout.voice import Voice
from tarazy.reports.webpage import render_html
from tarazy.reports.workbook import render_workbook

HOSTILE = '=HYPERLINK("x");<script>alert(1)</script>&\n\u202e'


def _document(lang: str) -> Document:
    columns = (Column("Атауы", 3), Column("Сомасы, ₸", 2, "right"), Column("Күні", 1))
    rows = (
        (HOSTILE, Figure("-1 234,50", Decimal("-1234.5"), 2), Figure("22.11.2026", date(2026, 11, 22))),
        ("+7 777", Figure("9 007 199 254 740 993", 2**53 + 1), "—"),
    )
    table = Table("Кесте", columns, rows, ("Жиыны", "1", ""))
    blocks = (Paragraph(HOSTILE, small=True), Notice("Ескерту"), Facts((("Пул", HOSTILE),)), table)
    created = datetime(2026, 11, 22, tzinfo=UTC)
    cover = (Paragraph("Мұқаба"),)
    return Document(lang, "Есеп", "Пул", created, "жоғары", "SHA-256 ab", "{page}", "ab", cover,
                    (Section("Бөлім", blocks),), "tarazy verify report a.json")  # fmt: skip


@pytest.mark.parametrize(("lang", "sign"), [("kk", ","), ("ru", ","), ("en", ".")])
def test_csv_holds_numbers_and_no_formulas(lang: str, sign: str) -> None:
    """Semicolons, a byte order mark, figures with all their digits in the reader's decimal sign."""
    content = b"".join(render_csv(_document(lang)))
    assert content.startswith(b"\xef\xbb\xbf")
    assert content == b"".join(render_csv(_document(lang)))
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=";"))
    assert [f"-1234{sign}50", "2026-11-22"] in [row[1:] for row in rows]
    assert ["'+7 777", "9007199254740993", "—"] in rows
    assert not any(cell.startswith(("=", "+", "@", "\t", "\r")) for row in rows for cell in row)
    assert ["Жиыны", "1", ""] in rows


class _Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it."""
        self.tags.append(tag)
        self.links += [name for name, _ in attrs if name in ("src", "href") or name.startswith("on")]

    def handle_data(self, data: str) -> None:
        """Keep it."""
        self.text += data


def test_html_is_one_page_without_anything_foreign() -> None:
    """No script, no link, nothing of the document's text becomes markup; figures as they are printed."""
    content = b"".join(render_html(_document("kk")))
    seen = _Seen()
    seen.feed(content.decode())
    assert seen.links == []
    assert {"script", "img", "link", "iframe"}.isdisjoint(seen.tags)
    assert seen.tags.count("tr") == 5
    assert "<script>alert(1)</script>" in seen.text
    assert "‹U+202E›" in seen.text
    for told in ("-1 234,50", "Сомасы, ₸", "SHA-256 ab", "tarazy verify report a.json", "Ескерту"):
        assert told in seen.text
    assert b'lang="kk"' in content


def test_a_table_of_any_length_is_rendered_row_by_row() -> None:
    """Rows are made when they are written, and let go: at most a few of a long table are there at a time."""
    alive: set[int] = set()
    most = 0

    class _Held(str):
        def __del__(self) -> None:
            alive.discard(id(self))

    def made(number: int) -> tuple[str, ...]:
        nonlocal most
        cell = _Held(f"row {number}")
        alive.add(id(cell))
        most = max(most, len(alive))
        return (cell,)

    table = Table("Кесте", (Column("Атауы", 1),), Rows(range(3_000), made))
    document = replace(_document("kk"), sections=(Section("Бөлім", (table,)),))
    for render in (render_csv, render_html, render_workbook):
        before = most
        parts = b"".join(render(document))
        assert most <= max(before, 5), render
        assert render is render_workbook or parts.count(b"row ") == 3_000


def test_instants_are_instants_for_a_spreadsheet() -> None:
    """A cell that can be computed with, in Almaty's time, its offset in the format; CSV says ISO 8601."""
    at = datetime(2026, 11, 22, 9, 30, 5, tzinfo=UTC)
    told = Voice("ru", {}).instant(at)
    assert told == "22.11.2026 14:30:05 +05:00"
    table = Table("Кесте", (Column("Атауы", 1),), ((told,),))
    document = replace(_document("kk"), sections=(Section("Бөлім", (table,)),))
    assert b"2026-11-22T14:30:05+05:00" in b"".join(render_csv(document))
    book = load_workbook(io.BytesIO(b"".join(render_workbook(document))))
    cell = next(cell for row in book.worksheets[1].iter_rows() for cell in row if cell.data_type == "d")
    assert cell.value == datetime(2026, 11, 22, 14, 30, 5)  # noqa: DTZ001 - a spreadsheet knows no zones
    assert '"+05:00"' in cell.number_format
