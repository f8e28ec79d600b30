"""Batches in the ledger. Each function is part of one transaction of its caller, who holds the fence (`fence`).

The outbox rule: a signed transaction is committed by `sign` before anybody sends it, and what is sent for a batch is
read from there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, String, and_, column, func, insert, select, text, tuple_, update
from sqlalchemy import values as rows_of
from sqlalchemy.exc import IntegrityError

from tarazy.accounting import tables as accounts
from tarazy.accounting.ledger import (
    FEE,
    NETWORK_FEE,
    PAYABLE,
    RESERVE,
    balance,
    balances_of,
    in_flight,
    paid,
    payable,
    post,
)
from tarazy.accounting.payouts import machine, tables
from tarazy.accounting.payouts.holds import holds
from tarazy.accounting.payouts.machine import (
    OUTBOX,
    UNSIGNED,
    BatchState,
    Credit,
    Destination,
    LeftOut,
    Limits,
    Payment,
    PayoutError,
    Selection,
    require_step,
)
from tarazy.database.states import note_state

_AT_ONCE = 500
"""Parties or batches that one query asks for."""


@dataclass(frozen=True, slots=True)
class Payout:
    """What a batch pays to a party."""

    party: str
    address: str
    script: bytes
    amount: int


@dataclass(frozen=True, slots=True)
class Signed:
    """A transaction in the outbox."""

    txid: str
    raw: str
    fee: int
    signed_at: datetime
    confirmed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as it stands."""

    number: int
    state: BatchState
    amount: int
    proposed_at: datetime
    proposed_by: str
    approved_at: datetime | None
    approved_by: str | None
    psbt: str | None
    exported_at: datetime | None
    trouble: str | None
    abandon_asked_by: str | None
    state_at: datetime
    audit_row: int | None
    """Of the audit log's row that tells what it pays; None until it is signed."""
    payouts: tuple[Payout, ...]
    """In order of party."""
    transactions: tuple[Signed, ...]
    """In the order they were signed: each replaces those before it."""

    @property
    def by_script(self) -> dict[bytes, int]:
        """Satoshi that its transaction pays to each script."""
        sums: dict[bytes, int] = {}
        for each in self.payouts:
            sums[each.script] = sums.get(each.script, 0) + each.amount
        return sums


def propose(
    connection: Connection,
    at: datetime,
    by: str,
    destinations: Mapping[str, Destination | LeftOut],
    limits: Limits,
    day: tuple[datetime, datetime],
    unproven: bool = False,
) -> tuple[int | None, Selection]:
    """Move what is due into a new batch: its number, None when nothing is due, and who was left out and why.

    `day`: the legal day of `at` in [first, second). Held parties stay where they are. `unproven` as in `due`.
    Raises `PayoutError` while the reserve is below zero.
    """
    if (short := -balance(connection, RESERVE)) > 0:
        raise PayoutError(
            f"the reserve of FPPS is short of {short} satoshi, so others' money would pay; see `tarazy reserve fund`"
        )
    table = tables.batch
    today = and_(table.c.proposed_at >= day[0], table.c.proposed_at < day[1], table.c.state != BatchState.ABANDONED)
    spent = int(connection.scalar(select(func.coalesce(func.sum(table.c.amount), 0)).where(today)) or 0)
    held = {each.party: each.why for each in holds(connection)}
    credits = due(connection, unproven)
    parties = {credit.party for credit in credits}
    places = [
        (party, place.address)
        for party, place in destinations.items()
        if party in parties and isinstance(place, Destination)
    ]
    tried = _tried(connection, places)
    selection = machine.select(credits, destinations, held, limits, spent, tried)
    if not selection.payments:
        return None, selection
    return open_batch(connection, at, by, selection.payments), selection


def _tried(connection: Connection, places: Sequence[tuple[str, str]]) -> dict[str, bool]:
    """Party → whether the first payment to its address is confirmed, for those to whose address one was made.

    `places`: parties, each with its address.
    """
    batch, payout = tables.batch, tables.payout
    found: dict[str, bool] = {}
    for first in range(0, len(places), _AT_ONCE):
        asked = rows_of(column("party", String), column("address", String)).data(places[first : first + _AT_ONCE])
        asked_of = asked.cte("asked").c
        to_it = and_(payout.c.party == asked_of.party, payout.c.address == asked_of.address)
        states = select(batch.c.state).join_from(payout, batch).where(to_it, batch.c.state != BatchState.ABANDONED)
        oldest = states.order_by(payout.c.batch).limit(1).scalar_subquery()
        for party, state in connection.execute(select(asked_of.party, oldest)):
            if state is not None:
                found[party] = state == BatchState.CONFIRMED
    return found


