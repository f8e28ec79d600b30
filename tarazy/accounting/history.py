"""What moved on the accounts of one party between two instants, the balances before and after, and its credits.

Accounts are found by name alone, `<what>:<party>`, so whatever accounts a party has are told. The cost is that of the
span, and of what the party's accounts moved since.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from tarazy.accounting.ledger import FEE, OF_PARTIES, REMAINDER, RESERVE, REWARD, entries_before
from tarazy.accounting.tables import block, credit, distribution, ledger_account, ledger_entry, ledger_posting

_POOLS = {FEE, REMAINDER, RESERVE, REWARD}
"""First words of the pool's own accounts, which belong to no party."""
_AT_ONCE = 50
"""Distributions looked up in one query."""


@dataclass(frozen=True, slots=True)
class Movement:
    """What one entry added to one account of the party, in satoshi. `account` is its name without the party."""

    entry: int
    at: datetime
    kind: str
    reference: str
    account: str
    amount: int


@dataclass(frozen=True, slots=True)
class AccountSpan:
    """One account over a span: opening + the movements = closing, in satoshi."""

    account: str
    opening: int
    closing: int
    moved: dict[str, int]
    """Sums by kind of entry, in order of kinds."""


@dataclass(frozen=True, slots=True)
class History:
    """All accounts of a party over the entries after `after` up to and including `last`."""

    after: int
    last: int
    accounts: tuple[AccountSpan, ...]
    movements: tuple[Movement, ...]


def history(connection: Connection, party: str, start: datetime, end: datetime) -> History:
    """The party's accounts over the entries of [start, end), by the balances of now and what was posted since."""
    after, last = entries_before(connection, start), entries_before(connection, end)
    balances = _balances(connection, party)
    since = _sums_after(connection, list(balances), last)
    movements = _movements(connection, party, list(balances), after, last)
    accounts = []
    for name, balance in balances.items():
        account = name.removesuffix(f":{party}")
        moved: Counter[str] = Counter()
        for movement in movements:
            if movement.account == account:
                moved[movement.kind] += movement.amount
        closing = balance - since.get(name, 0)
        if not closing and not moved and not _opened(connection, name, last):
            continue  # the same span tells the same whenever it is asked for
        accounts.append(AccountSpan(account, closing - moved.total(), closing, dict(sorted(moved.items()))))
    return History(after, last, tuple(accounts), movements)


def _balances(connection: Connection, party: str) -> dict[str, int]:
    """Present balances of the party's accounts by name, in order."""
    named = ledger_account.c.account.endswith(f":{party}", autoescape=True)
    rows = connection.execute(select(ledger_account).where(named).order_by(ledger_account.c.account))
    balances = {row.account: row.balance for row in rows}
    return {
        name: balance
        for name, balance in balances.items()
        if name.partition(":")[0] not in _POOLS and name.partition(":")[2] == party
    }


def _opened(connection: Connection, account: str, last: int) -> bool:
    """Whether anything was posted to an account by an entry up to `last`."""
    posting = ledger_posting.c
    query = select(posting.entry).where(posting.account == account, posting.entry <= last).limit(1)
    return connection.scalar(query) is not None


def _sums_after(connection: Connection, names: Sequence[str], last: int) -> dict[str, int]:
    posting = ledger_posting
    query = (
        select(posting.c.account, func.sum(posting.c.amount))
        .where(posting.c.account.in_(names), posting.c.entry > last)
        .group_by(posting.c.account)
    )
    return {account: int(total) for account, total in connection.execute(query)}


def _movements(connection: Connection, party: str, names: Sequence[str], after: int, last: int) -> tuple[Movement, ...]:
    posting, entry = ledger_posting, ledger_entry
    query = (
        select(entry, posting.c.account, posting.c.amount)
        .join(posting, posting.c.entry == entry.c.entry)
        .where(posting.c.account.in_(names), posting.c.entry > after, posting.c.entry <= last)
        .order_by(entry.c.entry, posting.c.account)
    )
    return tuple(
        Movement(row.entry, row.at, row.kind, row.reference, row.account.removesuffix(f":{party}"), row.amount)
        for row in connection.execute(query)
    )


@dataclass(frozen=True, slots=True)
class PoolHistory:
    """The whole ledger over a span: the accounts of all parties together, by what they are, and the pool's own."""

    accounts: tuple[AccountSpan, ...]
    """In order of names; their openings, movements and closings each add up to zero."""
    booked: frozenset[int]
    """Numbers of the distributions that were booked."""


