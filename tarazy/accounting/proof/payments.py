"""What was paid of a distribution: transactions in the outbox, and the sums of credits that their outputs settle."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from tarazy.accounting import tables
from tarazy.accounting.payouts import tables as payouts
from tarazy.accounting.proof.sealing import salts
from tarazy.accounting.proof.sums import commit_of


def put_on_record(connection: Connection, batch: int, enter: Callable[[Mapping[str, Any]], int]) -> None:
    """Once for each batch, before its first transaction is sent: what it pays to which scripts for which credits.

    `enter` puts an object into the audit log and gives the number of its row.
    """
    if audit_row_of(connection, batch) is not None:
        return
    digest = sha256("".join(map(row_text, payments_of(connection, batch))).encode()).hexdigest()
    row = enter({"batch": batch, "payments": digest})
    table = payouts.batch
    connection.execute(update(table).where(table.c.batch == batch).values(audit_row=row))


def audit_row_of(connection: Connection, batch: int) -> int | None:
    """The row of the audit log that tells what a batch pays; None when none does."""
    found: int | None = connection.scalar(select(payouts.batch.c.audit_row).where(payouts.batch.c.batch == batch))
    return found


def last_audit_row(connection: Connection) -> int:
    """The last row of the audit log that tells what a batch pays; 0 when there is none."""
    return connection.scalar(select(func.max(payouts.batch.c.audit_row))) or 0


def row_text(row: Mapping[str, Any]) -> str:
    """A row as it stands in a file of an export."""
    return json.dumps(row, separators=(",", ":")) + "\n"


def transactions_of(connection: Connection, distribution: int) -> list[dict[str, Any]]:
    """Of each batch that settles credits of a distribution and is signed, the transaction: the confirmed or newest."""
    table, given = payouts.transaction, payouts.payout_credit
    settling = select(given.c.batch).where(given.c.distribution == distribution, given.c.live)
    query = (
        select(table)
        .where(table.c.batch.in_(settling))
        .order_by(table.c.batch, table.c.confirmed_at.is_not(None), table.c.signed_at, table.c.fee)
    )
    newest = {row.batch: row for row in connection.execute(query)}
    return [
        {"batch": row.batch, "txid": row.txid, "confirmed": row.confirmed_at is not None, "raw": row.raw}
        for row in newest.values()
    ]


def payments_of(connection: Connection, batch: int) -> Iterator[dict[str, Any]]:
    """What a batch pays, an output and the hidden credits that it settles at a time."""
    paid = _payouts(connection, batch)
    settled = _credits(connection, batch)
    hidden = salts(connection, settled)
    for party, row in paid.items():
        yield {
            "batch": batch,
            "script": row.script,
            "amount": row.amount,
            "credits": [
                {"round": round_, "commit": commit_of(round_, party, hidden[party]).hex(), "credit": credit}
                for round_, credit in settled[party]
            ],
        }


def payment_to(connection: Connection, distribution: int, party: str) -> dict[str, Any] | None:
    """The payment that settles a party's credit of a distribution, for the party alone; None when it is not signed."""
    given = payouts.payout_credit
    own = (given.c.distribution == distribution, given.c.party == party, given.c.live)
    batch = connection.scalar(select(given.c.batch).where(*own))
    transaction = next((each for each in transactions_of(connection, distribution) if each["batch"] == batch), None)
    if batch is None or transaction is None:
        return None
    paid = _payouts(connection, batch)
    script = paid[party].script
    return transaction | {
        "script": script,
        "amount": paid[party].amount,
        "shared": sum(row.amount for other, row in paid.items() if other != party and row.script == script),
        "credits": [{"round": round_, "credit": credit} for round_, credit in _credits(connection, batch)[party]],
    }


def _payouts(connection: Connection, batch: int) -> dict[str, Row[Any]]:
    table = payouts.payout
    rows = connection.execute(select(table).where(table.c.batch == batch).order_by(table.c.script, table.c.party))
    return {row.party: row for row in rows}


def _credits(connection: Connection, batch: int) -> dict[str, list[tuple[int, int]]]:
    """Last round and amount of the credits that a batch settles, by party."""
    given, credit, divided = payouts.payout_credit, tables.credit, tables.distribution
    query = (
        select(given.c.party, divided.c.last_round, credit.c.amount)
        .join(credit, (credit.c.distribution == given.c.distribution) & (credit.c.party == given.c.party))
        .join(divided, divided.c.distribution == given.c.distribution)
        .where(given.c.batch == batch)
        .order_by(divided.c.last_round)
    )
    settled: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for party, round_, amount in connection.execute(query):
        settled[party].append((round_, amount))
    return settled
