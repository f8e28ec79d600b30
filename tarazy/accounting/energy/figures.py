"""Energy figures of a period, as they were known at an instant (invariant 6). All bounds are [start, end)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select, Table, case, exists, func, select, true

from tarazy.accounting.energy.intervals import QUALITIES, Quality
from tarazy.accounting.energy.tables import allocation, allocation_day, interval, meter_day, peak_day

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


class FoldedError(ValueError):
    """Figures that cannot be told any more, because their intervals are folded into days."""


def _within(table: Table, place: Place | None) -> ColumnElement[bool]:
    if place is None:
        return true()
    here = table.c.site == place.site
    return here & table.c.meter.in_(place.meters) if "meter" in table.c else here


def _latest(
    table: Table,
    keys: Sequence[Column[str]],
    start: datetime,
    end: datetime,
    known_at: datetime | None,
    place: Place | None = None,
) -> Select[Any]:
    """Select the rows of the newest version of each of `keys` and instant in the period.

    A row is asked whether a newer one follows, so that nothing is held for the whole period.
    """
    at = table.c.interval_start if "interval_start" in table.c else table.c.day_start
    later = table.alias()
    newer = select(later.c.version).where(
        *(later.c[key.name] == key for key in (*keys, at)), later.c.version > table.c.version
    )
    rows = select(table).where(at >= start, at < end, _within(table, place))
    if known_at is not None:
        newer = newer.where(later.c.recorded_at <= known_at)
        rows = rows.where(table.c.recorded_at <= known_at)
    return rows.where(~exists(newer))


def _require_told(
    connection: Connection, table: Table, start: datetime, end: datetime, known_at: datetime | None, place: Place | None
) -> None:
    """Raise `FoldedError` where the folded days do not tell the period, or not as it was known at an instant."""
    days = table.c
    cut = select(days.day_start, days.day_end).where(
        days.day_start < end,
        days.day_end > start,
        (days.day_start < start) | (days.day_end > end),
        _within(table, place),
    )
    row = connection.execute(cut.limit(1)).first()
    if row is not None:
        raise FoldedError(
            f"the energy from {row.day_start.isoformat()} to {row.day_end.isoformat()} is folded: only the whole of it "
            "is known; choose bounds that do not fall inside, such as legal days"
        )
    if known_at is None:
        return
    within = (days.day_start >= start) & (days.day_start < end) & (days.version == 1)
    partly = select(days.day_start, days.recorded_at).where(
        within, days.first_at <= known_at, days.recorded_at > known_at, _within(table, place)
    )
    row = connection.execute(partly.order_by(days.recorded_at.desc()).limit(1)).first()
    if row is not None:
        raise FoldedError(
            f"what was known at {known_at.isoformat()} of the day that began at {row.day_start.isoformat()} is folded: "
            f"ask for it as known at {row.recorded_at.isoformat()} or later, when the day was whole"
        )


def require_detail(connection: Connection, start: datetime, end: datetime, place: Place) -> None:
    """Raise `FoldedError` where intervals of a place in [start, end) are folded into days."""
    folded = select(meter_day.c.day_end).where(
        _within(meter_day, place), meter_day.c.day_start < end, meter_day.c.day_end > start
    )
    last = connection.execute(folded.order_by(meter_day.c.day_end.desc()).limit(1)).first()
    if last is not None:
        raise FoldedError(f"the energy up to {last.day_end.isoformat()} is folded: only the sums of its days are known")


def site_intervals(
    connection: Connection,
    start: datetime,
    end: datetime,
    known_at: datetime | None = None,
    site: str | None = None,
    place: Place | None = None,
) -> list[SiteInterval]:
    """Each interval in detail of every site (or `site`, or `place`), summed over its main meters, by site and start."""
    source = _latest(interval, [interval.c.meter], start, end, known_at, place).where(_MAIN)
    if site is not None:
        source = source.where(interval.c.site == site)
    rows = source.subquery()
    rank = func.max(case(*((rows.c.quality == quality, place) for place, quality in enumerate(QUALITIES)), else_=-1))
    query = (
        select(
            rows.c.site,
            rows.c.interval_start,
            func.max(rows.c.seconds).label("seconds"),
            func.sum(rows.c.energy_wh).label("energy_wh"),
            rank.label("rank"),
        )
        .group_by(rows.c.site, rows.c.interval_start)
        .order_by(rows.c.site, rows.c.interval_start)
    )
    return [
        SiteInterval(row.site, row.interval_start, row.seconds, int(row.energy_wh), QUALITIES[row.rank])
        for row in connection.execute(query)
    ]


def missing_intervals(connection: Connection, start: datetime, end: datetime) -> dict[str, int]:
    """Site → intervals of its meters, sub-meters too, of which something is missing."""
    latest = _latest(interval, [interval.c.meter], start, end, None).where(interval.c.quality == "missing").subquery().c
    query = select(latest.site, func.count()).group_by(latest.site).order_by(latest.site)
    return {site: int(count) for site, count in connection.execute(query)}


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
    days = (meter_day.c.day_start >= start) & (meter_day.c.day_end <= end)
    folded = select(meter_day.c.party).where(_within(meter_day, place), days, meter_day.c.party != "").distinct()
    return {*connection.scalars(query), *connection.scalars(folded)}


def meter_intervals(
    connection: Connection, meter: str, start: datetime, end: datetime, known_at: datetime | None = None
) -> list[MeterInterval]:
    """The intervals of one meter in order."""
    source = _latest(interval, [interval.c.meter], start, end, known_at)
    query = source.where(interval.c.meter == meter).order_by(interval.c.interval_start)
    return [
        MeterInterval(row.interval_start, row.seconds, row.energy_wh, row.quality, row.version)
        for row in connection.execute(query)
    ]


def party_intervals(
    connection: Connection, party: str, start: datetime, end: datetime, place: Place
) -> list[SiteInterval]:
    """What a party was allocated in each interval in detail at a place, in order."""
    source = _latest(allocation, [allocation.c.site], start, end, None, place).where(allocation.c.party == party)
    return [
        SiteInterval(row.site, row.interval_start, row.seconds, row.energy_wh, row.quality)
        for row in connection.execute(source.order_by(allocation.c.interval_start))
    ]


def energy_by_party(
    connection: Connection,
    start: datetime,
    end: datetime,
    known_at: datetime | None = None,
    place: Place | None = None,
) -> dict[tuple[str, str], Energy]:
    """(site, party) → watt-hours. Party '' is the rest: per site, all parties add up to the site's meters.

    Raises `FoldedError`.
    """
    _require_told(connection, allocation_day, start, end, known_at, place)
    latest = _latest(allocation, [allocation.c.site], start, end, known_at, place).subquery().c
    energy = latest.energy_wh
    query = (
        select(
            latest.site,
            latest.party,
            func.sum(energy).label("energy_wh"),
            func.sum(latest.estimate_wh).label("estimate_wh"),
            func.count().label("rows"),
            func.count(latest.estimate_wh).label("estimates"),
            func.sum(case((latest.quality != "measured", energy), else_=0)).label("uncertain_wh"),
        )
        .group_by(latest.site, latest.party)
        .order_by(latest.site, latest.party)
    )
    days = _latest(allocation_day, [allocation_day.c.site], start, end, known_at, place).subquery().c
    folded = select(
        days.site,
        days.party,
        func.sum(days.energy_wh).label("energy_wh"),
        func.sum(days.estimate_wh).label("estimate_wh"),
        func.sum(days.intervals).label("rows"),
        func.sum(days.estimates).label("estimates"),
        func.sum(days.uncertain_wh).label("uncertain_wh"),
    ).group_by(days.site, days.party)
    sums: dict[tuple[str, str], list[int]] = {}
    for row in (*connection.execute(query), *connection.execute(folded)):
        total = sums.setdefault((row.site, row.party), [0] * 5)
        for column, name in enumerate(("energy_wh", "estimate_wh", "rows", "estimates", "uncertain_wh")):
            total[column] += int(getattr(row, name) or 0)
    return {
        key: Energy(energy_wh, estimate_wh if estimates == rows else None, uncertain_wh)
        for key, (energy_wh, estimate_wh, rows, estimates, uncertain_wh) in sorted(sums.items())
    }


def energy_by_meter(
    connection: Connection,
    start: datetime,
    end: datetime,
    known_at: datetime | None = None,
    place: Place | None = None,
    main: bool = True,
) -> dict[tuple[str, str], MeterEnergy]:
    """(site, main meter, or else sub-meter) → watt-hours and the qualities of its intervals. Raises `FoldedError`."""
    _require_told(connection, meter_day, start, end, known_at, place)
    of_kind = _MAIN if main else ~_MAIN
    latest = _latest(interval, [interval.c.meter], start, end, known_at, place).where(of_kind).subquery().c
    query = (
        select(
            latest.site,
            latest.meter,
            latest.quality,
            func.sum(latest.energy_wh).label("energy_wh"),
            func.count().label("rows"),
        )
        .group_by(latest.site, latest.meter, latest.quality)
        .order_by(latest.site, latest.meter, latest.quality)
    )
    keys = [meter_day.c.meter, meter_day.c.site]
    folded_kind = meter_day.c.party == "" if main else meter_day.c.party != ""
    days = _latest(meter_day, keys, start, end, known_at, place).where(folded_kind).subquery().c
    folded = select(
        days.site,
        days.meter,
        days.quality,
        func.sum(days.energy_wh).label("energy_wh"),
        func.sum(days.intervals).label("rows"),
    ).group_by(days.site, days.meter, days.quality)
    sums: dict[tuple[str, str], dict[Quality, tuple[int, int]]] = {}
    for row in (*connection.execute(query), *connection.execute(folded)):
        qualities = sums.setdefault((row.site, row.meter), {})
        rows, energy_wh = qualities.get(row.quality, (0, 0))
        qualities[row.quality] = rows + int(row.rows), energy_wh + int(row.energy_wh)
    return {
        key: MeterEnergy(
            sum(energy_wh for _, energy_wh in qualities.values()),
            {quality: rows for quality, (rows, _) in sorted(qualities.items())},
        )
        for key, qualities in sorted(sums.items())
    }


def energy_by_submeter(
    connection: Connection,
    start: datetime,
    end: datetime,
    known_at: datetime | None = None,
    place: Place | None = None,
) -> dict[tuple[str, str], int]:
    """(site, party) → watt-hours that the party's sub-meters there showed; who has none is not in it.

    Raises `FoldedError`.
    """
    _require_told(connection, meter_day, start, end, known_at, place)
    latest = _latest(interval, [interval.c.meter], start, end, known_at, place).where(~_MAIN).subquery().c
    keys = [meter_day.c.meter, meter_day.c.site]
    days = _latest(meter_day, keys, start, end, known_at, place).where(meter_day.c.party != "").subquery().c
    found: dict[tuple[str, str], int] = {}
    for rows in (latest, days):
        query = select(rows.site, rows.party, func.sum(rows.energy_wh).label("energy_wh"))
        for row in connection.execute(query.group_by(rows.site, rows.party)):
            found[row.site, row.party] = found.get((row.site, row.party), 0) + int(row.energy_wh)
    return found


def peak_power(
    connection: Connection,
    start: datetime,
    end: datetime,
    known_at: datetime | None = None,
    place: Place | None = None,
) -> dict[str, tuple[int, datetime]]:
    """Site → the highest mean power of an interval over its main meters, in W rounded down, and when that one began.

    Raises `FoldedError`.
    """
    _require_told(connection, peak_day, start, end, known_at, place)
    latest = _latest(interval, [interval.c.meter], start, end, known_at, place).where(_MAIN).subquery().c
    power = func.sum(latest.energy_wh) * 3600 // latest.seconds
    each = (
        select(latest.site, latest.interval_start, power.label("power_w"))
        .group_by(latest.site, latest.interval_start, latest.seconds)
        .subquery()
    )
    order = func.row_number().over(partition_by=each.c.site, order_by=[each.c.power_w.desc(), each.c.interval_start])
    ranked = select(each, order.label("place")).subquery()
    highest = select(ranked).where(ranked.c.place == 1).order_by(ranked.c.site)
    days = _latest(peak_day, [peak_day.c.site], start, end, known_at, place).order_by(peak_day.c.day_start)
    found: dict[str, tuple[int, datetime]] = {}
    for site, power_w, at in (
        *((row.site, int(row.power_w), row.interval_start) for row in connection.execute(highest)),
        *((row.site, row.power_w, row.at) for row in connection.execute(days)),
    ):
        before = found.get(site)
        if before is None or (-power_w, at) < (-before[0], before[1]):
            found[site] = power_w, at
    return dict(sorted(found.items()))
