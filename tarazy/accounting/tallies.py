"""Tallies: the work of a round by interval, party, account, worker and site, and the parties' weights in it."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from sqlalchemy import Connection, Table, bindparam, delete, select

from tarazy.accounting import tables
from tarazy.accounting.journal_file import Segment
from tarazy.accounting.upsert import upsert
from tarazy.stratum.difficulty import weight_of
from tarazy.stratum.ports import NameRecord
from tarazy.stratum.share import Verdict

FEW_WORKERS = 20_000
"""Up to so many a fold asks for their tallies by name; beyond, for all of the interval."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AT = struct.Struct(">Q34x")
_COUNTED = struct.Struct(">8xI28xbB")
"""Of `SHARE`: the time; name, exponent and verdict."""

_KEY = ("interval_start", "party", "account", "worker", "site")
_COUNTS = ("weight", "shares", "stale_weight", "stale_shares")

Counts: TypeAlias = Counter[tuple[int, int, int, int]]
"""Number of shares by name, interval since 1970, exponent and verdict."""

Key: TypeAlias = tuple[datetime, str, str, str, str]
"""Interval start, party, account, worker and site of a tally."""


@dataclass(slots=True)
class Work:
    """What a tally counts."""

    weight: int = 0
    shares: int = 0
    stale_weight: int = 0
    stale_shares: int = 0


def count(segments: Iterable[Segment], interval_seconds: int) -> Counts:
    """The shares of `segments`."""
    length = interval_seconds * 1_000_000
    counts: Counts = Counter()
    for segment in segments:
        instants = [at_us for (at_us,) in _AT.iter_unpack(segment.shares)]
        if instants and min(instants) // length == max(instants) // length:
            interval = instants[0] // length
            for (name, exponent, verdict), shares in Counter(_COUNTED.iter_unpack(segment.shares)).items():
                counts[name, interval, exponent, verdict] += shares
        else:
            for at_us, (name, exponent, verdict) in zip(instants, _COUNTED.iter_unpack(segment.shares), strict=True):
                counts[name, at_us // length, exponent, verdict] += 1
    return counts


def work_of(counts: Counts, names: Mapping[int, NameRecord], interval_seconds: int) -> dict[Key, Work]:
    """The work of each tally. Shares rejected for other reasons than being stale count for nothing."""
    work: dict[Key, Work] = {}
    for (number, interval, exponent, verdict), shares in counts.items():
        if verdict not in (Verdict.ACCEPTED, Verdict.STALE):
            continue
        name = names[number]
        start = _EPOCH + timedelta(seconds=interval * interval_seconds)
        tally = work.setdefault((start, name.party, name.account, name.worker, name.site), Work())
        if verdict == Verdict.ACCEPTED:
            tally.weight += shares * weight_of(exponent)
            tally.shares += shares
        else:
            tally.stale_weight += shares * weight_of(exponent)
            tally.stale_shares += shares
    return work


def add(connection: Connection, number: int, work: dict[Key, Work]) -> None:
    """Add to the tallies of round `number` and to the parties' weights in it; negative work takes away.

    `work` is used up: it holds the sums afterwards.
    """
    if not work:
        return
    weights: Counter[str] = Counter()
    for (_, party, *_), done in work.items():
        weights[party] += done.weight
    _add_present(connection, number, work)
    _store(connection, tables.tally, [_row(number, key, done) for key, done in work.items()], _COUNTS)
    table = tables.round_weight
    query = select(table.c.party, table.c.weight).where(table.c.round == number, table.c.party.in_(weights))
    for party, weight in connection.execute(query).all():
        weights[party] += weight
    _store(connection, table, [{"round": number, "party": p, "weight": w} for p, w in weights.items()], ("weight",))


def _store(connection: Connection, table: Table, rows: list[dict[str, Any]], counts: Sequence[str]) -> None:
    """Keep the rows that count something; the others have no place in the table."""
    upsert(connection, table, [row for row in rows if any(row[name] for name in counts)])
    empty = [row for row in rows if not any(row[name] for name in counts)]
    if empty:
        keys = table.primary_key.columns
        statement = delete(table).where(*(column == bindparam(f"key_{column.name}") for column in keys))
        connection.execute(statement, [{f"key_{column.name}": row[column.name] for column in keys} for row in empty])


def _add_present(connection: Connection, number: int, work: Mapping[Key, Work]) -> None:
    """Add what the tallies hold so far. It is done here, because SQLite has no integers of this size."""
    table = tables.tally
    query = select(*(table.c[name] for name in _KEY + _COUNTS)).where(
        table.c.round == number,
        table.c.interval_start.in_({key[0] for key in work}),
        table.c.party.in_({key[1] for key in work}),
    )
    workers = {key[3] for key in work}
    if len(workers) <= FEW_WORKERS:
        query = query.where(table.c.worker.in_(workers))
    for *key, weight, shares, stale_weight, stale_shares in connection.execute(query).all():
        if done := work.get(tuple(key)):
            done.weight += weight
            done.shares += shares
            done.stale_weight += stale_weight
            done.stale_shares += stale_shares


def _row(number: int, key: Key, done: Work) -> dict[str, Any]:
    start, party, account, worker, site = key
    return {
        "round": number,
        "interval_start": start,
        "party": party,
        "account": account,
        "worker": worker,
        "site": site,
        "weight": done.weight,
        "shares": done.shares,
        "stale_weight": done.stale_weight,
        "stale_shares": done.stale_shares,
    }
