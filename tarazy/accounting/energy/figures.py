"""Energy figures of a period, as they were known at an instant (invariant 6). All bounds are [start, end).

Days that are summed up or folded tell it by their figures, the others by their intervals; one site after another, so
that nothing is held or sorted for all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Row, Select, Table, case, exists, func, select, true

from tarazy.accounting.energy.intervals import QUALITIES, Quality
from tarazy.accounting.energy.site_days import sites, spans_in_detail, told_by_day
from tarazy.accounting.energy.tables import allocation, allocation_day, interval, meter_day, peak_day, site_day

_MAIN = interval.c.party.is_(None)
"""What a sub-meter gives is in its site's main meters already."""


@dataclass(frozen=True)
class Place:
    """A site by itself: what is asked of it costs what it has, however large the pool is."""

    site: str
    meters: Collection[str]
    """Every meter that ever stood there."""


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


def _sites(connection: Connection, start: datetime, end: datetime, place: Place | None) -> list[str]:
    return sites(connection, start, end) if place is None else [place.site]


def _latest(
    table: Table, keys: Sequence[Column[str]], site: str, start: datetime, end: datetime, known_at: datetime | None
) -> Select[Any]:
    """Select the rows of the newest version of each of `keys` and instant in the period at a site.

    A row is asked whether a newer one follows, so that nothing is held for the whole period.
    """
    at = table.c.interval_start if "interval_start" in table.c else table.c.day_start
    later = table.alias()
    newer = select(later.c.version).where(
        *(later.c[key.name] == key for key in (*keys, at)), later.c.version > table.c.version
    )
    rows = select(table).where(table.c.site == site, at >= start, at < end)
    if known_at is not None:
        newer = newer.where(later.c.recorded_at <= known_at)
        rows = rows.where(table.c.recorded_at <= known_at)
    return rows.where(~exists(newer))


def _days(
    table: Table, keys: Sequence[Column[str]], site: str, start: datetime, end: datetime, known_at: datetime | None
) -> Select[Any]:
    """Select the figures of the days that tell the period."""
    here = (site_day.c.site == table.c.site) & (site_day.c.day_start == table.c.day_start)
    telling = exists(select(site_day.c.site).where(here, told_by_day(start, end, known_at)))
    return _latest(table, keys, site, start, end, known_at).where(telling)


def _spans(
    connection: Connection, site: str, start: datetime, end: datetime, known_at: datetime | None
) -> Iterator[tuple[datetime, datetime]]:
    """What the intervals are to tell of the period."""
    return spans_in_detail(connection, site, start, end, ~told_by_day(start, end, known_at))


def _require_told(
    connection: Connection, table: Table, site: str, start: datetime, end: datetime, known_at: datetime | None
) -> None:
    """Raise `FoldedError` where the folded days do not tell the period, or not as it was known at an instant."""
    folded = (site_day.c.site == site) & (site_day.c.state == "folded")
    cut = select(site_day.c.day_start, site_day.c.day_end).where(
        folded,
        site_day.c.day_start < end,
        site_day.c.day_end > start,
        (site_day.c.day_start < start) | (site_day.c.day_end > end),
    )
    row = connection.execute(cut.limit(1)).first()
    if row is not None:
        raise FoldedError(
            f"the energy from {row.day_start.isoformat()} to {row.day_end.isoformat()} is folded: only the whole of it "
            "is known; choose bounds that do not fall inside, such as legal days"
        )
    if known_at is None:
        return
    within = folded & (site_day.c.day_start >= start) & (site_day.c.day_start < end) & (site_day.c.whole_at > known_at)
    day = table.c
    partly = (
        select(day.day_start, day.recorded_at)
        .join(site_day, (site_day.c.site == day.site) & (site_day.c.day_start == day.day_start))
        .where(within, day.version == 1, day.first_at <= known_at, day.recorded_at > known_at)
    )
    row = connection.execute(partly.order_by(day.recorded_at.desc()).limit(1)).first()
    if row is not None:
        raise FoldedError(
            f"what was known at {known_at.isoformat()} of the day that began at {row.day_start.isoformat()} is folded: "
            f"ask for it as known at {row.recorded_at.isoformat()} or later, when the day was whole"
        )


def require_detail(connection: Connection, start: datetime, end: datetime, place: Place) -> None:
    """Raise `FoldedError` where intervals of a place in [start, end) are folded into days."""
    here = (site_day.c.site == place.site) & (site_day.c.state == "folded")
    folded = select(func.max(site_day.c.day_end)).where(here, site_day.c.day_start < end, site_day.c.day_end > start)
    last: datetime | None = connection.scalar(folded)
    if last is not None:
        raise FoldedError(f"the energy up to {last.isoformat()} is folded: only the sums of its days are known")


