"""The ladder of the digital-mining fee in both readings, and the special cases."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import pytest

from tarazy.accounting.fee.rates import Source, ladder_rate, rate_of
from tarazy.config.law import DigitalMiningFeeRule, LadderFeeRule, load_law

_RULE = load_law().rule(DigitalMiningFeeRule, date(2023, 1, 1))
assert isinstance(_RULE, LadderFeeRule)
LOWER = _RULE
UPPER = _RULE.model_copy(update={"bounds": "upper_inclusive"})

TABLE = [
    ("0.50", 25, 25),
    ("1.00", 24, 25),
    ("1.01", 24, 24),
    ("10.40", 15, 15),
    ("18.00", 7, 8),
    ("23.00", 2, 3),
    ("23.99", 2, 2),
    ("24.00", 1, 2),
    ("24.01", 1, 1),
    ("40", 1, 1),
]
"""Law 2.10: average price in tenge per kWh, rate with lower_inclusive, rate with upper_inclusive."""


@pytest.mark.parametrize(("price", "lower", "upper"), TABLE)
def test_table_of_the_reference(price: str, lower: int, upper: int) -> None:
    """Both readings of the bounds give the reference's rates."""
    assert ladder_rate(LOWER, Fraction(price)) == lower
    assert ladder_rate(UPPER, Fraction(price)) == upper


def test_the_readings_differ_only_at_whole_tenge() -> None:
    """`bounds` matters only at whole-tenge prices, and the rate never rises with the price."""
    prices = [Fraction(number, 4) for number in range(1, 120)]
    for price in prices:
        differ = ladder_rate(LOWER, price) != ladder_rate(UPPER, price)
        assert differ == (price.denominator == 1 and price <= 24)
    for rule in (LOWER, UPPER):
        rates = [ladder_rate(rule, price) for price in prices]
        assert rates == sorted(rates, reverse=True)
        assert set(rates) == set(range(1, 26))


def test_free_energy_takes_the_first_rate() -> None:
    """A price of 0 lies in the first band of both readings; a negative one is an error."""
    assert ladder_rate(LOWER, Fraction(0)) == ladder_rate(UPPER, Fraction(0)) == 25
    with pytest.raises(ValueError, match="not negative"):
        ladder_rate(LOWER, Fraction(-1))


@pytest.mark.parametrize(
    ("source", "metered", "expected"),
    [
        ("grid", True, (7, "average_price")),
        ("bilateral", True, (7, "average_price")),
        ("import", True, (7, "average_price")),
        ("own", True, (10, "own_generation")),
        ("own_renewable", True, (1, "own_renewable")),
        ("grid", False, (25, "no_or_faulty_meter")),
        ("own", False, (25, "no_or_faulty_meter")),
        ("own_renewable", False, (25, "no_or_faulty_meter")),
    ],
)
def test_special_cases(source: Source, metered: bool, expected: tuple[int, str]) -> None:
    """Own generation 10, own renewable 1 whatever the price, no or faulty meter 25 and before both."""
    assert rate_of(LOWER, source, metered, Fraction(18)) == expected


def test_the_ladder_can_be_read_by_consumption() -> None:
    """The seed's wording steps by kWh consumed: the basis is data and names itself as the ground."""
    by_kwh = LOWER.model_copy(update={"basis": "consumed_kwh"})
    assert rate_of(by_kwh, "grid", True, Fraction(3)) == (22, "consumed")
