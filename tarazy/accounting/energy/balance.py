"""Settle energy in the database: derive each meter's intervals, divide each site's among its parties.

A correction is a new version. Storing what is stored already changes nothing, so every function may be
repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from tarazy.accounting.energy.allocation import Part, Sharing, allocate
from tarazy.accounting.energy.figures import SiteInterval, site_intervals, submetered
from tarazy.accounting.energy.intervals import Break, Interval, derive_intervals, floor_to, worst
from tarazy.accounting.energy.meter import Meter
from tarazy.accounting.energy.readings import calls_for, steps_of, steps_since
from tarazy.accounting.energy.tables import allocation, interval, reading, settled

Work = Callable[[Connection, str, datetime, datetime], Mapping[str, int]]
"""(connection, site, start, end) → accepted work of each party there in that interval, as weight."""

Efficiency = Callable[[Connection, str, str, datetime], int | None]
"""(connection, site, party, instant) → mJ/TH of the party's machines at the site, None when unknown."""

Rule = Callable[[str, datetime], Sharing]
"""(site, instant) → the rule by which the site's energy is shared."""

_RECHECKED_INTERVALS = 4
_METERS_AT_ONCE = 200


@dataclass(frozen=True)
class Settled:
    """What a settlement stored, and the registers it could not believe (each told once)."""

    intervals: int
    allocations: int
    breaks: tuple[tuple[Meter, Break], ...]


def store_intervals(
    connection: Connection, meter: Meter, intervals: Sequence[Interval], recorded_at: datetime
) -> list[datetime]:
    """Store what differs from the latest versions; returns the starts of the intervals that changed.

    An interval stays with the site and party that the meter stood for when it was derived first.
    """
    return _store(connection, [(meter, intervals)], recorded_at)[meter.meter]


def _store(
    connection: Connection, derived: Sequence[tuple[Meter, Sequence[Interval]]], recorded_at: datetime
) -> dict[str, list[datetime]]:
    """The same of several meters."""
    changed: dict[str, list[datetime]] = {meter.meter: [] for meter, _ in derived}
    starts = [intervals[0].start for _, intervals in derived if intervals]
    if not starts:
        return changed
    stored = connection.execute(
        select(interval)
        .where(interval.c.meter.in_(list(changed)), interval.c.interval_start >= min(starts))
        .order_by(interval.c.version)
    )
    latest = {(row.meter, row.interval_start): row for row in stored}
    rows: list[dict[str, Any]] = []
    for meter, intervals in derived:
        for item in intervals:
            old = latest.get((meter.meter, item.start))
            remainder = str(item.remainder) if item.remainder else None
            if old and (old.seconds, old.energy_wh, old.quality, old.remainder) == (
                item.seconds,
                item.energy_wh,
                item.quality,
                remainder,
            ):
                continue
            changed[meter.meter].append(item.start)
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
    return changed


Derived = tuple[list[datetime], list[Break]]
"""Starts of the intervals that changed, and the breaks that lie in them."""


def derive_meter(connection: Connection, meter: Meter, seconds: int, until: datetime, recorded_at: datetime) -> Derived:
    """Derive and store the meter's intervals that have ended by `until`.

    Work begins where earlier calls left off, or before that where late readings, corrections or devices call for it.
    """
    return derive_meters(connection, [meter], seconds, until, recorded_at).get(meter.meter, ([], []))


def derive_meters(
    connection: Connection, meters: Sequence[Meter], seconds: int, until: datetime, recorded_at: datetime
) -> dict[str, Derived]:
    """The same for many meters, those that begin at one instant together. One with nothing to do is left out."""
    found: dict[str, Derived] = {}
    for first in range(0, len(meters), _METERS_AT_ONCE):
        some = meters[first : first + _METERS_AT_ONCE]
        begun: dict[datetime, list[Meter]] = {}
        for meter, start in _begins(connection, some).items():
            begun.setdefault(floor_to(start, seconds), []).append(meter)
        for start, together in begun.items():
            if start + timedelta(seconds=seconds) <= until:
                found |= _derive_from(connection, together, start, seconds, until, recorded_at)
    return found


def _derive_from(
    connection: Connection,
    meters: Sequence[Meter],
    start: datetime,
    seconds: int,
    until: datetime,
    recorded_at: datetime,
) -> dict[str, Derived]:
    steps = steps_of(connection, meters, start - timedelta(seconds=seconds))
    remainders = _remainders(connection, [meter.meter for meter in meters], start, seconds)
    derived = [
        (meter, list(derive_intervals(steps[meter.meter][0], start, until, seconds, remainders[meter.meter])))
        for meter in meters
    ]
    found: dict[str, Derived] = {}
    for key, changed in _store(connection, derived, recorded_at).items():
        fresh = set(changed)
        found[key] = changed, [item for item in steps[key][1] if floor_to(item.after, seconds) in fresh]
    _note_settled(connection, [meter.meter for meter in meters], floor_to(until, seconds))
    return found


