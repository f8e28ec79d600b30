"""Double entry in satoshi: what one account gains another gives. Entries are only ever appended.

Accounts: `reward` is where block rewards come from, so its balance is minus what was divided. A party has
`immature:<party>`, `payable:<party>`, `in-flight:<party>` (in a payout batch) and `paid:<party>`; the pool's fee and
the carried remainder have accounts of their own. `reserve` bears the luck of FPPS. `network-fee` is what payouts cost
the pool, `own` what it paid into the wallet less what it took out, against `outside`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, func, insert, select

from tarazy.accounting import tables
from tarazy.accounting.upsert import insert_many, upsert_sums

REWARD = "reward"
FEE = "fee"
IMMATURE_FEE = "fee:immature"
REMAINDER = "remainder"
IMMATURE_REMAINDER = "remainder:immature"
RESERVE = "reserve"
IMMATURE_RESERVE = "reserve:immature"

IMMATURE = "immature:"
PAYABLE = "payable:"
IN_FLIGHT = "in-flight:"
PAID = "paid:"
OF_PARTIES = (IMMATURE, PAYABLE, IN_FLIGHT, PAID)
"""Beginnings of the accounts of parties."""

NETWORK_FEE = "network-fee"
OWN = "own"
OUTSIDE = "outside"

_ACCOUNTS_AT_ONCE = 500
_SET_BACK = timedelta(days=1)


class LedgerError(ValueError):
    """An entry that the ledger does not take."""


def immature(party: str) -> str:
    """The account of a party's rewards that may still be lost."""
    return IMMATURE + party


def payable(party: str) -> str:
    """The account of what a party is owed."""
    return PAYABLE + party


def in_flight(party: str) -> str:
    """The account of what a batch is about to pay to a party."""
    return IN_FLIGHT + party


def paid(party: str) -> str:
    """The account of what a party was paid."""
    return PAID + party


def in_wallet(connection: Connection) -> int:
    """Satoshi that the wallet should hold, batches not yet confirmed included: all that came in and did not go out."""
    table = tables.ledger_account
    gone = table.c.account.in_((REWARD, NETWORK_FEE, OUTSIDE)) | table.c.account.startswith(PAID, autoescape=True)
    return -int(connection.scalar(select(func.coalesce(func.sum(table.c.balance), 0)).where(gone)) or 0)


def post(
    connection: Connection, at: datetime, kind: str, reference: str, note: str, postings: Mapping[str, int]
) -> int:
    """Append an entry that adds signed satoshi to accounts; its number. Accounts with 0 are left out.

    Raises `LedgerError` for postings that do not add up to zero or move nothing, `TypeError` for amounts that
    are not integers.
    """
    if not all(type(amount) is int for amount in postings.values()):
        raise TypeError("amounts are integers of satoshi")
    rows = [(account, amount) for account, amount in postings.items() if amount]
    if not rows:
        raise LedgerError(f"{kind} {reference}: an entry without amounts")
    if total := sum(postings.values()):
        raise LedgerError(f"{kind} {reference}: postings add up to {total} satoshi, not to zero")
    entry = _next_entry(connection)
    insert_many(connection, tables.ledger_posting, ("entry", "account", "amount"), [(entry, *row) for row in rows])
    values = {"entry": entry, "at": at, "kind": kind, "reference": reference, "note": note}
    connection.execute(insert(tables.ledger_entry).values(**values))
    upsert_sums(connection, tables.ledger_account, _POSTED, posted=entry)
    return entry


_POSTED = select(tables.ledger_posting.c.account, tables.ledger_posting.c.amount).where(
    tables.ledger_posting.c.entry == bindparam("posted")
)


def _next_entry(connection: Connection) -> int:
    """The number of the entry to come: its postings are written before it and closed by it."""
    if connection.dialect.name == "sqlite":
        return (connection.scalar(select(func.max(tables.ledger_entry.c.entry))) or 0) + 1
    sequence = func.pg_get_serial_sequence("ledger_entry", "entry")
    return int(connection.execute(select(func.nextval(sequence))).scalar_one())


def balance(connection: Connection, account: str) -> int:
    """Satoshi on an account; 0 for one never used."""
    table = tables.ledger_account
    return connection.scalar(select(table.c.balance).where(table.c.account == account)) or 0


def balances_of(connection: Connection, accounts: Sequence[str]) -> dict[str, int]:
    """Satoshi on some accounts; 0 on one never used."""
    table = tables.ledger_account
    found = dict.fromkeys(accounts, 0)
    for first in range(0, len(accounts), _ACCOUNTS_AT_ONCE):
        here = table.c.account.in_(accounts[first : first + _ACCOUNTS_AT_ONCE])
        found |= dict(connection.execute(select(table.c.account, table.c.balance).where(here)).all())
    return found


def balances(connection: Connection) -> dict[str, int]:
    """Satoshi on every account."""
    table = tables.ledger_account
    return {row.account: row.balance for row in connection.execute(select(table).order_by(table.c.account))}


def entries_before(connection: Connection, instant: datetime) -> int:
    """Number of the last entry before an instant; 0 before the first.

    A clock that was set back by up to `_SET_BACK` leaves it growing with the instant.
    """
    at = tables.ledger_entry.c.at
    newest = connection.scalar(select(func.max(at)).where(at < instant))
    if newest is None:
        return 0
    query = select(func.max(tables.ledger_entry.c.entry)).where(at.between(newest - _SET_BACK, newest))
    return int(connection.execute(query).scalar_one())


def balances_at(connection: Connection, instant: datetime) -> dict[str, int]:
    """Satoshi on every account after the entries up to and including `instant`; those still unused may be told as 0.

    Adds up those entries, or takes the later ones from the present balances, whichever are fewer.
    """
    posting = tables.ledger_posting
    last = entries_before(connection, instant + datetime.resolution)
    early = 2 * last < (connection.scalar(select(func.max(posting.c.entry))) or 0)
    counted = posting.c.entry <= last if early else posting.c.entry > last
    query = select(posting.c.account, func.sum(posting.c.amount)).where(counted).group_by(posting.c.account)
    sums = {account: int(total) for account, total in connection.execute(query.order_by(posting.c.account))}
    if early:
        return sums
    return {account: balance - sums.get(account, 0) for account, balance in balances(connection).items()}


def check(connection: Connection) -> list[str]:
    """Faults of the ledger as a whole, one line each; none in a sound one. Reads all of it."""
    entry, posting, account = tables.ledger_entry, tables.ledger_posting, tables.ledger_account
    per_entry = (
        select(entry.c.entry, func.coalesce(func.sum(posting.c.amount), 0), func.count(posting.c.account))
        .outerjoin(posting, posting.c.entry == entry.c.entry)
        .group_by(entry.c.entry)
        .having((func.coalesce(func.sum(posting.c.amount), 0) != 0) | (func.count(posting.c.account) == 0))
        .order_by(entry.c.entry)
    )
    faults = [
        f"entry {number}: {count} postings add up to {int(total)}"
        for number, total, count in connection.execute(per_entry)
    ]
    sums = dict(
        connection.execute(select(posting.c.account, func.sum(posting.c.amount)).group_by(posting.c.account)).all()
    )
    kept = {row.account: row.balance for row in connection.execute(select(account))}
    for name in sorted(sums.keys() | kept.keys()):
        if int(sums.get(name, 0)) != kept.get(name, 0):
            faults.append(f"account {name}: balance {kept.get(name, 0)}, postings add up to {sums.get(name, 0)}")
    return faults
