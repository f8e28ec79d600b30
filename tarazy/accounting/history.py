"""What moved on the accounts of one party between two instants, and the balances before and after.

Accounts are found by name alone, `<what>:<party>`, so whatever accounts a party has are told. The cost is that of the
span, and of what the party's accounts moved since.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from tarazy.accounting.ledger import FEE, REMAINDER, REWARD
from tarazy.accounting.tables import ledger_account, ledger_entry, ledger_posting

_POOLS = {FEE, REMAINDER, REWARD}
"""First words of the pool's own accounts, which belong to no party."""


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


def entries_before(connection: Connection, instant: datetime) -> int:
    """Number of the last entry before an instant; 0 before the first."""
    query = select(ledger_entry.c.entry).where(ledger_entry.c.at < instant)
    return connection.scalar(query.order_by(ledger_entry.c.at.desc(), ledger_entry.c.entry.desc()).limit(1)) or 0


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
