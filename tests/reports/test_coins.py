"""Statements, the report on sales, the record of distributed assets: their figures, versions, files."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from openpyxl import load_workbook
from sqlalchemy import Connection, event, insert, update

from tarazy.accounting import tables
from tarazy.accounting.assets.sales import Sale, record_sales
from tarazy.accounting.assets.values import BITCOIN, Value, ValueFile, import_values
from tarazy.accounting.ledger import post
from tarazy.accreditation.entries import Wallet, WalletStatus
from tarazy.accreditation.registers import append_all
from tarazy.config.law import LawBook, load_law
from tarazy.config.law.calendar import Period
from tarazy.reports.build import Asked, ReportError, gather_report, issue_version, stem_of, write_report
from tarazy.reports.coins import DistributedRecord, SaleReport, Statement
from tarazy.reports.document import Document, Figure, Notice, Table
from tarazy.reports.language import LANGUAGES, bitcoin, tenge
from tarazy.reports.layout import Report, lay_out
from tarazy.reports.workbook import render_workbook
from tests.reports import world
from tests.reports.pdf_text import pages

NOVEMBER = Period.parse("2026-11")
CREDIT = {"altyn": 154_687_500, "sary": 116_015_625, "tau": 38_671_875}
"""Of the one distribution that is final: 99 % of 3.125 BTC by 4, 3 and 1 parts of the work."""
ADDRESS = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
FINAL = datetime(2026, 11, 19, 6, 0, 2, tzinfo=UTC)
FILE = ValueFile("2026-11.csv", "cd" * 32, "kgd.gov.kz")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Figures are the same on both databases."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(autouse=True)
def coins(connection: Connection) -> None:
    """Work, wallets, a payout and values beside what the world has."""
    for round_ in (1, 2, 3):
        rows = [
            {"round": round_, "party": party, "account": party, "worker": "rig", "site": "ekibastuz-1"}
            | {
                "interval_start": world.MOMENT,
                "weight": 1 << 50,
                "shares": shares,
                "stale_weight": 1,
                "stale_shares": 2,
            }
            for party, shares in (("altyn", 40), ("sary", 30))
        ]
        connection.execute(insert(tables.tally), rows)
    wallets = [
        Wallet(wallet=party, party=party, address=ADDRESS, status=WalletStatus.APPROVED, valid_from=world.BEGIN)
        for party in ("altyn", "sary")
    ]
    append_all(connection, wallets, world.BEGIN + timedelta(days=1), "operator", timedelta(0))
    pay(connection, "altyn", 50_000_000, FINAL + timedelta(hours=20))
    value(connection, date(2026, 11, 19), "47000000.50", FINAL + timedelta(hours=9))


def pay(connection: Connection, party: str, amount: int, at: datetime) -> None:
    """What is payable goes on its way and is paid."""
    post(connection, at, "payout-batch", "1", "", {f"payable:{party}": -amount, f"in-flight:{party}": amount})
    later = at + timedelta(minutes=10)
    post(connection, later, "payout", "1", "", {f"in-flight:{party}": -amount, f"paid:{party}": amount})


def value(connection: Connection, day: date, kzt: str, at: datetime, why: str | None = None) -> None:
    """A value is published."""
    import_values(connection, [Value(BITCOIN, day, Decimal(kzt))], FILE, at, "operator", why)


def asked(
    connection: Connection,
    kind: str,
    *,
    as_of: datetime = world.MOMENT,
    book: LawBook | None = None,
    period: Period = NOVEMBER,
    **more: Any,
) -> Any:
    """A report's content."""
    law = book or world.assumed_law()
    later = as_of + timedelta(days=1)
    return gather_report(connection, kind, as_of, world.SETTINGS, law, later, Asked(period=period, **more))


def statement(connection: Connection, party: str = "altyn", **more: Any) -> Statement:
    """A party's statement of November."""
    found = asked(connection, "statement", party=party, **more)
    assert isinstance(found, Statement)
    return found


def test_a_statement_adds_up(connection: Connection) -> None:
    """Opening and movements give the closing balance on every account, those of payouts too."""
    told = statement(connection)
    for account in told.accounts:
        assert account.opening + sum(account.moved.values()) == account.closing
    closing = {account.account: account.closing for account in told.accounts}
    third = 312_500_000 * 99 // 100 * 8 // 16
    assert closing == {"immature": third, "in-flight": 0, "paid": 50_000_000, "payable": CREDIT["altyn"] - 50_000_000}
    totals = told.totals
    assert (totals.credited, totals.paid, totals.fee) == (CREDIT["altyn"], 50_000_000, 1_562_500)
    assert (totals.shares, totals.stale_shares, [each.round for each in told.rounds]) == (120, 6, [1, 2, 3])
    assert [(each.state, each.amount) for each in told.credits if each.state == "final"] == [("final", CREDIT["altyn"])]
    assert [each.state for each in told.credits].count("reversed") == 1


