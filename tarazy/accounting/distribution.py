"""Which distributions should stand, given the fate of our blocks; and the bookings that lead there.

Rounds are delimited by blocks that stay on the main chain: the work of a round whose block left it goes to
the next block that stays. A distribution is immature until its block has `MATURITY` confirmations and the
fate of every earlier block is decided; then it is final, and what it gives is payable. Nothing booked is ever
edited.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, insert, select, update

from tarazy.accounting import tables
from tarazy.accounting.blocks import (
    MATURITY,
    ON_CHAIN,
    PENDING,
    Block,
    BlockState,
    open_blocks,
    settled_round,
)
from tarazy.accounting.ledger import (
    FEE,
    IMMATURE_FEE,
    IMMATURE_REMAINDER,
    REMAINDER,
    REWARD,
    immature,
    payable,
    post,
)
from tarazy.accounting.schemes import Scheme, proportional
from tarazy.accounting.upsert import insert_many


class DistributionState(StrEnum):
    """Where a distribution stands."""

    IMMATURE = "immature"
    """Provisional: its block may still leave the main chain."""
    FINAL = "final"
    REVERSED = "reversed"
    """Taken back, because a block left the main chain or came back to it."""


@dataclass(frozen=True, slots=True)
class Span:
    """A block and the rounds whose work it pays."""

    block_hash: str
    first_round: int
    last_round: int


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Numbers of the distributions that one call changed."""

    booked: tuple[int, ...] = ()
    reversed: tuple[int, ...] = ()
    finalised: tuple[int, ...] = ()


def spans(blocks: Iterable[Block], settled: int) -> Iterator[Span]:
    """What each block on the main chain pays, given the open blocks in order and the last settled round.

    A block whose fate the chain has not told yet is taken to stay, so that the next one need not be booked
    twice.
    """
    first = settled + 1
    for block in blocks:
        if block.state in ON_CHAIN:
            yield Span(block.block_hash, first, block.round)
        if block.state in ON_CHAIN or block.state in PENDING:
            first = block.round + 1


def decided(blocks: Iterable[Block]) -> Iterator[Block]:
    """The open blocks, in order, up to the first whose fate may still change.

    A block on the main chain is decided with `MATURITY` confirmations, one off it when the main chain is as
    far beyond its height.
    """
    known = list(blocks)
    tip = max((block.height + block.confirmations - 1 for block in known if block.state in ON_CHAIN), default=0)
    for block in known:
        buried = block.state not in ON_CHAIN | PENDING and tip - block.height + 1 >= MATURITY
        if block.state is not BlockState.MATURE and not buried:
            return
        yield block


def reconcile(connection: Connection, at: datetime) -> Reconciled:
    """Make the distributions agree with the recorded states of the blocks. Doing it twice changes nothing
    more.

    Belongs into one transaction with the states it follows. Costs what the immature blocks cost, not what
    history would.
    """
    table = tables.distribution
    settled = settled_round(connection)
    blocks = open_blocks(connection)
    wanted = list(spans(blocks, settled))
    query = select(table).where(table.c.state == DistributionState.IMMATURE).order_by(table.c.last_round)
    standing = {
        Span(row.block_hash, row.first_round, row.last_round): row.distribution for row in connection.execute(query)
    }
    reversed_ = [number for span, number in standing.items() if span not in wanted]
    for number in reversed_:
        _reverse(connection, number, at)
    booked = []
    rewards = {block.block_hash: block.reward for block in blocks}
    for span in wanted:
        if span not in standing:
            standing[span] = _book(connection, span, rewards[span.block_hash], at)
            booked.append(standing[span])
    sure = {block.block_hash for block in decided(blocks)}
    finalised = [standing[span] for span in wanted if span.block_hash in sure]
    for number in finalised:
        _finalise(connection, number, at)
    return Reconciled(tuple(booked), tuple(reversed_), tuple(finalised))


