"""Metered energy against work: the floor never lies about honest sites, and drift is found soon."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarazy.accounting.energy.reconciliation import BASELINE, LIMIT, drift, least_wh, relative_error

_BEST = 8_500


def test_floor_of_the_reference() -> None:
    """Σd = 2,000,000,000 are 8.590065666·10^18 hashes; at 15 J/TH 35.79194 kWh, of an error of 0."""
    assert least_wh(8.590065666e18, 0, 15_000) == 35_791
    # 100 shares of equal weight: 1/√100 = 10 %, four of them leave 60 %.
    assert relative_error(100.0, 1.0) == pytest.approx(0.1)
    assert least_wh(8.590065666e18, 8.590065666e16, 15_000) == 21_475
    assert least_wh(8.590065666e18, 8.590065666e18, 15_000) == least_wh(0, 0, 15_000) == 0


_HASHES = st.floats(1e12, 1e24)


@given(_HASHES, st.floats(1.0, 10.0), st.floats(0, 1), st.integers(1, 100_000))
def test_more_work_never_lowers_the_floor(hashes: float, times: float, part: float, best: int) -> None:
    """Nor does a heavier share or a better machine raise it; it is never above what the work takes."""
    heaviest = hashes * part
    floor = least_wh(hashes, heaviest, best)
    assert 0 <= floor <= hashes * best / 3.6e18
    assert least_wh(hashes * times, heaviest, best) >= floor
    assert least_wh(hashes, heaviest * times, best) <= floor
    assert least_wh(hashes, heaviest, best + 1) >= floor


def test_false_alarms_of_the_floor() -> None:
    """A site of the best machines there could be, at 10,000 windows of 400 shares each: under 4 in 10,000.

    Its energy is exactly what its work takes; only the luck of its shares can make it look too low. At 9.7 J/TH, the
    best machine announced, there is no alarm at all.
    """
    chance = random.Random(6)
    mean, alarms = 400, [0, 0]
    for _ in range(10_000):
        found = max(0.0, chance.gauss(mean, math.sqrt(mean)))
        for number, efficiency in enumerate((_BEST, 9_700)):
            metered = mean * 1e16 * efficiency / 3.6e18
            alarms[number] += metered < least_wh(found * 1e16, 1e16, _BEST)
    assert alarms[0] < 4
    assert alarms[1] == 0


def _days(chance: random.Random, days: int, spread: float = 0.02, factor: float = 1.0) -> list[float]:
    """A site that takes 1.1 of what its machines are rated for; noise is of each day."""
    before = [chance.gauss(1.1, 1.1 * spread) for _ in range(BASELINE)]
    return before + [factor * chance.gauss(1.1, 1.1 * spread) for _ in range(days)]


def _seen(ratios: list[float]) -> int | None:
    """The day after the baseline on which drift is told first."""
    for end in range(BASELINE + 1, len(ratios) + 1):
        found = drift(ratios[:end])
        if found is not None and found.drifts:
            return end - BASELINE
    return None


@pytest.mark.parametrize("season", [0.0, 0.05])
def test_false_alarms_of_drift(season: float) -> None:
    """A year of looking back 60 days, each day at 2 % noise: of 12 honest sites hardly one is told, even with a season.

    The season moves the ratio by so much either way.
    """
    chance = random.Random(7)
    alarms = 0
    for _ in range(12):
        phase = chance.uniform(0, 2 * math.pi)
        year = [1 + season * math.sin(phase + 2 * math.pi * day / 365) for day in range(365 + 60)]
        ratios = [factor * chance.gauss(1.1, 0.022) for factor in year]
        found = (drift(ratios[day : day + 60]) for day in range(365))
        alarms += any(each is not None and each.drifts for each in found)
    assert alarms <= 1


@pytest.mark.parametrize(
    ("factor", "within"),
    # a tenth past the meter, or done by machines outside it; the meter off at night, 8 of 24 hours;
    # a load of a fifth that is no machine's
    [(0.9, 6), (2 / 3, 1), (1.2, 2)],
)
def test_fraud_is_told_within_days(factor: float, within: int) -> None:
    """At 2 % noise at least 95 of 100 sites are told by then."""
    chance = random.Random(8)
    days = [_seen(_days(chance, within, factor=factor)) for _ in range(200)]
    assert sum(day is not None for day in days) >= 190


@pytest.mark.parametrize("phase", range(0, 365, 30))
def test_a_season_is_not_drift_and_a_small_bypass_is(phase: int) -> None:
    """5 % either way over the year leaves both sums far from the limit; 5 % bypassed for 13 days does not."""
    year = [1.1 * (1 + 0.05 * math.sin(2 * math.pi * (day + phase) / 365)) for day in range(60)]
    noise = [1 + 0.02 * (-1) ** day for day in range(60)]
    honest = [ratio * moved for ratio, moved in zip(year, noise, strict=True)]
    season, bypassed = drift(honest), drift(honest[:47] + [0.95 * ratio for ratio in honest[47:]])
    assert season is not None
    assert bypassed is not None
    assert max(season.low, season.high) < LIMIT / 2
    assert bypassed.drifts
    assert -0.07 < bypassed.moved < -0.03


def test_days_that_are_alike_count_for_less() -> None:
    """The same noise in runs of six says less about what a mean may be, so its spread counts for more."""
    apart = [1 + 0.02 * (-1) ** day for day in range(40)]
    runs = [1 + 0.02 * (-1) ** (day // 6) for day in range(40)]
    found = [drift(days) for days in (apart, runs)]
    assert all(found)
    lone, alike = (each.spread for each in found if each is not None)
    assert lone == pytest.approx(0.02, rel=0.1)
    assert alike > 1.5 * lone


@given(st.lists(st.floats(0.5, 2), min_size=BASELINE, max_size=40), st.floats(0.1, 10))
def test_drift_is_of_the_site_itself(ratios: list[float], scale: float) -> None:
    """Whatever a site's ratio is, only its movement counts; a steady site never drifts."""
    found, scaled = drift(ratios), drift([scale * ratio for ratio in ratios])
    if found is None or scaled is None:
        assert found is scaled is None
        assert len(ratios) == BASELINE
        return
    assert (scaled.low, scaled.high) == pytest.approx((found.low, found.high), rel=1e-6, abs=1e-6)
    assert found.drifts == (max(found.low, found.high) >= LIMIT)
    steady = drift([ratios[0]] * len(ratios))
    assert steady is not None
    assert max(steady.low, steady.high) == 0
