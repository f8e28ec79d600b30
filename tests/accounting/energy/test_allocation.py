"""Watt-hours among parties by work: exact to the last one, and the estimate beside it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarazy.accounting.energy.allocation import REST, Part, Sharing, allocate, estimate_wh, fleet_efficiency

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


def _parts(energy_wh: int, sharing: Sharing, **given: dict[str, int]) -> dict[str, int]:
    """Party → Wh; work in units that take 1 kWh each at 1 J/TH."""
    unit = 3_600_000 * 10**12 * 65535 // 65536 + 1
    work = {party: count * unit for party, count in given.get("work", {}).items()}
    efficiencies = {party: 1_000 for party in work if party != "unknown"}
    parts = allocate(energy_wh, work, efficiencies, sharing, given.get("own"), 3600)
    return {part.party: part.energy_wh for part in parts}


@pytest.mark.parametrize(
    ("sharing", "given", "parts"),
    [
        # 10 kWh on the meter; 3 and 5 kWh by work; 2 kWh are cooling and losses.
        (Sharing("work"), {"work": {"a": 3, "b": 5}}, {REST: 2_000, "a": 3_000, "b": 5_000}),
        (Sharing("work", to_parties=True), {"work": {"a": 3, "b": 5}}, {REST: 0, "a": 3_750, "b": 6_250}),
        # More than the meter gave: cut in proportion, 10 × 6/18 and 12/18, a watt-hour is left by rounding.
        (Sharing("work"), {"work": {"a": 6, "b": 12}}, {REST: 1, "a": 3_333, "b": 6_666}),
        # Without registered machines nothing is claimed; it is in the rest.
        (Sharing("work"), {"work": {"a": 3, "unknown": 5}}, {REST: 7_000, "a": 3_000, "unknown": 0}),
        # 2 and 3 kW for an hour; c is registered and did no work.
        (
            Sharing("power", power_w={"a": 2_000, "b": 3_000, "c": 9_000}),
            {"work": {"a": 1, "b": 1}},
            {REST: 5_000, "a": 2_000, "b": 3_000},
        ),
        # 62.5 and 30 %, whoever works.
        (Sharing("fixed", parts={"a": 6_250, "b": 3_000}), {"work": {"a": 1}}, {REST: 750, "a": 6_250, "b": 3_000}),
        # A sub-meter goes before the rule, which shares what it leaves.
        (Sharing("work"), {"work": {"a": 3, "b": 5}, "own": {"a": 4_000}}, {REST: 1_000, "a": 4_000, "b": 5_000}),
        (Sharing(), {"work": {"a": 9, "b": 1}, "own": {"a": 4_000}}, {REST: 0, "a": 4_000, "b": 6_000}),
        (Sharing("fixed", parts={"b": 5_000}), {"own": {"a": 4_000}}, {REST: 3_000, "a": 4_000, "b": 3_000}),
        # Sub-meters that together show more than the main meter are cut to it.
        (
            Sharing("work"),
            {"work": {"c": 1}, "own": {"a": 9_000, "b": 6_000}},
            {REST: 0, "a": 6_000, "b": 4_000, "c": 0},
        ),
    ],
)
def test_a_site_is_shared_by_its_rule(
    sharing: Sharing, given: dict[str, dict[str, int]], parts: dict[str, int]
) -> None:
    """Ten kilowatt-hours of an hour, by each rule."""
    assert _parts(10_000, sharing, **given) == parts


_RULE = st.builds(
    Sharing,
    st.sampled_from(["hashes", "work", "power", "fixed"]),
    st.booleans(),
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2_500)),
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 50_000)),
)
_SHARES = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 40))
_OWN = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 30_000))


@given(st.integers(0, 60_000), _RULE, _SHARES, _OWN, st.randoms())
def test_any_rule_adds_up_in_any_order(
    energy_wh: int, sharing: Sharing, work: dict[str, int], own: dict[str, int], chance: random.Random
) -> None:
    """Σ parties + rest = the meter, nothing is negative, no claim is exceeded unless the rest is shared too."""
    parts = _parts(energy_wh, sharing, work=work, own=own)
    assert sum(parts.values()) == energy_wh
    assert min(parts.values()) >= 0
    assert all(parts[party] <= metered for party, metered in own.items())
    turned = [dict(chance.sample(list(each.items()), len(each))) for each in (work, own)]
    assert _parts(energy_wh, sharing, work=turned[0], own=turned[1]) == parts


@given(st.integers(0, 60_000), _RULE, _SHARES, _OWN, st.sampled_from("abcd"), st.integers(1, 30))
def test_more_work_or_more_on_the_meter_is_never_less_for_a_party(
    energy_wh: int, sharing: Sharing, work: dict[str, int], own: dict[str, int], party: str, more: int
) -> None:
    """Neither more work of its own, nor more on its own or the main meter takes energy from a party."""
    before = _parts(energy_wh, sharing, work=work, own=own).get(party, 0)
    harder = {**work, party: work.get(party, 0) + more}
    assert _parts(energy_wh, sharing, work=harder, own=own).get(party, 0) >= before
    assert _parts(energy_wh + more, sharing, work=work, own=own).get(party, 0) >= before
    if party in own:
        assert _parts(energy_wh, sharing, work=work, own={**own, party: own[party] + more})[party] >= before
