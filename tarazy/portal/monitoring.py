"""What the API tells a miner of its work, on the database's side: hash rates, and worker by worker.

Names that miners' tools know from ckpool's pages (`hashrate1hr`, `hashrate1d`, `lastshare`, `workername`, `workers`)
mean here what they mean there; rates are numbers in hashes per second, `lastshare` is Unix time.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Float, case, cast, func, select

from tarazy.accounting import tables
from tarazy.accounting.energy.intervals import floor_to
from tarazy.accounting.queries import present_from, rough_weight
from tarazy.portal.views import chart_starts, hashrate, iso

SORTS = ("hashrate", "hashrate1hr", "hashrate1d", "lastshare", "shares", "stale_shares", "workername")
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


def own_hashrate(connection: Connection, party: str, now: datetime, interval_seconds: int) -> dict[str, Any]:
    """A party's hash rates, shares of the last day, and the day interval by interval."""
    tally, windows = tables.tally, _Windows(now, interval_seconds)
    own = (tally.c.party == party, tally.c.interval_start >= windows.begin)
    shares, stale = func.sum(tally.c.shares), func.sum(tally.c.stale_shares)
    row = connection.execute(
        select(*windows.columns(), shares.label("shares"), stale.label("stale"), _last_share().label("last")).where(
            *own
        )
    ).one()
    names = select(tally.c.account, tally.c.worker).where(*own, tally.c.interval_start >= windows.starts["hashrate"])
    by_interval = select(tally.c.interval_start, rough_weight).where(*own).group_by(tally.c.interval_start)
    known = dict(connection.execute(by_interval).all())
    starts = chart_starts(now, interval_seconds, known)
    return {
        "at": iso(now),
        **windows.rates(row),
        "workers": connection.scalar(select(func.count()).select_from(names.distinct().subquery())) or 0,
        "shares": int(row.shares or 0),
        "stale_shares": int(row.stale or 0),
        "lastshare": _unix(row.last, now, interval_seconds),
        "interval_seconds": interval_seconds,
        "series": [
            {"start": iso(each), "hashrate": hashrate(known.get(each, 0.0), interval_seconds)} for each in starts
        ],
    }


def own_workers(
    connection: Connection,
    party: str,
    now: datetime,
    interval_seconds: int,
    sort: str,
    descending: bool,
    limit: int,
    offset: int,
) -> dict[str, Any]:
    """A party's workers of the last day, each at each of its sites. Who sent no share comes last."""
    tally, windows = tables.tally, _Windows(now, interval_seconds)
    who = (tally.c.account, tally.c.worker, tally.c.site)
    last = _last_share().label("lastshare")
    grouped = (
        select(*who, *windows.columns(), func.sum(tally.c.shares).label("shares"), last)
        .add_columns(func.sum(tally.c.stale_shares).label("stale_shares"))
        .where(tally.c.party == party, tally.c.interval_start >= windows.begin)
        .group_by(*who)
    ).subquery()
    keys = [grouped.c.account, grouped.c.worker] if sort == "workername" else [grouped.c[sort]]
    order = [(key.desc() if descending else key.asc()).nulls_last() for key in keys]
    names = [grouped.c[column.name] for column in who]
    counted = select(grouped, func.count().over().label("total")).order_by(*order, *names)
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
                "lastshare": _unix(row.lastshare, now, interval_seconds),
            }
            for row in rows
        ],
    }
