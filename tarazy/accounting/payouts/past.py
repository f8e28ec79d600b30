"""Batches as they were at an instant: without what came later, and what is not kept of then."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, select

from tarazy.accounting.payouts import tables
from tarazy.accounting.payouts.batches import Batch, numbered, read
from tarazy.accounting.payouts.machine import BatchState, PayoutError
from tarazy.database.states import Stood, states_at, was_by


def batches_at(connection: Connection, states: Iterable[BatchState], instant: datetime) -> list[Batch]:
    """Batches that were in some of `states` at an instant, in order, as they were then."""
    table, wanted = tables.batch, {*states}
    later = table.c.state.in_(wanted) | (table.c.state_at > instant)
    chosen = select(table.c.batch).where(table.c.proposed_at <= instant, later).order_by(table.c.batch)
    numbers = list(connection.scalars(chosen))
    stood = states_at(connection, table.name, [str(number) for number in numbers], instant)
    then = [_as_it_was(batch, stood[str(batch.number)], instant) for batch in numbered(connection, numbers)]
    return [each for each in then if each.state in wanted]


def read_at(connection: Connection, number: int, instant: datetime) -> Batch:
    """A batch as it was. Raises `PayoutError` when there was none of this number."""
    batch = read(connection, number)
    stood = states_at(connection, tables.batch.name, [str(number)], instant)
    if str(number) not in stood:
        raise PayoutError(f"there was no batch {number} at {instant.isoformat()}")
    return _as_it_was(batch, stood[str(number)], instant)


def _as_it_was(batch: Batch, stood: Stood, instant: datetime) -> Batch:
    """Not kept: the transaction that waited for signatures, trouble, who asked to give it up."""
    approved = was_by(batch.approved_at, instant)
    return replace(
        batch,
        state=BatchState(stood.state),
        state_at=stood.since,
        approved_at=batch.approved_at if approved else None,
        approved_by=batch.approved_by if approved else None,
        psbt=None,
        exported_at=batch.exported_at if was_by(batch.exported_at, instant) else None,
        trouble=None,
        abandon_asked_by=None,
        transactions=tuple(
            replace(each, confirmed_at=each.confirmed_at if was_by(each.confirmed_at, instant) else None)
            for each in batch.transactions
            if each.signed_at <= instant
        ),
    )