def due(connection: Connection, unproven: bool) -> list[Credit]:
    """The final credits that are in no batch, in order of distribution and party.

    Credits of a distribution wait until its record is in the audit log, unless `unproven` ones are wanted too.
    """
    credit = accounts.credit
    is_due = text("credit.due")  # written as in the partial index, or SQLite would not use it
    columns = (credit.c.distribution, credit.c.party, credit.c.amount)
    query = select(*columns).where(is_due).order_by(credit.c.distribution, credit.c.party)
    if not unproven:
        query = query.join(accounts.round_proof, accounts.round_proof.c.distribution == credit.c.distribution)
    return [Credit(row.distribution, row.party, row.amount) for row in connection.execute(query)]


def open_batch(connection: Connection, at: datetime, by: str, payments: Sequence[Payment]) -> int:
    """Move payments into a new batch: its number. Raises `PayoutError` for a party with less than its credits."""
    total = sum(each.amount for each in payments)
    values = {"state": BatchState.PROPOSED, "amount": total, "proposed_at": at, "proposed_by": by, "state_at": at}
    number = int(connection.execute(insert(tables.batch).values(**values).returning(tables.batch.c.batch)).scalar_one())
    note_state(connection, tables.batch.name, str(number), BatchState.PROPOSED, at)
    kept = balances_of(connection, [payable(each.party) for each in payments])
    for each in payments:
        if kept[payable(each.party)] < each.amount:
            raise PayoutError(f"{each.party} has less on its account than its credits; see `tarazy check`")
    rows = [
        {
            "batch": number,
            "party": each.party,
            "address": each.destination.address,
            "script": each.destination.script.hex(),
            "amount": each.amount,
        }
        for each in payments
    ]
    connection.execute(insert(tables.payout), rows)
    settled = [
        {"batch": number, "party": each.party, "distribution": distribution, "live": True}
        for each in payments
        for distribution in each.distributions
    ]
    connection.execute(insert(tables.payout_credit), settled)
    _mark(connection, number, due=False)
    postings = {payable(each.party): -each.amount for each in payments}
    postings |= {in_flight(each.party): each.amount for each in payments}
    post(connection, at, "payout-batch", str(number), "due amounts into a batch", postings)
    return number


def _mark(connection: Connection, number: int, due: bool) -> None:
    """Say of a batch's credits whether they are due, for `due` to find them without reading history."""
    credit, given = accounts.credit, tables.payout_credit
    own = select(given.c.distribution, given.c.party).where(given.c.batch == number)
    marked = update(credit).where(tuple_(credit.c.distribution, credit.c.party).in_(own)).values(due=due)
    connection.execute(marked)


def check(connection: Connection) -> list[str]:
    """Faults between what parties are owed and their due credits, one line each; none in sound books."""
    owed: Counter[str] = Counter()
    for credit in due(connection, unproven=True):
        owed[credit.party] += credit.amount
    table = accounts.ledger_account
    accounted = select(table).where(table.c.account.startswith(PAYABLE, autoescape=True), table.c.balance != 0)
    kept = {row.account.removeprefix(PAYABLE): row.balance for row in connection.execute(accounted)}
    return [
        f"{party} is owed {kept.get(party, 0)} satoshi, its due credits add up to {owed[party]}"
        for party in sorted(owed.keys() | kept.keys())
        if owed[party] != kept.get(party, 0)
    ]


def read(connection: Connection, number: int) -> Batch:
    """A batch. Raises `PayoutError` when there is none of this number."""
    found = numbered(connection, [number])
    if not found:
        raise PayoutError(f"there is no batch {number}; see `tarazy payout list --all`")
    return found[0]


def numbered(connection: Connection, numbers: Sequence[int]) -> list[Batch]:
    """The batches of these numbers, in their order; where there is none it is left out."""
    table = tables.batch
    rows: dict[int, Row[Any]] = {}
    for first in range(0, len(numbers), _AT_ONCE):
        query = select(table).where(table.c.batch.in_(numbers[first : first + _AT_ONCE]))
        rows |= {row.batch: row for row in connection.execute(query)}
    return _batches(connection, [rows[number] for number in numbers if number in rows])


def batches(connection: Connection, states: Iterable[BatchState]) -> list[Batch]:
    """Batches in some of `states`, in order."""
    table = tables.batch
    query = select(table).where(table.c.state.in_([*states])).order_by(table.c.batch)
    return _batches(connection, connection.execute(query).all())