def test_periods_join_without_a_gap(connection: Connection) -> None:
    """What a period closes with, the next one opens with; their movements are those of both together."""
    cut = date(2026, 11, 19)
    first = statement(connection, period=Period(date(2026, 11, 1), cut - timedelta(days=1)))
    second = statement(connection, period=Period(cut, date(2026, 11, 30)))
    closing = {each.account: each.closing for each in first.accounts}
    assert closing == {each.account: each.opening for each in second.accounts}
    assert any(closing.values())
    assert first.movements + second.movements == statement(connection).movements
    assert statement(connection, period=Period.parse("2026-10")).accounts[0].closing == 0


def test_a_statement_values_receipts_and_payouts(connection: Connection) -> None:
    """By the value of the day; a day without one has no figure, and then no sum."""
    valuation = statement(connection).valuation
    credit, payout = valuation.lines
    assert (credit.day, credit.value_day, credit.amount_kzt) == (
        date(2026, 11, 19),
        date(2026, 11, 19),
        Decimal("72703125.77"),
    )
    assert (payout.what, payout.day, payout.amount_kzt, payout.absent) == (
        "payout",
        date(2026, 11, 20),
        None,
        "no_value",
    )
    assert (valuation.credited_kzt, valuation.paid_kzt) == (Decimal("72703125.77"), None)
    assert [each.digest for each in valuation.files] == [FILE.digest]
    value(connection, date(2026, 11, 20), "1", world.MOMENT - timedelta(minutes=1))
    assert statement(connection).valuation.paid_kzt == Decimal("0.50")


def test_a_statement_says_what_was_known(connection: Connection) -> None:
    """What happens later changes nothing (invariant 6), a correction of a value neither."""
    before = statement(connection)
    world.happen_later(connection)
    pay(connection, "altyn", 1, world.LATER)
    value(connection, date(2026, 11, 19), "2", world.LATER, "published anew")
    assert statement(connection) == before
    later = statement(connection, as_of=world.LATER + timedelta(minutes=20))
    assert later.valuation.credited_kzt != before.valuation.credited_kzt
    assert later.totals.paid == 50_000_001


def test_no_statement_where_credits_and_ledger_disagree(connection: Connection) -> None:
    """A credit that was changed behind the ledger's back is told, not printed."""
    changed = update(tables.credit).where(tables.credit.c.party == "altyn").values(amount=tables.credit.c.amount + 1)
    connection.execute(changed)
    with pytest.raises(ReportError, match="one of them was changed"):
        statement(connection)


def test_a_clock_that_was_set_back_parts_no_period_from_the_next(connection: Connection) -> None:
    """Periods are spans of entries: one that carries an earlier instant than the entry before still falls in one."""
    midnight = Period.parse("2026-12").start
    block = world.block(connection, 9, midnight - timedelta(hours=1), {"altyn": 1})
    world.observe(connection, {f"{3:064x}": 150, block: 1}, midnight + timedelta(seconds=1))
    pay(connection, "altyn", 7, midnight - timedelta(minutes=30))
    as_of = midnight + timedelta(days=1)
    november, december = (
        statement(connection, as_of=as_of, period=Period.parse(f"2026-{month}")) for month in (11, 12)
    )
    opening = {each.account: each.opening for each in december.accounts}
    assert {each.account: each.closing for each in november.accounts} == opening
    assert {each.entry for each in november.movements}.isdisjoint(each.entry for each in december.movements)


@pytest.mark.parametrize(
    ("kind", "more", "fault"),
    [
        ("statement", {"party": "nobody"}, "no party nobody is registered"),
        ("statement", {}, "name it with --party"),
        ("statement", {"party": "altyn", "period": Period.parse("2027-01")}, "name a period that has begun"),
        ("statement", {"party": "altyn", "why": "x"}, "only the record"),
        ("sale", {}, "2026-11 is none, write it like 2025"),
        ("sale", {"period": Period.parse("2026"), "party": "nobody"}, "no party nobody"),
        ("distributed", {"party": "altyn"}, "leave --party out"),
        ("distributed", {"period": Period.parse("2026-01")}, "no rule in force: distribution_report"),
        ("accreditation", {}, "of the whole pool"),
    ],
)
def test_what_cannot_be_built_is_told(connection: Connection, kind: str, more: dict[str, Any], fault: str) -> None:
    """One line that says what to ask for."""
    with pytest.raises(ReportError, match=fault):
        asked(connection, kind, **more)


