"""The order of record as PPLNS needs it: credited shares in stretches, from which a window before now is read."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import Connection, Row, delete, func, insert, select

from tarazy.accounting import tables
from tarazy.accounting.journal_file import Segment
from tarazy.accounting.schemes import last_work
from tarazy.stratum.difficulty import weight_of
from tarazy.stratum.ports import NameRecord
from tarazy.stratum.share import Verdict

WINDOWS_KEPT = 4
"""As many windows of stretches are kept: the network's difficulty may rise so much at once."""

_COUNTED = struct.Struct(">8xI28xbB")
"""Of `SHARE`: name, exponent and verdict."""


def next_place(connection: Connection) -> int:
    """The place behind all that are taken; none is taken twice."""
    return max(connection.scalar(end) or 0 for end in _ENDS) + 1


_ENDS = tuple(select(func.max(end)) for end in (tables.chain_link.c.place, tables.stretch.c.stretch))


def keep_order(
    connection: Connection, place: int, segments: Sequence[Segment], names: Mapping[int, NameRecord]
) -> None:
    """Append the credited shares as one stretch, at the next place.

    Its shares are compressed: the places of their parties in `weights` (u32 each), then their exponents (i8 each).
    """
    counted = (share for segment in segments for share in _COUNTED.iter_unpack(segment.shares))
    credited = [(name, exponent) for name, exponent, verdict in counted if verdict == Verdict.ACCEPTED]
    if not credited:
        return
    weights: Counter[str] = Counter()
    for (name, exponent), shares in Counter(credited).items():
        weights[names[name].party] += shares * weight_of(exponent)
    places = {party: place for place, party in enumerate(weights)}
    of_name = {name: places[names[name].party] for name, _ in credited}
    count = len(credited)
    parties = struct.pack(f">{count}I", *(of_name[name] for name, _ in credited))
    exponents = struct.pack(f">{count}b", *(exponent for _, exponent in credited))
    connection.execute(
        insert(tables.stretch).values(
            stretch=place,
            weight=sum(weights.values()),
            weights=[[party, str(weight)] for party, weight in weights.items()],
            shares=zlib.compress(parties + exponents, 1),
        )
    )


def forget_order(connection: Connection) -> None:
    """Drop all of it: an order with gaps is none."""
    connection.execute(delete(tables.stretch))


def window_before_now(connection: Connection, limit: int) -> tuple[dict[str, int], int | None]:
    """Weight by party of the newest work, and the place where it begins.

    Exactly `limit`, the oldest share in part; less only when no more is kept. Costs what the window costs, not
    history. Stretches that no window can reach any more are dropped.
    """
    table = tables.stretch
    oldest, total = None, 0
    for number, weight in connection.execute(select(table.c.stretch, table.c.weight).order_by(table.c.stretch.desc())):
        if total >= limit * WINDOWS_KEPT:
            connection.execute(delete(table).where(table.c.stretch <= number))
            break
        oldest = number if total < limit else oldest
        total += weight
    weights: Counter[str] = Counter()
    for row in connection.execute(
        select(table).where(table.c.stretch >= (oldest or 0)).order_by(table.c.stretch.desc())
    ):
        inside = {party: int(text) for party, text in row.weights}
        weights.update(inside if row.weight <= limit else last_work(_newest_first(row), limit))
        limit -= row.weight
    return dict(weights), oldest


def _newest_first(row: Row[tuple[object, ...]]) -> Iterator[tuple[str, int]]:
    packed = zlib.decompress(row.shares)
    count = len(packed) // 5
    places = struct.unpack_from(f">{count}I", packed)
    exponents = struct.unpack_from(f">{count}b", packed, 4 * count)
    for place, exponent in zip(reversed(places), reversed(exponents), strict=True):
        yield row.weights[place][0], weight_of(exponent)
