"""What the API tells a miner of its work, on the database's side: hash rates, and worker by worker.

Names that miners' tools know from ckpool's pages (`hashrate1hr`, `hashrate1d`, `lastshare`, `workername`, `workers`)
mean here what they mean there; rates are numbers in hashes per second, `lastshare` is Unix time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    FromClause,
    Table,
    and_,
    case,
    cast,
    func,
    select,
)

from tarazy.accounting import tables
from tarazy.accounting.energy.intervals import floor_to
from tarazy.accounting.queries import present_from, present_work
from tarazy.portal.views import hashrate, iso
from tarazy.stratum.login import split_login

SORTS = ("hashrate", "hashrate1hr", "hashrate1d", "lastshare", "shares", "stale_shares", "rejected", "workername")
"""What workers are sorted by."""
MANY_WORKERS = 1_000
"""A party of so many takes a tenth of a second to list."""
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)


class _Windows:
    """From when on the three hash rates count, and over how many seconds."""

    def __init__(self, now: datetime, interval_seconds: int) -> None:
        self.starts = {
            "hashrate": present_from(now, interval_seconds),
            "hashrate1hr": floor_to(now - _HOUR, interval_seconds),
            "hashrate1d": floor_to(now - _DAY, interval_seconds),
        }
        self.seconds = {name: (now - start).total_seconds() for name, start in self.starts.items()}
        self.begin = min(self.starts.values())

    def columns(self) -> list[ColumnElement[Any]]:
        """Weights of the tally in each."""
        tally = tables.tally
        weight = cast(tally.c.weight, Float)
        return [
            func.sum(case((tally.c.interval_start >= start, weight), else_=0.0)).label(name)
            for name, start in self.starts.items()
        ]

    def rates(self, row: Any) -> dict[str, float]:
        """The hash rates of a row with `columns`."""
        return {name: hashrate(getattr(row, name) or 0.0, seconds) for name, seconds in self.seconds.items()}


def _last_share() -> ColumnElement[Any]:
    tally = tables.tally
    return func.max(case((tally.c.shares > 0, tally.c.interval_start)), type_=tally.c.interval_start.type)


def _unix(start: datetime | None, now: datetime, interval_seconds: int) -> int | None:
    """The latest that a share of the interval can have come."""
    return None if start is None else int(min(now, start + timedelta(seconds=interval_seconds)).timestamp())


@dataclass(frozen=True, slots=True)
class Span:
    """How far back a chart of work goes."""

    length: timedelta
    step: timedelta | None
    """Between its points; None: the interval of the tallies."""


SPANS = {
    "day": Span(_DAY, None),
    "week": Span(timedelta(days=7), timedelta(hours=2)),
    "month": Span(timedelta(days=30), timedelta(hours=8)),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """Of whose work something is asked."""

    party: str
    site: str | None = None
    worker: str | None = None
    """As `account.worker`; None: all."""


def own_hashrate(
    connection: Connection, asked: Asked, span: Span, now: datetime, interval_seconds: int
) -> dict[str, Any]:
    """Hash rates, shares and rejections of the last day, and a span of time step by step.

    All workers at a site are told by sums; one is looked up in the tallies of the intervals in which its party worked.
    """
    interval = timedelta(seconds=interval_seconds)
    step = max(span.step or interval, interval)
    windows = _Windows(now, interval_seconds)
    begin = _floor(now - span.length, step)
    found = list(_work(connection, asked, min(begin, windows.begin)))
    rejected = _rejections(connection, asked, min(begin, windows.begin))
    day = [row for row in found if row.interval_start >= windows.begin]
    reasons: Counter[str] = Counter()
    points: defaultdict[datetime, _Point] = defaultdict(_Point)
    ends = floor_to(now, interval_seconds)
    for row in found:
        if begin <= row.interval_start < ends:
            points[_floor(row.interval_start, step)].weight += row.weight
    for row in rejected:
        if begin <= row.interval_start < ends:
            points[_floor(row.interval_start, step)].rejected += row.shares
        if row.interval_start >= windows.begin:
            reasons[row.reason] += row.shares
    last = max((row.interval_start for row in day if row.shares), default=None)
    rates = {
        name: hashrate(sum(row.weight for row in day if row.interval_start >= start), windows.seconds[name])
        for name, start in windows.starts.items()
    }
    first = min((start for start, each in points.items() if each.weight), default=ends)
    starts = [first + step * number for number in range(-((first - ends) // step))]
    return {
        "at": iso(now),
        **rates,
        "workers": _workers(connection, asked, windows.starts["hashrate"]),
        "shares": sum(row.shares for row in day),
        "stale_shares": sum(row.stale_shares for row in day),
        "rejected": dict(sorted(reasons.items())),
        "lastshare": _unix(last, now, interval_seconds),
        "interval_seconds": interval_seconds,
        "step_seconds": int(step.total_seconds()),
        "series": [
            {
                "start": iso(start),
                "hashrate": hashrate(points[start].weight, (min(start + step, ends) - start).total_seconds()),
                "rejected": points[start].rejected,
            }
            for start in starts
        ],
    }


@dataclass(slots=True)
class _Point:
    weight: float = 0.0
    rejected: int = 0


def _floor(start: datetime, step: timedelta) -> datetime:
    return floor_to(start, int(step.total_seconds()))


def _work(connection: Connection, asked: Asked, since: datetime) -> Iterable[Any]:
    """Work since an instant, interval by interval; weights are floats."""
    sums, tally = tables.site_tally, tables.tally
    table, here = (sums, [sums.c.party == asked.party, sums.c.interval_start >= since])
    if asked.site is not None:
        here.append(sums.c.site == asked.site)
    source: FromClause = sums
    if asked.worker is not None:
        account, worker = split_login(asked.worker)
        table = tally
        places = select(sums.c.round, sums.c.interval_start, sums.c.party, sums.c.site).where(*here).subquery()
        source = places.join(
            tally, and_(*(tally.c[name] == places.c[name] for name in ("round", "interval_start", "party", "site")))
        )
        here = [tally.c.account == account, tally.c.worker == worker]
    query = select(
        table.c.interval_start,
        func.sum(cast(table.c.weight, Float)).label("weight"),
        func.sum(table.c.shares).label("shares"),
        func.sum(table.c.stale_shares).label("stale_shares"),
    )
    return connection.execute(query.select_from(source).where(*here).group_by(table.c.interval_start)).all()


def _rejections(connection: Connection, asked: Asked, since: datetime) -> Iterable[Any]:
    """Rejected shares by interval and reason."""
    table = tables.rejection
    key = [table.c.interval_start, table.c.reason]
    query = select(*key, func.sum(table.c.shares).label("shares")).where(
        table.c.party == asked.party, table.c.interval_start >= since, *_named(table, asked)
    )
    return connection.execute(query.group_by(*key)).all()


def _named(table: Table, asked: Asked) -> list[ColumnElement[bool]]:
    here = [] if asked.site is None else [table.c.site == asked.site]
    if asked.worker is not None:
        account, worker = split_login(asked.worker)
        here += [table.c.account == account, table.c.worker == worker]
    return here


def _workers(connection: Connection, asked: Asked, since: datetime) -> int:
    """How many were at work."""
    tally = tables.tally
    names = select(tally.c.account, tally.c.worker).where(
        tally.c.party == asked.party, tally.c.interval_start >= since, *_named(tally, asked)
    )
    return connection.scalar(select(func.count()).select_from(names.distinct().subquery())) or 0


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker at one site over the last day."""

    account: str
    worker: str
    site: str
    hashrate: float
    hashrate1hr: float
    hashrate1d: float
    shares: int
    stale_shares: int
    rejected: int
    lastshare: int | None
    """Unix time; None for who sent no accepted share."""

    @property
    def workername(self) -> str:
        """As a miner logs in."""
        return f"{self.account}.{self.worker}"

    def plain(self) -> dict[str, Any]:
        """As the API tells it."""
        told = asdict(self)
        return {"workername": self.workername, **{name: told[name] for name in told if name not in _NAMES[:2]}}


