"""Transactions that no batch made: adopted as one after a backup was restored, or booked as the pool's own.

Each function is part of one transaction of its caller, who holds the fence (`fence`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, select

from tarazy.accounting import tables as accounts
from tarazy.accounting.ledger import OUTSIDE, OWN, post
from tarazy.accounting.payouts import tables
from tarazy.accounting.payouts.batches import due, open_batch
from tarazy.accounting.payouts.machine import Credit, Destination, Payment, PayoutError

_OWN = "own"


def adopt(
    connection: Connection, at: datetime, by: str, paid_out: Mapping[Destination, int], parties: Mapping[str, str]
) -> int:
    """A batch for a transaction that the books do not know, after a backup was restored; to be signed next.

    `paid_out`: what the transaction pays to others; `parties`: address → party. Each amount must be that of the
    party's oldest due credits. Raises `PayoutError` when it is not.
    """
    credits: dict[str, list[Credit]] = {}
    for credit in due(connection, unproven=True):
        credits.setdefault(credit.party, []).append(credit)
    payments = []
    for destination, amount in paid_out.items():
        party = parties.get(destination.address)
        if party is None:
            raise PayoutError(f"{destination.address} is no party's address; find out who paid {amount} satoshi to it")
        taken, total = [], 0
        for credit in credits.get(party, []):
            if total >= amount:
                break
            taken.append(credit.distribution)
            total += credit.amount
        if total != amount:
            raise PayoutError(f"{party} was paid {amount} satoshi, its oldest due credits add up to {total}")
        payments.append(Payment(party, destination, amount, tuple(taken)))
    if not payments:
        raise PayoutError("the transaction pays nobody but the pool")
    return open_batch(connection, at, by, payments)


def book_own(connection: Connection, amount: int, txid: str, why: str, at: datetime) -> None:
    """Book what the pool put into the wallet, or with a minus what it took out of its own by a transaction."""
    post(connection, at, _OWN, txid, why, {OWN: amount, OUTSIDE: -amount})


def known_txids(connection: Connection) -> set[str]:
    """Every transaction that is or was in the outbox, or by which the pool took out of its own."""
    entry = accounts.ledger_entry
    own = select(entry.c.reference).where(entry.c.kind == _OWN)
    return {*connection.scalars(select(tables.transaction.c.txid)), *connection.scalars(own)}
