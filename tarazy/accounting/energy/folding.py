"""Sum the intervals of a site's days up into figures of the day, with every version that was known of it; fold them.

A piece is a legal day, or a part of one between two instants at which the registers change: whatever asks for a period
whose bounds are among those gets from the figures what the intervals give. Summed up, both stay; folded, the figures
alone. Each call does one whole thing in the caller's transaction, so that whatever is killed whenever, the figures of a
piece are all there or none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, insert, select, update

from tarazy.accounting.energy.intervals import QUALITIES
from tarazy.accounting.energy.recording import drop_readings
from tarazy.accounting.energy.site_days import Piece, claim, set_state
from tarazy.accounting.energy.tables import allocation, allocation_day, due, interval, meter_day, peak_day, settled

_METERS_AT_ONCE = 200


class UnsettledError(Exception):
    """A piece has something that is still to be derived, so it is not folded yet."""


def sum_up(connection: Connection, piece: Piece) -> int:
    """Sum a piece up; how many rows of intervals and allocations it was."""
    claim(connection, piece)
    rows, parts = _detail(connection, piece)
    _store_figures(connection, piece, rows, parts)
    set_state(connection, piece, "summed", _whole_at(piece, rows, parts))
    return len(rows) + len(parts)


def fold(connection: Connection, piece: Piece) -> int:
    """Fold a piece; how many rows of intervals and allocations it was. Raises `UnsettledError`: then roll back."""
    claim(connection, piece)
    rows, parts = _detail(connection, piece)
    meters = sorted({row.meter for row in rows})
    for some in _some(meters):
        waiting = select(due.c.meter).where(due.c.meter.in_(some), due.c.since < piece.end).limit(1)
        if meter := connection.scalar(waiting):
            raise UnsettledError(f"{meter}: readings of before {piece.end.isoformat()} are not settled yet")
    _store_figures(connection, piece, rows, parts)
    set_state(connection, piece, "folded", _whole_at(piece, rows, parts))
    _note_folded(connection, meters, rows, piece.end)
    for table in _DETAIL:
        connection.execute(delete(table).where(_within(table, piece)))
    return len(rows) + len(parts)


def _detail(connection: Connection, piece: Piece) -> tuple[Sequence[Row[Any]], Sequence[Row[Any]]]:
    """The rows of its intervals and of its allocations."""
    rows, parts = (connection.execute(select(table).where(_within(table, piece))).all() for table in _DETAIL)
    return rows, parts


def _store_figures(connection: Connection, piece: Piece, rows: Sequence[Row[Any]], parts: Sequence[Row[Any]]) -> None:
    common = {"site": piece.site, "day_start": piece.start, "day_end": piece.end}
    for table, figures in (
        (meter_day, _meter_days(rows)),
        (peak_day, _peaks([row for row in rows if row.party is None])),
        (allocation_day, _allocation_days(parts)),
    ):
        values = [{**common, **row} for row in figures]
        if values:
            connection.execute(insert(table), values)


def _whole_at(piece: Piece, *tables: Sequence[Row[Any]]) -> datetime:
    """When the last of it was recorded first."""
    return max((row.recorded_at for rows in tables for row in rows if row.version == 1), default=piece.start)


_DETAIL = (interval, allocation)


def _within(table: Any, piece: Piece) -> Any:
    begins = table.c.interval_start
    return (table.c.site == piece.site) & (begins >= piece.start) & (begins < piece.end)


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
    earlier = (interval.c.meter == settled.c.meter) & (interval.c.interval_start < before)
    folded = (settled.c.folded_until <= before) & ~exists(select(interval.c.meter).where(earlier))
    return sorted(connection.scalars(select(settled.c.meter).where(folded)))


def drop_folded_readings(connection: Connection, meters: Sequence[str], before: datetime) -> int:
    """Let go of the readings of folded meters before an instant, but those that the next step begins with."""
    return sum(drop_readings(connection, meter, before) for meter in meters)
