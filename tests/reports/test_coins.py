"""Figures of statements, of the report on sales and of the record of distributed assets, and the record's versions."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, event, update

from tarazy.accounting import tables
from tarazy.config.law import LawBook, load_law
from tarazy.config.law.calendar import Period
from tarazy.reports.build import ReportError, issue_version
from tarazy.reports.coins import DistributedRecord, SaleReport
from tests.reports import coins, world


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """SQLite's, except where `ON_BOTH` says that figures are the same on both databases."""
    url: str = request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_url")
    return url


ON_BOTH = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(autouse=True)
def happened(connection: Connection) -> None:
    """What `coins` adds to the world."""
    coins.happen(connection)


@ON_BOTH
def test_a_statement_adds_up(connection: Connection) -> None:
    """Opening and movements give the closing balance on every account, those of payouts too."""
    told = coins.statement(connection)
    for account in told.accounts:
        assert account.opening + sum(account.moved.values()) == account.closing
    credit = coins.CREDIT["altyn"]
    closing = {account.account: account.closing for account in told.accounts}
    third = 312_500_000 * 99 // 100 * 8 // 16
    assert closing == {
        "immature": third,
        "in-flight": 0,
        "paid": 50_000_000,
        "payable": coins.CREDIT["altyn"] - 50_000_000,
    }
    totals = told.totals
    assert (totals.credited, totals.paid, totals.fee) == (credit, 50_000_000, 1_562_500)
    assert (totals.shares, totals.stale_shares, [each.round for each in told.rounds]) == (120, 6, [1, 2, 3])
    assert [(each.state, each.amount) for each in told.credits if each.state == "final"] == [
        ("final", coins.CREDIT["altyn"])
    ]
    assert [each.state for each in told.credits].count("reversed") == 1


@ON_BOTH
def test_periods_join_without_a_gap(connection: Connection) -> None:
    """What a period closes with, the next one opens with, and with nothing on accounts that are new in it.

    Their movements are those of both together.
    """
    cut = date(2026, 11, 19)
    first = coins.statement(connection, period=Period(date(2026, 11, 1), cut - timedelta(days=1)))
    second = coins.statement(connection, period=Period(cut, date(2026, 11, 30)))
    closing = {each.account: each.closing for each in first.accounts}
    opening = {each.account: each.opening for each in second.accounts}
    assert opening == dict.fromkeys(opening, 0) | closing
    assert any(closing.values())
    assert first.movements + second.movements == coins.statement(connection).movements
    assert coins.statement(connection, period=Period.parse("2026-10")).accounts == ()


def test_a_statement_values_receipts_and_payouts(connection: Connection) -> None:
    """By the value of the day; a day without one has no figure, and then no sum."""
    valuation = coins.statement(connection).valuation
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
    assert [each.digest for each in valuation.files] == [coins.FILE.digest]
    coins.value(connection, date(2026, 11, 20), "1", world.MOMENT - timedelta(minutes=1))
    assert coins.statement(connection).valuation.paid_kzt == Decimal("0.50")


def test_a_statement_says_what_was_known(connection: Connection) -> None:
    """What happens later changes nothing (invariant 6), a correction of a value neither."""
    before = coins.statement(connection)
    world.happen_later(connection)
    coins.pay(connection, "altyn", 1, world.LATER)
    coins.value(connection, date(2026, 11, 19), "2", world.LATER, "published anew")
    assert coins.statement(connection) == before
    later = coins.statement(connection, as_of=world.LATER + timedelta(minutes=20))
    assert later.valuation.credited_kzt != before.valuation.credited_kzt
    assert later.totals.paid == 50_000_001


def test_no_statement_where_credits_and_ledger_disagree(connection: Connection) -> None:
    """A credit that was changed behind the ledger's back is told, not printed."""
    changed = update(tables.credit).where(tables.credit.c.party == "altyn").values(amount=tables.credit.c.amount + 1)
    connection.execute(changed)
    with pytest.raises(ReportError, match="one of them was changed"):
        coins.statement(connection)


