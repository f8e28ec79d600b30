"""What pages, reports and energy ask of the accounts. Plain values; nothing here writes."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Float, Select, Table, cast, func, select

from tarazy.accounting import tables
from tarazy.accounting.distribution import DistributionState
from tarazy.accounting.energy.intervals import floor_to
from tarazy.accounting.ledger import (
    FEE,
    IMMATURE,
    IN_FLIGHT,
    OF_PARTIES,
    PAID,
    PAYABLE,
    REMAINDER,
    balances,
    balances_at,
)
from tarazy.accounting.payouts.holds import holds
from tarazy.database.states import counts_at

_AT_ONCE = {"yield_per": 10_000}
SHORTEST_WINDOW = timedelta(seconds=60)


def rough_weight(table: Table) -> ColumnElement[float]:
    """Sum of the weights of tallies, or of their sums, as a float: good for a rate, never for a division."""
    return func.sum(cast(table.c.weight, Float))


@dataclass(frozen=True, slots=True)
class Balance:
    """What a party has with the pool, in satoshi."""

    immature: int = 0
    """Credited, but the blocks may still be lost."""
    payable: int = 0
    """Owed, and in no batch."""
    held: int = 0
    """Of what is payable, kept back until somebody decides."""
    in_flight: int = 0
    """In batches that are not confirmed yet."""
    paid: int = 0

    @property
    def earned(self) -> int:
        """All that was credited and not reversed."""
        return self.immature + self.payable + self.in_flight + self.paid


@dataclass(frozen=True, slots=True)
class Work:
    """Work of a party in some span."""

    weight: float = 0.0
    shares: int = 0
    stale_shares: int = 0
    workers: int = 0


@dataclass(frozen=True, slots=True)
class BookedDistribution:
    """A distribution as it was known at an instant."""

    number: int
    block_hash: str
    height: int
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
    weights: dict[str, int]
    """Work credited, by party."""
    scheme: str
    reserve: int
    """What the reserve of FPPS gave, below zero what it took: credits + fee + remainder = reward + reserve."""


def balances_by_party(connection: Connection, at: datetime | None = None) -> dict[str, Balance]:
    """Balances of every party that ever had one, at an instant or now."""
    found = balances(connection) if at is None else balances_at(connection, at)
    amounts = {
        (kind + ":", party): amount for account, amount in found.items() for kind, _, party in [account.partition(":")]
    }
    held = {each.party for each in holds(connection, at)}
    return {
        party: _balance(amounts, party, party in held)
        for party in sorted({party for kind, party in amounts if kind in OF_PARTIES})
    }


def sums_by_kind(found: Mapping[str, int]) -> dict[str, int]:
    """Satoshi on the accounts of all parties together, by kind, and on the pool's own; `found` by account."""
    kinds = {"immature": IMMATURE, "payable": PAYABLE, "in_flight": IN_FLIGHT, "paid": PAID}
    sums = {
        name: sum(amount for account, amount in found.items() if account.startswith(kind))
        for name, kind in kinds.items()
    }
    return {**sums, **{name: found.get(name, 0) for name in (FEE, REMAINDER)}}


def balance_of(connection: Connection, party: str) -> Balance:
    """What one party has with the pool."""
    table = tables.ledger_account
    names = {kind + party: (kind, party) for kind in OF_PARTIES}
    rows = connection.execute(select(table).where(table.c.account.in_(names)))
    held = any(each.party == party for each in holds(connection))
    return _balance({names[row.account]: row.balance for row in rows}, party, held)


def _balance(amounts: Mapping[tuple[str, str], int], party: str, held: bool) -> Balance:
    immature, payable, in_flight, paid = (amounts.get((kind, party), 0) for kind in OF_PARTIES)
    return Balance(immature, payable, payable if held else 0, in_flight, paid)


def distributions(connection: Connection, booked_since: datetime, known_at: datetime) -> list[BookedDistribution]:
    """Distributions booked since `booked_since`, in order, as they were known at `known_at` (invariant 6)."""
    return _booked(connection, tables.distribution.c.booked_at.between(booked_since, known_at), known_at)


def distributions_of(connection: Connection, numbers: Collection[int], known_at: datetime) -> list[BookedDistribution]:
    """Distributions by their numbers, in order, as they were known at `known_at`."""
    if not numbers:
        return []
    between = tables.distribution.c.distribution.between(min(numbers), max(numbers))
    return [each for each in _booked(connection, between, known_at) if each.number in numbers]


def _booked(connection: Connection, booked: ColumnElement[bool], known_at: datetime) -> list[BookedDistribution]:
    table, credit = tables.distribution, tables.credit
    parts = select(credit).join(table).where(booked)
    credits: defaultdict[int, dict[str, int]] = defaultdict(dict)
    weights: defaultdict[int, dict[str, int]] = defaultdict(dict)
    names: dict[str, str] = {}
    """Each party's name once, however many credits it has."""
    for row in connection.execute(parts.order_by(credit.c.distribution, credit.c.party), execution_options=_AT_ONCE):
        party = names.setdefault(row.party, row.party)
        credits[row.distribution][party] = row.amount
        weights[row.distribution][party] = row.weight
    heights = select(table, tables.block.c.height).join(tables.block)
    rows = connection.execute(heights.where(booked).order_by(table.c.distribution))
    return [
        BookedDistribution(
            row.distribution,
            row.block_hash,
            row.height,
            row.first_round,
            row.last_round,
            row.reward,
            row.fee_ppm,
            row.fee,
            row.remainder,
            row.total_weight,
            distribution_state(row.final_at, row.reversed_at, known_at),
            row.booked_at,
            credits[row.distribution],
            weights[row.distribution],
            row.scheme,
            row.reserve,
        )
        for row in rows
    ]