def recomputed(
    connection: Connection, meter: Meter, seconds: int, known_at: datetime | None = None
) -> list[tuple[datetime, int, int]]:
    """Intervals whose energy is not what the readings known at an instant give: (start, stored, recomputed) Wh.

    All that is not folded is derived from the first reading on, so what earlier derivations left out or cut shows.
    """
    query = select(interval.c.interval_start, interval.c.energy_wh).where(interval.c.meter == meter.meter)
    if known_at is not None:
        query = query.where(interval.c.recorded_at <= known_at)
    rows = connection.execute(query.order_by(interval.c.interval_start, interval.c.version)).all()
    stored = {row.interval_start: row.energy_wh for row in rows}
    if not stored:
        return []
    segments, _ = steps_since(connection, meter, None, known_at)
    first, after = min(stored), max(stored) + timedelta(seconds=seconds)
    derived = derive_intervals(segments, first, after, seconds, _remainder(connection, meter.meter, first))
    fresh = {item.start: item.energy_wh for item in derived}
    return [(start, energy, fresh[start]) for start, energy in stored.items() if energy != fresh[start]]


def _begins(connection: Connection, meters: Sequence[Meter]) -> dict[Meter, datetime]:
    """Where derivation of each goes on: after its last interval, at the first reading of all when there is none.

    Where something calls for it before that, there, but never before what is folded.
    """
    keys = [meter.meter for meter in meters]
    rows = connection.execute(select(settled).where(settled.c.meter.in_(keys))).all()
    until = {row.meter: row.until for row in rows}
    folded = {row.meter: row.folded_until for row in rows if row.folded_until is not None}
    calls = calls_for(connection, keys)
    found: dict[Meter, datetime] = {}
    for meter in meters:
        start = until.get(meter.meter) or _first(connection, meter.meter)
        called = calls.get(meter.meter)
        if start is not None:
            start = start if called is None else min(start, called)
            found[meter] = max(start, folded.get(meter.meter, start))
    return found


def _first(connection: Connection, meter: str) -> datetime | None:
    """The same for a meter of which nobody noted how far it is."""
    stored = select(interval).where(interval.c.meter == meter).order_by(interval.c.interval_start.desc()).limit(1)
    last = connection.execute(stored).first()
    if last:
        end: datetime = last.interval_start + timedelta(seconds=last.seconds)
        return end
    start: datetime | None = connection.scalar(select(func.min(reading.c.at)).where(reading.c.meter == meter))
    return start


def _note_settled(connection: Connection, meters: Sequence[str], until: datetime) -> None:
    here = settled.c.meter.in_(meters)
    known = set(connection.scalars(select(settled.c.meter).where(here)))
    connection.execute(update(settled).where(here, settled.c.until < until).values(until=until))
    fresh = [{"meter": meter, "until": until} for meter in meters if meter not in known]
    if fresh:
        connection.execute(insert(settled), fresh)


def _remainders(connection: Connection, meters: Sequence[str], start: datetime, seconds: int) -> dict[str, Fraction]:
    """What the intervals that end at `start` carried on."""
    query = (
        select(interval.c.meter, interval.c.remainder)
        .where(
            interval.c.meter.in_(meters),
            interval.c.interval_start == start - timedelta(seconds=seconds),
            interval.c.seconds == seconds,
        )
        .order_by(interval.c.version)
    )
    found = {row.meter: Fraction(row.remainder or 0) for row in connection.execute(query)}
    for meter in meters:
        if meter not in found:
            found[meter] = _remainder(connection, meter, start)
    return found


def _remainder(connection: Connection, meter: str, start: datetime) -> Fraction:
    """The same after an interval of another length, or a folded one."""
    query = (
        select(interval)
        .where(interval.c.meter == meter, interval.c.interval_start < start)
        .order_by(interval.c.interval_start.desc(), interval.c.version.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    if row is None:
        folded = select(settled.c.remainder).where(settled.c.meter == meter, settled.c.folded_until == start)
        return Fraction(connection.scalar(folded) or 0)
    ends = row.interval_start + timedelta(seconds=row.seconds) == start
    return Fraction(row.remainder or 0) if ends else Fraction(0)


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
) -> Settled:
    """Derive every meter's intervals that have ended by `until`, and divide those that changed.

    The last few intervals are divided again each time, because work may reach the ledger after the
    energy did. `until` should lie behind the clock by what readings and work need to arrive.
    """
    recent = floor_to(until, seconds) - timedelta(seconds=_RECHECKED_INTERVALS * seconds)
    starts: dict[str, set[datetime]] = {}
    breaks: list[tuple[Meter, Break]] = []
    derived = 0
    meters = list(meters)
    told = derive_meters(connection, meters, seconds, until, recorded_at)
    for meter in meters:
        changed, found = told.get(meter.meter, ([], []))
        derived += len(changed)
        breaks.extend((meter, item) for item in found)
        starts.setdefault(meter.site, set()).update(changed)
    divided = 0
    for site, changed_here in starts.items():
        first = min({*changed_here, recent})
        for item in site_intervals(connection, first, until, site=site):
            if item.start >= recent or item.start in changed_here:
                divided += divide(connection, item, work, efficiency, rule, recorded_at)
    return Settled(derived, divided, tuple(breaks))