_NAMES = ("account", "worker", "site")


def largest_parties(connection: Connection, limit: int, now: datetime, interval_seconds: int) -> list[str]:
    """Who has most workers at work, from `MANY_WORKERS` on."""
    work, _ = present_work(connection, now, interval_seconds)
    many = [party for party, done in work.items() if done.workers >= MANY_WORKERS]
    return sorted(many, key=lambda party: (-work[party].workers, party))[:limit]


def own_workers(connection: Connection, party: str, now: datetime, interval_seconds: int) -> list[Worker]:
    """A party's workers of the last day, each at each of its sites, in order of names."""
    tally, windows, rejection = tables.tally, _Windows(now, interval_seconds), tables.rejection
    worked = (
        select(*(tally.c[name] for name in _NAMES), *windows.columns(), func.sum(tally.c.shares).label("shares"))
        .add_columns(_last_share().label("lastshare"), func.sum(tally.c.stale_shares).label("stale_shares"))
        .where(tally.c.party == party, tally.c.interval_start >= windows.begin)
        .group_by(*(tally.c[name] for name in _NAMES))
    )
    rejected = (
        select(*(rejection.c[name] for name in _NAMES), func.sum(rejection.c.shares).label("rejected"))
        .where(rejection.c.party == party, rejection.c.interval_start >= windows.begin, rejection.c.account != "")
        .group_by(*(rejection.c[name] for name in _NAMES))
    )
    refused = {(row.account, row.worker, row.site): int(row.rejected) for row in connection.execute(rejected)}
    found: dict[tuple[str, str, str], Worker] = {}
    for row in connection.execute(worked):
        place, rates = (row.account, row.worker, row.site), windows.rates(row)
        found[place] = Worker(
            *place,
            rates["hashrate"],
            rates["hashrate1hr"],
            rates["hashrate1d"],
            int(row.shares),
            int(row.stale_shares),
            refused.pop(place, 0),
            _unix(row.lastshare, now, interval_seconds),
        )
    for place, shares in refused.items():
        found[place] = Worker(*place, 0.0, 0.0, 0.0, 0, 0, shares, None)
    return [found[place] for place in sorted(found)]


def chosen(
    workers: Sequence[Worker], part: str, sort: str, descending: bool, limit: int, offset: int
) -> dict[str, Any]:
    """Those of `workers`, in order of names, whose names hold `part`, sorted; who has nothing to sort by comes last."""
    wanted = part.casefold()
    named = [row for row in workers if wanted in row.workername.casefold()]
    told = [row for row in named if getattr(row, sort) is not None]
    rest = [row for row in named if getattr(row, sort) is None]
    if sort == "workername":
        ordered = named[::-1] if descending else named
    else:
        ordered = [*sorted(told, key=lambda row: getattr(row, sort), reverse=descending), *rest]
    return {"total": len(named), "items": [row.plain() for row in ordered[offset : offset + limit]]}
