"""Files of statements, of the report on sales and of the record of distributed assets."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from zipfile import ZipFile

import pytest
from openpyxl import load_workbook
from sqlalchemy import Connection

from tarazy.config.law import LawBook, load_law
from tarazy.config.law.calendar import Period
from tarazy.reports.build import stem_of, write_report
from tarazy.reports.document import Document, Figure, Notice, Table
from tarazy.reports.language import LANGUAGES, bitcoin, tenge
from tarazy.reports.layout import Report, lay_out
from tarazy.reports.workbook import render_workbook
from tests.reports import coins
from tests.reports.pdf_text import pages


@pytest.fixture(autouse=True)
def happened(connection: Connection) -> None:
    """What `coins` adds to the world."""
    coins.happen(connection)


def test_the_form_is_the_rules(connection: Connection) -> None:
    """A column that the operator's rule adds appears, under its heading."""
    law = load_law()
    rule = next(each for each in law if each.topic == "distribution_report")
    added = {"fields": [*rule.model_dump()["fields"], {"heading": "количество", "holds": "quantity_btc"}]}
    wider = type(rule).model_validate({**rule.model_dump(), **added})
    told = coins.record(connection, book=LawBook([*(each for each in law if each is not rule), wider]))
    table = next(block for block in _document(told, "ru").sections[0].blocks if isinstance(block, Table))
    assert table.columns[-1].heading == "количество"
    assert table.rows[0][-1] == bitcoin("ru", coins.CREDIT["altyn"]).rpartition("\xa0")[0]


def _document(told: Report, lang: str) -> Document:
    return lay_out(told, "ab" * 32, "file.json", lang)


def _all(connection: Connection) -> list[Report]:
    coins.sell(connection, coins.sale("1", 60, "AFSA-1"), coins.sale("2", 40, None, None))
    year = Period.parse("2026")
    return [coins.statement(connection), coins.asked(connection, "sale", period=year), coins.record(connection)]


def test_files_are_the_same_whenever_they_are_built(connection: Connection, tmp_path: Path) -> None:
    """JSON, PDF, XLSX, CSV and HTML in three languages, and the digests of all; every PDF prints the JSON's digest."""
    for told in _all(connection):
        first = {path.name: path.read_bytes() for path in write_report(told, tmp_path / "a")}
        again = {path.name: path.read_bytes() for path in write_report(told, tmp_path / "b")}
        assert first == again
        stem = stem_of(told)
        endings = [f".{lang}.{kind}" for lang in LANGUAGES for kind in ("pdf", "xlsx", "csv", "html")]
        assert list(first) == [stem + ending for ending in (".json", *endings, ".sha256")]
        lines = first[f"{stem}.sha256"].decode().splitlines()
        assert [line.partition("  ")[2] for line in lines] == list(first)[:-1]
        assert all(lines[0].partition(" ")[0] in page for page in pages(first[f"{stem}.ru.pdf"]))
        assert json.loads(first[f"{stem}.json"])["kind"] == told.kind


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_language_says_everything(connection: Connection, lang: str) -> None:
    """Titles, headings and notices, and no code where a word should stand."""
    for told in _all(connection):
        document = _document(told, lang)
        tables = [block for section in document.sections for block in section.blocks if isinstance(block, Table)]
        texts = [cell for table in tables for row in (*table.rows, *filter(None, (table.total,))) for cell in row]
        assert not {"immature", "payable", "paid", "in-flight", "payout-batch"} & set(texts) or lang == "en"
        assert any(isinstance(block, Notice) for block in document.cover)


def test_a_workbook_holds_numbers_and_no_formula(connection: Connection) -> None:
    """Amounts can be computed with, days are days; a name that looks like a formula is text."""
    told = coins.record(connection)
    told = replace(told, rows=(replace(told.rows[0], name=dict.fromkeys(LANGUAGES, "=HYPERLINK(1)")),))
    content = b"".join(render_workbook(_document(told, "kk")))
    assert content == b"".join(render_workbook(_document(told, "kk")))
    with ZipFile(io.BytesIO(content)) as archive:  # neither tells when it was built
        assert {part.date_time for part in archive.infolist()} == {(1980, 1, 31, 0, 0, 0)}
        assert b">2026-11-20T09:30:00Z</dcterms:modified>" in archive.read("docProps/core.xml")
    book = load_workbook(io.BytesIO(content))
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    values = [cell.value for cell in cells]
    assert "=HYPERLINK(1)" in values
    assert not [cell for cell in cells if cell.data_type == "f"]
    assert 1.546875 in values
    assert date(2026, 11, 19) in [each.date() for each in values if isinstance(each, datetime)]
    assert 72703125.77 in values


def test_figures_keep_their_value() -> None:
    """What is printed and what a spreadsheet holds are one."""
    figure = Figure(tenge("ru", Decimal("1234.5")), Decimal("1234.5"), 2)
    assert (figure, figure.value) == ("1\xa0234,50\xa0₸", Decimal("1234.5"))
