"""Settle energy in the database: derive each meter's intervals, divide each site's among its parties.

A correction is a new version. Storing what is stored already changes nothing, so every function may be
repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, select, update

from tarazy.accounting.energy.allocation import Part, Sharing, allocate
from tarazy.accounting.energy.calls import Call, answer, calls_for
from tarazy.accounting.energy.figures import SiteInterval, site_intervals, submetered
from tarazy.accounting.energy.intervals import Break, Interval, Segment, derive_intervals, floor_to, worst
from tarazy.accounting.energy.meter import Meter
from tarazy.accounting.energy.site_days import append_allocations, append_intervals, sites_folded_until
from tarazy.accounting.energy.steps import steps_of, steps_since
from tarazy.accounting.energy.tables import allocation, due, interval, reading, settled

Work = Callable[[Connection, str, datetime, datetime], Mapping[str, int]]
"""(connection, site, start, end) → accepted work of each party there in that interval, as weight."""

Efficiency = Callable[[Connection, str, str, datetime], int | None]
"""(connection, site, party, instant) → mJ/TH of the party's machines at the site, None when unknown."""

Rule = Callable[[str, datetime], Sharing]
"""(site, instant) → the rule by which the site's energy is shared."""

_RECHECKED_INTERVALS = 4
MOST_INTERVALS = 1_000
"""Intervals that one settlement derives, give or take those of a site with many meters: about half a second of work."""
_LEAST_INTERVALS = 96
_METERS_AT_ONCE = 200
_BACKLOG_AT_ONCE = 20_000
"""Intervals of all meters together whose readings are held at once."""


@dataclass(frozen=True)
class Settled:
    """What a settlement stored, and the registers it could not believe (each told once)."""

    intervals: int
    allocations: int
    breaks: tuple[tuple[Meter, Break], ...]
    rest: tuple[Meter, ...] = ()
    """Those that are not settled to the end: settle them in the next transaction."""


class _Derived(NamedTuple):
    """What became of a meter's intervals."""

    changed: list[datetime]
    """Starts of those that changed."""
    breaks: list[Break]
    """Those that lie in them."""
    complete: bool


_NOTHING = _Derived([], [], True)


def store_intervals(
    connection: Connection, derived: Sequence[tuple[Meter, Sequence[Interval]]], recorded_at: datetime
) -> dict[str, list[datetime]]:
    """Store what differs from the latest versions; meter → the starts of its intervals that changed.

    An interval stays with the site and party that its meter stood for when it was derived first.
    """
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
    append_intervals(connection, rows)
    return changed


