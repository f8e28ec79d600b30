"""Who worked where, how fast and under which names: what is held against the registers. Plain values."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Float, case, cast, func, select

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


def shared_names(connection: Connection, since: datetime, until: datetime, limit: int = 10_000) -> list[SharedName]:
    """Names with work at several sites in one interval, of those that begin in [since, until).

    No more than `limit` intervals with such names are looked at, the newest first.
    """
    tally = tables.tally
    sites = func.count(tally.c.site.distinct())
    query = (
        select(tally.c.interval_start, tally.c.party, tally.c.account, tally.c.worker, sites.label("sites"))
        .where(tally.c.interval_start >= since, tally.c.interval_start < until, tally.c.shares > 0)
        .group_by(tally.c.interval_start, tally.c.party, tally.c.account, tally.c.worker)
        .having(sites > 1)
        .order_by(tally.c.interval_start.desc())
        .limit(limit)
    )
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in connection.execute(query):
        found[row.party, f"{row.account}.{row.worker}"].append(row.sites)
    return [SharedName(party, worker, max(sites), len(sites)) for (party, worker), sites in sorted(found.items())]
