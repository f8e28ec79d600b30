"""What the API tells a miner of its work, on the database's side: hash rates, and worker by worker.

Names that miners' tools know from ckpool's pages (`hashrate1hr`, `hashrate1d`, `lastshare`, `workername`, `workers`)
mean here what they mean there; rates are numbers in hashes per second, `lastshare` is Unix time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
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
    literal,
    null,
    select,
    union_all,
)

from tarazy.accounting import tables
from tarazy.accounting.energy.intervals import floor_to
from tarazy.accounting.queries import present_from
from tarazy.portal.views import hashrate, iso
from tarazy.stratum.login import split_login

SORTS = ("hashrate", "hashrate1hr", "hashrate1d", "lastshare", "shares", "stale_shares", "rejected", "workername")
"""What workers are sorted by."""
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


def own_workers(
    connection: Connection,
    party: str,
    now: datetime,
    interval_seconds: int,
    part: str,
    sort: str,
    descending: bool,
    limit: int,
    offset: int,
) -> dict[str, Any]:
    """A party's workers of the last day, each at each of its sites, whose names hold `part`.

    Who sent no accepted share comes last.
    """
    tally, windows, rejection = tables.tally, _Windows(now, interval_seconds), tables.rejection
    names = ("account", "worker", "site")
    worked = (
        select(*(tally.c[name] for name in names), *windows.columns(), func.sum(tally.c.shares).label("shares"))
        .add_columns(_last_share().label("lastshare"), func.sum(tally.c.stale_shares).label("stale_shares"))
        .add_columns(literal(0).label("rejected"))
        .where(tally.c.party == party, tally.c.interval_start >= windows.begin)
        .group_by(*(tally.c[name] for name in names))
    )
    of_rejected: dict[str, ColumnElement[Any]] = {name: literal(0.0) for name in windows.starts}
    of_rejected |= {name: rejection.c[name] for name in names}
    of_rejected |= {"shares": literal(0), "stale_shares": literal(0), "rejected": func.sum(rejection.c.shares)}
    of_rejected["lastshare"] = cast(null(), tally.c.interval_start.type)
    rejected = (
        select(*(of_rejected[column.name].label(column.name) for column in worked.selected_columns))
        .where(rejection.c.party == party, rejection.c.interval_start >= windows.begin, rejection.c.account != "")
        .group_by(*(rejection.c[name] for name in names))
    )
    both = union_all(worked, rejected).subquery()
    sums = [func.sum(both.c[name]).label(name) for name in (*windows.starts, "shares", "stale_shares", "rejected")]
    last = func.max(both.c.lastshare, type_=both.c.lastshare.type).label("lastshare")
    places = [both.c[name] for name in names]
    held = both.c.account.concat(".").concat(both.c.worker).icontains(part, autoescape=True)
    grouped = select(*places, *sums, last).where(held).group_by(*places).subquery()
    keys = [grouped.c.account, grouped.c.worker] if sort == "workername" else [grouped.c[sort]]
    order = [(key.desc() if descending else key.asc()).nulls_last() for key in keys]
    by_name = [grouped.c[name] for name in names]
    counted = select(grouped, func.count().over().label("total")).order_by(*order, *by_name)
    rows = connection.execute(counted.limit(limit).offset(offset)).all()
    total = rows[0].total if rows else connection.scalar(select(func.count()).select_from(grouped)) or 0
    return {
        "at": iso(now),
        "total": total,
        "items": [
            {
                "workername": f"{row.account}.{row.worker}",
                "site": row.site,
                **windows.rates(row),
                "shares": int(row.shares),
                "stale_shares": int(row.stale_shares),
                "rejected": int(row.rejected),
                "lastshare": _unix(row.lastshare, now, interval_seconds),
            }
            for row in rows
        ],
    }
