"""What pages, reports and energy ask of the accounts. Plain values; nothing here writes."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Row, Select, select

from tarazy.accounting import tables
from tarazy.accounting.distribution import DistributionState
from tarazy.accounting.ledger import IMMATURE, PAYABLE
from tarazy.stratum.difficulty import hashes_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Balance:
    """What a party has with the pool, in satoshi."""

    immature: int = 0
    """Credited, but the blocks may still be lost."""
    payable: int = 0


@dataclass(frozen=True, slots=True)
class BookedDistribution:
    """A distribution as it was known at an instant."""

    number: int
    block_hash: str
    first_round: int
    last_round: int
    reward: int
    fee_ppm: int
    fee: int
    remainder: int
    total_weight: int
    state: DistributionState
    booked_at: datetime
    credits: dict[str, int]
    """Satoshi by party, in order of party."""


def balances_by_party(connection: Connection) -> dict[str, Balance]:
    """Balances of every party that ever had one."""
    table = tables.ledger_account
    amounts = {row.account: row.balance for row in connection.execute(select(table))}
    parties = {account.partition(":")[2] for account in amounts if account.startswith((IMMATURE, PAYABLE))}
    return {
        party: Balance(amounts.get(IMMATURE + party, 0), amounts.get(PAYABLE + party, 0)) for party in sorted(parties)
    }


def distributions(connection: Connection, booked_since: datetime, known_at: datetime) -> list[BookedDistribution]:
    """Distributions booked since `booked_since`, in order, as they were known at `known_at` (invariant 6)."""
    table, credit = tables.distribution, tables.credit
    booked = table.c.booked_at.between(booked_since, known_at)
    parts = select(credit.c.distribution, credit.c.party, credit.c.amount).join(table).where(booked)
    credits: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for row in connection.execute(parts.order_by(credit.c.distribution, credit.c.party)):
        credits[row.distribution][row.party] = row.amount
    rows = connection.execute(select(table).where(booked).order_by(table.c.distribution))
    return [
        BookedDistribution(
            row.distribution,
            row.block_hash,
            row.first_round,
            row.last_round,
            row.reward,
            row.fee_ppm,
            row.fee,
            row.remainder,
            row.total_weight,
            _state_at(row, known_at),
            row.booked_at,
            credits[row.distribution],
        )
        for row in rows
    ]


def _state_at(row: Row[tuple[object, ...]], instant: datetime) -> DistributionState:
    if row.reversed_at is not None and row.reversed_at <= instant:
        return DistributionState.REVERSED
    if row.final_at is not None and row.final_at <= instant:
        return DistributionState.FINAL
    return DistributionState.IMMATURE


def hashrate_by_party(connection: Connection, now: datetime, seconds: int, interval_seconds: int) -> dict[str, int]:
    """Hashes per second of each party: credited work of the intervals that reach into the last `seconds`."""
    table = tables.tally
    window = timedelta(seconds=seconds)
    since = now - window - (now - window - _EPOCH) % timedelta(seconds=interval_seconds)
    query = select(table.c.party, table.c.weight).where(table.c.interval_start >= since)
    covered = int((now - since).total_seconds())
    return {party: hashes_of(weight) // covered for party, weight in _sums(connection, query).items()}


def work_by_site_interval(connection: Connection, site: str, start: datetime, end: datetime) -> dict[str, int]:
    """Credited work of each party on a site, in the intervals that begin in [start, end)."""
    table = tables.tally
    begins = (table.c.interval_start >= start) & (table.c.interval_start < end)
    query = select(table.c.party, table.c.weight).where(begins, table.c.site == site)
    return {party: weight for party, weight in _sums(connection, query).items() if weight}


def _sums(connection: Connection, query: Select[str, int]) -> dict[str, int]:
    """Added up here: weights exceed the integers of SQLite."""
    sums: Counter[str] = Counter()
    for party, weight in connection.execute(query):
        sums[party] += weight
    return dict(sorted(sums.items()))
