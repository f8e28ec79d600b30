"""Fold the intervals of settled quarters into figures of their legal days, with every version that was known of a day.

A piece is a legal day, or a part of one between two instants at which the registers change: whatever asks for a period
whose bounds are among those gets the same figures as before. Each call does one whole thing in the caller's
transaction, so that whatever is killed whenever, a piece is either in detail or folded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from tarazy.accounting.energy.intervals import QUALITIES
from tarazy.accounting.energy.readings import drop_readings
from tarazy.accounting.energy.tables import allocation, allocation_day, due, interval, meter_day, peak_day, settled
from tarazy.config.law.calendar import day_start, legal_day

_METERS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Piece:
    """Intervals that begin in [start, end), on one legal day, at one site."""

    site: str
    start: datetime
    end: datetime


class UnsettledError(Exception):
    """A piece has something that is still to be derived, so it is not folded yet."""


def pieces(connection: Connection, start: datetime, end: datetime, cuts: Collection[datetime] = ()) -> Iterator[Piece]:
    """What there is to fold in [start, end): sites of each legal day, parted at `cuts` as well, in order of time."""
    day = legal_day(start)
    while day_start(day) < end:
        first, after = day_start(day), day_start(day + timedelta(days=1))
        bounds = sorted({first, after} | {cut for cut in cuts if first < cut < after})
        for since, until in pairwise(bounds):
            if since >= start and until <= end:
                for site in _sites(connection, since, until):
                    yield Piece(site, since, until)
        day += timedelta(days=1)


def _sites(connection: Connection, start: datetime, end: datetime) -> list[str]:
    found: set[str] = set()
    for table in (interval, allocation):
        within = (table.c.interval_start >= start) & (table.c.interval_start < end)
        found |= set(connection.scalars(select(table.c.site).where(within).distinct()))
    return sorted(found)


def fold(connection: Connection, piece: Piece) -> int:
    """Fold a piece; how many rows of intervals and allocations it was. Raises `UnsettledError`."""
    here = (interval.c.site == piece.site) & _within(interval, piece)
    rows = connection.execute(select(interval).where(here)).all()
    meters = sorted({row.meter for row in rows})
    for some in _some(meters):
        waiting = select(due.c.meter).where(due.c.meter.in_(some), due.c.since < piece.end).limit(1)
        if meter := connection.scalar(waiting):
            raise UnsettledError(f"{meter}: readings of before {piece.end.isoformat()} are not settled yet")
    parts = connection.execute(
        select(allocation).where(allocation.c.site == piece.site, _within(allocation, piece))
    ).all()
    common = {"site": piece.site, "day_start": piece.start, "day_end": piece.end}
    for table, folded in (
        (meter_day, _meter_days(rows)),
        (peak_day, _peaks([row for row in rows if row.party is None])),
        (allocation_day, _allocation_days(parts)),
    ):
        values = [{**common, **row} for row in folded]
        if values:
            connection.execute(insert(table), values)
    _note_folded(connection, meters, rows, piece.end)
    connection.execute(delete(interval).where(here))
    connection.execute(delete(allocation).where(allocation.c.site == piece.site, _within(allocation, piece)))
    return len(rows) + len(parts)


def _within(table: Any, piece: Piece) -> Any:
    return (table.c.interval_start >= piece.start) & (table.c.interval_start < piece.end)


def _some(meters: Sequence[str]) -> Iterator[Sequence[str]]:
    return (meters[first : first + _METERS_AT_ONCE] for first in range(0, len(meters), _METERS_AT_ONCE))


Known = dict[Any, list[Row[Any]]]
"""Key of an interval → its versions in order."""


def _known(rows: Iterable[Row[Any]], *key: str) -> Known:
    found: Known = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.version):
        found[tuple(getattr(row, name) for name in key)].append(row)
    return found


def _epochs(known: Known) -> tuple[datetime, list[datetime]]:
    """When the first of it was recorded; from when on it was whole, and every instant at which it was changed later."""
    first = [versions[0].recorded_at for versions in known.values()]
    whole = max(first)
    later = {row.recorded_at for versions in known.values() for row in versions if row.recorded_at > whole}
    return min(first), [whole, *sorted(later)]


def _at(known: Known, instant: datetime) -> Iterator[list[Row[Any]]]:
    """The rows of the newest version of each interval that was known at an instant."""
    for versions in known.values():
        newest = max(row.version for row in versions if row.recorded_at <= instant)
        yield [row for row in versions if row.version == newest]


def _meter_days(rows: Sequence[Row[Any]]) -> Iterator[dict[str, Any]]:
    by_meter: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        by_meter[row.meter].append(row)
    for meter, own in sorted(by_meter.items()):
        known = _known(own, "interval_start")
        first, epochs = _epochs(known)
        for version, epoch in enumerate(epochs, 1):
            sums: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
            for (row,) in _at(known, epoch):
                total = sums[row.party or "", row.quality]
                total[0] += 1
                total[1] += row.energy_wh
            for (party, quality), (count, energy_wh) in sorted(sums.items()):
                yield {
                    "meter": meter,
                    "version": version,
                    "party": party,
                    "quality": quality,
                    "intervals": count,
                    "energy_wh": energy_wh,
                    "first_at": first,
                    "recorded_at": epoch,
                }


def _peaks(rows: Sequence[Row[Any]]) -> Iterator[dict[str, Any]]:
    if not rows:
        return
    known = _known(rows, "meter", "interval_start")
    first, epochs = _epochs(known)
    for version, epoch in enumerate(epochs, 1):
        energy: defaultdict[tuple[datetime, int], int] = defaultdict(int)
        for (row,) in _at(known, epoch):
            energy[row.interval_start, row.seconds] += row.energy_wh
        powers = [(-(energy_wh * 3600 // seconds), start) for (start, seconds), energy_wh in energy.items()]
        power, at = min(powers)
        yield {"version": version, "power_w": -power, "at": at, "first_at": first, "recorded_at": epoch}


def _allocation_days(rows: Sequence[Row[Any]]) -> Iterator[dict[str, Any]]:
    if not rows:
        return
    known = _known(rows, "interval_start")
    first, epochs = _epochs(known)
    for version, epoch in enumerate(epochs, 1):
        sums: defaultdict[str, list[int]] = defaultdict(lambda: [0] * 5)
        for parts in _at(known, epoch):
            for row in parts:
                total = sums[row.party]
                total[0] += 1
                total[1] += row.energy_wh
                total[2] += row.estimate_wh or 0
                total[3] += row.estimate_wh is not None
                total[4] += row.energy_wh if row.quality != QUALITIES[0] else 0
        for party, (count, energy_wh, estimate_wh, estimates, uncertain_wh) in sorted(sums.items()):
            yield {
                "version": version,
                "party": party,
                "intervals": count,
                "energy_wh": energy_wh,
                "estimate_wh": estimate_wh,
                "estimates": estimates,
                "uncertain_wh": uncertain_wh,
                "first_at": first,
                "recorded_at": epoch,
            }


def _note_folded(connection: Connection, meters: Sequence[str], rows: Sequence[Row[Any]], end: datetime) -> None:
    """Up to where each meter is folded, and what its last interval there carried on."""
    last: dict[str, Row[Any]] = {}
    for row in rows:
        before = last.get(row.meter)
        if before is None or (row.interval_start, row.version) > (before.interval_start, before.version):
            last[row.meter] = row
    known: dict[str, Any] = {}
    for some in _some(meters):
        known |= {row.meter: row for row in connection.execute(select(settled).where(settled.c.meter.in_(some)))}
    for meter, row in last.items():
        ends = row.interval_start + timedelta(seconds=row.seconds)
        values = {"folded_until": max(ends, end), "remainder": row.remainder if ends >= end else None}
        if meter not in known:
            connection.execute(insert(settled), {"meter": meter, "until": ends, **values})
        elif known[meter].folded_until is None or known[meter].folded_until < values["folded_until"]:
            connection.execute(update(settled).where(settled.c.meter == meter).values(**values))


def folded_meters(connection: Connection, before: datetime) -> list[str]:
    """Meters of which no interval before an instant is in detail, and some are folded."""
    detail = select(interval.c.meter).where(interval.c.interval_start < before).distinct()
    query = select(settled.c.meter).where(settled.c.folded_until <= before, settled.c.meter.not_in(detail))
    return sorted(connection.scalars(query))


def drop_folded_readings(connection: Connection, meters: Sequence[str], before: datetime) -> int:
    """Let go of the readings of folded meters before an instant, but those that the next step begins with."""
    return sum(drop_readings(connection, meter, before) for meter in meters)


def last_detail(connection: Connection) -> datetime | None:
    """When the oldest interval in detail begins."""
    oldest: datetime | None = connection.scalar(select(func.min(interval.c.interval_start)))
    return oldest