def site_intervals(
    connection: Connection,
    start: datetime,
    end: datetime,
    known_at: datetime | None = None,
    site: str | None = None,
) -> list[SiteInterval]:
    """Each interval in detail of every site (or of `site`), summed over its main meters, by site and start."""
    here = sites(connection, start, end) if site is None else [site]
    return [item for each in here for item in _site_intervals(connection, each, start, end, known_at)]


def _site_intervals(
    connection: Connection, site: str, start: datetime, end: datetime, known_at: datetime | None
) -> Iterator[SiteInterval]:
    rows = _latest(interval, [interval.c.meter], site, start, end, known_at).where(_MAIN).subquery()
    rank = func.max(case(*((rows.c.quality == quality, place) for place, quality in enumerate(QUALITIES)), else_=-1))
    query = (
        select(
            rows.c.interval_start,
            func.max(rows.c.seconds).label("seconds"),
            func.sum(rows.c.energy_wh).label("energy_wh"),
            rank.label("rank"),
        )
        .group_by(rows.c.interval_start)
        .order_by(rows.c.interval_start)
    )
    for row in connection.execute(query):
        yield SiteInterval(site, row.interval_start, row.seconds, int(row.energy_wh), QUALITIES[row.rank])


def estimates(
    connection: Connection, start: datetime, end: datetime, known_at: datetime | None = None
) -> dict[datetime, int]:
    """Start of each interval in detail → watt-hours estimated from the work of all sites, as far as they are known."""
    found: dict[datetime, int] = {}
    for site in sites(connection, start, end):
        rows = _latest(allocation, [allocation.c.site], site, start, end, known_at).subquery().c
        known = select(rows.interval_start, func.sum(rows.estimate_wh)).where(rows.estimate_wh.is_not(None))
        for at, estimate_wh in connection.execute(known.group_by(rows.interval_start)):
            found[at] = found.get(at, 0) + int(estimate_wh)
    return found


def missing_intervals(connection: Connection, start: datetime, end: datetime) -> dict[str, int]:
    """Site → intervals of its meters, sub-meters too, of which something is missing."""
    found: dict[str, int] = {}
    for site in sites(connection, start, end):
        latest = _latest(interval, [interval.c.meter], site, start, end, None).where(interval.c.quality == "missing")
        if count := connection.scalar(select(func.count()).select_from(latest.subquery())):
            found[site] = count
    return found


def submetered(connection: Connection, site: str, start: datetime) -> list[SubMetered]:
    """The newest version of what each sub-meter of a site gave in the interval that begins at `start`."""
    here = (interval.c.site == site) & (interval.c.interval_start == start) & interval.c.party.is_not(None)
    rows = connection.execute(select(interval).where(here).order_by(interval.c.meter, interval.c.version))
    newest = {row.meter: SubMetered(row.party, row.energy_wh, row.quality) for row in rows}
    return list(newest.values())


def meter_intervals(
    connection: Connection, meter: str, start: datetime, end: datetime, known_at: datetime | None = None
) -> list[MeterInterval]:
    """The intervals of one meter in order, of those in detail."""
    before = interval.c.recorded_at <= known_at if known_at is not None else true()
    here = (interval.c.meter == meter) & (interval.c.interval_start >= start) & (interval.c.interval_start < end)
    query = select(interval).where(here, before).order_by(interval.c.interval_start, interval.c.version)
    newest = {row.interval_start: row for row in connection.execute(query)}
    return [
        MeterInterval(row.interval_start, row.seconds, row.energy_wh, row.quality, row.version)
        for row in newest.values()
    ]


