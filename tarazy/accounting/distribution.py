"""Which distributions should stand, given the fate of our blocks; and the bookings that lead there.

Rounds are delimited by blocks that stay on the main chain: the work of a round whose block left it goes to
the next block that stays. Under FPPS a round is paid whatever became of its block: what is missing then is the
reserve's. A distribution is immature until its block has `MATURITY` confirmations and the
fate of every earlier block is decided; then it is final, and what it gives is payable. Nothing booked is ever
edited.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import takewhile

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
    IMMATURE_RESERVE,
    REMAINDER,
    RESERVE,
    REWARD,
    immature,
    payable,
    post,
)
from tarazy.accounting.schemes import Scheme, from_reserve, proportional
from tarazy.accounting.upsert import insert_many
from tarazy.accounting.worth import Worth


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
    reward: int
    """What the block brought: nothing when it did not stay."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Numbers of the distributions that one call changed."""

    booked: tuple[int, ...] = ()
    reversed: tuple[int, ...] = ()
    finalised: tuple[int, ...] = ()


def spans(blocks: Iterable[Block], settled: int, by_share: Collection[int] = ()) -> Iterator[Span]:
    """What each block on the main chain pays, given the open blocks in order and the last settled round.

    A block whose fate the chain has not told yet is taken to stay, so that the next one need not be booked
    twice. `by_share`: the rounds of FPPS, which are paid without their block too.
    """
    first = settled + 1
    for block in blocks:
        if block.state in PENDING:
            first = block.round + 1
        elif block.state in ON_CHAIN or block.round in by_share:
            yield Span(block.block_hash, first, block.round, block.reward if block.state in ON_CHAIN else 0)
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
    history would. A round of FPPS waits until its average fee is known, and those after it wait to be final.
    """
    table = tables.distribution
    settled = settled_round(connection)
    blocks = open_blocks(connection)
    rounds = _by_share(connection, settled)
    wanted = list(spans(blocks, settled, rounds))
    query = select(table).where(table.c.state == DistributionState.IMMATURE).order_by(table.c.last_round)
    standing = {
        Span(row.block_hash, row.first_round, row.last_round, row.reward): row.distribution
        for row in connection.execute(query)
    }
    reversed_ = [number for span, number in standing.items() if span not in wanted]
    for number in reversed_:
        _reverse(connection, number, at)
    booked = []
    for span in wanted:
        if span not in standing and rounds.get(span.last_round, True):
            standing[span] = _book(connection, span, at)
            booked.append(standing[span])
    sure = {block.block_hash for block in decided(blocks)}
    finalised = [standing[span] for span in takewhile(standing.__contains__, wanted) if span.block_hash in sure]
    for number in finalised:
        _finalise(connection, number, at)
    return Reconciled(tuple(booked), tuple(reversed_), tuple(finalised))


def _by_share(connection: Connection, settled: int) -> dict[int, bool]:
    """The rounds of FPPS that are not settled, and whether their average fee is known."""
    table = tables.round_
    query = select(table.c.round, table.c.average_fee).where(table.c.round > settled, table.c.scheme == Scheme.FPPS)
    return {number: fee is not None for number, fee in connection.execute(query)}


def _book(connection: Connection, span: Span, at: datetime) -> int:
    """Divide on the terms that were in force when the last of the rounds closed."""
    closed = tables.round_.c.round == span.last_round
    terms = connection.execute(select(tables.round_).where(closed)).one()
    scheme = Scheme(terms.scheme or Scheme.PROP)
    if scheme is Scheme.FPPS:
        work = work_by_worth(connection, span.first_round, span.last_round)
        weights: Mapping[str, int] = total_work(work)
        divided = from_reserve(span.reward, terms.fee_ppm, terms.average_fee, work, terms.fees)
    else:
        weights = _weights(connection, span, scheme)
        divided = proportional(span.reward, terms.fee_ppm, weights, terms.fees)
    values = {
        "block_hash": span.block_hash,
        "first_round": span.first_round,
        "last_round": span.last_round,
        "reward": span.reward,
        "scheme": scheme,
        "fee_ppm": terms.fee_ppm,
        "fees": terms.fees,
        "fee": divided.fee,
        "remainder": divided.remainder,
        "total_weight": divided.total_weight,
        "reserve": divided.reserve,
        "average_fee": terms.average_fee,
        "state": DistributionState.IMMATURE,
        "booked_at": at,
    }
    booking = insert(tables.distribution).values(**values).returning(tables.distribution.c.distribution)
    number = int(connection.execute(booking).scalar_one())
    columns = ("distribution", "party", "weight", "amount", "fee")
    credits = [
        (number, party, str(weights[party]), amount, divided.withheld.get(party))
        for party, amount in divided.credits.items()
    ]
    insert_many(connection, tables.credit, columns, credits)
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
    table = tables.window_weight if scheme is Scheme.PPLNS else tables.round_work
    first = span.last_round if scheme is Scheme.PPLNS else span.first_round
    inside = table.c.round.between(first, span.last_round)
    weights: defaultdict[str, int] = defaultdict(int)
    for party, weight in connection.execute(select(table.c.party, table.c.weight).where(inside)):
        weights[party] += weight
    return weights


def work_by_worth(connection: Connection, first: int, last: int) -> dict[Worth, dict[str, int]]:
    """Credited work of some rounds by worth and party, as FPPS pays it with the last of them.

    Work that was folded before its worth was kept has that of the last round's block.
    """
    closed = tables.round_.c.round == last
    own = connection.execute(select(tables.round_.c.target, tables.round_.c.subsidy).where(closed)).one()
    table = tables.round_work
    found: defaultdict[Worth, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in connection.execute(select(table).where(table.c.round.between(first, last))):
        told = row if row.target else own
        found[Worth(int(told.target, 16), told.subsidy)][row.party] += row.weight
    return {worth: dict(weights) for worth, weights in found.items()}


def total_work(work: Mapping[Worth, Mapping[str, int]]) -> Counter[str]:
    """Work by party, whatever it is worth."""
    total: Counter[str] = Counter()
    for weights in work.values():
        total.update(weights)
    return total


def _settle(connection: Connection, number: int, **values: object) -> None:
    table = tables.distribution
    connection.execute(update(table).where(table.c.distribution == number).values(**values))


@dataclass(frozen=True, slots=True)
class _Side:
    """The accounts that hold the parts of a distribution."""

    party: Callable[[str], str]
    fee: str
    remainder: str
    reserve: str


_UNDIVIDED = _Side(lambda party: REWARD, REWARD, REWARD, REWARD)
_IMMATURE = _Side(immature, IMMATURE_FEE, IMMATURE_REMAINDER, IMMATURE_RESERVE)
_PAYABLE = _Side(payable, FEE, REMAINDER, RESERVE)


def _move(connection: Connection, at: datetime, kind: str, number: int, source: _Side, target: _Side) -> None:
    """Book all parts of a distribution from one side to another."""
    table, credit = tables.distribution, tables.credit
    row = connection.execute(select(table).where(table.c.distribution == number)).one()
    postings: defaultdict[str, int] = defaultdict(int)
    postings[source.fee] -= row.fee
    postings[source.remainder] -= row.remainder
    postings[source.reserve] += row.reserve
    postings[target.reserve] -= row.reserve
    postings[target.fee] += row.fee
    postings[target.remainder] += row.remainder
    credits = select(credit.c.party, credit.c.amount).where(credit.c.distribution == number)
    for party, amount in connection.execute(credits):
        postings[source.party(party)] -= amount
        postings[target.party(party)] += amount
    if any(postings.values()):
        post(connection, at, kind, str(number), f"block {row.block_hash}", postings)
