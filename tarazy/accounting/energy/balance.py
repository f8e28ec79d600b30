"""Settle energy in the database: derive each meter's intervals, divide each site's among its parties.

A correction is a new version. Storing what is stored already changes nothing, so every function may be
repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select

from tarazy.accounting.energy.allocation import Part, Sharing, allocate
from tarazy.accounting.energy.figures import SiteInterval, site_intervals, submetered
from tarazy.accounting.energy.intervals import Break, Interval, derive_intervals, floor_to, worst
from tarazy.accounting.energy.meter import Meter
from tarazy.accounting.energy.readings import last_before, steps_since
from tarazy.accounting.energy.tables import allocation, due, interval, reading

Work = Callable[[Connection, str, datetime, datetime], Mapping[str, int]]
"""(connection, site, start, end) → accepted work of each party there in that interval, as weight."""

Efficiency = Callable[[Connection, str, str, datetime], int | None]
"""(connection, site, party, instant) → mJ/TH of the party's machines at the site, None when unknown."""

Rule = Callable[[str, datetime], Sharing]
"""(site, instant) → the rule by which the site's energy is shared."""

_RECHECKED_INTERVALS = 4
MOST_INTERVALS = 2_000
"""Intervals that one settlement derives, give or take those of a site with many meters: about a second of work."""
_LEAST_INTERVALS = 96


@dataclass(frozen=True)
class Settled:
    """What a settlement stored, and the registers it could not believe (each told once)."""

    intervals: int
    allocations: int
    breaks: tuple[tuple[Meter, Break], ...]
    rest: tuple[Meter, ...] = ()
    """Those that are not settled to the end: settle them in the next transaction."""


class Derived(NamedTuple):
    """What became of a meter's intervals."""

    changed: list[datetime]
    """Starts of those that changed."""
    breaks: list[Break]
    """Those that lie in them."""
    passed: int
    """How many were derived, changed or not."""
    complete: bool


def store_intervals(
    connection: Connection, meter: Meter, intervals: Sequence[Interval], recorded_at: datetime
) -> list[datetime]:
    """Store what differs from the latest versions; returns the starts of the intervals that changed.

    An interval stays with the site and party that the meter stood for when it was derived first.
    """
    if not intervals:
        return []
    stored = connection.execute(
        select(interval)
        .where(
            interval.c.meter == meter.meter,
            interval.c.interval_start.between(intervals[0].start, intervals[-1].start),
        )
        .order_by(interval.c.version)
    )
    latest = {row.interval_start: row for row in stored}
    rows: list[dict[str, Any]] = []
    for item in intervals:
        old = latest.get(item.start)
        remainder = str(item.remainder) if item.remainder else None
        if old and (old.seconds, old.energy_wh, old.quality, old.remainder) == (
            item.seconds,
            item.energy_wh,
            item.quality,
            remainder,
        ):
            continue
        rows.append(
            {
                "meter": meter.meter,
                "site": old.site if old else meter.site,
                "party": old.party if old else meter.party,
                "interval_start": item.start,
                "version": old.version + 1 if old else 1,
                "seconds": item.seconds,
                "energy_wh": item.energy_wh,
                "remainder": remainder,
                "quality": item.quality,
                "recorded_at": recorded_at,
            }
        )
    if rows:
        connection.execute(insert(interval), rows)
    return [row["interval_start"] for row in rows]


def derive_meter(
    connection: Connection,
    meter: Meter,
    seconds: int,
    until: datetime,
    recorded_at: datetime,
    most: int = MOST_INTERVALS,
) -> Derived:
    """Derive and store the meter's intervals that have ended by `until`, at most so many.

    Work begins where earlier calls left off, or before that where late readings, corrections or devices call for it.
    """
    start = _begin(connection, meter)
    if start is None:
        return Derived([], [], 0, True)
    start = floor_to(start, seconds)
    stop = min(until, start + timedelta(seconds=most * seconds))
    segments, breaks = steps_since(connection, meter, start - timedelta(seconds=seconds))
    remainder = _remainder(connection, meter.meter, start)
    intervals = list(derive_intervals(segments, start, stop, seconds, remainder))
    changed = store_intervals(connection, meter, intervals, recorded_at)
    complete = stop + timedelta(seconds=seconds) > until
    if not complete:
        connection.execute(insert(due), {"meter": meter.meter, "since": stop, "resumes": True})
    fresh = set(changed)
    told = [item for item in breaks if floor_to(item.after, seconds) in fresh]
    return Derived(changed, told, len(intervals), complete)


def recomputed(
    connection: Connection, meter: Meter, seconds: int, known_at: datetime | None = None
) -> list[tuple[datetime, int, int]]:
    """Intervals whose energy is not what the readings known at an instant give: (start, stored, recomputed) Wh.

    Everything is derived from the first reading on, so what earlier derivations left out or cut wrongly shows.
    """
    query = select(interval.c.interval_start, interval.c.energy_wh).where(interval.c.meter == meter.meter)
    if known_at is not None:
        query = query.where(interval.c.recorded_at <= known_at)
    rows = connection.execute(query.order_by(interval.c.interval_start, interval.c.version)).all()
    stored = {row.interval_start: row.energy_wh for row in rows}
    if not stored:
        return []
    segments, _ = steps_since(connection, meter, None, known_at)
    derived = derive_intervals(segments, min(stored), max(stored) + timedelta(seconds=seconds), seconds)
    fresh = {item.start: item.energy_wh for item in derived}
    return [(start, energy, fresh[start]) for start, energy in stored.items() if energy != fresh[start]]