def batches_between(connection: Connection, start: datetime, end: datetime) -> list[Batch]:
    """Batches that were proposed, signed, confirmed or abandoned in [start, end), in order."""
    table, signed = tables.batch, tables.transaction

    def within(at: ColumnElement[datetime | None]) -> ColumnElement[bool]:
        return (at >= start) & (at < end)

    in_outbox = select(signed.c.batch).where(within(signed.c.signed_at) | within(signed.c.confirmed_at))
    given_up = (table.c.state == BatchState.ABANDONED) & within(table.c.state_at)
    query = select(table).where(within(table.c.proposed_at) | given_up | table.c.batch.in_(in_outbox))
    return _batches(connection, connection.execute(query.order_by(table.c.batch)).all())


@dataclass(frozen=True, slots=True)
class UnderWay:
    """The batches in one state."""

    batches: int
    since: datetime
    """When the first of them came to it."""
    troubled: int
    """Those that a node does not take."""


def under_way(connection: Connection) -> dict[BatchState, UnderWay]:
    """The batches that are neither confirmed nor abandoned, by state."""
    table = tables.batch
    counted = select(table.c.state, func.count(), func.min(table.c.state_at), func.count(table.c.trouble))
    rows = connection.execute(counted.where(table.c.state.in_(UNSIGNED | OUTBOX)).group_by(table.c.state))
    return {BatchState(state): UnderWay(*rest) for state, *rest in rows}


def _batches(connection: Connection, rows: Sequence[Row[Any]]) -> list[Batch]:
    """The batches of some rows, with what they pay and by which transactions."""
    payout, signed = tables.payout, tables.transaction
    payouts: dict[int, list[Payout]] = {row.batch: [] for row in rows}
    transactions: dict[int, list[Signed]] = {row.batch: [] for row in rows}
    numbers = list(payouts)
    for first in range(0, len(numbers), _AT_ONCE):
        some = numbers[first : first + _AT_ONCE]
        paying = select(payout).where(payout.c.batch.in_(some)).order_by(payout.c.batch, payout.c.party)
        for row in connection.execute(paying):
            payouts[row.batch].append(Payout(row.party, row.address, bytes.fromhex(row.script), row.amount))
        sending = select(signed).where(signed.c.batch.in_(some)).order_by(signed.c.signed_at, signed.c.fee)
        for row in connection.execute(sending):
            transactions[row.batch].append(Signed(row.txid, row.raw, row.fee, row.signed_at, row.confirmed_at))
    return [_batch(row, payouts[row.batch], transactions[row.batch]) for row in rows]


def _batch(row: Row[Any], payouts: Iterable[Payout], transactions: Iterable[Signed]) -> Batch:
    return Batch(
        row.batch,
        BatchState(row.state),
        row.amount,
        row.proposed_at,
        row.proposed_by,
        row.approved_at,
        row.approved_by,
        row.psbt,
        row.exported_at,
        row.trouble,
        row.abandon_asked_by,
        row.state_at,
        row.audit_row,
        tuple(payouts),
        tuple(transactions),
    )


def approve(connection: Connection, number: int, at: datetime, by: str) -> None:
    """Let a proposed batch be paid. Raises `PayoutError` for who proposed it, or when one of its payees is held."""
    batch = read(connection, number)
    if batch.proposed_by == by:
        raise PayoutError(f"{by} proposed batch {number}; somebody else must approve it")
    require_unheld(connection, batch)
    _become(connection, batch, BatchState.APPROVED, at, approved_at=at, approved_by=by)


def prepare(connection: Connection, number: int, at: datetime, psbt: str) -> None:
    """Keep the transaction that an approved batch is to be signed as."""
    batch = read(connection, number)
    require_unheld(connection, batch)
    _become(connection, batch, BatchState.PREPARED, at, psbt=psbt, trouble=None)


def prepare_replacement(connection: Connection, number: int, psbt: str) -> None:
    """Keep the transaction that is to replace the one in the outbox; until it is signed, that one stands."""
    batch = read(connection, number)
    if batch.state not in OUTBOX:
        raise PayoutError(f"batch {number} is {batch.state}; only a sent transaction is replaced")
    _set(connection, number, psbt=psbt, exported_at=None)


def export(connection: Connection, number: int, at: datetime) -> str:
    """The transaction to be signed elsewhere; from now on a signature of it may exist."""
    batch = read(connection, number)
    if batch.psbt is None:
        raise PayoutError(f"batch {number} is {batch.state} and waits for no signature; only approved ones do")
    require_unheld(connection, batch)
    if batch.exported_at is None:
        _set(connection, number, exported_at=at)
    return batch.psbt


