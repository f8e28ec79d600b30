"""Readings → intervals: exact sums, and every fault of a register counted nowhere but reported."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tarazy.accounting.energy.devices import EVER, Device
from tarazy.accounting.energy.intervals import Break, Interval, believed, derive_intervals, floor_to, worst

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
DEVICE = Device(EVER, Fraction(1), 1_000_000, 600_000)
"""Ten kWh a minute at most; the register starts again after 999,999 Wh."""

Readings = list[tuple[datetime, int]]


def _at(minutes: float, register_wh: int) -> tuple[datetime, int]:
    return T0 + timedelta(minutes=minutes), register_wh


def _intervals(readings: Readings, until: float, start: float = 0) -> list[Interval]:
    segments, _ = believed(readings, [DEVICE])
    return list(derive_intervals(segments, T0 + timedelta(minutes=start), T0 + timedelta(minutes=until), 900))


def _energies(readings: Readings, until: float) -> list[tuple[int, str]]:
    return [(item.energy_wh, item.quality) for item in _intervals(readings, until)]


def test_intervals_are_aligned_to_utc() -> None:
    """An interval begins at a multiple of its length."""
    assert floor_to(T0 + timedelta(minutes=14, microseconds=7), 900) == T0
    assert floor_to(T0, 900) == T0
    assert floor_to(T0 + timedelta(seconds=13), 5) == T0 + timedelta(seconds=10)


def test_a_boundary_between_readings_is_interpolated_in_integers() -> None:
    """Readings at 10 and 20 minutes, 101 Wh apart: 50 up to the quarter hour, 51 after it."""
    readings = [_at(0, 1000), _at(10, 1001), _at(20, 1102), _at(30, 1200)]
    assert _energies(readings, 30) == [(1 + 50, "measured"), (51 + 98, "measured")]


def test_a_silence_longer_than_an_interval_is_estimated_and_still_exact() -> None:
    """Energy over a gap is spread evenly and called estimated; its sum is the register's."""
    readings = [_at(0, 0), _at(14, 140), _at(46, 1101), _at(60, 1241)]
    assert [quality for _, quality in _energies(readings, 60)] == ["estimated"] * 3 + ["estimated"]
    assert sum(energy for energy, _ in _energies(readings, 60)) == 1241


def test_a_gap_of_one_interval_is_still_measured() -> None:
    """Readings no farther apart than one interval are measurement."""
    readings = [_at(minutes, minutes * 10) for minutes in (0, 15, 30, 38, 46)]
    assert _energies(readings, 45) == [(150, "measured"), (150, "measured"), (150, "measured")]


def test_the_first_and_the_last_partial_interval_are_missing_with_what_is_known() -> None:
    """Before the first reading and after the last nothing is invented."""
    readings = [_at(5, 1000), _at(10, 1050), _at(20, 1150)]
    assert _energies(readings, 45) == [(100, "missing"), (50, "missing"), (0, "missing")]


def test_a_rollover_goes_on_counting() -> None:
    """The register passes its end between two readings: 999,990 → 20 is 30 Wh."""
    readings = [_at(0, 999_900), _at(7, 999_990), _at(8, 20), _at(15, 110)]
    segments, breaks = believed(readings, [DEVICE])
    assert breaks == []
    assert [segment.energy_wh for segment in segments] == [90, 30, 90]
    assert _energies(readings, 15) == [(210, "measured")]


def test_a_register_that_goes_backwards_is_not_believed() -> None:
    """Backwards is no rollover when the way through zero is more than the feeder carries."""
    readings = [_at(0, 5000), _at(5, 5050), _at(6, 4000), _at(10, 4040), _at(15, 4090)]
    segments, breaks = believed(readings, [DEVICE])
    assert breaks == [Break("backwards", readings[1][0], readings[2][0])]
    assert sum(segment.energy_wh for segment in segments) == 50 + 90
    assert _energies(readings, 15) == [(140, "missing")]


def test_an_exchanged_meter_starts_a_new_chain() -> None:
    """A new meter begins at its own register; what lies between the two is missing, not guessed."""
    readings = [_at(0, 400_000), _at(15, 400_150), _at(16, 7), _at(30, 147), _at(45, 297)]
    assert _energies(readings, 45) == [(150, "measured"), (140, "missing"), (150, "measured")]