def distribution_state(
    final_at: datetime | None, reversed_at: datetime | None, known_at: datetime | None = None
) -> DistributionState:
    """A distribution's state by the instants of its changes, as it was known at `known_at`; None: as known now."""
    if reversed_at is not None and (known_at is None or reversed_at <= known_at):
        return DistributionState.REVERSED
    if final_at is not None and (known_at is None or final_at <= known_at):
        return DistributionState.FINAL
    return DistributionState.IMMATURE


def present_work(
    connection: Connection, now: datetime, interval_seconds: int, *, ended: bool = False
) -> tuple[dict[str, Work], float]:
    """Work by party in the present hash rate's window, and the window's seconds.

    The window holds the intervals of at least `SHORTEST_WINDOW` before the running one, and that one unless only
    those that have `ended` count; it begins with the first work when that is later.
    """
    start, tally = present_from(now, interval_seconds), tables.tally
    end = floor_to(now, interval_seconds) if ended else now
    within = tally.c.interval_start >= start
    if ended:
        within &= tally.c.interval_start < end
    query = (
        select(
            tally.c.party,
            rough_weight(tally).label("weight"),
            func.sum(tally.c.shares).label("shares"),
            func.sum(tally.c.stale_shares).label("stale_shares"),
            func.count(tally.c.account.concat(".").concat(tally.c.worker).distinct()).label("workers"),
        )
        .where(within)
        .group_by(tally.c.party)
    )
    rows = connection.execute(query).all()
    work = {row.party: Work(row.weight, int(row.shares), int(row.stale_shares), row.workers) for row in rows}
    return work, _present_seconds(connection, start, end)


def fastest(
    connection: Connection, now: datetime, interval_seconds: int, by: tuple[str, ...], limit: int
) -> tuple[list[tuple[tuple[str, ...], Work]], float]:
    """Who did most in the window of `present_work`, by these columns of the tally, and the window's seconds."""
    start, tally = present_from(now, interval_seconds), tables.tally
    who, weight = [tally.c[name] for name in by], rough_weight(tally)
    counted = select(*who, weight, func.sum(tally.c.shares), func.sum(tally.c.stale_shares))
    query = counted.where(tally.c.interval_start >= start).group_by(*who).order_by(weight.desc(), *who)
    rows = connection.execute(query.limit(limit)).all()
    found = [(tuple(row[:-3]), Work(row[-3], int(row[-2]), int(row[-1]))) for row in rows]
    return found, _present_seconds(connection, start, now)


def present_from(now: datetime, interval_seconds: int) -> datetime:
    """From when on work counts for the present hash rate."""
    whole = math.ceil(SHORTEST_WINDOW.total_seconds() / interval_seconds)
    return floor_to(now, interval_seconds) - timedelta(seconds=whole * interval_seconds)


def _present_seconds(connection: Connection, start: datetime, now: datetime) -> float:
    earliest = connection.scalar(select(func.min(tables.tally.c.interval_start)))
    return max(0.0, (now - (max(start, earliest) if earliest else start)).total_seconds())


def open_round(connection: Connection, at: datetime | None = None) -> tuple[int, datetime] | None:
    """Number of the round that is open, or was at an instant, and when it was opened."""
    table = tables.round_
    query = select(table.c.round, table.c.opened_at)
    query = query.where(table.c.closed_at.is_(None) if at is None else table.c.opened_at <= at)
    row = connection.execute(query.order_by(table.c.round.desc()).limit(1)).first()
    return (row.round, row.opened_at) if row else None


def distribution_counts(connection: Connection) -> dict[str, int]:
    """Number of distributions by state."""
    state = tables.distribution.c.state
    query = select(state, func.count().label("distributions")).group_by(state)
    return {row.state: row.distributions for row in connection.execute(query)}


def block_counts(connection: Connection, at: datetime | None = None) -> dict[str, int]:
    """Number of blocks by state, now or at an instant."""
    if at is not None:
        return counts_at(connection, tables.block.name, at)
    state = tables.block.c.state
    query = select(state, func.count().label("blocks")).group_by(state)
    return {row.state: row.blocks for row in connection.execute(query)}


def work_by_site_interval(connection: Connection, site: str, start: datetime, end: datetime) -> dict[str, int]:
    """Credited work of each party on a site, in the intervals that begin in [start, end)."""
    table = tables.site_tally
    begins = (table.c.interval_start >= start) & (table.c.interval_start < end)
    query = select(table.c.party, table.c.weight).where(begins, table.c.site == site)
    return {party: weight for party, weight in _sums(connection, query).items() if weight}


def _sums(connection: Connection, query: Select[str, int]) -> dict[str, int]:
    """Added up here: weights exceed the integers of SQLite."""
    sums: Counter[str] = Counter()
    for party, weight in connection.execute(query):
        sums[party] += weight
    return dict(sorted(sums.items()))
