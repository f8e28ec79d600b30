"""Rounds: the open one is cut where a block was found.

A block closes it at a cut vector: of the finder's gateway the solving share is the last one inside; of every other the
last share before the first that arrived, by that gateway's own clock, after the block was found. What was folded behind
the cut moves to the next round with the closing, in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from tarazy.accounting import tables
from tarazy.accounting.blocks import BlockState
from tarazy.accounting.cursors import Cursor, move, read_cursors
from tarazy.accounting.folding import ensure_open_round
from tarazy.accounting.journal_file import (
    CURE,
    UNKNOWN_FINDER,
    BlockRecord,
    JournalError,
    JournalReader,
    Segment,
    instant_of,
    required_names,
)
from tarazy.accounting.order import window_before_now
from tarazy.accounting.recording import make_certain, record
from tarazy.accounting.schemes import Schedule, Scheme, Terms, window_weight
from tarazy.accounting.tallies import add, negative, work_in
from tarazy.accounting.worth import worth_of
from tarazy.database.states import note_state
from tarazy.stratum.job import Job, displayed


@dataclass(frozen=True, slots=True)
class Closing:
    """What one call of `close_round` did."""

    block_hash: str | None = None
    """Displayed hash of the block that closed the open round, if one did."""
    waiting: tuple[int, ...] = ()
    """Gateways that have not delivered their journals up to the next block."""


@dataclass(frozen=True, slots=True)
class _End:
    """Where a block ends the open round."""

    finder: int
    number: int
    """Of the block, in the finder's journal."""
    block: BlockRecord
    cut: Mapping[int, int]
    """Gateway → last share inside."""


def close_round(
    connection: Connection, readers: Mapping[int, JournalReader], interval_seconds: int, schedule: Schedule
) -> Closing:
    """Close the open round at the next block of the journals, if all are folded and delivered as far as its cut.

    `readers`: of every gateway whose journal can be read. A gateway that was folded before and has none holds the
    round up, unless it was declared lost. The round keeps the terms that `schedule` has for the instant at which the
    block was found. Belongs into one transaction. Raises `JournalError`.
    """
    with ExitStack() as stack:
        for reader in readers.values():
            stack.enter_context(reader.snapshot())
        cursors = read_cursors(connection)
        for gateway in readers.keys() - cursors.keys():
            cursors[gateway] = Cursor(readers[gateway].identity)
        found = {
            gateway: following
            for gateway, reader in readers.items()
            if (following := reader.next_block(cursors[gateway].block))
        }
        if not found:
            make_certain(connection, readers, cursors, schedule.windowed())
            return Closing()
        finder = min(found, key=lambda gateway: (found[gateway][1].found_at_us, gateway))
        number, block = found[finder]
        others = {gateway: following for gateway, (_, following) in found.items() if gateway != finder}
        cut, waiting = _cut(connection, readers, cursors, finder, block, others)
        if waiting:
            return Closing(waiting=waiting)
        if any(cursors[gateway].sequence < min(cut[gateway], readers[gateway].last_sequence()) for gateway in readers):
            return Closing()
        return _close(connection, readers, cursors, _End(finder, number, block, cut), interval_seconds, schedule)


def _cut(
    connection: Connection,
    readers: Mapping[int, JournalReader],
    cursors: Mapping[int, Cursor],
    finder: int,
    block: BlockRecord,
    others: Mapping[int, BlockRecord],
) -> tuple[dict[int, int], tuple[int, ...]]:
    """Gateway → last share inside the round that `block` ends, and the gateways that do not tell it yet.

    `others`: the next block of gateways other than the finder's, whose solving shares stay outside.
    """
    overtaken = _overtaken(connection, block)
    cut: dict[int, int] = {}
    waiting = []
    for gateway, cursor in sorted(cursors.items()):
        last, delivered = cursor.sequence, True
        if gateway == finder:
            last = block.sequence
        elif cursor.lost_at is None and gateway not in readers:
            delivered = False
        elif cursor.lost_at is None and not overtaken:
            last, delivered = readers[gateway].arrived(cursor.certain, block.found_at_us)
        if gateway in others:
            last, delivered = min(last, others[gateway].sequence - 1), True
        if not delivered:
            waiting.append(gateway)
        cut[gateway] = max(last, cursor.certain)
    return cut, tuple(waiting)


