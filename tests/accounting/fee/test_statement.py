"""The fee of a quarter: exact lines, one rounding, every line with its rule, refusals instead of guesses."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarazy.accounting.fee.consumption import Consumption, FeeError
from tarazy.accounting.fee.due import due_dates
from tarazy.accounting.fee.rates import Source
from tarazy.accounting.fee.statement import FeeStatement, compute_fee
from tarazy.config.law import FeeDueRule, LadderFeeRule, LawBook, NoRuleInForceError, load_law
from tarazy.config.law.calendar import Quarter
from tarazy.config.law.working_days import Doubt

LAW = load_law()
ASSUMED = load_law(["fee-2026-ladder-continued"])
Q2_2023 = Quarter(2023, 2)
KWH = 1000


def _reading(**changes: str) -> LawBook:
    """The law with another reading of the ladder."""
    return LawBook(rule.model_copy(update=changes) if isinstance(rule, LadderFeeRule) else rule for rule in LAW)


def _grid(kwh: int, tiyn: int, point: str = "m1", metered: bool = True) -> Consumption:
    return Consumption(point, "grid", kwh * KWH, tiyn, metered)


def test_the_example_of_the_reference() -> None:
    """1,000,000 kWh at 18.00 → 7,000,000 KZT; by the other reading of the bounds 8,000,000."""
    used = [_grid(1_000_000, 1800)]
    assert compute_fee(LAW, Q2_2023, used).total_kzt == 7_000_000
    assert compute_fee(_reading(bounds="upper_inclusive"), Q2_2023, used).total_kzt == 8_000_000


def test_a_quarter_of_2022_by_hand() -> None:
    """Flat 1 KZT: 1,234,567 Wh = 1,234.567 kWh → 1,234.567 KZT exactly → 1,235 KZT. No price is needed."""
    statement = compute_fee(LAW, Quarter(2022, 4), [Consumption("m1", "own", 1_234_567, None)])
    assert (statement.exact_kzt, statement.total_kzt) == (Decimal("1234.567"), 1235)
    assert statement.average_price_kzt is None
    assert [(line.ground, line.rate_kzt) for line in statement.lines] == [("flat", 1)]


def test_a_quarter_of_2023_by_hand() -> None:
    """Two purchases, one average price, one rounding.

    300 kWh at 10.00 and 100 at 22.00: (3,000 + 2,200) / 400 = 13.00 KZT → rate 25 − 13 = 12; 400 × 12 = 4,800.
    Own renewable at another point: 50 kWh at 1 = 50. Own generation at a third: 7 kWh at 10 = 70.
    Together 4,920 KZT.
    """
    used = [
        _grid(300, 1000, "a"),
        Consumption("b", "bilateral", 100 * KWH, 2200),
        Consumption("c", "own_renewable", 50_000, None),
        Consumption("d", "own", 7 * KWH, None),
    ]
    statement = compute_fee(LAW, Q2_2023, used)
    assert statement.average_price_kzt == 13
    assert [line.rate_kzt for line in statement.lines] == [12, 12, 1, 10]
    assert (statement.exact_kzt, statement.total_kzt) == (Decimal("4920.000"), 4920)
    assert statement.energy_wh == 457_000


def test_one_rounding_at_the_end_half_up() -> None:
    """Three lines of 0.5 KZT are 1.5 → 2 KZT, not 3 × 1 or 3 × 0."""
    used = [Consumption(point, "own_renewable", 500, None) for point in "abc"]
    statement = compute_fee(LAW, Q2_2023, used)
    assert (statement.exact_kzt, statement.total_kzt) == (Decimal("1.500"), 2)
    assert statement.rule.rounding == "whole_tenge_half_up_once"


def test_the_average_price_is_exact() -> None:
    """1 kWh at 0.99 and 2 kWh at 1.00 average 299/300 < 1: the first band, which rounding would leave."""
    statement = compute_fee(LAW, Q2_2023, [_grid(1, 99, "a"), _grid(2, 100, "b")])
    assert statement.average_price_kzt == Fraction(299, 300)
    assert {line.rate_kzt for line in statement.lines} == {25}


def test_several_rates_at_one_point_take_the_highest() -> None:
    """Grid at 7 and own at 10 behind one metering point: 10 for both; the split figure stands beside."""
    used = [_grid(100, 1800), Consumption("m1", "own", 50 * KWH, None), _grid(10, 1800, "m2")]
    statement = compute_fee(LAW, Q2_2023, used)
    assert [line.rate_kzt for line in statement.lines] == [10, 10, 7]
    assert [line.split_rate_kzt for line in statement.lines] == [7, 10, 7]
    assert statement.total_kzt == 1570
    assert statement.split_total_kzt == 1270


def test_a_faulty_meter_costs_25_for_its_intervals_only() -> None:
    """The affected energy takes 25, the rest of the same point keeps its rate."""
    used = [_grid(100, 1800), _grid(2, 1800, metered=False)]
    statement = compute_fee(LAW, Q2_2023, used)
    assert [(line.rate_kzt, line.ground) for line in statement.lines] == [
        (7, "average_price"),
        (25, "no_or_faulty_meter"),
    ]
    assert statement.total_kzt == 750


def test_the_ladder_by_consumption() -> None:
    """With basis consumed_kwh the first 24 kWh of a quarter decide: 3 kWh → 22, 1,000 kWh → 1."""
    law = _reading(basis="consumed_kwh")
    assert compute_fee(law, Q2_2023, [_grid(3, 5000)]).lines[0].rate_kzt == 22
    assert compute_fee(law, Q2_2023, [_grid(1000, 100)]).lines[0].rate_kzt == 1


def test_every_line_prints_its_law() -> None:
    """Invariant 8: act, article, source, confirmed, id and digest of the rule stand on each line."""
    [line] = compute_fee(LAW, Q2_2023, [_grid(1, 1800)]).lines
    assert (line.rule.id, line.rule.article) == ("fee-2023-ladder", "606-3")
    assert "135-VII" in line.rule.act
    assert line.rule.source
    assert (line.rule.confirmed, line.rule.assumed) == (False, False)
    [rule] = [rule for rule in LAW if rule.id == "fee-2023-ladder"]
    assert line.rule.digest == rule.digest


def test_2026_is_refused_and_assumed_only_when_asked() -> None:
    """Without the assumption 2026 is refused; with it every line says assumed."""
    with pytest.raises(NoRuleInForceError, match="digital_mining_fee on 2026-01-01"):
        compute_fee(LAW, Quarter(2026, 1), [_grid(1, 1800)])
    [line] = compute_fee(ASSUMED, Quarter(2026, 1), [_grid(1, 1800)]).lines
    assert (line.rate_kzt, line.rule.assumed, line.rule.confirmed) == (7, True, False)


def test_a_missing_price_is_refused() -> None:
    """Bought energy without a price cannot be placed on the ladder; the refusal names point and cure."""
    with pytest.raises(FeeError, match="no price for 1 Wh of metering point m9: enter"):
        compute_fee(LAW, Q2_2023, [Consumption("m9", "grid", 1, None)])
    with pytest.raises(FeeError, match="negative energy"):
        compute_fee(LAW, Q2_2023, [Consumption("m9", "own", -1, None)])


def test_zero_energy_gives_no_line() -> None:
    """A day, or a quarter, of zero load is normal: no line, no fee, no price asked for."""
    statement = compute_fee(LAW, Q2_2023, [Consumption("m1", "grid", 0, None)])
    assert (statement.lines, statement.total_kzt, statement.average_price_kzt) == ((), 0, None)


def test_a_part_of_a_quarter() -> None:
    """A minute inside one quarter is computed by the rule of its day; a period across quarters is refused."""
    start = datetime(2023, 5, 1, 12, tzinfo=UTC)
    statement = compute_fee(LAW, Q2_2023, [_grid(1, 1800)], start, start + timedelta(minutes=1))
    assert (statement.total_kzt, statement.partial) == (7, True)
    assert not compute_fee(LAW, Q2_2023, []).partial
    with pytest.raises(FeeError, match="does not lie in 2023-Q2"):
        compute_fee(LAW, Q2_2023, [], start, Q2_2023.end + timedelta(seconds=1))


def test_quarters_end_by_almaty_time_across_the_zone_change() -> None:
    """Q1 2024 runs from 2023-12-31T18:00Z to 2024-03-31T19:00Z; an hour beside is another quarter's."""
    quarter = Quarter(2024, 1)
    first, last = datetime(2023, 12, 31, 18, tzinfo=UTC), datetime(2024, 3, 31, 19, tzinfo=UTC)
    assert not compute_fee(LAW, quarter, [], first, last).partial
    for start, end in ((first - timedelta(hours=1), last), (first, last + timedelta(hours=1))):
        with pytest.raises(FeeError, match="does not lie in 2024-Q1"):
            compute_fee(LAW, quarter, [], start, end)