def _sell(connection: Connection, *sales: Sale) -> None:
    record_sales(connection, sales, world.MOMENT - timedelta(days=1), "operator")


def _sale(deal: str, quantity: int, licence: str | None, document: str | None = "ef" * 32) -> Sale:
    return Sale("altyn", "Exchange", licence, deal, BITCOIN, quantity, FINAL + timedelta(hours=1), document)


def _with_sale_rule() -> LawBook:
    law = load_law()
    rules = [each for each in law if each.topic != "obligatory_sale"]
    newest = next(each for each in law if each.id == "obligatory-sale-2025")
    year = {"valid_from": date(2026, 1, 1), "valid_to": date(2026, 12, 31)}
    return LawBook([*rules, newest.model_copy(update=year)])


def test_sales_are_held_against_both_bases(connection: Connection) -> None:
    """What is missing of what was sold and of what was mined; other assets and unlicensed exchanges do not count."""
    _sell(
        connection, _sale("1", 60, "AFSA-1"), _sale("2", 40, None, None), replace(_sale("3", 9, "A"), asset="Litecoin")
    )
    told = asked(connection, "sale", period=Period.parse("2026"), book=_with_sale_rule())
    assert isinstance(told, SaleReport)
    assert [each.person.party for each in told.parties] == ["altyn", "sary", "tau"]
    altyn = told.parties[0]
    sold, mined = altyn.obligations
    assert (sold.base, sold.amount, sold.required, sold.through_aifc, sold.missing) == ("sold", 100, 75, 60, 15)
    required = -(-CREDIT["altyn"] * 3 // 4)
    assert (mined.amount, mined.required, mined.missing) == (CREDIT["altyn"], required, required - 60)
    assert (altyn.without_document, len(altyn.sales)) == (1, 3)
    one = asked(connection, "sale", period=Period.parse("2026"), book=_with_sale_rule(), party="altyn")
    assert one.parties == (altyn,)


def test_without_a_rule_the_obligation_is_not_computed(connection: Connection) -> None:
    """2026 has no rule: the sales are shown, and the gap is named."""
    _sell(connection, _sale("1", 60, "AFSA-1"))
    told = asked(connection, "sale", period=Period.parse("2026"), party="altyn")
    assert (told.minimum_percent, [each.missing for each in told.parties[0].obligations]) == (None, [None, None])
    assert [(each.topic, each.before) for each in told.rules.missing] == [("obligatory_sale", "obligatory-sale-2025")]


def record(connection: Connection, **more: Any) -> DistributedRecord:
    """The record of November."""
    found = asked(connection, "distributed", **more)
    assert isinstance(found, DistributedRecord)
    return found


def test_the_record_has_a_row_for_each_miner_and_day(connection: Connection) -> None:
    """From final distributions alone, in order, with what the registers had then; what is not known is absent."""
    told = record(connection)
    assert [(row.number, row.party, row.distributed_on, row.quantity) for row in told.rows] == [
        (number, party, date(2026, 11, 19), CREDIT[party]) for number, party in enumerate(("altyn", "sary", "tau"), 1)
    ]
    altyn, _, tau = told.rows
    assert (altyn.bin, altyn.licence, altyn.licence_issued_on, altyn.wallet) == (
        "100140000003",
        "KZ26-0001",
        date(2026, 3, 1),
        ADDRESS,
    )
    assert (altyn.amount_kzt, altyn.fee, tau.wallet) == (Decimal("72703125.77"), 1_562_500, None)
    assert [column.holds for column in told.columns] == [
        "number",
        "bin",
        "name",
        "licence",
        "licence_issued_on",
        "wallet",
        "distributed_on",
    ]
    assert (told.version, told.corrects, told.columns_complete, told.days.complete) == (1, None, False, False)


def test_days_of_distribution_are_legal_days(connection: Connection) -> None:
    """A distribution that became final at 19:30 UTC belongs to the next day in Almaty, and to its month."""
    block = world.block(connection, 9, datetime(2026, 11, 20, 8, tzinfo=UTC), {"tau": 1})
    at = datetime(2026, 11, 30, 19, 30, tzinfo=UTC)
    world.observe(connection, {f"{3:064x}": 150, block: 100}, at)
    as_of = at + timedelta(days=1)
    assert {row.distributed_on for row in record(connection, as_of=as_of).rows} == {date(2026, 11, 19)}
    december = record(connection, as_of=as_of, period=Period.parse("2026-12"))
    assert {row.distributed_on for row in december.rows} == {date(2026, 12, 1)}
    assert [row.party for row in december.rows] == ["altyn", "sary", "tau"]
    assert december.rows[2].distributions == (3, 4)


def _issue(connection: Connection, told: DistributedRecord) -> None:
    issue_version(connection, told, world.LATER, "operator")


def test_a_correction_is_another_version(connection: Connection) -> None:
    """It names the one before and why; each is built again as it was, and none is issued with other content."""
    first = record(connection)
    _issue(connection, first)
    assert record(connection) == first
    as_of = world.MOMENT + timedelta(hours=2)
    with pytest.raises(ReportError, match="say with --why"):
        record(connection, as_of=as_of)
    with pytest.raises(ReportError, match="a later moment"):
        record(connection, as_of=world.MOMENT - timedelta(hours=1), why="earlier")
    second = record(connection, as_of=as_of, why="value published anew")
    assert second.corrects is not None
    assert (second.version, second.corrects.version, second.corrects.why) == (2, 1, "value published anew")
    _issue(connection, second)
    _issue(connection, second)
    assert record(connection, as_of=as_of) == second
    assert record(connection) == first
    with pytest.raises(ReportError, match="a version is never changed"):
        _issue(connection, replace(first, rows=()))


def test_the_form_is_the_rules(connection: Connection) -> None:
    """A column that the operator's rule adds appears, under its heading."""
    law = load_law()
    rule = next(each for each in law if each.topic == "distribution_report")
    added = {"fields": [*rule.model_dump()["fields"], {"heading": "количество", "holds": "quantity_btc"}]}
    wider = type(rule).model_validate({**rule.model_dump(), **added})
    told = record(connection, book=LawBook([*(each for each in law if each is not rule), wider]))
    table = next(block for block in _document(told, "ru").sections[0].blocks if isinstance(block, Table))
    assert table.columns[-1].heading == "количество"
    assert table.rows[0][-1] == bitcoin("ru", CREDIT["altyn"]).rpartition("\xa0")[0]


def _document(told: Report, lang: str) -> Document:
    return lay_out(told, "ab" * 32, "file.json", lang)


def _all(connection: Connection) -> list[Report]:
    _sell(connection, _sale("1", 60, "AFSA-1"), _sale("2", 40, None, None))
    year = Period.parse("2026")
    return [statement(connection), asked(connection, "sale", period=year), record(connection)]


def test_files_are_the_same_whenever_they_are_built(connection: Connection, tmp_path: Path) -> None:
    """JSON, PDF and XLSX in three languages, and the digests of all; every PDF prints the JSON's digest."""
    for told in _all(connection):
        first = {path.name: path.read_bytes() for path in write_report(told, tmp_path / "a")}
        again = {path.name: path.read_bytes() for path in write_report(told, tmp_path / "b")}
        assert first == again
        stem = stem_of(told)
        endings = [f".{lang}.{kind}" for lang in LANGUAGES for kind in ("pdf", "xlsx")]
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
    told = record(connection)
    told = replace(told, rows=(replace(told.rows[0], name=dict.fromkeys(LANGUAGES, "=HYPERLINK(1)")),))
    content = render_workbook(_document(told, "kk"))
    with ZipFile(io.BytesIO(content)) as archive:  # neither tells when it was built
        assert {part.date_time for part in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
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


@pytest.mark.parametrize("kind", ["statement", "sale", "distributed"])
def test_cost_is_that_of_the_period(connection: Connection, kind: str) -> None:
    """No query reads a table that grows with history from end to end: each goes by an index."""
    if connection.dialect.name != "sqlite":
        pytest.skip("PostgreSQL plans by the size of tables, which are small here")
    asked_of: list[tuple[str, Any]] = []

    def keep(_: object, __: object, text: str, parameters: Any, *___: object) -> None:
        asked_of.append((text, parameters))

    event.listen(connection, "before_cursor_execute", keep)
    period = Period.parse("2026") if kind == "sale" else NOVEMBER
    of_one: dict[str, Any] = {"party": "altyn"} if kind == "statement" else {}
    asked(connection, kind, period=period, **of_one)
    event.remove(connection, "before_cursor_execute", keep)
    grown = {"ledger_entry", "ledger_posting", "distribution", "credit", "round", "round_weight", "tally", "block"}
    grown |= {"asset_value", "asset_sale"}
    scanned = set()
    for text, parameters in asked_of:
        for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", parameters):
            if found := re.match(r"SCAN (\w+)", step.detail):
                scanned.add(found[1])
    assert len(asked_of) > 5
    assert not scanned & grown