def party_intervals(
    connection: Connection, party: str, start: datetime, end: datetime, place: Place
) -> list[SiteInterval]:
    """What a party was allocated in each interval in detail at a place, in order."""
    latest = _latest(allocation, [allocation.c.site], place.site, start, end, None)
    query = latest.where(allocation.c.party == party).order_by(allocation.c.interval_start)
    return [
        SiteInterval(row.site, row.interval_start, row.seconds, row.energy_wh, row.quality)
        for row in connection.execute(query)
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
    found: dict[tuple[str, str], Energy] = {}
    for site in _sites(connection, start, end, place):
        sums: dict[str, list[int]] = {}
        for row in _party_sums(connection, site, start, end, known_at):
            total = sums.setdefault(row.party, [0] * 5)
            for column, name in enumerate(("energy_wh", "estimate_wh", "rows", "estimates", "uncertain_wh")):
                total[column] += int(getattr(row, name) or 0)
        for party, (energy_wh, estimate_wh, rows, estimates, uncertain_wh) in sorted(sums.items()):
            estimate = estimate_wh if estimates == rows else None
            found[site, party] = Energy(energy_wh, estimate, uncertain_wh)
    return found


def _party_sums(
    connection: Connection, site: str, start: datetime, end: datetime, known_at: datetime | None
) -> Iterator[Row[Any]]:
    """Sums of each party, of the days and of each span in detail."""
    _require_told(connection, allocation_day, site, start, end, known_at)
    keys = [allocation_day.c.site]
    days = _days(allocation_day, keys, site, start, end, known_at).subquery().c
    by_day: Select[Any] = select(
        days.party,
        func.sum(days.energy_wh).label("energy_wh"),
        func.sum(days.estimate_wh).label("estimate_wh"),
        func.sum(days.intervals).label("rows"),
        func.sum(days.estimates).label("estimates"),
        func.sum(days.uncertain_wh).label("uncertain_wh"),
    ).group_by(days.party)
    yield from connection.execute(by_day)
    for since, until in _spans(connection, site, start, end, known_at):
        latest = _latest(allocation, [allocation.c.site], site, since, until, known_at).subquery().c
        energy = latest.energy_wh
        query: Select[Any] = select(
            latest.party,
            func.sum(energy).label("energy_wh"),
            func.sum(latest.estimate_wh).label("estimate_wh"),
            func.count().label("rows"),
            func.count(latest.estimate_wh).label("estimates"),
            func.sum(case((latest.quality != "measured", energy), else_=0)).label("uncertain_wh"),
        ).group_by(latest.party)
        yield from connection.execute(query)


def energy_by_meter(
    connection: Connection,
    start: datetime,
    end: datetime,
    known_at: datetime | None = None,
    place: Place | None = None,
    main: bool = True,
) -> dict[tuple[str, str], MeterEnergy]:
    """(site, main meter, or else sub-meter) → watt-hours and the qualities of its intervals. Raises `FoldedError`."""
    found: dict[tuple[str, str], MeterEnergy] = {}
    for site in _sites(connection, start, end, place):
        sums: dict[str, dict[Quality, tuple[int, int]]] = {}
        for row in _meter_sums(connection, site, start, end, known_at, below=not main):
            qualities = sums.setdefault(row.meter, {})
            rows, energy_wh = qualities.get(row.quality, (0, 0))
            qualities[row.quality] = rows + int(row.rows), energy_wh + int(row.energy_wh)
        for meter, qualities in sorted(sums.items()):
            found[site, meter] = MeterEnergy(
                sum(energy_wh for _, energy_wh in qualities.values()),
                {quality: rows for quality, (rows, _) in sorted(qualities.items())},
            )
    return found


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
    found: dict[tuple[str, str], int] = {}
    for site in _sites(connection, start, end, place):
        for row in _meter_sums(connection, site, start, end, known_at, below=True):
            found[site, row.party] = found.get((site, row.party), 0) + int(row.energy_wh)
    return found


def _meter_sums(
    connection: Connection, site: str, start: datetime, end: datetime, known_at: datetime | None, *, below: bool
) -> Iterator[Row[Any]]:
    """Sums of each main meter, or of each sub-meter, by quality, of the days and of each span in detail."""
    _require_told(connection, meter_day, site, start, end, known_at)
    whose = meter_day.c.party != "" if below else meter_day.c.party == ""
    keys = [meter_day.c.meter, meter_day.c.site]
    days = _days(meter_day, keys, site, start, end, known_at).where(whose).subquery().c
    by_day: Select[Any] = select(
        days.meter,
        days.party,
        days.quality,
        func.sum(days.energy_wh).label("energy_wh"),
        func.sum(days.intervals).label("rows"),
    ).group_by(days.meter, days.party, days.quality)
    yield from connection.execute(by_day)
    for since, until in _spans(connection, site, start, end, known_at):
        source = _latest(interval, [interval.c.meter], site, since, until, known_at)
        latest = source.where(~_MAIN if below else _MAIN).subquery().c
        query: Select[Any] = select(
            latest.meter,
            latest.party,
            latest.quality,
            func.sum(latest.energy_wh).label("energy_wh"),
            func.count().label("rows"),
        ).group_by(latest.meter, latest.party, latest.quality)
        yield from connection.execute(query)


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
    found: dict[str, tuple[int, datetime]] = {}
    for site in _sites(connection, start, end, place):
        highest = min(((-row.power_w, row.at) for row in _peaks(connection, site, start, end, known_at)), default=None)
        if highest is not None:
            found[site] = -int(highest[0]), highest[1]
    return found


def _peaks(
    connection: Connection, site: str, start: datetime, end: datetime, known_at: datetime | None
) -> Iterator[Row[Any]]:
    """The highest of each day and of each span in detail."""
    _require_told(connection, peak_day, site, start, end, known_at)
    yield from connection.execute(_days(peak_day, [peak_day.c.site], site, start, end, known_at))
    for since, until in _spans(connection, site, start, end, known_at):
        latest = _latest(interval, [interval.c.meter], site, since, until, known_at).where(_MAIN).subquery().c
        power = func.sum(latest.energy_wh) * 3600 // latest.seconds
        each: Select[Any] = select(power.label("power_w"), latest.interval_start.label("at"))
        each = each.group_by(latest.interval_start, latest.seconds)
        yield from connection.execute(each.order_by(power.desc(), latest.interval_start).limit(1))