def _book(connection: Connection, span: Span, reward: int, at: datetime) -> int:
    """Divide on the terms that were in force when the last of the rounds closed."""
    closed = tables.round_.c.round == span.last_round
    terms = connection.execute(select(tables.round_).where(closed)).one()
    scheme = Scheme(terms.scheme or Scheme.PROP)
    weights = _weights(connection, span, scheme)
    divided = proportional(reward, terms.fee_ppm, weights, terms.fees)
    values = {
        "block_hash": span.block_hash,
        "first_round": span.first_round,
        "last_round": span.last_round,
        "reward": reward,
        "scheme": scheme,
        "fee_ppm": terms.fee_ppm,
        "fees": terms.fees,
        "fee": divided.fee,
        "remainder": divided.remainder,
        "total_weight": divided.total_weight,
        "state": DistributionState.IMMATURE,
        "booked_at": at,
    }
    booking = insert(tables.distribution).values(**values).returning(tables.distribution.c.distribution)
    number = int(connection.execute(booking).scalar_one())
    credits = [(number, party, str(weights[party]), amount) for party, amount in divided.credits.items()]
    insert_many(connection, tables.credit, ("distribution", "party", "weight", "amount"), credits)
    _move(connection, at, "distribution", number, _UNDIVIDED, _IMMATURE)
    return number


def _reverse(connection: Connection, number: int, at: datetime) -> None:
    _move(connection, at, "reversal", number, _IMMATURE, _UNDIVIDED)
    _settle(connection, number, state=DistributionState.REVERSED, reversed_at=at)


def _finalise(connection: Connection, number: int, at: datetime) -> None:
    _move(connection, at, "maturity", number, _IMMATURE, _PAYABLE)
    _settle(connection, number, state=DistributionState.FINAL, final_at=at)
    credit = tables.credit
    connection.execute(update(credit).where(credit.c.distribution == number).values(due=True))


def _weights(connection: Connection, span: Span, scheme: Scheme) -> Mapping[str, int]:
    """Whose work the block pays."""
    if scheme is Scheme.SOLO:
        finder = select(tables.block.c.party).where(tables.block.c.block_hash == span.block_hash)
        party = connection.execute(finder).scalar_one()
        return {party: 1} if party else {}
    table = tables.window_weight if scheme is Scheme.PPLNS else tables.round_weight
    first = span.last_round if scheme is Scheme.PPLNS else span.first_round
    inside = table.c.round.between(first, span.last_round)
    weights: defaultdict[str, int] = defaultdict(int)
    for party, weight in connection.execute(select(table.c.party, table.c.weight).where(inside)):
        weights[party] += weight
    return weights


def _settle(connection: Connection, number: int, **values: object) -> None:
    table = tables.distribution
    connection.execute(update(table).where(table.c.distribution == number).values(**values))


@dataclass(frozen=True, slots=True)
class _Side:
    """The accounts that hold the parts of a distribution."""

    party: Callable[[str], str]
    fee: str
    remainder: str


_UNDIVIDED = _Side(lambda party: REWARD, REWARD, REWARD)
_IMMATURE = _Side(immature, IMMATURE_FEE, IMMATURE_REMAINDER)
_PAYABLE = _Side(payable, FEE, REMAINDER)


def _move(connection: Connection, at: datetime, kind: str, number: int, source: _Side, target: _Side) -> None:
    """Book all parts of a distribution from one side to another."""
    table, credit = tables.distribution, tables.credit
    row = connection.execute(select(table).where(table.c.distribution == number)).one()
    postings: defaultdict[str, int] = defaultdict(int)
    postings[source.fee] -= row.fee
    postings[source.remainder] -= row.remainder
    postings[target.fee] += row.fee
    postings[target.remainder] += row.remainder
    credits = select(credit.c.party, credit.c.amount).where(credit.c.distribution == number)
    for party, amount in connection.execute(credits):
        postings[source.party(party)] -= amount
        postings[target.party(party)] += amount
    if any(postings.values()):
        post(connection, at, kind, str(number), f"block {row.block_hash}", postings)