def test_a_rule_that_ends_inside_the_period_is_not_stretched() -> None:
    """A quarter that two rules share is computed in parts, never by one of them."""
    rules = [
        rule.model_copy(update={"valid_to": date(2023, 5, 10)}) if rule.id == "fee-2023-ladder" else rule
        for rule in LAW
    ]
    with pytest.raises(FeeError, match="fee-2023-ladder ends on 2023-05-10"):
        compute_fee(LawBook(rules), Q2_2023, [])
    end = datetime(2023, 5, 10, 18, tzinfo=UTC)
    assert compute_fee(LawBook(rules), Q2_2023, [], Q2_2023.start, end).total_kzt == 0
    with pytest.raises(FeeError, match="ends on"):
        compute_fee(LawBook(rules), Q2_2023, [], Q2_2023.start, end + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("quarter", "declare", "pay"),
    [
        ("2022-Q3", None, date(2022, 10, 20)),
        ("2023-Q1", date(2023, 5, 15), date(2023, 5, 25)),
        ("2023-Q2", date(2023, 8, 15), date(2023, 8, 25)),
        ("2024-Q3", date(2024, 11, 15), date(2024, 11, 25)),
        ("2025-Q4", date(2026, 2, 15), date(2026, 2, 25)),
    ],
)
def test_due_dates(quarter: str, declare: date | None, pay: date) -> None:
    """Law 2.9: the 20th of the next month in 2022; then the 15th and 25th of the second. Moved by no known rule."""
    due = due_dates(LAW, Quarter.parse(quarter))
    assert (due.declare and due.declare.day, due.pay.day, due.shift_if_non_working) == (declare, pay, None)
    assert due.rule.confirmed == quarter.startswith("2023")


