"""Where the energy of a site's days is told: by intervals, by figures of the day, or by both alike.

Intervals and allocations are stored through here, so that a day's figures never outlive what they sum up.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, or_, select, update

from tarazy.accounting.energy.tables import allocation, allocation_day, interval, meter_day, peak_day, site_day
from tarazy.config.law.calendar import day_start, legal_day

State = Literal["open", "summed", "folded"]

FIGURES = (meter_day, peak_day, allocation_day)


@dataclass(frozen=True, slots=True)
class Piece:
    """What begins in [start, end), on one legal day, at one site."""

    site: str
    start: datetime
    end: datetime


def append_intervals(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Store rows of intervals."""
    _append(connection, interval, rows)


def append_allocations(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Store rows of allocations."""
    _append(connection, allocation, rows)


def _append(connection: Connection, table: Any, rows: Sequence[dict[str, Any]]) -> None:
    starts: defaultdict[str, set[datetime]] = defaultdict(set)
    for row in rows:
        starts[row["site"]].add(row["interval_start"])
    for site, changed in sorted(starts.items()):
        _open(connection, site, changed)
    if rows:
        connection.execute(insert(table), rows)


def _open(connection: Connection, site: str, changed: Collection[datetime]) -> None:
    """Open the days of a site that hold these instants; one of which nothing was told begins."""
    first, last = min(changed), max(changed)
    days = _rows(connection, site, day_start(legal_day(first)), day_start(legal_day(last) + timedelta(days=1)))
    ends = [row.day_end for row in days]
    fresh: dict[datetime, datetime] = {}
    stale: dict[datetime, Row[Any]] = {}
    for at in changed:
        place = bisect_right(ends, at)
        after = days[place] if place < len(days) else None
        if after is not None and after.day_start <= at:
            if after.state == "summed":
                stale[after.day_start] = after
            continue
        since, until = day_start(legal_day(at)), day_start(legal_day(at) + timedelta(days=1))
        since = max([since, *ends[place - 1 : place]]) if place else since
        fresh[since] = until if after is None else min(until, after.day_start)
    for row in stale.values():
        _drop_figures(connection, row)
        here = (site_day.c.site == site) & (site_day.c.day_start == row.day_start)
        connection.execute(update(site_day).where(here).values(state="open", whole_at=None))
    if fresh:
        rows = [{"site": site, "day_start": since, "day_end": until, "state": "open"} for since, until in fresh.items()]
        connection.execute(insert(site_day), rows)


def _rows(connection: Connection, site: str, start: datetime, end: datetime) -> Sequence[Row[Any]]:
    """The days of a site that reach into [start, end), in order; nobody else changes them until this is committed."""
    here = and_(site_day.c.site == site, site_day.c.day_end > start, site_day.c.day_start < end)
    return connection.execute(select(site_day).where(here).order_by(site_day.c.day_start).with_for_update()).all()


def _drop_figures(connection: Connection, day: Row[Any]) -> None:
    """Take the figures of a day away."""
    for table in FIGURES:
        connection.execute(delete(table).where(table.c.site == day.site, table.c.day_start == day.day_start))


def claim(connection: Connection, piece: Piece) -> None:
    """Make a piece a day of its own, open and without figures; what else its day held is open as well."""
    rows = _rows(connection, piece.site, piece.start, piece.end)
    if any(row.state == "folded" for row in rows):
        raise ValueError(f"{piece.site}: some of {piece.start.isoformat()} is folded already")
    for row in rows:
        _drop_figures(connection, row)
    bounds = sorted({piece.start, piece.end, *(row.day_start for row in rows), *(row.day_end for row in rows)})
    first = [row.day_start for row in rows]
    connection.execute(delete(site_day).where(site_day.c.site == piece.site, site_day.c.day_start.in_(first)))
    opened = [
        {"site": piece.site, "day_start": start, "day_end": end, "state": "open"} for start, end in pairwise(bounds)
    ]
    connection.execute(insert(site_day), opened)


def set_state(connection: Connection, piece: Piece, state: State, whole_at: datetime | None) -> None:
    """Say how a day is told now."""
    here = (site_day.c.site == piece.site) & (site_day.c.day_start == piece.start)
    connection.execute(update(site_day).where(here).values(state=state, whole_at=whole_at))


def pieces(
    connection: Connection,
    start: datetime,
    end: datetime,
    cuts: Collection[datetime] = (),
    *,
    summed: bool = True,
) -> Iterator[Piece]:
    """What is in detail in [start, end), parted at `cuts` as well, in order of time.

    Without `summed` only what is still to be summed: open days, and those of which a cut lies inside.
    """
    within = and_(site_day.c.state != "folded", site_day.c.day_end > start, site_day.c.day_start < end)
    marks = sorted(cuts)
    for row in connection.execute(select(site_day).where(within).order_by(site_day.c.day_start, site_day.c.site)).all():
        inside = marks[bisect_right(marks, row.day_start) :]
        inside = inside[: bisect_right(inside, row.day_end)]
        bounds = sorted({row.day_start, row.day_end, *inside})
        if not summed and row.state == "summed" and len(bounds) == 2:
            continue
        for since, until in pairwise(bounds):
            if since >= start and until <= end:
                yield Piece(row.site, since, until)


def sites(connection: Connection, start: datetime, end: datetime) -> list[str]:
    """Sites of which something is told in [start, end)."""
    within = (site_day.c.day_end > start) & (site_day.c.day_start < end)
    return list(connection.scalars(select(site_day.c.site).where(within).distinct().order_by(site_day.c.site)))


def told_by_day(start: datetime, end: datetime, known_at: datetime | None) -> ColumnElement[bool]:
    """Whether the figures of a day in [start, end) tell it, as known at an instant.

    Those of a summed one do when it lies in that time as a whole, and was whole when it was known.
    """
    whole = and_(site_day.c.day_start >= start, site_day.c.day_end <= end)
    summed = site_day.c.state == "summed"
    if known_at is not None:
        summed &= site_day.c.whole_at <= known_at
    return whole & or_(site_day.c.state == "folded", summed)


def spans_in_detail(
    connection: Connection, site: str, start: datetime, end: datetime, untold: ColumnElement[bool]
) -> Iterator[tuple[datetime, datetime]]:
    """The longest spans of [start, end) of which the intervals tell: of days in detail that are `untold` otherwise."""
    within = (site_day.c.site == site) & (site_day.c.day_end > start) & (site_day.c.day_start < end)
    query = select(site_day.c.day_start, site_day.c.day_end).where(within, site_day.c.state != "folded", untold)
    since = until = start
    for row in connection.execute(query.order_by(site_day.c.day_start)).all():
        if row.day_start > until:
            if until > since:
                yield since, until
            since = max(start, row.day_start)
        until = min(end, row.day_end)
    if until > since:
        yield since, until


def sites_folded_until(connection: Connection, sites: Iterable[str]) -> dict[str, datetime]:
    """Site → up to where only figures of days are left of it, where that is so."""
    folded = (site_day.c.state == "folded") & site_day.c.site.in_(list(sites))
    query = select(site_day.c.site, func.max(site_day.c.day_end).label("until")).where(folded).group_by(site_day.c.site)
    return {row.site: row.until for row in connection.execute(query)}


def last_detail(connection: Connection) -> datetime | None:
    """When the oldest day in detail begins."""
    oldest: datetime | None = connection.scalar(
        select(func.min(site_day.c.day_start)).where(site_day.c.state != "folded")
    )
    return oldest