def _begin(connection: Connection, meter: Meter) -> datetime | None:
    """Where derivation goes on: after the last interval, at the first reading of all when there is none.

    Where something is due before that, at the last believed reading before it: the step from there on may be another
    now. What an earlier call left goes on exactly there.
    """
    key = meter.meter
    stored = select(interval).where(interval.c.meter == key).order_by(interval.c.interval_start.desc()).limit(1)
    last = connection.execute(stored).first()
    start: datetime | None
    if last:
        start = last.interval_start + timedelta(seconds=last.seconds)
    else:
        start = connection.scalar(select(func.min(reading.c.at)).where(reading.c.meter == key))
    calls = connection.execute(select(due).where(due.c.meter == key)).all()
    if calls:
        connection.execute(delete(due).where(due.c.due.in_([row.due for row in calls])))
        starts = [row.since for row in calls if row.resumes] + ([] if start is None else [start])
        if fresh := [row.since for row in calls if not row.resumes]:
            starts.append(_changed_from(connection, meter, min(fresh)))
        start = min(starts)
    return start


def _changed_from(connection: Connection, meter: Meter, since: datetime) -> datetime:
    """From when on steps may be others, now that something is other from `since` on: one may pass over that moment,
    from before readings that are not believed."""
    before = last_before(connection, meter.meter, since) or since
    segments, _ = steps_since(connection, meter, before)
    return min([before, *(segment.start for segment in segments if segment.end >= before)])


def _remainder(connection: Connection, meter: str, start: datetime) -> Fraction:
    """What the interval that ends at `start` carried on."""
    query = (
        select(interval)
        .where(interval.c.meter == meter, interval.c.interval_start < start)
        .order_by(interval.c.interval_start.desc(), interval.c.version.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    ends = row and row.interval_start + timedelta(seconds=row.seconds) == start
    return Fraction(row.remainder or 0) if row and ends else Fraction(0)


def store_allocation(connection: Connection, site: SiteInterval, parts: Iterable[Part], recorded_at: datetime) -> bool:
    """Store a division of `site` as a new version unless the latest says the same. True when stored."""
    here = (allocation.c.site == site.site) & (allocation.c.interval_start == site.start)
    version = connection.scalar(select(func.max(allocation.c.version)).where(here)) or 0
    old = connection.execute(select(allocation).where(here, allocation.c.version == version))
    before = {(row.party, row.energy_wh, row.estimate_wh, row.weight, row.quality) for row in old}
    parts = list(parts)
    if before == {(part.party, part.energy_wh, part.estimate_wh, part.weight, site.quality) for part in parts}:
        return False
    common = {
        "site": site.site,
        "interval_start": site.start,
        "version": version + 1,
        "seconds": site.seconds,
        "quality": site.quality,
        "recorded_at": recorded_at,
    }
    rows = [
        {
            **common,
            "party": part.party,
            "energy_wh": part.energy_wh,
            "estimate_wh": part.estimate_wh,
            "weight": part.weight,
        }
        for part in parts
    ]
    connection.execute(insert(allocation), rows)
    return True


def divide(
    connection: Connection, site: SiteInterval, work: Work, efficiency: Efficiency, rule: Rule, recorded_at: datetime
) -> bool:
    """Divide one interval of a site by the sub-meters and work known now. True when that gave a new version.

    Its quality is the worst of all meters of the site, sub-meters too.
    """
    done = work(connection, site.site, site.start, site.start + timedelta(seconds=site.seconds))
    efficiencies = {party: efficiency(connection, site.site, party, site.start) for party in done}
    own = submetered(connection, site.site, site.start)
    quality = worst((site.quality, *(each.quality for each in own)))
    below: dict[str, int] = {}
    for each in own:
        below[each.party] = below.get(each.party, 0) + each.energy_wh
    sharing = rule(site.site, site.start)
    parts = allocate(site.energy_wh, done, efficiencies, sharing, below, site.seconds)
    return store_allocation(connection, replace(site, quality=quality), parts, recorded_at)


def settle(
    connection: Connection,
    meters: Iterable[Meter],
    seconds: int,
    until: datetime,
    work: Work,
    efficiency: Efficiency,
    recorded_at: datetime,
    rule: Rule = lambda _site, _at: Sharing(),
    most: int = MOST_INTERVALS,
) -> Settled:
    """Derive the meters' intervals that have ended by `until`, and divide those that changed.

    Once about `most` were derived, what remains is left to the next call, in a transaction of its own. The last few
    intervals are divided again each time, because work may reach the ledger after the energy did. `until` should lie
    behind the clock by what readings and work need to arrive.
    """
    recent = floor_to(until, seconds) - timedelta(seconds=_RECHECKED_INTERVALS * seconds)
    by_site: dict[str, list[Meter]] = {}
    for meter in meters:
        by_site.setdefault(meter.site, []).append(meter)
    breaks: list[tuple[Meter, Break]] = []
    rest: list[Meter] = []
    stored = passed = divided = 0
    for site, own in by_site.items():
        if passed >= most:
            rest.extend(own)
            continue
        changed: set[datetime] = set()
        for meter in own:
            derived = derive_meter(
                connection, meter, seconds, until, recorded_at, max(_LEAST_INTERVALS, most // len(own))
            )
            changed.update(derived.changed)
            stored += len(derived.changed)
            passed += derived.passed
            breaks.extend((meter, item) for item in derived.breaks)
            if not derived.complete:
                rest.append(meter)
        for item in site_intervals(connection, min({*changed, recent}), until, site=site):
            if item.start >= recent or item.start in changed:
                divided += divide(connection, item, work, efficiency, rule, recorded_at)
    return Settled(stored, divided, tuple(breaks), tuple(rest))
