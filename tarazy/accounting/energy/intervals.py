"""From register readings to intervals: pure, exact, and never more than the register moved.

A step between two readings is believed when the register moved forward, through its rollover if need be,
by no more than the feeder can carry in that time. Between believed readings energy is interpolated in
integers, so intervals add up to the difference of the registers. What cannot be believed is counted
nowhere and reported as a `Break`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from tarazy.accounting.energy.profiles import Profile

Quality = Literal["measured", "estimated", "missing"]
"""measured: readings no farther apart than one interval. estimated: interpolated over a longer silence.
missing: part of the interval lies beside every believed pair of readings; only the rest is counted."""

QUALITIES: tuple[Quality, ...] = ("measured", "estimated", "missing")
"""From the best to the worst."""

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Interval:
    """Watt-hours of a meter from `start` for `seconds`."""

    start: datetime
    seconds: int
    energy_wh: int
    quality: Quality


@dataclass(frozen=True)
class Break:
    """Two readings between which the register cannot be believed: it went `backwards` or `too_fast`."""

    kind: Literal["backwards", "too_fast"]
    before: datetime
    after: datetime


@dataclass(frozen=True)
class Segment:
    """A believed step of the register: `energy_wh` between two readings."""

    start: datetime
    end: datetime
    energy_wh: int

    def energy_until(self, instant: datetime) -> int:
        """Watt-hours from the segment's start to `instant`, rounded down; bounded by the segment."""
        instant = min(max(instant, self.start), self.end)
        elapsed, whole = (instant - self.start) // _MICROSECOND, (self.end - self.start) // _MICROSECOND
        return self.energy_wh * elapsed // whole


def floor_to(instant: datetime, seconds: int) -> datetime:
    """The start of the interval that holds `instant`; intervals are aligned to UTC."""
    return instant - (instant - _EPOCH) % timedelta(seconds=seconds)


def _step(profile: Profile, before: tuple[datetime, int], after: tuple[datetime, int]) -> int | None:
    """Watt-hours between two readings when they can be believed, else None."""
    moved = after[1] - before[1]
    if moved < 0:
        moved += profile.in_wh(profile.counts)
    elapsed = (after[0] - before[0]) // _MICROSECOND
    limit = profile.maximum_power_w * elapsed // 3_600_000_000 + profile.in_wh(1) + 1
    return moved if moved <= limit else None


def believed(readings: Sequence[tuple[datetime, int]], profile: Profile) -> tuple[list[Segment], list[Break]]:
    """Chain `readings` (instant, register in Wh; ascending) into segments and breaks.

    One reading that fits neither its predecessor nor its successor is dropped, and the step passes over
    it. When two in a row agree with each other but not with what came before, the register was set anew
    (a meter was exchanged, say): the chain starts again there.
    """
    segments: list[Segment] = []
    breaks: list[Break] = []
    base: tuple[datetime, int] | None = None
    doubtful: tuple[datetime, int] | None = None
    for reading in readings:
        if base is None:
            base = reading
            continue
        if reading[0] <= base[0]:
            continue
        moved = _step(profile, base, reading)
        if moved is None and doubtful is not None:
            moved = _step(profile, doubtful, reading)
            if moved is not None:
                base = doubtful
        if moved is None:
            breaks.append(Break("backwards" if reading[1] < base[1] else "too_fast", base[0], reading[0]))
            doubtful = reading
            continue
        segments.append(Segment(base[0], reading[0], moved))
        base, doubtful = reading, None
    return segments, breaks


def derive_intervals(segments: Sequence[Segment], start: datetime, until: datetime, seconds: int) -> Iterator[Interval]:
    """Intervals of `seconds` from `start` (a multiple of them) on that have ended by `until`.

    A meter that fell silent before `until` gives intervals of quality missing, which later readings replace.
    """
    length = timedelta(seconds=seconds)
    first = 0
    while start + length <= until:
        end = start + length
        while first < len(segments) and segments[first].end <= start:
            first += 1
        energy, covered, longest = 0, timedelta(), timedelta()
        for segment in _overlapping(segments, first, end):
            energy += segment.energy_until(end) - segment.energy_until(start)
            covered += min(segment.end, end) - max(segment.start, start)
            longest = max(longest, segment.end - segment.start)
        quality: Quality = "missing" if covered < length else "estimated" if longest > length else "measured"
        yield Interval(start, seconds, energy, quality)
        start = end


def _overlapping(segments: Sequence[Segment], first: int, end: datetime) -> Iterator[Segment]:
    for index in range(first, len(segments)):
        if segments[index].start >= end:
            return
        yield segments[index]


def worst(qualities: Iterable[str]) -> Quality:
    """The worst of several qualities; missing when there are none."""
    present = set(qualities)
    return next((quality for quality in reversed(QUALITIES) if quality in present), "missing")