def test_a_fee_of_ones_own_is_told_exactly(connection: Connection) -> None:
    """Half a percent for altyn: the fee is what was withheld from its part, not its share of the whole fee."""
    at = world.MOMENT - timedelta(hours=1)
    block = world.block(connection, 9, at, {"altyn": 3, "tau": 1})
    connection.execute(update(tables.round_).where(tables.round_.c.round == 9).values(fees={"altyn": 5_000}))
    world.observe(connection, {block: 1}, at)
    credit = coins.statement(connection).credits[-1]
    gross = world.REWARD * 3 // 4
    assert (credit.fee_ppm, credit.fee, credit.amount) == (5_000, gross // 200, gross - gross // 200)


def test_a_clock_that_was_set_back_parts_no_period_from_the_next(connection: Connection) -> None:
    """Periods are spans of entries: one that carries an earlier instant than the entry before still falls in one."""
    midnight = Period.parse("2026-12").start
    block = world.block(connection, 9, midnight - timedelta(hours=1), {"altyn": 1})
    world.observe(connection, {f"{3:064x}": 150, block: 1}, midnight + timedelta(seconds=1))
    coins.pay(connection, "altyn", 7, midnight - timedelta(minutes=30))
    as_of = midnight + timedelta(days=1)
    november, december = (
        coins.statement(connection, as_of=as_of, period=Period.parse(f"2026-{month}")) for month in (11, 12)
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
        coins.asked(connection, kind, **more)


def _with_sale_rule() -> LawBook:
    law = load_law()
    rules = [each for each in law if each.topic != "obligatory_sale"]
    newest = next(each for each in law if each.id == "obligatory-sale-2025")
    year = {"valid_from": date(2026, 1, 1), "valid_to": date(2026, 12, 31)}
    return LawBook([*rules, newest.model_copy(update=year)])


@ON_BOTH
def test_sales_are_held_against_both_bases(connection: Connection) -> None:
    """What is missing of what was sold and of what was mined; other assets and unlicensed exchanges do not count."""
    coins.sell(
        connection,
        coins.sale("1", 60, "AFSA-1"),
        coins.sale("2", 40, None, None),
        replace(coins.sale("3", 9, "A"), asset="Litecoin"),
    )
    told = coins.asked(connection, "sale", period=Period.parse("2026"), book=_with_sale_rule())
    assert isinstance(told, SaleReport)
    assert [each.person.party for each in told.parties] == ["altyn", "sary", "tau"]
    altyn = told.parties[0]
    sold, mined = altyn.obligations
    assert (sold.base, sold.amount, sold.required, sold.through_aifc, sold.missing) == ("sold", 100, 75, 60, 15)
    required = -(-coins.CREDIT["altyn"] * 3 // 4)
    assert (mined.amount, mined.required, mined.missing) == (coins.CREDIT["altyn"], required, required - 60)
    assert (altyn.without_document, len(altyn.sales)) == (1, 3)
    one = coins.asked(connection, "sale", period=Period.parse("2026"), book=_with_sale_rule(), party="altyn")
    assert one.parties == (altyn,)


def test_without_a_rule_the_obligation_is_not_computed(connection: Connection) -> None:
    """2026 has no rule: the sales are shown, and the gap is named."""
    coins.sell(connection, coins.sale("1", 60, "AFSA-1"))
    told = coins.asked(connection, "sale", period=Period.parse("2026"), party="altyn")
    assert (told.minimum_percent, [each.missing for each in told.parties[0].obligations]) == (None, [None, None])
    assert [(each.topic, each.before) for each in told.rules.missing] == [("obligatory_sale", "obligatory-sale-2025")]


@ON_BOTH
def test_the_record_has_a_row_for_each_miner_and_day(connection: Connection) -> None:
    """From final distributions alone, in order, with what the registers had then; what is not known is absent."""
    told = coins.record(connection)
    assert [(row.number, row.party, row.distributed_on, row.quantity) for row in told.rows] == [
        (number, party, date(2026, 11, 19), coins.CREDIT[party])
        for number, party in enumerate(("altyn", "sary", "tau"), 1)
    ]
    altyn, _, tau = told.rows
    assert (altyn.bin, altyn.licence, altyn.licence_issued_on, altyn.wallet) == (
        "100140000003",
        "KZ26-0001",
        date(2026, 3, 1),
        coins.ADDRESS,
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
    assert {row.distributed_on for row in coins.record(connection, as_of=as_of).rows} == {date(2026, 11, 19)}
    december = coins.record(connection, as_of=as_of, period=Period.parse("2026-12"))
    assert {row.distributed_on for row in december.rows} == {date(2026, 12, 1)}
    assert [row.party for row in december.rows] == ["altyn", "sary", "tau"]
    assert december.rows[2].distributions == (3, 4)


def _issue(connection: Connection, told: DistributedRecord) -> None:
    issue_version(connection, told, world.LATER, "operator", "the month is running in this world")


@ON_BOTH
def test_a_correction_is_another_version(connection: Connection) -> None:
    """It names the one before and why; each is built again as it was, and none is issued with other content."""
    first = coins.record(connection)
    with pytest.raises(ReportError, match="is not over, and a version that is issued stays"):
        issue_version(connection, first, world.LATER, "operator")
    _issue(connection, first)
    issue_version(connection, first, world.LATER, "operator")
    assert coins.record(connection) == first
    as_of = world.MOMENT + timedelta(hours=2)
    with pytest.raises(ReportError, match="say with --why"):
        coins.record(connection, as_of=as_of)
    with pytest.raises(ReportError, match="a later moment"):
        coins.record(connection, as_of=world.MOMENT - timedelta(hours=1), why="earlier")
    second = coins.record(connection, as_of=as_of, why="value published anew")
    assert second.corrects is not None
    assert (second.version, second.corrects.version, second.corrects.why) == (2, 1, "value published anew")
    _issue(connection, second)
    _issue(connection, second)
    assert coins.record(connection, as_of=as_of) == second
    assert coins.record(connection) == first
    with pytest.raises(ReportError, match="a version is never changed"):
        _issue(connection, replace(first, rows=()))


@pytest.mark.parametrize("kind", ["statement", "sale", "distributed"])
def test_cost_is_that_of_the_period(connection: Connection, kind: str) -> None:
    """No query reads a table that grows with history from end to end: each goes by an index.

    PostgreSQL plans by the size of tables, which are small here.
    """
    asked_of: list[tuple[str, Any]] = []

    def keep(_: object, __: object, text: str, parameters: Any, *___: object) -> None:
        asked_of.append((text, parameters))

    event.listen(connection, "before_cursor_execute", keep)
    period = Period.parse("2026") if kind == "sale" else coins.NOVEMBER
    of_one: dict[str, Any] = {"party": "altyn"} if kind == "statement" else {}
    coins.asked(connection, kind, period=period, **of_one)
    event.remove(connection, "before_cursor_execute", keep)
    grown = {"ledger_entry", "ledger_posting", "distribution", "credit", "round", "round_work", "block"}
    grown |= {"tally", "site_tally", "asset_value", "asset_sale"}
    scanned = set()
    for text, parameters in asked_of:
        for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", parameters):
            if found := re.match(r"SCAN (\w+)", step.detail):
                scanned.add(found[1])
    assert len(asked_of) > 5
    assert not scanned & grown
