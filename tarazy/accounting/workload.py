"""Who worked where, how fast and under which names: what is held against the registers. Plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Float, case, cast, func, select, true

from tarazy.accounting import tables
from tarazy.accounting.energy.intervals import floor_to


@dataclass(frozen=True, slots=True)
class SiteTotal:
    """Credited work of a party at a site."""

    party: str
    site: str
    weight: float
    shares: int
    heaviest: float
    """Of workers and intervals, the heaviest mean of a share."""
    workers: int
    busiest: str
    """The worker with the most work, as account.worker."""
    busiest_weight: float


@dataclass(frozen=True, slots=True)
class SharedName:
    """A worker name with work at several sites in the same interval."""

    party: str
    worker: str
    """As account.worker."""
    sites: int
    intervals: int


def intervals_before(now: datetime, span: timedelta, seconds: int) -> tuple[datetime, datetime]:
    """The whole intervals of `seconds` that ended by `now`, about `span` of them: [since, until)."""
    until = floor_to(now, seconds)
    step = timedelta(seconds=seconds)
    return until - max(1, span // step) * step, until


def site_totals(connection: Connection, since: datetime, until: datetime) -> list[SiteTotal]:
    """Work in the intervals that begin in [since, until), by party and site."""
    tally = tables.tally
    weight = cast(tally.c.weight, Float)
    place = (tally.c.party, tally.c.site)
    total = func.sum(weight)
    by_worker = (
        select(
            *place,
            tally.c.account.concat(".").concat(tally.c.worker).label("worker"),
            total.label("weight"),
            func.sum(tally.c.shares).label("shares"),
            func.max(weight / tally.c.shares).label("heaviest"),
            func.row_number().over(partition_by=place, order_by=total.desc()).label("rank"),
        )
        .where(tally.c.interval_start >= since, tally.c.interval_start < until, tally.c.shares > 0)
        .group_by(*place, tally.c.account, tally.c.worker)
        .subquery()
    )
    first = by_worker.c.rank == 1
    query = (
        select(
            by_worker.c.party,
            by_worker.c.site,
            func.sum(by_worker.c.weight),
            func.sum(by_worker.c.shares),
            func.max(by_worker.c.heaviest),
            func.count(),
            func.max(case((first, by_worker.c.worker))),
            func.max(case((first, by_worker.c.weight))),
        )
        .group_by(by_worker.c.party, by_worker.c.site)
        .order_by(by_worker.c.party, by_worker.c.site)
    )
    return [
        SiteTotal(party, site, float(sum_), int(shares), float(heaviest), workers, busiest, float(most))
        for party, site, sum_, shares, heaviest, workers, busiest, most in connection.execute(query)
    ]


@dataclass(frozen=True, slots=True)
class SiteWeight:
    """Credited work at a site."""

    weight: int
    heaviest: int
    """Of parties and intervals, the most that a worker's share meant in the mean."""


def site_weights(
    connection: Connection, since: datetime, until: datetime, site: str | None = None
) -> dict[str, SiteWeight]:
    """Site → its work in the intervals that begin in [since, until), however many worked there."""
    table = tables.site_tally
    here = true() if site is None else table.c.site == site
    query = select(table.c.site, table.c.weight, table.c.heaviest).where(
        table.c.interval_start >= since, table.c.interval_start < until, table.c.shares > 0, here
    )
    found: dict[str, SiteWeight] = {}
    for where, weight, heaviest in connection.execute(query):
        had = found.get(where, SiteWeight(0, 0))
        found[where] = SiteWeight(had.weight + weight, max(had.heaviest, heaviest))
    return found


def shared_names(connection: Connection, since: datetime, until: datetime, limit: int = 1_000) -> list[SharedName]:
    """Names with work at several sites in one interval, of those that begin in [since, until).

    Of each party no more than `limit`, those with the most such intervals: nobody's many names hide another's.
    """
    tally = tables.tally
    name = (tally.c.party, tally.c.account, tally.c.worker)
    sites = func.count(tally.c.site.distinct())
    shared = (
        select(*name, sites.label("sites"))
        .where(tally.c.interval_start >= since, tally.c.interval_start < until, tally.c.shares > 0)
        .group_by(tally.c.interval_start, *name)
        .having(sites > 1)
        .subquery()
    )
    most_first = (func.count().desc(), shared.c.account, shared.c.worker)
    by_name = (
        select(
            shared.c.party,
            shared.c.account.concat(".").concat(shared.c.worker).label("worker"),
            func.max(shared.c.sites).label("sites"),
            func.count().label("intervals"),
            func.row_number().over(partition_by=shared.c.party, order_by=most_first).label("rank"),
        )
        .group_by(shared.c.party, shared.c.account, shared.c.worker)
        .subquery()
    )
    found = by_name.c
    query = select(found.party, found.worker, found.sites, found.intervals).where(found.rank <= limit)
    rows = connection.execute(query.order_by(found.party, found.worker))
    return [SharedName(party, worker, most, intervals) for party, worker, most, intervals in rows]