@dataclass(frozen=True, slots=True)
class _Todo:
    """What is to be derived of a meter."""

    meter: Meter
    start: datetime
    folded: datetime | None
    changed: datetime | None
    """The good reading from which on steps may be others; one may pass over it, from before readings not believed."""
    calls: tuple[Call, ...]
    until: datetime
    most: int

    def stop(self, seconds: int) -> datetime:
        return min(self.until, self.start + timedelta(seconds=self.most * seconds))

    def intervals(self, seconds: int) -> int:
        return max(0, (self.stop(seconds) - self.start) // timedelta(seconds=seconds))

    def begun(self, segments: Iterable[Segment], seconds: int) -> _Todo:
        """The same from where the first of these steps begins that may be another now."""
        if self.changed is None:
            return self
        first = min([self.start, *(each.start for each in segments if each.end >= self.changed)])
        first = first if self.folded is None else max(first, self.folded)
        return replace(self, start=min(self.start, floor_to(first, seconds)))


def _todos(
    connection: Connection, meters: Sequence[Meter], seconds: int, until: datetime, most: Mapping[Meter, int]
) -> list[_Todo]:
    """What is to be derived of each of some meters: after its last interval, from its first reading when it has none.

    Where something is due before that, from the last believed reading before it: the step from there on may be another
    now. What an earlier call left goes on exactly there. Nothing begins before what is folded. A meter of which no
    interval has ended is left out, and what is due of it is kept.
    """
    keys = [meter.meter for meter in meters]
    rows = connection.execute(select(settled).where(settled.c.meter.in_(keys))).all()
    ends = {row.meter: row.until for row in rows}
    at_sites = sites_folded_until(connection, {meter.site for meter in meters})
    folded = {meter.meter: at_sites[meter.site] for meter in meters if meter.site in at_sites}
    folded |= {row.meter: row.folded_until for row in rows if row.folded_until is not None}
    calls = calls_for(connection, keys)
    found: list[_Todo] = []
    needless: list[Call] = []
    for meter in meters:
        own = calls.get(meter.meter, [])
        changed = min((call.begins for call in own if not call.resumes), default=None)
        starts = [call.since for call in own if call.resumes]
        starts += [start for start in (ends.get(meter.meter) or _first(connection, meter.meter), changed) if start]
        if not starts:
            continue
        limit = folded.get(meter.meter)
        start = floor_to(min(starts) if limit is None else max(min(starts), limit), seconds)
        todo = _Todo(meter, start, limit, changed, tuple(own), until, most[meter])
        if todo.intervals(seconds):
            found.append(todo)
        else:
            needless += _needless(own)
    answer(connection, needless)
    return found


def _needless(calls: Sequence[Call]) -> Iterable[Call]:
    """What calls for no more than others of a meter do."""
    for resumes in (False, True):
        own = sorted((call for call in calls if call.resumes is resumes), key=lambda call: (call.since, call.number))
        yield from own[1:]


def _derive(connection: Connection, todos: Sequence[_Todo], seconds: int, recorded_at: datetime) -> dict[str, _Derived]:
    """Do it, for those that begin at one instant together."""
    found: dict[str, _Derived] = {}
    answer(connection, [call for todo in todos for call in todo.calls])
    earlier: list[_Todo] = []
    for together in _together(todos, seconds):
        steps = _steps(connection, together, seconds)
        begun = [todo.begun(steps[todo.meter.meter][0], seconds) for todo in together]
        here = [todo for todo in begun if todo.start == together[0].start]
        earlier += [todo for todo in begun if todo.start != together[0].start]
        found |= _derive_together(connection, here, steps, seconds, recorded_at)
    for together in _together(earlier, seconds):
        steps = _steps(connection, together, seconds)
        found |= _derive_together(connection, together, steps, seconds, recorded_at)
    return found


def _together(todos: Iterable[_Todo], seconds: int) -> Iterator[list[_Todo]]:
    """Those of one start and end, as many as their readings may be held at once."""
    groups: dict[tuple[datetime, datetime], list[_Todo]] = {}
    for todo in todos:
        groups.setdefault((todo.start, todo.stop(seconds)), []).append(todo)
    for group in groups.values():
        backlog = (group[0].until - group[0].start) // timedelta(seconds=seconds)
        at_once = min(_METERS_AT_ONCE, max(1, _BACKLOG_AT_ONCE // max(1, backlog)))
        for first in range(0, len(group), at_once):
            yield group[first : first + at_once]


def _steps(
    connection: Connection, together: Sequence[_Todo], seconds: int
) -> dict[str, tuple[list[Segment], list[Break]]]:
    since = together[0].start - timedelta(seconds=seconds)
    return steps_of(connection, [todo.meter for todo in together], since)


def _derive_together(
    connection: Connection,
    todos: Sequence[_Todo],
    steps: Mapping[str, tuple[list[Segment], list[Break]]],
    seconds: int,
    recorded_at: datetime,
) -> dict[str, _Derived]:
    """Derive meters that begin and end together."""
    if not todos:
        return {}
    start, stop = todos[0].start, todos[0].stop(seconds)
    keys = [todo.meter.meter for todo in todos]
    remainders = _remainders(connection, keys, start, seconds)
    derived = [
        (todo.meter, list(derive_intervals(steps[key][0], start, stop, seconds, remainders[key])))
        for key, todo in zip(keys, todos, strict=True)
    ]
    complete = stop + timedelta(seconds=seconds) > todos[0].until
    if not complete:
        connection.execute(insert(due), [{"meter": key, "since": stop, "resumes": True} for key in keys])
    _note_settled(connection, keys, floor_to(stop, seconds))
    stored = store_intervals(connection, derived, recorded_at)
    found: dict[str, _Derived] = {}
    for key, changed in stored.items():
        fresh = set(changed)
        told = [item for item in steps[key][1] if floor_to(item.after, seconds) in fresh]
        found[key] = _Derived(changed, told, complete)
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


def _first(connection: Connection, meter: str) -> datetime | None:
    """How far a meter is of which nobody noted it: after its last interval, or at its first reading."""
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
    append_allocations(connection, rows)
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
    breaks: list[tuple[Meter, Break]] = []
    meters = list(meters)
    rest: set[Meter] = set()
    stored = passed = divided = 0
    for sites in _sites_at_once(meters):
        if passed >= most:
            rest.update(meter for own in sites for meter in own)
            continue
        limits = {meter: max(_LEAST_INTERVALS, most // len(own)) for own in sites for meter in own}
        todos = {each.meter: each for each in _todos(connection, list(limits), seconds, until, limits)}
        chosen: list[list[Meter]] = []
        for own in sites:
            needed = sum(todos[meter].intervals(seconds) for meter in own if meter in todos)
            if passed and needed and passed + needed > most:
                rest.update(own)
            else:
                chosen.append(own)
                passed += needed
        now = [todos[meter] for own in chosen for meter in own if meter in todos]
        derived = _derive(connection, now, seconds, recorded_at)
        for own in chosen:
            changed: set[datetime] = set()
            for meter in own:
                told = derived.get(meter.meter, _NOTHING)
                changed.update(told.changed)
                stored += len(told.changed)
                breaks.extend((meter, item) for item in told.breaks)
                if not told.complete:
                    rest.add(meter)
            for item in site_intervals(connection, min({*changed, recent}), until, site=own[0].site):
                if item.start >= recent or item.start in changed:
                    divided += divide(connection, item, work, efficiency, rule, recorded_at)
    return Settled(stored, divided, tuple(breaks), tuple(meter for meter in meters if meter in rest))


def _sites_at_once(meters: Iterable[Meter]) -> Iterator[list[list[Meter]]]:
    """The meters by site, some sites at a time: none is parted, so that each interval of it is divided once."""
    by_site: dict[str, list[Meter]] = {}
    for meter in meters:
        by_site.setdefault(meter.site, []).append(meter)
    some: list[list[Meter]] = []
    for own in by_site.values():
        if some and sum(map(len, some)) + len(own) > _METERS_AT_ONCE:
            yield some
            some = []
        some.append(own)
    if some:
        yield some
