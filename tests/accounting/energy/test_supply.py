"""Supplies of a month in their order, and tables whose rows and columns both add up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarazy.accounting.energy.supply import UNCOVERED, Limit, draw, spread

LIMITS = [Limit("grid", 2, None), Limit("wind", 1, 500), Limit("import", 1, 300)]


def test_the_first_of_the_month_is_the_first_supply_s() -> None:
    """Priority 1: import (300) before wind (500) by key; then the one without a limit."""
    assert draw(250, LIMITS, {}) == {"import": 250}
    assert draw(1000, LIMITS, {"import": 250}) == {"import": 50, "wind": 500, "grid": 450}
    assert draw(7, LIMITS[1:], {"import": 300, "wind": 900}) == {UNCOVERED: 7}
    assert draw(0, LIMITS, {}) == {}


_LIMITS = st.lists(st.tuples(st.integers(1, 3), st.none() | st.integers(0, 10**9)), max_size=5).map(
    lambda rows: [Limit(str(number), *row) for number, row in enumerate(rows)]
)


@given(_LIMITS, st.lists(st.integers(0, 10**9), max_size=6))
def test_in_steps_or_at_once_is_the_same(limits: list[Limit], steps: list[int]) -> None:
    """A month cut anywhere gives each supply the same watt-hours, and all of them together what was metered."""
    drawn: dict[str, int] = {}
    for energy in steps:
        for supply, part in draw(energy, limits, drawn).items():
            drawn[supply] = drawn.get(supply, 0) + part
    assert drawn == draw(sum(steps), limits, {})
    assert sum(drawn.values()) == sum(steps)


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=6), st.data())
def test_a_table_adds_up_both_ways(columns: list[int], data: st.DataObject) -> None:
    """Every watt-hour of every column goes to exactly one row, and none is negative."""
    cuts = sorted(data.draw(st.lists(st.integers(0, sum(columns)), max_size=5)))
    rows = [end - start for start, end in zip([0, *cuts], [*cuts, sum(columns)], strict=True)]
    table = spread(rows, columns)
    assert [sum(row) for row in table] == rows
    assert [sum(column) for column in zip(*table, strict=True)] == columns
    assert all(part >= 0 for row in table for part in row)


def test_a_row_takes_in_proportion() -> None:
    """Half of everything is half of each; more than there is, is refused."""
    assert spread([50], [20, 80]) == [[10, 40]]
    assert spread([0], []) == [[]]
    with pytest.raises(ValueError, match="101 of 100"):
        spread([101], [20, 80])
