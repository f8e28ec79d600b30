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


class Chain:
    """Follows the readings of one device's register, one after another.

    One reading that fits neither its predecessor nor its successor is dropped, and the step passes over
    it. When two in a row agree with each other but not with what came before, the register was set anew:
    the chain starts again there.
    """

    __slots__ = ("_base", "_doubtful", "device")

    def __init__(self, device: Device) -> None:
        self.device = device
        self._base: tuple[datetime, int] | None = None
        self._doubtful: tuple[datetime, int] | None = None

    def follow(self, reading: tuple[datetime, int]) -> Segment | Break | None:
        """The step to a later reading; None to the first one, and to one that is no later."""
        base = self._base
        if base is None:
            self._base = reading
            return None
        if reading[0] <= base[0]:
            return None
        moved = _step(self.device, base, reading)
        if moved is None and self._doubtful is not None:
            moved = _step(self.device, self._doubtful, reading)
            if moved is not None:
                base = self._doubtful
        if moved is None:
            self._doubtful = reading
            return Break("backwards" if reading[1] < base[1] else "too_fast", base[0], reading[0])
        self._base, self._doubtful = reading, None
        return Segment(base[0], reading[0], moved)


def chained(readings: Readings, devices: Sequence[Device]) -> tuple[Chain, list[Segment | Break]]:
    """The steps of `readings` of the `devices`, in the order of time, and the chain of the last one, to follow on.

    An exchange is read twice at its instant: the last count of the old device, the first of the new one. Where one of
    them is not known, nothing is believed between it and that device's nearest reading.
    """
    steps: list[Segment | Break] = []
    for device, after in pairwise([*devices, None]):
        assert device is not None
        own = [item for item in readings if device.since <= item[0] and (after is None or item[0] < after.since)]
        if device.initial is not None:
            own.insert(0, (device.since, device.initial))
        if after is not None and after.final_before is not None:
            own.append((after.since, after.final_before))
        chain = Chain(device)
        steps.extend(step for step in map(chain.follow, own) if step is not None)
    return chain, steps


def believed(readings: Readings, devices: Sequence[Device]) -> tuple[list[Segment], list[Break]]:
    """What `chained` gives, in segments and breaks."""
    _, steps = chained(readings, devices)
    return [step for step in steps if isinstance(step, Segment)], [step for step in steps if isinstance(step, Break)]


class SpanChain:
    """Follows a meter that gives the counts of spans instead of a register.

    A span that begins before the last believed one has ended is not believed.
    """

    __slots__ = ("_devices", "_end")

    def __init__(self, devices: Sequence[Device]) -> None:
        self._devices = devices
        self._end: datetime | None = None

    def follow(self, start: datetime, end: datetime, counts: int) -> Segment | Break:
        """The step that a span is; spans come in the order of their ends."""
        device = [device for device in self._devices if device.since <= start][-1]
        energy = _step(device, (start, 0), (end, counts))
        if energy is None or (self._end is not None and start < self._end):
            return Break("too_fast", start, end)
        self._end = end
        return Segment(start, end, energy)


def believed_spans(
    spans: Iterable[tuple[datetime, datetime, int]], devices: Sequence[Device]
) -> tuple[list[Segment], list[Break]]:
    """The steps of spans (start, end, counts; ascending), in segments and breaks."""
    chain = SpanChain(devices)
    steps = [chain.follow(*span) for span in spans]
    return [step for step in steps if isinstance(step, Segment)], [step for step in steps if isinstance(step, Break)]


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
