"""Sales: how they are recorded, and the share that must go through AIFC exchanges."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from tarazy.accounting.assets.sales import Obligation, Sale, obligations, record_sales, standing_sales
from tarazy.accounting.assets.values import BITCOIN, AssetError, Counts
from tarazy.config.law import ObligatorySaleRule, load_law

SOLD = datetime(2025, 6, 2, 9, tzinfo=UTC)
AT = datetime(2025, 7, 1, tzinfo=UTC)
YEAR = datetime(2024, 12, 31, 19, tzinfo=UTC), datetime(2025, 12, 31, 19, tzinfo=UTC)


def sale(deal: str, quantity: int, licence: str | None = "AFSA-1", party: str = "altyn") -> Sale:
    """A deal at an exchange with or without an AIFC licence."""
    return Sale(party, "Exchange", licence, deal, BITCOIN, quantity, SOLD, None)


def _standing(connection: Connection, known_at: datetime, party: str | None = None) -> list[Sale]:
    return [recorded.sale for recorded in standing_sales(connection, *YEAR, known_at, party)]


@pytest.mark.parametrize(
    ("through", "elsewhere", "mined", "expected"),
    [
        (75, 25, 200, (Obligation("sold", 100, 75, 75), Obligation("mined", 200, 150, 75))),
        (74, 26, 99, (Obligation("sold", 100, 75, 74), Obligation("mined", 99, 75, 74))),
        (0, 0, 0, (Obligation("sold", 0, 0, 0), Obligation("mined", 0, 0, 0))),
    ],
)
def test_the_share_is_taken_of_both_bases(
    through: int, elsewhere: int, mined: int, expected: tuple[Obligation, ...]
) -> None:
    """75 % in 2025, of what was sold and of what was mined, a part of a satoshi counting whole."""
    rule = load_law().rule(ObligatorySaleRule, date(2025, 6, 1))
    found = obligations(rule, mined, [sale("1", through), sale("2", elsewhere, None)])
    assert found == expected
    assert [each.missing for each in found] == [max(0, (each.required or 0) - through) for each in expected]


def test_without_a_rule_nothing_is_required() -> None:
    """The amounts are told all the same."""
    found = obligations(None, 50, [sale("1", 10)])
    assert found == (Obligation("sold", 10, None, 10), Obligation("mined", 50, None, 10))
    assert [each.missing for each in found] == [None, None]


def test_a_correction_is_another_row(engine: Engine) -> None:
    """What was known before stays; a sale is taken back by a quantity of 0, and may be told again."""
    first, second, third = AT, AT + timedelta(days=1), AT + timedelta(days=2)
    with engine.begin() as connection:
        assert record_sales(connection, [sale("1", 50), sale("2", 60, party="sary")], first, "op") == Counts(2, 0, 0)
        assert record_sales(connection, [sale("1", 50)], second, "op") == Counts(0, 0, 1)
        with pytest.raises(AssetError, match="recorded otherwise by entry 1; give --why"):
            record_sales(connection, [sale("1", 51)], second, "op")
        assert record_sales(connection, [sale("1", 51), sale("2", 0, party="sary")], second, "op", "slip") == Counts(
            0, 2, 0
        )
        assert record_sales(connection, [sale("2", 61, party="sary")], third, "op", "was right") == Counts(0, 1, 0)
        assert [each.quantity for each in _standing(connection, first)] == [50, 60]
        assert [each.quantity for each in _standing(connection, second)] == [51]
        assert _standing(connection, third, "sary") == [sale("2", 61, party="sary")]


@pytest.mark.parametrize(
    ("sales", "fault"),
    [([sale("1", 1), sale("1", 2)], "told twice"), ([sale("1", 0)], "nothing was sold")],
)
def test_what_cannot_be_is_refused(engine: Engine, sales: list[Sale], fault: str) -> None:
    """Nothing is recorded."""
    with engine.begin() as connection:
        with pytest.raises(AssetError, match=fault):
            record_sales(connection, sales, AT, "op")
        assert _standing(connection, AT) == []


def test_the_database_refuses_what_was_never_sold(engine: Engine) -> None:
    """Whoever writes: a first row has a quantity."""
    with engine.begin() as connection, pytest.raises(IntegrityError):
        record_sales(connection, [replace(sale("1", 5), quantity=-5)], AT, "op")
