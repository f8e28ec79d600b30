"""Folding: what the journals of the gateways hold is tallied in the open round as it comes, exactly once.

A cursor and its tallies change in one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from tarazy.accounting import tables
from tarazy.accounting.cursors import cursor_of, move
from tarazy.accounting.journal_file import SHARE, JournalReader, instant_of, us_of
from tarazy.accounting.tallies import add, work_in


@dataclass(frozen=True, slots=True)
class Folded:
    """What one call of `fold` did."""

    shares: int
    complete: bool
    """Whether the journal held no more."""
    sequence: int
    """The last share that is folded now."""


def fold(
    connection: Connection, reader: JournalReader, gateway: int, interval_seconds: int, limit: int, at: datetime
) -> Folded:
    """Fold about `limit` shares that the journal of `gateway` holds behind its cursor; whole commits of it.

    Accepted and stale shares are tallied by intervals of `interval_seconds`, in the open round. Belongs into one
    transaction, of the instant `at`. Raises `FoldError` or `JournalError`.
    """
    cursor = cursor_of(connection, reader, gateway)
    segments, complete = reader.since(cursor.sequence, limit)
    end = segments[-1].last_sequence if segments else cursor.sequence
    lost_at = cursor.lost_at
    if lost_at is not None:
        last, delivered = reader.arrived(cursor.sequence, us_of(lost_at))
        if last > cursor.sequence and segments:
            _mark_late(connection, gateway, cursor.sequence + 1, min(last, end), lost_at, at)
        if delivered and complete:
            lost_at = None
    if segments:
        number = ensure_open_round(connection, instant_of(SHARE.unpack_from(segments[0].shares)[0]))
        add(connection, number, work_in(reader, segments, interval_seconds))
    if segments or lost_at != cursor.lost_at:
        move(connection, gateway, cursor, sequence=end, lost_at=lost_at)
    return Folded(sum(segment.count for segment in segments), complete, end)


def ensure_open_round(connection: Connection, at: datetime) -> int:
    """Number of the open round, which is always the last; the very first opens `at` the instant of its first share."""
    table = tables.round_
    number = connection.scalar(select(table.c.round).order_by(table.c.round.desc()).limit(1).with_for_update())
    if number is None:
        connection.execute(insert(table).values(round=1, opened_at=at))
        return 1
    return int(number)


def _mark_late(connection: Connection, gateway: int, first: int, last: int, lost_at: datetime, at: datetime) -> None:
    row = {"gateway": gateway, "first_sequence": first, "last_sequence": last, "lost_at": lost_at, "folded_at": at}
    connection.execute(insert(tables.late).values(**row))
