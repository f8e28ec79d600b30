"""How far the journal of each gateway is folded, certain, and in the order of record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from tarazy.accounting import tables
from tarazy.accounting.journal_file import JournalReader
from tarazy.accounting.upsert import upsert


class FoldError(Exception):
    """The journal is not the one that was folded. One line: what is wrong with it, and the cure."""


class NotFoldedError(Exception):
    """No journal of the gateway was folded. One line."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the work on a journal goes on; shares are told by their numbers."""

    journal: int
    """Its identity."""
    sequence: int = 0
    """The last share that is folded."""
    block: int = 0
    """The last block that closed its round."""
    certain: int = 0
    """Up to here no share lies behind a block still to come."""
    recorded: int = 0
    """The last share in the order of record."""
    lost_at: datetime | None = None
    """Since when rounds wait for its gateway no longer."""


def read_cursors(connection: Connection, gateway: int | None = None) -> dict[int, Cursor]:
    """Those of all gateways, or of one; nobody else moves them meanwhile."""
    table = tables.gateway
    query = select(table).with_for_update()
    if gateway is not None:
        query = query.where(table.c.gateway == gateway)
    rows = connection.execute(query)
    return {
        row.gateway: Cursor(row.journal, row.sequence, row.block, row.certain, row.recorded, row.lost_at)
        for row in rows
    }


def cursor_of(connection: Connection, reader: JournalReader, gateway: int) -> Cursor:
    """That of a journal.

    Raises `FoldError` when another journal was folded so far, or this one has lost shares that were folded: going on
    would pass over shares in silence.
    """
    cursor = read_cursors(connection, gateway).get(gateway, Cursor(reader.identity))
    cure = "bring the right file back, or start this gateway with a new number"
    if cursor.journal != reader.identity:
        raise FoldError(f"{reader.path}: is not the journal of gateway {gateway} that was folded so far; {cure}")
    if reader.last_sequence() < cursor.sequence:
        ends = f"ends at share {reader.last_sequence()}, but {cursor.sequence} are folded"
        raise FoldError(f"{reader.path}: {ends}; {cure}")
    return cursor


def move(connection: Connection, gateway: int, cursor: Cursor, **changes: object) -> None:
    """Keep a cursor with some of its fields changed."""
    values = {field: getattr(cursor, field) for field in Cursor.__slots__} | changes
    upsert(connection, tables.gateway, [{"gateway": gateway, **values}])


def declare_lost(connection: Connection, gateway: int, at: datetime) -> None:
    """Let rounds wait for `gateway` no longer; what it delivers later joins the round that is open then, marked.

    It holds until the gateway has delivered what arrived up to `at`. Raises `NotFoldedError`.
    """
    table = tables.gateway
    changed = connection.execute(update(table).where(table.c.gateway == gateway).values(lost_at=at))
    if not changed.rowcount:
        raise NotFoldedError(f"gateway {gateway}: nothing of it was folded, so nothing waits for it")