def _overtaken(connection: Connection, block: BlockRecord) -> bool:
    """Whether a round that closed already was ended by a later block: of a lost gateway, or by a clock set back.

    The clocks cannot cut the others then: all of what is folded stays inside.
    """
    latest = connection.scalar(
        select(tables.round_.c.closed_at).order_by(tables.round_.c.round.desc()).offset(1).limit(1)
    )
    return latest is not None and instant_of(block.found_at_us) < latest


def _close(
    connection: Connection,
    readers: Mapping[int, JournalReader],
    cursors: Mapping[int, Cursor],
    end: _End,
    interval_seconds: int,
    schedule: Schedule,
) -> Closing:
    """Close the open round, open the next one, and move there what was folded behind the cut."""
    found_at = instant_of(end.block.found_at_us)
    round_ = ensure_open_round(connection, found_at)
    connection.execute(insert(tables.round_).values(round=round_ + 1, opened_at=found_at))
    for gateway in sorted(cursors, key=lambda gateway: (gateway == end.finder, gateway)):
        cursor, last = cursors[gateway], end.cut[gateway]
        recorded = cursor.recorded
        if gateway in readers:
            recorded = record(connection, readers[gateway], gateway, cursor, last, schedule.windowed())
        if last < cursor.sequence:
            behind = readers[gateway].segments(last, cursor.sequence)
            _to_next(connection, readers[gateway], behind, round_, interval_seconds)
        moved = {"block": end.number} if gateway == end.finder else {}
        move(connection, gateway, cursor, certain=last, recorded=recorded, **moved)
    values = _closed(connection, readers[end.finder], round_, end, schedule.at(found_at))
    connection.execute(update(tables.round_).where(tables.round_.c.round == round_).values(**values))
    return Closing(_note_block(connection, readers[end.finder], round_, end))


def _to_next(
    connection: Connection, reader: JournalReader, segments: Iterable[Segment], round_: int, interval_seconds: int
) -> None:
    """Take the work of shares behind the cut from a round, and add it to the next one."""
    work = work_in(reader, segments, interval_seconds)
    add(connection, round_, negative(work))
    add(connection, round_ + 1, work)


def _closed(connection: Connection, reader: JournalReader, round_: int, end: _End, terms: Terms) -> dict[str, object]:
    """What a round keeps of its end: where it is, and the terms with what they divide by."""
    closed: dict[str, object] = {
        "closed_at": instant_of(end.block.found_at_us),
        "block_hash": displayed(end.block.block_hash),
        "gateway": end.finder,
        "cut": {str(gateway): last for gateway, last in end.cut.items()},
        "fee_ppm": terms.fee_ppm,
        "fees": dict(terms.fees) or None,
        "scheme": terms.scheme,
    }
    if terms.window is not None:
        limit = window_weight(terms.window, _job_of(reader, end.block).target)
        closed |= {"window": limit, "window_place": _keep_window(connection, round_, limit)}
    if terms.scheme is Scheme.FPPS:
        worth = worth_of(_job_of(reader, end.block))
        closed |= {"target": f"{worth.target:064x}", "subsidy": worth.subsidy, "fee_blocks": terms.fee_blocks}
    return closed


def _keep_window(connection: Connection, round_: int, limit: int) -> int | None:
    """Keep what PPLNS divides by, as long as the order of record is at hand; the place where its window begins."""
    weights, place = window_before_now(connection, limit)
    rows = [{"round": round_, "party": party, "weight": weight} for party, weight in weights.items()]
    if rows:
        connection.execute(insert(tables.window_weight), rows)
    return place


def _job_of(reader: JournalReader, block: BlockRecord) -> Job:
    """What the block's finder worked on, or another job of that height: they have one target."""
    job = reader.job_at(block.height)
    if job is None:
        raise JournalError(f"{reader.path}: damaged: a block of height {block.height}, and no job of it; {CURE}")
    return job


def _note_block(connection: Connection, reader: JournalReader, round_: int, end: _End) -> str:
    """Enter the block that ended a round; its displayed hash."""
    block, block_hash, found_at = end.block, displayed(end.block.block_hash), instant_of(end.block.found_at_us)
    name = None if block.name == UNKNOWN_FINDER else required_names(reader, [block.name])[block.name]
    connection.execute(
        insert(tables.block).values(
            block_hash=block_hash,
            height=block.height,
            round=round_,
            gateway=end.finder,
            sequence=block.sequence,
            party=name.party if name else "",
            worker=name.worker if name else "",
            found_at=found_at,
            state=BlockState.FOUND,
            confirmations=0,
            reward=block.reward,
            state_at=found_at,
        )
    )
    note_state(connection, tables.block.name, block_hash, BlockState.FOUND, found_at)
    return block_hash