def test_a_single_wrong_reading_is_dropped() -> None:
    """A wrong scale in one answer is named, and the energy beside it is still measured exactly."""
    readings = [_at(0, 1000), _at(5, 1050), _at(6, 106_000), _at(7, 1070), _at(15, 1150)]
    _, breaks = believed(readings, [DEVICE])
    assert [item.kind for item in breaks] == ["too_fast"]
    assert _energies(readings, 15) == [(150, "measured")]


def test_a_lasting_change_of_scale_is_a_break_not_energy() -> None:
    """The register jumps tenfold for good: the jump is counted nowhere."""
    readings = [_at(0, 20_000), _at(1, 20_010), _at(2, 200_200), _at(3, 200_300), _at(15, 201_500)]
    segments, breaks = believed(readings, [DEVICE])
    assert [item.kind for item in breaks] == ["too_fast"]
    assert sum(segment.energy_wh for segment in segments) == 10 + 1300


def test_a_stuck_register_is_zero_energy_measured() -> None:
    """A register that stands still says zero; only the work beside it can contradict."""
    assert _energies([_at(minutes, 77) for minutes in range(0, 31, 5)], 30) == [
        (0, "measured"),
        (0, "measured"),
    ]


def test_a_reading_of_the_same_instant_changes_nothing() -> None:
    """A repeated push of one reading is not a second reading."""
    once = [_at(0, 0), _at(10, 100), _at(15, 150)]
    assert _intervals(sorted([*once, once[1]]), 15) == _intervals(once, 15)


@given(
    st.lists(st.tuples(st.integers(1, 400_000_000), st.integers(0, 5000)), min_size=1, max_size=30),
    st.integers(0, 999_999),
)
def test_intervals_add_up_to_the_register(steps: list[tuple[int, int]], first: int) -> None:
    """Σ intervals = how far the register moved, over any spacing of readings and any rollovers."""
    at, register = T0 + timedelta(milliseconds=1), first
    readings = [(at, register % 1_000_000)]
    for milliseconds, energy in steps:
        possible = 600_000 * milliseconds // 3_600_000
        at += timedelta(milliseconds=milliseconds)
        register += min(energy, possible)
        readings.append((at, register % 1_000_000))
    segments, breaks = believed(readings, [DEVICE])
    until = floor_to(at, 900) + timedelta(seconds=900)
    intervals = list(derive_intervals(segments, T0, until, 900))
    assert breaks == []
    assert sum(item.energy_wh for item in intervals) == register - first
    assert all(item.energy_wh >= 0 for item in intervals)
    assert [item.start for item in intervals] == [
        T0 + timedelta(seconds=900 * number) for number in range(len(intervals))
    ]


@given(
    st.lists(st.tuples(st.integers(1, 3600), st.integers(0, 999_999)), min_size=2, max_size=25),
    st.integers(1, 24),
)
def test_no_interval_has_more_than_the_feeder_carries(steps: list[tuple[int, int]], cut: int) -> None:
    """Whatever nonsense a meter sends, no interval exceeds what the feeder can carry, and a cut changes
    nothing.

    Deriving up to any boundary and going on from there gives the same intervals as deriving at once.
    """
    at = T0
    readings: Readings = []
    for seconds, register in steps:
        at += timedelta(seconds=seconds)
        readings.append((at, register))
    segments, _ = believed(readings, [DEVICE])
    whole = list(derive_intervals(segments, T0, at, 900))
    limit = 600_000 // 4 + len(readings) * 2
    assert all(0 <= item.energy_wh <= limit for item in whole)
    middle = T0 + timedelta(seconds=900 * cut)
    before = list(derive_intervals(segments, T0, middle, 900))
    parts = [*before, *derive_intervals(segments, middle, at, 900, before[-1].remainder)]
    assert [item for item in parts if item.start + timedelta(seconds=900) <= at] == whole


def test_the_worst_quality_of_several() -> None:
    """A site is as good as its worst meter, and missing without any."""
    assert worst(["measured", "estimated"]) == "estimated"
    assert worst(["missing", "measured"]) == "missing"
    assert worst(["measured"]) == "measured"
    assert worst([]) == "missing"
