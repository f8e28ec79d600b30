"""Energy figures of a period, as they were known at an instant (invariant 6). All bounds are [start, end)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, ColumnElement, Connection, FromClause, Select, Table, and_, case, func, select, true

from tarazy.accounting.energy.intervals import Quality, worst
from tarazy.accounting.energy.tables import allocation, interval

_MAIN = interval.c.party.is_(None)
"""What a sub-meter gives is in its site's main meters already."""


@dataclass(frozen=True)
class Place:
    """A site by itself: what is asked of it costs what it has, however large the pool is."""

    site: str
    meters: Collection[str]
    """Every meter that ever stood there, by which its intervals are found."""


@dataclass(frozen=True)
class SiteInterval:
    """Watt-hours of the main meters of a site in one interval, with the worst of their qualities."""

    site: str
    start: datetime
    seconds: int
    energy_wh: int
    quality: Quality


@dataclass(frozen=True)
class SubMetered:
    """Watt-hours of one sub-meter in one interval, and whose machines it measures."""

    party: str
    energy_wh: int
    quality: Quality


@dataclass(frozen=True)
class Energy:
    """Watt-hours of a party at a site: allocated, and estimated from its work (None: partly unknown).

    `uncertain_wh` is the part of `energy_wh` from intervals whose quality is estimated or missing.
    """

    energy_wh: int
    estimate_wh: int | None
    uncertain_wh: int


@dataclass(frozen=True)
class MeterInterval:
    """Watt-hours of one meter in one interval, in the newest version."""

    start: datetime
    seconds: int
    energy_wh: int
    quality: Quality
    version: int


@dataclass(frozen=True)
class MeterEnergy:
    """Watt-hours of one meter, and how many intervals of each quality they come from."""

    energy_wh: int
    intervals: dict[Quality, int]


def _within(table: Table, place: Place | None) -> ColumnElement[bool]:
    if place is None:
        return true()
    here = table.c.site == place.site
    return here & table.c.meter.in_(place.meters) if table is interval else here


def _latest(
    table: Table,
    key: Column[str],
    start: datetime,
    end: datetime,
    known_at: datetime | None,
    place: Place | None = None,
) -> FromClause:
    """The rows of the newest version of each (key, interval_start) in the period."""
    query: Select[tuple[object, ...]] = (
        select(key, table.c.interval_start, func.max(table.c.version).label("version"))
        .where(table.c.interval_start >= start, table.c.interval_start < end, _within(table, place))
        .group_by(key, table.c.interval_start)
    )
    if known_at is not None:
        query = query.where(table.c.recorded_at <= known_at)
    newest = query.subquery()
    matches = and_(
        key == newest.c[key.name],
        table.c.interval_start == newest.c.interval_start,
        table.c.version == newest.c.version,
    )
    return table.join(newest, matches)


def site_intervals(
    connection: Connection,
    start: datetime,
    end: datetime,
    known_at: datetime | None = None,
    site: str | None = None,
    place: Place | None = None,
) -> list[SiteInterval]:
    """Every interval of every site (or of `site`, or `place`), summed over its main meters, by site and start."""
    source = _latest(interval, interval.c.meter, start, end, known_at, place)
    query = select(interval).select_from(source).where(_MAIN)
    if site is not None:
        query = query.where(interval.c.site == site)
    found: dict[tuple[str, datetime], SiteInterval] = {}
    for row in connection.execute(query.order_by(interval.c.site, interval.c.interval_start)):
        key = (row.site, row.interval_start)
        before = found.get(key)
        energy = row.energy_wh + (before.energy_wh if before else 0)
        quality = worst((row.quality, before.quality)) if before else row.quality
        found[key] = SiteInterval(row.site, row.interval_start, row.seconds, energy, quality)
    return list(found.values())


def submetered(connection: Connection, site: str, start: datetime) -> list[SubMetered]:
    """The newest version of what each sub-meter of a site gave in the interval that begins at `start`."""
    here = (interval.c.site == site) & (interval.c.interval_start == start) & interval.c.party.is_not(None)
    rows = connection.execute(select(interval).where(here).order_by(interval.c.meter, interval.c.version))
    newest = {row.meter: SubMetered(row.party, row.energy_wh, row.quality) for row in rows}
    return list(newest.values())


def submetered_parties(connection: Connection, start: datetime, end: datetime, place: Place) -> set[str]:
    """Whose machines at a place a sub-meter told of in the period."""
    during = (interval.c.interval_start >= start) & (interval.c.interval_start < end)
    query = select(interval.c.party).where(_within(interval, place), during, interval.c.party.is_not(None)).distinct()
    return set(connection.scalars(query))