def pool_history(connection: Connection, start: datetime, end: datetime) -> PoolHistory:
    """All accounts over the entries of [start, end), by the balances of now and what was posted since."""
    after, last = entries_before(connection, start), entries_before(connection, end)
    posting, entry = ledger_posting, ledger_entry
    closing: Counter[str] = Counter()
    for row in connection.execute(select(ledger_account)):
        closing[_together(row.account)] += row.balance
    since = select(posting.c.account, func.sum(posting.c.amount)).where(posting.c.entry > last)
    for account, total in connection.execute(since.group_by(posting.c.account)):
        closing[_together(account)] -= int(total)
    moved: dict[str, Counter[str]] = {account: Counter() for account in closing}
    during = (
        select(posting.c.account, entry.c.kind, func.sum(posting.c.amount))
        .join(entry, entry.c.entry == posting.c.entry)
        .where(posting.c.entry > after, posting.c.entry <= last)
        .group_by(posting.c.account, entry.c.kind)
    )
    for account, kind, total in connection.execute(during):
        moved[_together(account)][kind] += int(total)
    booked = select(entry.c.reference).where(entry.c.kind == "distribution", entry.c.entry > after)
    return PoolHistory(
        tuple(
            AccountSpan(name, balance - moved[name].total(), balance, dict(sorted(moved[name].items())))
            for name, balance in sorted(closing.items())
            if balance or moved[name]
        ),
        frozenset(map(int, connection.scalars(booked.where(entry.c.entry <= last)))),
    )


def _together(account: str) -> str:
    """What an account is, without the party it is of."""
    return account.partition(":")[0] if account.startswith(OF_PARTIES) else account


@dataclass(frozen=True, slots=True)
class PartyCredit:
    """A party's part of one distribution, with what is needed to recompute it. Money in satoshi."""

    distribution: int
    block_hash: str
    height: int
    first_round: int
    last_round: int
    scheme: str
    reward: int
    fee_ppm: int
    """The party's."""
    fee: int
    """The party's part of the pool's fee: what was withheld from it under FPPS and where parties pay fees of their own,
    else the fee by its share of the work, rounded down."""
    total_weight: int
    party: str
    weight: int
    amount: int
    booked_at: datetime
    final_at: datetime | None
    reversed_at: datetime | None


def finalised(
    connection: Connection, start: datetime, end: datetime, party: str | None = None
) -> Iterator[PartyCredit]:
    """Credits of the distributions that became final in [start, end), in order; of one party if it is named."""
    entry = ledger_entry
    query = select(entry.c.reference).where(
        entry.c.kind == "maturity",
        entry.c.entry > entries_before(connection, start),
        entry.c.entry <= entries_before(connection, end),
    )
    return credits_of(connection, map(int, connection.scalars(query)), party)


def credits_of(connection: Connection, distributions: Iterable[int], party: str | None = None) -> Iterator[PartyCredit]:
    """Credits of distributions, in order of their numbers and of parties; of one party if it is named.

    A year of a large pool has millions: they come some distributions at a time.
    """
    wanted = sorted(set(distributions))
    for first in range(0, len(wanted), _AT_ONCE):
        query = (
            select(
                distribution,
                block.c.height,
                credit.c.party,
                credit.c.weight,
                credit.c.amount,
                credit.c.fee.label("withheld"),
            )
            .join(block, block.c.block_hash == distribution.c.block_hash)
            .join(credit, credit.c.distribution == distribution.c.distribution)
            .where(distribution.c.distribution.in_(wanted[first : first + _AT_ONCE]))
            .order_by(distribution.c.distribution, credit.c.party)
        )
        if party is not None:
            query = query.where(credit.c.party == party)
        for row in connection.execute(query):
            yield PartyCredit(
                row.distribution,
                row.block_hash,
                row.height,
                row.first_round,
                row.last_round,
                row.scheme,
                row.reward,
                (row.fees or {}).get(row.party, row.fee_ppm),
                _fee_of(row),
                row.total_weight,
                row.party,
                row.weight,
                row.amount,
                row.booked_at,
                row.final_at,
                row.reversed_at,
            )


def _fee_of(row: Row[Any]) -> int:
    if row.withheld is not None:
        return int(row.withheld)
    if not row.total_weight:
        return 0
    if row.fees:
        return int(row.reward * row.weight // row.total_weight - row.amount)
    return int(row.fee * row.weight // row.total_weight)
