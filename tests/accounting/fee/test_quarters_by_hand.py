"""A quarter of each period of the law, computed by hand: every rate of the reference, 2.9 and 2.10, at least once."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tarazy.accounting.fee.consumption import Consumption
from tarazy.accounting.fee.statement import compute_fee
from tarazy.config.law import LadderFeeRule, LawBook, NoRuleInForceError, load_law
from tarazy.config.law.calendar import Quarter

LAW = load_law()
UPPER = LawBook(
    rule.model_copy(update={"bounds": "upper_inclusive"}) if isinstance(rule, LadderFeeRule) else rule for rule in LAW
)
_KWH = 1000


def _mixed(tiyn: int) -> list[Consumption]:
    """A quarter of everything: bought three ways at one price, own, own renewable, a faulty meter, two at one point."""
    return [
        Consumption("a", "grid", 1_000 * _KWH, tiyn),
        Consumption("b", "bilateral", 500 * _KWH, tiyn),
        Consumption("c", "import", 250 * _KWH, tiyn),
        Consumption("d", "own", 100 * _KWH, None),
        Consumption("e", "own_renewable", 80 * _KWH, None),
        Consumption("f", "grid", 40 * _KWH, tiyn, metered=False),
        Consumption("g", "own", 20 * _KWH, None, metered=False),
        Consumption("h", "own_renewable", 10 * _KWH, None, metered=False),
        Consumption("i", "grid", 30 * _KWH, tiyn),
        Consumption("i", "own", 5 * _KWH, None),
    ]


@pytest.mark.parametrize(
    ("quarter", "tiyn", "lines", "total"),
    [
        # 2022, flat 1 KZT per kWh whatever the source, the price or the meter:
        # 1,000 + 500 + 250 + 100 + 80 + 40 + 20 + 10 + 30 + 5 = 2,035 kWh -> 2,035 KZT.
        ("2022-Q1", 1800, [1000, 500, 250, 100, 80, 40, 20, 10, 30, 5], 2_035),
        ("2022-Q2", 50, [1000, 500, 250, 100, 80, 40, 20, 10, 30, 5], 2_035),
        ("2022-Q3", 4000, [1000, 500, 250, 100, 80, 40, 20, 10, 30, 5], 2_035),
        # From 2023 by the average price. All was bought at 18.00: rate 25 - 18 = 7.
        # bought 1,750 x 7 = 12,250; own 100 x 10 = 1,000; renewable 80 x 1 = 80;
        # faulty 40 + 20 + 10 = 70 kWh x 25 = 1,750; at point i 7 and 10 meet, the highest is 10: 35 x 10 = 350.
        # Together 12,250 + 1,000 + 80 + 1,750 + 350 = 15,430 KZT.
        ("2023-Q1", 1800, [7000, 3500, 1750, 1000, 80, 1000, 500, 250, 300, 50], 15_430),
        ("2023-Q4", 1800, [7000, 3500, 1750, 1000, 80, 1000, 500, 250, 300, 50], 15_430),
        # The quarter that contains 1 March 2024, when the zone changed, by the same ladder.
        ("2024-Q1", 1800, [7000, 3500, 1750, 1000, 80, 1000, 500, 250, 300, 50], 15_430),
        # At 10.40 the rate is 25 - 10 = 15, above own generation's 10, so point i takes 15:
        # 1,750 x 15 = 26,250; 1,000; 80; 1,750; 35 x 15 = 525. Together 29,605 KZT.
        ("2024-Q2", 1040, [15_000, 7500, 3750, 1000, 80, 1000, 500, 250, 450, 75], 29_605),
        # At 0.50 the rate is 25: 1,750 x 25 = 43,750; 1,000; 80; 1,750; 35 x 25 = 875. Together 47,455 KZT.
        ("2024-Q4", 50, [25_000, 12_500, 6250, 1000, 80, 1000, 500, 250, 750, 125], 47_455),
        # At 24.01 the rate is 1: 1,750 x 1 = 1,750; 1,000; 80; 1,750; at i the highest is own's 10: 350.
        # Together 4,930 KZT. At 40.00 the same.
        ("2025-Q1", 2401, [1000, 500, 250, 1000, 80, 1000, 500, 250, 300, 50], 4_930),
        ("2025-Q4", 4000, [1000, 500, 250, 1000, 80, 1000, 500, 250, 300, 50], 4_930),
    ],
)
def test_a_quarter_of_everything(quarter: str, tiyn: int, lines: list[int], total: int) -> None:
    """Each line and the total are those of the comment."""
    statement = compute_fee(LAW, Quarter.parse(quarter), _mixed(tiyn))
    assert [line.amount_kzt for line in statement.lines] == lines
    assert (statement.exact_kzt, statement.total_kzt) == (Decimal(total), total)
    assert (statement.energy_wh, statement.partial) == (2_035 * _KWH, False)
    assert all(line.rule.confirmed is False for line in statement.lines)


@pytest.mark.parametrize("quarter", ["2023-Q1", "2024-Q1", "2025-Q4"])
@pytest.mark.parametrize(
    ("tiyn", "lower", "upper"),
    # 100 kWh at each price of the reference's table: KZT by the default reading of the bounds, and by the other.
    [
        (50, 2500, 2500),
        (100, 2400, 2500),
        (101, 2400, 2400),
        (1040, 1500, 1500),
        (1800, 700, 800),
        (2300, 200, 300),
        (2399, 200, 200),
        (2400, 100, 200),
        (2401, 100, 100),
        (4000, 100, 100),
    ],
)
def test_every_band_of_the_table(quarter: str, tiyn: int, lower: int, upper: int) -> None:
    """In the first, the changed and the last quarter of the ladder."""
    used = [Consumption("m", "grid", 100 * _KWH, tiyn)]
    period = Quarter.parse(quarter)
    assert compute_fee(LAW, period, used).total_kzt == lower
    assert compute_fee(UPPER, period, used).total_kzt == upper


def test_purchases_at_different_prices_share_one_average() -> None:
    """2025-Q3: 600 kWh at 9.00, 300 at 15.00 and 100 of import at 30.00.

    5,400 + 4,500 + 3,000 = 12,900 KZT for 1,000 kWh: 12.90 a kWh, rate 25 - 12 = 13, 13,000 KZT. A faulty meter's
    50 kWh at 30.00 enter the average: 14,400 / 1,050 = 13.714..., rate 12: 12,000, and 50 x 25 = 1,250: 13,250 KZT.
    """
    used = [
        Consumption("a", "grid", 600 * _KWH, 900),
        Consumption("b", "bilateral", 300 * _KWH, 1500),
        Consumption("c", "import", 100 * _KWH, 3000),
    ]
    quarter = Quarter(2025, 3)
    assert compute_fee(LAW, quarter, used).total_kzt == 13_000
    faulty = Consumption("d", "grid", 50 * _KWH, 3000, metered=False)
    statement = compute_fee(LAW, quarter, [*used, faulty])
    assert [line.rate_kzt for line in statement.lines] == [12, 12, 12, 25]
    assert statement.total_kzt == 13_250


@pytest.mark.parametrize("quarter", ["2021-Q4", "2026-Q1", "2027-Q2"])
def test_before_and_after_nothing_is_computed(quarter: str) -> None:
    """No rule of 2021 or from 2026 on is known: refused by name."""
    with pytest.raises(NoRuleInForceError, match="digital_mining_fee on"):
        compute_fee(LAW, Quarter.parse(quarter), _mixed(1800))


def test_2026_as_assumed_by_hand() -> None:
    """With the ladder carried on, the quarter of everything at 18.00 is the 15,430 KZT of 2023, each line assumed."""
    statement = compute_fee(load_law(["fee-2026-ladder-continued"]), Quarter(2026, 2), _mixed(1800))
    assert statement.total_kzt == 15_430
    assert {line.rule.assumed for line in statement.lines} == {True}
