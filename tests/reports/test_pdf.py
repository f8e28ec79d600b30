"""The report on paper, in each language."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from importlib.resources import as_file, files

import pytest
from fpdf import FPDF
from sqlalchemy import Connection, Engine

from tarazy.accreditation.registers import append_all
from tarazy.config.law import load_law
from tarazy.reports.canonical import canonical_json, digest
from tarazy.reports.content import AccreditationReport
from tarazy.reports.document import Column, Document, Facts, Notice, Paragraph, Section, Table
from tarazy.reports.gather import gather
from tarazy.reports.language import LANGUAGES
from tarazy.reports.layout import lay_out
from tarazy.reports.pdf import render_pdf
from tests.reports import world
from tests.reports.pdf_text import pages

EMPTY = Document("kk", "Есеп", "пул", world.MOMENT, "бас", "аяқ", "{page}/{pages}", "ab" * 32, (), ())


def _flat(text: str) -> str:
    return text.replace("\n", " ")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_page_carries_digest_and_number(report: AccreditationReport, lang: str) -> None:
    """Page n of m and the digest of the JSON stand on each page, and the digest in the file's keywords."""
    expected = digest(canonical_json(report))
    pdf = b"".join(render_pdf(lay_out(report, expected, "report.json", lang)))
    printed = pages(pdf)
    assert len(printed) > 3
    for number, page in enumerate(printed, 1):
        assert expected in page
        end = _flat(page)[-40:].split()
        assert {str(number), str(len(printed))} <= {word.removesuffix("-бет,") for word in end}
    assert f"sha256:{expected}".encode() in pdf


@pytest.mark.parametrize(
    ("lang", "title", "unconfirmed", "assumed", "amount"),
    [
        ("kk", "аккредиттелуі және қызметі туралы есеп", "РАСТАЛМАҒАН", "БОЛЖАМ", "3,09375000"),
        ("ru", "Отчёт об аккредитации и деятельности", "НЕ ПОДТВЕРЖДЕНА", "ДОПУЩЕНИЕ", "3,09375000"),
        ("en", "Report on the accreditation", "UNCONFIRMED", "ASSUMPTION", "3.09375000"),
    ],
)
def test_what_stands_in_it(
    report: AccreditationReport, lang: str, title: str, unconfirmed: str, assumed: str, amount: str
) -> None:
    """Title, names in the language, sums in its format, and each uncertain rule marked in words (invariant 8)."""
    printed = _flat("\n".join(pages(*render_pdf(lay_out(report, "ab" * 32, "report.json", lang)))))
    for expected in (title, unconfirmed, assumed, amount, "АП-0007", "₸"):
        assert expected in printed
    for names in report.names.values():
        assert names[lang].split()[0] in printed


@pytest.mark.parametrize("lang", LANGUAGES)
def test_empty_report_says_none(engine: Engine, lang: str) -> None:
    """Each section of a report without content says that there is nothing."""
    with engine.begin() as connection:
        report = gather(connection, world.MOMENT, world.POOL, load_law())
    printed = _flat("\n".join(pages(*render_pdf(lay_out(report, "ab" * 32, "report.json", lang)))))
    none = {"kk": "тіркелмеген", "ru": "не зарегистрирован", "en": "is registered at the stated moment"}
    assert printed.count(none[lang]) >= 3


def test_refusal_to_compute_is_printed(connection: Connection) -> None:
    """Where a rule is missing, the page says which and for what day, not an amount."""
    report = gather(connection, world.MOMENT, world.POOL, load_law())
    printed = _flat("\n".join(pages(*render_pdf(lay_out(report, "ab" * 32, "report.json", "ru")))))
    assert "На 20.11.2026" in printed or "На 01.10.2026" in printed
    assert "Плата не исчислена" in printed


def test_same_bytes_twice_and_a_date_of_its_own(report: AccreditationReport) -> None:
    """The file's date is the report's moment, not the clock's (invariant 6)."""
    document = lay_out(report, "ab" * 32, "report.json", "kk")
    once, twice = (b"".join(render_pdf(document)) for _ in range(2))
    assert once == twice
    assert b"/CreationDate (D:20261120093000" in once
    moved = replace(document, created=world.MOMENT + timedelta(days=1))
    assert b"".join(render_pdf(moved)) != once


def test_hostile_text_is_shown_and_harmless() -> None:
    """Names without glyphs, control signs, markup and a cell longer than a page all end up readable on paper."""
    names = ("\U0001f642 шахта", "a\x00b\u202ec", "**bold** __x__", "(\\) Tj ET", "ә" * 9_000, "")
    table = Table("кесте", (Column("аты", 1), Column("сома", 2, "right")), tuple((n, "1") for n in names))
    document = replace(EMPTY, sections=(Section("бөлім", (table,)),))
    printed = "".join(pages(*render_pdf(document)))
    assert "‹U+1F642› шахта" in printed
    assert "‹U+0000›b‹U+202E›c" in printed
    assert "**bold** __x__" in printed
    assert "(\\) Tj ET" in printed
    assert printed.count("ә") == 9_000


def test_missing_glyph_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    """What the guard over these tests waits for is what the PDF library says of a letter it cannot draw."""
    paper = FPDF()
    with as_file(files("tarazy.reports") / "fonts" / "DejaVuSans.ttf") as path:
        paper.add_font("DejaVu", "", path)
    paper.add_page()
    paper.set_font("DejaVu", "", 9)
    paper.text(20, 50, "\U0001f642")
    paper.output()
    assert "missing the following glyphs" in caplog.text
    caplog.clear()


def test_headings_are_repeated() -> None:
    """A table that goes on has its headings on each page, and no page is without room for its foot."""
    rows = tuple((str(number), "мәтін " * 20) for number in range(200))
    table = Table("кесте", (Column("Нөмірі", 1), Column("Мәтін", 3)), rows, ("", "Жиыны"))
    blocks = (Paragraph("сөз " * 900), Notice("назар " * 900), Facts((("аты", "мәні"),)), table)
    printed = pages(*render_pdf(replace(EMPTY, sections=(Section("бөлім", blocks),))))
    assert len([page for page in printed if "Нөмірі" in page]) >= 8
    assert all("аяқ" in page and "бас" in page for page in printed)
    assert sum(page.count("мәтін") for page in printed) == 200 * 20


def test_a_total_is_not_broken() -> None:
    """The bold sum of a column is wider than every figure above it, and stands on one line."""
    total = "1\u00a0351\u00a0351,96874947"
    columns = (Column("Атауы", 4), Column("Саны", 1, "right"), Column("Сомасы", 4, "right"))
    table = Table("кесте", columns, (("мәтін", "573,88", "1"),), ("Жиыны", total, ""))
    (page,) = pages(*render_pdf(replace(EMPTY, sections=(Section("бөлім", (table,)),))))[1:]
    assert total in page.splitlines()


def test_five_hundred_parties(engine: Engine) -> None:
    """A large pool's report is rendered whole: every party is on paper."""
    with engine.begin() as connection:
        world.populate(connection)
        more = [entry for number in range(500) for entry in world.newcomer(number)]
        append_all(connection, more, world.BEGIN, "operator")
        report = gather(connection, world.MOMENT, world.POOL, world.assumed_law())
    printed = _flat("".join(pages(*render_pdf(lay_out(report, "ab" * 32, "report.json", "kk")))))
    assert all(f"N-{number}," in printed for number in range(500))