@pytest.mark.parametrize(
    ("shift", "days"),
    [
        (None, (date(2025, 2, 15), date(2025, 2, 25))),
        ("none", (date(2025, 2, 15), date(2025, 2, 25))),
        ("next_working_day", (date(2025, 2, 17), date(2025, 2, 25))),
    ],
)
def test_days_off_move_a_term_only_by_rule(shift: str | None, days: tuple[date, date]) -> None:
    """15 February 2025 is a Saturday: the next working day is told beside, and counts where the rule says so."""
    law = LawBook(
        rule.model_copy(update={"shift_if_non_working": shift}) if isinstance(rule, FeeDueRule) else rule
        for rule in LAW
    )
    due = due_dates(law, Quarter(2024, 4))
    assert due.declare is not None
    assert (due.declare.day, due.pay.day) == days
    assert (due.declare.stated, due.declare.working_day) == (date(2025, 2, 15), date(2025, 2, 17))


def test_a_working_day_that_may_be_another_says_so() -> None:
    """Days off moved in 2026 are not known yet, so what 15 February 2026, a Sunday, would move to is uncertain."""
    due = due_dates(LAW, Quarter(2025, 4))
    assert due.declare is not None
    assert (due.declare.working_day, due.declare.doubts) == (date(2026, 2, 16), frozenset({Doubt.MOVED_DAYS_UNKNOWN}))


def test_due_dates_of_2026_are_unknown_even_where_the_rate_is_assumed() -> None:
    """The assumption continues the ladder only."""
    with pytest.raises(NoRuleInForceError, match="digital_mining_fee_due on 2026-12-31"):
        due_dates(ASSUMED, Quarter(2026, 4))


_SOURCES: list[Source] = ["grid", "bilateral", "import", "own", "own_renewable"]
_CONSUMPTION = st.lists(
    st.builds(
        Consumption,
        point=st.sampled_from("abc"),
        source=st.sampled_from(_SOURCES),
        energy_wh=st.integers(0, 10**12),
        price_tiyn_per_kwh=st.integers(0, 6000),
        metered=st.booleans(),
    ),
    max_size=8,
)


@given(_CONSUMPTION)
def test_total_is_the_exact_sum_of_the_lines(used: list[Consumption]) -> None:
    """Σ lines is exact, the total is within half a tenge of it, and the highest rate never lowers the fee."""
    statement: FeeStatement = compute_fee(LAW, Q2_2023, used)
    milli = sum(line.energy_wh * line.rate_kzt for line in statement.lines)
    assert statement.exact_kzt * 1000 == milli
    assert abs(Fraction(statement.exact_kzt) - statement.total_kzt) <= Fraction(1, 2)
    assert statement.split_total_kzt <= statement.total_kzt
    assert statement.energy_wh == sum(item.energy_wh for item in used)
