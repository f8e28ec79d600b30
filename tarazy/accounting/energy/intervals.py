"""From register readings to intervals: pure, exact, and never more than the register moved.

A step between two readings is believed when the register moved forward, through its rollover if need be,
by no more than the feeder can carry in that time. Between believed readings energy is interpolated in
exact fractions; what an interval has beyond whole watt-hours is carried into the next one, so intervals
add up to the difference of the registers. What cannot be believed is counted nowhere and reported as a
`Break`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Literal

from tarazy.accounting.energy.devices import Device

Quality = Literal["measured", "estimated", "missing"]
"""measured: readings no farther apart than one interval. estimated: interpolated over a longer silence.
missing: part of the interval lies beside every believed pair of readings; only the rest is counted."""

QUALITIES: tuple[Quality, ...] = ("measured", "estimated", "missing")
"""From the best to the worst."""

Readings = Sequence[tuple[datetime, int]]
"""(instant, count of the register), ascending."""

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS_PER_HOUR = 3_600_000_000


@dataclass(frozen=True)
class Interval:
    """Watt-hours of a meter from `start` for `seconds`."""

    start: datetime
    seconds: int
    energy_wh: int
    quality: Quality
    remainder: Fraction = Fraction(0)
    """Of a watt-hour, carried into the next interval."""


@dataclass(frozen=True)
class Break:
    """Two readings between which the register cannot be believed: it went `backwards` or `too_fast`."""

    kind: Literal["backwards", "too_fast"]
    before: datetime
    after: datetime


@dataclass(frozen=True)
class Segment:
    """A believed step of the register: exact watt-hours between two readings."""

    start: datetime
    end: datetime
    energy_wh: Fraction

    def energy_until(self, instant: datetime) -> Fraction:
        """Watt-hours from the segment's start to `instant`; bounded by the segment."""
        instant = min(max(instant, self.start), self.end)
        elapsed, whole = (instant - self.start) // _MICROSECOND, (self.end - self.start) // _MICROSECOND
        return self.energy_wh * elapsed / whole


def floor_to(instant: datetime, seconds: int) -> datetime:
    """The start of the interval that holds `instant`; intervals are aligned to UTC."""
    return instant - (instant - _EPOCH) % timedelta(seconds=seconds)


def _step(device: Device, before: tuple[datetime, int], after: tuple[datetime, int]) -> Fraction | None:
    """Watt-hours between two readings when they can be believed, else None.

    A register shows whole counts, so that one more than the feeder can carry is possible.
    """
    moved = after[1] - before[1]
    if moved < 0:
        moved += device.counts
    elapsed = (after[0] - before[0]) // _MICROSECOND
    wh, counts = device.wh_per_count.as_integer_ratio()
    possible = moved >= 0 and (moved - 1) * wh * _MICROSECONDS_PER_HOUR <= device.maximum_power_w * elapsed * counts
    return Fraction(moved * wh, counts) if possible else None


def believed(readings: Readings, devices: Sequence[Device]) -> tuple[list[Segment], list[Break]]:
    """Chain `readings` of the `devices`, in the order of time, into segments and breaks.

    An exchange is read twice at its instant: the last count of the old device, the first of the new one. Where one of
    them is not known, nothing is believed between it and that device's nearest reading.
    """
    segments: list[Segment] = []
    breaks: list[Break] = []
    for device, after in pairwise([*devices, None]):
        assert device is not None
        own = [item for item in readings if device.since <= item[0] and (after is None or item[0] < after.since)]
        if device.initial is not None:
            own.insert(0, (device.since, device.initial))
        if after is not None and after.final_before is not None:
            own.append((after.since, after.final_before))
        found = _believed_of(own, device)
        segments.extend(found[0])
        breaks.extend(found[1])
    return segments, breaks


def _believed_of(readings: Readings, device: Device) -> tuple[list[Segment], list[Break]]:
    """The same for one device.

    One reading that fits neither its predecessor nor its successor is dropped, and the step passes over
    it. When two in a row agree with each other but not with what came before, the register was set anew:
    the chain starts again there.
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
        moved = _step(device, base, reading)
        if moved is None and doubtful is not None:
            moved = _step(device, doubtful, reading)
            if moved is not None:
                base = doubtful
        if moved is None:
            breaks.append(Break("backwards" if reading[1] < base[1] else "too_fast", base[0], reading[0]))
            doubtful = reading
            continue
        segments.append(Segment(base[0], reading[0], moved))
        base, doubtful = reading, None
    return segments, breaks


def believed_spans(
    spans: Sequence[tuple[datetime, datetime, int]], devices: Sequence[Device]
) -> tuple[list[Segment], list[Break]]:
    """The same for a meter that gives the counts of spans (start, end, counts; ascending) instead of a register.

    A span that begins before the last believed one has ended is not believed.
    """
    segments: list[Segment] = []
    breaks: list[Break] = []
    for start, end, counts in spans:
        device = [device for device in devices if device.since <= start][-1]
        energy = _step(device, (start, 0), (end, counts))
        if energy is None or (segments and start < segments[-1].end):
            breaks.append(Break("too_fast", start, end))
        else:
            segments.append(Segment(start, end, energy))
    return segments, breaks


def derive_intervals(
    segments: Sequence[Segment], start: datetime, until: datetime, seconds: int, remainder: Fraction = Fraction(0)
) -> Iterator[Interval]:
    """Intervals of `seconds` from `start` (a multiple of them) on that have ended by `until`.

    `remainder` is what the interval before `start` carried on. A meter that fell silent before `until` gives intervals
    of quality missing, which later readings replace.
    """
    length = timedelta(seconds=seconds)
    first = 0
    while start + length <= until:
        end = start + length
        while first < len(segments) and segments[first].end <= start:
            first += 1
        energy, covered, longest = remainder, timedelta(), timedelta()
        for segment in _overlapping(segments, first, end):
            if start <= segment.start and segment.end <= end:
                energy += segment.energy_wh
            else:
                energy += segment.energy_until(end) - segment.energy_until(start)
            covered += min(segment.end, end) - max(segment.start, start)
            longest = max(longest, segment.end - segment.start)
        quality: Quality = "missing" if covered < length else "estimated" if longest > length else "measured"
        whole, remainder = divmod(energy, 1)
        yield Interval(start, seconds, whole, quality, remainder)
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
