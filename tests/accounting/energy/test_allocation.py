"""Watt-hours among parties by work: exact to the last one, and the estimate beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarazy.accounting.energy.allocation import REST, Part, allocate, estimate_wh, fleet_efficiency

_WORK = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(0, 2**100), max_size=12)


def test_energy_follows_accepted_work() -> None:
    """Parts are rounded down and the remainder is nobody's."""
    parts = allocate(100, {"b": 1, "a": 2}, {})
    assert parts == [Part(REST, 1, 0, 0), Part("a", 66, None, 2), Part("b", 33, None, 1)]


def test_energy_without_work_is_nobodys() -> None:
    """Cooling, losses, or a pool that was down: the whole interval goes to the rest."""
    assert allocate(500, {}, {}) == [Part(REST, 500, 0, 0)]
    assert allocate(500, {"a": 0}, {}) == [Part(REST, 500, 0, 0)]


def test_work_without_energy_keeps_its_estimate() -> None:
    """A stuck meter gives zero, and the estimate beside it shows that it cannot be."""
    weight = 2_000_000_000 << 32
    assert allocate(0, {"a": weight}, {"a": 15_000})[1] == Part("a", 0, 35_791, weight)


def test_estimate_of_the_reference() -> None:
    """Σd = 2,000,000,000 at 15 J/TH → 35.79194 kWh."""
    assert estimate_wh(2_000_000_000 << 32, 15_000) == 35_791
    assert estimate_wh((2_000_000_000 << 32) * 1000, 15_000) // 10 == 3_579_194


def test_estimate_of_a_day_of_one_machine() -> None:
    """100 TH/s at 15 J/TH is 36 kWh a day (hashes rounded to whole units of weight)."""
    weight = 100 * 10**12 * 86_400 * 65535 // 65536
    assert estimate_wh(weight, 15_000) in (35_999, 36_000)


def test_efficiency_of_machines_side_by_side() -> None:
    """By hashrate, not the plain mean: 3 kW at 30 and 3 kW at 15 J/TH are 6 kW over 300 TH/s = 20 J/TH."""
    assert fleet_efficiency([(100 * 10**12, 3000), (200 * 10**12, 3000)]) == 20_000
    assert fleet_efficiency([(200 * 10**12, 3500)]) == 17_500
    assert fleet_efficiency([]) is None


@given(st.integers(0, 10**15), _WORK)
def test_parts_add_up_exactly(energy_wh: int, work: dict[str, int]) -> None:
    """Σ parties + rest = the interval, no part is negative, and rounding costs less than a Wh a party."""
    parts = allocate(energy_wh, work, dict.fromkeys(work, 20_000))
    assert sum(part.energy_wh for part in parts) == energy_wh
    assert all(part.energy_wh >= 0 for part in parts)
    assert parts[0].party == REST
    workers = [party for party, weight in work.items() if weight]
    assert sorted(workers) == [part.party for part in parts[1:]]
    if workers:
        assert parts[0].energy_wh < len(workers)


@given(st.integers(0, 10**12), _WORK)
def test_more_work_is_never_less_energy(energy_wh: int, work: dict[str, int]) -> None:
    """Parts are ordered as the work is."""
    parts = sorted(allocate(energy_wh, work, {})[1:], key=lambda part: part.weight)
    assert [part.energy_wh for part in parts] == sorted(part.energy_wh for part in parts)


def test_nonsense_is_refused() -> None:
    """Negative energy or work, and work of nobody, are errors of the caller."""
    for energy, work in ((-1, {}), (1, {"a": -1}), (1, {REST: 5})):
        with pytest.raises(ValueError, match="not negative"):
            allocate(energy, work, {})