def sign(connection: Connection, number: int, at: datetime, txid: str, raw: str, fee: int) -> None:
    """Put a batch's signed transaction into the outbox, the first or one that replaces it. The same one counts once."""
    batch = read(connection, number)
    if any(each.txid == txid for each in batch.transactions):
        return
    if batch.state not in OUTBOX:
        _become(connection, batch, BatchState.SIGNED, at)
    _set(connection, number, psbt=None, trouble=None)
    row = {"txid": txid, "batch": number, "raw": raw, "fee": fee, "signed_at": at}
    try:
        connection.execute(insert(tables.transaction).values(**row))
    except IntegrityError as error:
        raise PayoutError(f"transaction {txid} belongs to another batch") from error


def sent(connection: Connection, number: int, at: datetime, trouble: str | None) -> None:
    """Note that a node took a batch's transaction, or why not."""
    batch = read(connection, number)
    if trouble is None and batch.state is BatchState.SIGNED:
        _become(connection, batch, BatchState.BROADCAST, at)
    if batch.trouble != trouble:
        _set(connection, number, trouble=trouble)


def confirm(connection: Connection, number: int, at: datetime, txid: str) -> None:
    """Settle a batch by one of its transactions; the network fee is the pool's cost. Doing it twice changes nothing."""
    batch = read(connection, number)
    if batch.state is BatchState.CONFIRMED:
        return
    fee = next((each.fee for each in batch.transactions if each.txid == txid), None)
    if fee is None:
        raise PayoutError(f"batch {number} has no transaction {txid}")
    _become(connection, batch, BatchState.CONFIRMED, at, trouble=None)
    table = tables.transaction
    connection.execute(update(table).where(table.c.txid == txid).values(confirmed_at=at))
    postings = {in_flight(each.party): -each.amount for each in batch.payouts}
    postings |= {paid(each.party): each.amount for each in batch.payouts}
    post(connection, at, "payout", str(number), f"transaction {txid}", postings | {FEE: -fee, NETWORK_FEE: fee})


def abandon(connection: Connection, number: int, at: datetime, by: str, *, spent_elsewhere: bool) -> bool:
    """Give a batch up, so that its obligations are due again; False while a second person has to say so too.

    A batch whose transaction may be signed is given up by two persons, and only when `spent_elsewhere`: the chain has
    buried another transaction that spends one of its inputs. Raises `PayoutError` otherwise.
    """
    batch = read(connection, number)
    require_step(number, batch.state, BatchState.ABANDONED)
    if batch.state in OUTBOX or batch.exported_at is not None:
        if not spent_elsewhere:
            raise PayoutError(
                f"a signed transaction of batch {number} may still confirm; it can be given up only after "
                "another transaction that spends one of its inputs has 6 confirmations"
            )
        if batch.abandon_asked_by in (None, by):
            _set(connection, number, abandon_asked_by=by)
            return False
    _become(connection, batch, BatchState.ABANDONED, at)
    given = tables.payout_credit
    connection.execute(update(given).where(given.c.batch == number).values(live=False))
    _mark(connection, number, due=True)
    postings = {in_flight(each.party): -each.amount for each in batch.payouts}
    postings |= {payable(each.party): each.amount for each in batch.payouts}
    post(connection, at, "payout-abandoned", str(number), f"by {by}", postings)
    return True


def require_unheld(connection: Connection, batch: Batch) -> None:
    """Raise `PayoutError` when a payee of an unsigned batch is held."""
    payees = {each.party for each in batch.payouts}
    held = {each.party: each.why for each in holds(connection) if each.party in payees}
    if batch.state in UNSIGNED and held:
        party, why = min(held.items())
        raise PayoutError(f"payments of {party} are held ({why}); abandon batch {batch.number}, or release {party}")


def _become(connection: Connection, batch: Batch, state: BatchState, at: datetime, **values: object) -> None:
    require_step(batch.number, batch.state, state)
    _set(connection, batch.number, state=state, state_at=at, **values)
    note_state(connection, tables.batch.name, str(batch.number), state, at)


def _set(connection: Connection, number: int, **values: object) -> None:
    connection.execute(update(tables.batch).where(tables.batch.c.batch == number).values(**values))


def last_proposed_at(connection: Connection) -> datetime | None:
    """When the newest batch was proposed."""
    found: datetime | None = connection.scalar(select(func.max(tables.batch.c.proposed_at)))
    return found
