"""Recording: shares enter the order of record when it is certain that no block still to come lies before them.

They come gateway after gateway, the finder's last when a round closes. In that order they are sealed into the chain of
their gateway, and kept while PPLNS is or will be in force: its window is read off them when a round closes, and nothing
later can move it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping

from sqlalchemy import Connection

from tarazy.accounting.cursors import Cursor, move
from tarazy.accounting.journal_file import JournalReader, Segment, required_names
from tarazy.accounting.order import forget_order, keep_order, next_place
from tarazy.accounting.proof.sealing import digests_of, salts, seal
from tarazy.stratum.ports import NameRecord

_RECORDED_SHARES = 100_000
"""Shares that enter the order of record at a time."""
_NAME = struct.Struct(">8xI30x")
"""Of `SHARE` the name."""


def make_certain(
    connection: Connection, readers: Mapping[int, JournalReader], cursors: Mapping[int, Cursor], windowed: bool
) -> None:
    """Move on the places behind which a later block's cut is looked for, and record the shares before them.

    A block still to come was found after what every gateway has delivered, so that its cut lies behind.
    """
    waited_for = {gateway for gateway, cursor in cursors.items() if cursor.lost_at is None}
    if waited_for - readers.keys():
        return
    delivered = min((readers[gateway].delivered() for gateway in waited_for), default=0)
    for gateway in sorted(waited_for):
        cursor = cursors[gateway]
        last = cursor.sequence
        if len(waited_for) > 1:
            last = min(last, readers[gateway].arrived(cursor.certain, delivered)[0])
        if last > cursor.certain:
            recorded = record(connection, readers[gateway], gateway, cursor, last, windowed)
            move(connection, gateway, cursor, certain=last, recorded=recorded)


def record(
    connection: Connection, reader: JournalReader, gateway: int, cursor: Cursor, last: int, windowed: bool
) -> int:
    """Enter the shares up to number `last` in the order of record; the last that is in it then.

    `windowed`: whether PPLNS will need the order. No link of the chain goes over a cut. Raises `JournalError`.
    """
    if not windowed:
        forget_order(connection)
    end = max(last, cursor.recorded)
    after = cursor.recorded
    names: dict[int, NameRecord] = {}
    hidden: dict[str, bytes] = {}
    digests = digests_of(gateway, reader, names, hidden)
    for until in sorted({max(cursor.certain, cursor.recorded), end}):
        for segments in _batches(reader.segments(after, until)):
            packed = b"".join(segment.shares for segment in segments)
            new = required_names(reader, {number for (number,) in _NAME.iter_unpack(packed)} - names.keys())
            names |= new
            hidden |= salts(connection, {name.party for name in new.values()} - hidden.keys())
            place = next_place(connection) if windowed else None
            seal(connection, gateway, segments, digests, place)
            if place is not None:
                keep_order(connection, place, segments, names)
        after = until
    return end


def _batches(segments: Iterable[Segment]) -> Iterator[list[Segment]]:
    batch: list[Segment] = []
    shares = 0
    for segment in segments:
        batch.append(segment)
        shares += segment.count
        if shares >= _RECORDED_SHARES:
            yield batch
            batch, shares = [], 0
    if batch:
        yield batch