def meter_intervals(
    connection: Connection, meter: str, start: datetime, end: datetime, known_at: datetime | None = None
) -> list[MeterInterval]:
    """The intervals of one meter in order."""
    source = _latest(interval, interval.c.meter, start, end, known_at)
    query = select(interval).select_from(source).where(interval.c.meter == meter).order_by(interval.c.interval_start)
    return [
        MeterInterval(row.interval_start, row.seconds, row.energy_wh, row.quality, row.version)
        for row in connection.execute(query)
    ]


def party_intervals(
    connection: Connection, party: str, start: datetime, end: datetime, place: Place
) -> list[SiteInterval]:
    """What a party was allocated in each interval at a place, in order."""
    source = _latest(allocation, allocation.c.site, start, end, None, place)
    query = select(allocation).select_from(source).where(allocation.c.party == party)
    return [
        SiteInterval(row.site, row.interval_start, row.seconds, row.energy_wh, row.quality)
        for row in connection.execute(query.order_by(allocation.c.interval_start))
    ]


def energy_by_party(
    connection: Connection,
    start: datetime,
    end: datetime,
    known_at: datetime | None = None,
    place: Place | None = None,
) -> dict[tuple[str, str], Energy]:
    """(site, party) → watt-hours. Party '' is the rest: per site, all parties add up to the site's meters."""
    source = _latest(allocation, allocation.c.site, start, end, known_at, place)
    energy = allocation.c.energy_wh
    query = (
        select(
            allocation.c.site,
            allocation.c.party,
            func.sum(energy).label("energy_wh"),
            func.sum(allocation.c.estimate_wh).label("estimate_wh"),
            func.count().label("rows"),
            func.count(allocation.c.estimate_wh).label("estimates"),
            func.sum(case((allocation.c.quality != "measured", energy), else_=0)).label("uncertain_wh"),
        )
        .select_from(source)
        .group_by(allocation.c.site, allocation.c.party)
        .order_by(allocation.c.site, allocation.c.party)
    )
    return {
        (row.site, row.party): Energy(
            int(row.energy_wh),
            int(row.estimate_wh) if row.estimates == row.rows else None,
            int(row.uncertain_wh),
        )
        for row in connection.execute(query)
    }


def energy_by_meter(
    connection: Connection,
    start: datetime,
    end: datetime,
    known_at: datetime | None = None,
    place: Place | None = None,
) -> dict[tuple[str, str], MeterEnergy]:
    """(site, main meter) → watt-hours and the qualities of its intervals."""
    source = _latest(interval, interval.c.meter, start, end, known_at, place)
    query = (
        select(
            interval.c.site,
            interval.c.meter,
            interval.c.quality,
            func.sum(interval.c.energy_wh).label("energy_wh"),
            func.count().label("rows"),
        )
        .select_from(source)
        .where(_MAIN)
        .group_by(interval.c.site, interval.c.meter, interval.c.quality)
        .order_by(interval.c.site, interval.c.meter, interval.c.quality)
    )
    found: dict[tuple[str, str], MeterEnergy] = {}
    for row in connection.execute(query):
        key = (row.site, row.meter)
        before = found.get(key, MeterEnergy(0, {}))
        counts: dict[Quality, int] = {**before.intervals, row.quality: row.rows}
        found[key] = MeterEnergy(before.energy_wh + int(row.energy_wh), counts)
    return found


def energy_by_submeter(
    connection: Connection, start: datetime, end: datetime, known_at: datetime | None = None
) -> dict[tuple[str, str], int]:
    """(site, party) → watt-hours that the party's sub-meters there showed; who has none is not in it."""
    source = _latest(interval, interval.c.meter, start, end, known_at)
    query = (
        select(interval.c.site, interval.c.party, func.sum(interval.c.energy_wh).label("energy_wh"))
        .select_from(source)
        .where(~_MAIN)
        .group_by(interval.c.site, interval.c.party)
    )
    return {(row.site, row.party): int(row.energy_wh) for row in connection.execute(query)}


def peak_power(
    connection: Connection,
    start: datetime,
    end: datetime,
    known_at: datetime | None = None,
    place: Place | None = None,
) -> dict[str, tuple[int, datetime]]:
    """Site → the highest mean power of an interval over its main meters, in W rounded down, and when that one began."""
    source = _latest(interval, interval.c.meter, start, end, known_at, place)
    power = func.sum(interval.c.energy_wh) * 3600 // interval.c.seconds
    each = (
        select(interval.c.site, interval.c.interval_start, power.label("power_w"))
        .select_from(source)
        .where(_MAIN)
        .group_by(interval.c.site, interval.c.interval_start, interval.c.seconds)
        .subquery()
    )
    order = func.row_number().over(partition_by=each.c.site, order_by=[each.c.power_w.desc(), each.c.interval_start])
    ranked = select(each, order.label("place")).subquery()
    highest = select(ranked).where(ranked.c.place == 1).order_by(ranked.c.site)
    return {row.site: (int(row.power_w), row.interval_start) for row in connection.execute(highest)}
