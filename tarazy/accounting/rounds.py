"""Rounds: the journals of the gateways folded into tallies, exactly once, and cut where a block was found.

Shares are folded into the open round as they come. A block closes it at a cut vector: of the finder's gateway the
solving share is the last one inside; of every other the last share before the first that arrived, by that gateway's
own clock, after the block was found. What was folded behind the cut moves to the next round with the closing. A
cursor, its tallies and a closed round change in one transaction.

Shares enter the order of record when it is certain that no block still to come lies before them, gateway after
gateway, the finder's last when a round closes. In that order they are sealed into the chain of their gateway, and kept
while PPLNS is or will be in force: its window is read off them when a round closes, and nothing later can move it.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from sqlalchemy import Connection, insert, select, update

from tarazy.accounting import tables
from tarazy.accounting.blocks import BlockState
from tarazy.accounting.journal_file import SHARE, UNKNOWN_FINDER, BlockRecord, JournalReader, Segment, required_job
from tarazy.accounting.order import forget_order, keep_order, next_place, window_before_now
from tarazy.accounting.proof.sealing import digests_of, salts, seal
from tarazy.accounting.schemes import Schedule, Scheme, window_weight
from tarazy.accounting.tallies import Counts, add, by_worth, count, names_in, work_of
from tarazy.accounting.upsert import upsert
from tarazy.accounting.worth import Worth, worth_of
from tarazy.database.states import note_state
from tarazy.stratum.job import Job, displayed
from tarazy.stratum.ports import NameRecord

_RECORDED_SHARES = 100_000
"""Shares that enter the order of record at a time."""
_NAME = struct.Struct(">8xI30x")
"""Of `SHARE` the name."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOBODY = NameRecord(connection=0, extranonce1=b"", account="", worker="", party="", site="", at_us=0)


class FoldError(Exception):
    """The journal cannot be folded. One line: what is wrong with it, and the cure."""


class NotFoldedError(Exception):
    """No journal of the gateway was folded. One line."""


@dataclass(frozen=True, slots=True)
class Folded:
    """What one call of `fold` did."""

    shares: int
    complete: bool
    """Whether the journal held no more."""
    sequence: int
    """The last share that is folded now."""


@dataclass(frozen=True, slots=True)
class Closing:
    """What one call of `close_round` did."""

    block_hash: str | None = None
    """Displayed hash of the block that closed the open round, if one did."""
    waiting: tuple[int, ...] = ()
    """Gateways that have not delivered their journals up to the next block."""


@dataclass(frozen=True, slots=True)
class _Cursor:
    journal: int
    sequence: int = 0
    block: int = 0
    certain: int = 0
    recorded: int = 0
    lost_at: datetime | None = None


def fold(
    connection: Connection, reader: JournalReader, gateway: int, interval_seconds: int, limit: int, at: datetime
) -> Folded:
    """Fold about `limit` shares that the journal of `gateway` holds behind its cursor; whole commits of it.

    Accepted and stale shares are tallied by intervals of `interval_seconds`, in the open round. Belongs into one
    transaction, of the instant `at`. Raises `FoldError`.
    """
    cursor = _require(connection, reader, gateway)
    segments, complete = reader.since(cursor.sequence, limit)
    end = segments[-1].last_sequence if segments else cursor.sequence
    lost_at = cursor.lost_at
    if lost_at is not None:
        last, delivered = reader.arrived(cursor.sequence, _microseconds(lost_at))
        if last > cursor.sequence and segments:
            _mark_late(connection, gateway, cursor.sequence + 1, min(last, end), lost_at, at)
        if delivered and complete:
            lost_at = None
    if segments:
        number = _open_round(connection, _instant(SHARE.unpack_from(segments[0].shares)[0]))
        done = {}
        for worth, some in by_worth(segments, _worths(reader)).items():
            counts = count(some, interval_seconds)
            done[worth] = work_of(counts, _names(reader, names_in(counts)), interval_seconds)
        add(connection, number, done)
    if segments or lost_at != cursor.lost_at:
        _move(connection, gateway, cursor, sequence=end, lost_at=lost_at)
    return Folded(sum(segment.count for segment in segments), complete, end)


def require_journal(connection: Connection, reader: JournalReader, gateway: int) -> int:
    """The last share of the journal that is folded.

    Raises `FoldError` when another journal was folded so far, or this one has lost shares that were folded: going on
    would pass over shares in silence.
    """
    return _require(connection, reader, gateway).sequence


def close_round(
    connection: Connection, readers: Mapping[int, JournalReader], interval_seconds: int, schedule: Schedule
) -> Closing:
    """Close the open round at the next block of the journals, if all are folded and delivered as far as its cut.

    `readers`: of every gateway whose journal can be read. A gateway that was folded before and has none holds the
    round up, unless it was declared lost. The round keeps the terms that `schedule` has for the instant at which the
    block was found. Belongs into one transaction. Raises `FoldError` or `JournalError`.
    """
    with ExitStack() as stack:
        for reader in readers.values():
            stack.enter_context(reader.snapshot())
        cursors = _cursors(connection)
        for gateway in readers.keys() - cursors.keys():
            cursors[gateway] = _Cursor(readers[gateway].identity)
        found = {
            gateway: following
            for gateway, reader in readers.items()
            if (following := reader.next_block(cursors[gateway].block))
        }
        if not found:
            _make_certain(connection, readers, cursors, schedule.windowed())
            return Closing()
        finder = min(found, key=lambda gateway: (found[gateway][1].found_at_us, gateway))
        number, block = found[finder]
        overtaken = _overtaken(connection, block)
        cut, waiting = {}, []
        for gateway, cursor in sorted(cursors.items()):
            last, delivered = cursor.sequence, True
            if gateway == finder:
                last = block.sequence
            elif cursor.lost_at is None and gateway not in readers:
                delivered = False
            elif cursor.lost_at is None and not overtaken:
                last, delivered = readers[gateway].arrived(cursor.certain, block.found_at_us)
            if gateway in found and gateway != finder:
                last, delivered = min(last, found[gateway][1].sequence - 1), True
            if not delivered:
                waiting.append(gateway)
            cut[gateway] = max(last, cursor.certain)
        if waiting:
            return Closing(waiting=tuple(waiting))
        if any(cursors[gateway].sequence < min(cut[gateway], readers[gateway].last_sequence()) for gateway in readers):
            return Closing()
        return _close(connection, readers, cursors, finder, number, block, cut, interval_seconds, schedule)


def declare_lost(connection: Connection, gateway: int, at: datetime) -> None:
    """Let rounds wait for `gateway` no longer; what it delivers later joins the round that is open then, marked.

    It holds until the gateway has delivered what arrived up to `at`. Raises `NotFoldedError`.
    """
    table = tables.gateway
    changed = connection.execute(update(table).where(table.c.gateway == gateway).values(lost_at=at))
    if not changed.rowcount:
        raise NotFoldedError(f"gateway {gateway}: nothing of it was folded, so nothing waits for it")


def _require(connection: Connection, reader: JournalReader, gateway: int) -> _Cursor:
    cursor = _cursors(connection, gateway).get(gateway, _Cursor(reader.identity))
    cure = "bring the right file back, or start this gateway with a new number"
    if cursor.journal != reader.identity:
        raise FoldError(f"{reader.path}: is not the journal of gateway {gateway} that was folded so far; {cure}")
    if reader.last_sequence() < cursor.sequence:
        ends = f"ends at share {reader.last_sequence()}, but {cursor.sequence} are folded"
        raise FoldError(f"{reader.path}: {ends}; {cure}")
    return cursor


def _cursors(connection: Connection, gateway: int | None = None) -> dict[int, _Cursor]:
    """Of all gateways, or of one; nobody else moves them meanwhile."""
    table = tables.gateway
    query = select(table).with_for_update()
    if gateway is not None:
        query = query.where(table.c.gateway == gateway)
    rows = connection.execute(query)
    return {
        row.gateway: _Cursor(row.journal, row.sequence, row.block, row.certain, row.recorded, row.lost_at)
        for row in rows
    }


def _move(connection: Connection, gateway: int, cursor: _Cursor, **changes: object) -> None:
    values = {field: getattr(cursor, field) for field in _Cursor.__slots__} | changes
    upsert(connection, tables.gateway, [{"gateway": gateway, **values}])


def _make_certain(
    connection: Connection, readers: Mapping[int, JournalReader], cursors: Mapping[int, _Cursor], windowed: bool
) -> None:
    """Move on the places behind which a later block's cut is looked for.

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
            _record(connection, readers[gateway], gateway, cursor, last, windowed)
            _move(connection, gateway, cursor, certain=last, recorded=max(last, cursor.recorded))


def _record(
    connection: Connection, reader: JournalReader, gateway: int, cursor: _Cursor, last: int, windowed: bool
) -> None:
    """Enter the shares up to number `last` in the order of record. No link of the chain goes over a cut."""
    if not windowed:
        forget_order(connection)
    ends = sorted({max(cursor.certain, cursor.recorded), max(last, cursor.recorded)})
    after = cursor.recorded
    names: dict[int, NameRecord] = {}
    hidden: dict[str, bytes] = {}
    digests = digests_of(gateway, reader, names, hidden)
    for end in ends:
        for segments in _batches(reader.segments(after, end)):
            packed = b"".join(segment.shares for segment in segments)
            new = _names(reader, {number for (number,) in _NAME.iter_unpack(packed)} - names.keys())
            names |= new
            hidden |= salts(connection, {name.party for name in new.values()} - hidden.keys())
            place = next_place(connection) if windowed else None
            seal(connection, gateway, segments, digests, place)
            if place is not None:
                keep_order(connection, place, segments, names)
        after = end


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


def _overtaken(connection: Connection, block: BlockRecord) -> bool:
    """Whether a round that closed already was ended by a later block: of a lost gateway, or by a clock set back.

    The clocks cannot cut the others then: all of what is folded stays inside.
    """
    latest = connection.scalar(
        select(tables.round_.c.closed_at).order_by(tables.round_.c.round.desc()).offset(1).limit(1)
    )
    return latest is not None and _instant(block.found_at_us) < latest


def _mark_late(connection: Connection, gateway: int, first: int, last: int, lost_at: datetime, at: datetime) -> None:
    row = {"gateway": gateway, "first_sequence": first, "last_sequence": last, "lost_at": lost_at, "folded_at": at}
    connection.execute(insert(tables.late).values(**row))


def _instant(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _open_round(connection: Connection, at: datetime) -> int:
    """The open round, which is always the last; the very first opens with its first share."""
    table = tables.round_
    number = connection.scalar(select(table.c.round).order_by(table.c.round.desc()).limit(1).with_for_update())
    if number is None:
        connection.execute(insert(table).values(round=1, opened_at=at))
        return 1
    return int(number)


def _names(reader: JournalReader, wanted: set[int]) -> dict[int, NameRecord]:
    names = reader.names(wanted)
    if missing := wanted - names.keys():
        raise FoldError(f"{reader.path}: damaged: shares of name {min(missing)}, which it does not have")
    return names


def _close(
    connection: Connection,
    readers: Mapping[int, JournalReader],
    cursors: Mapping[int, _Cursor],
    finder: int,
    number: int,
    block: BlockRecord,
    cut: Mapping[int, int],
    interval_seconds: int,
    schedule: Schedule,
) -> Closing:
    """Close the open round at `cut`, open the next one, and move there what was folded behind the cut."""
    found_at = _instant(block.found_at_us)
    block_hash = displayed(block.block_hash)
    names = {UNKNOWN_FINDER: _NOBODY} | readers[finder].names({block.name})
    terms = schedule.at(found_at)
    round_ = _open_round(connection, found_at)
    closed = {
        "closed_at": found_at,
        "block_hash": block_hash,
        "gateway": finder,
        "cut": {str(gateway): last for gateway, last in cut.items()},
        "fee_ppm": terms.fee_ppm,
        "fees": dict(terms.fees) or None,
        "scheme": terms.scheme,
    }
    connection.execute(update(tables.round_).where(tables.round_.c.round == round_).values(**closed))
    connection.execute(
        insert(tables.block).values(
            block_hash=block_hash,
            height=block.height,
            round=round_,
            gateway=finder,
            sequence=block.sequence,
            party=names[block.name].party,
            worker=names[block.name].worker,
            found_at=found_at,
            state=BlockState.FOUND,
            confirmations=0,
            reward=block.reward,
            state_at=found_at,
        )
    )
    note_state(connection, tables.block.name, block_hash, BlockState.FOUND, found_at)
    connection.execute(insert(tables.round_).values(round=round_ + 1, opened_at=found_at))
    for gateway in sorted(cursors, key=lambda gateway: (gateway == finder, gateway)):
        cursor = cursors[gateway]
        recorded = cursor.recorded
        if gateway in readers:
            _record(connection, readers[gateway], gateway, cursor, cut[gateway], schedule.windowed())
            recorded = max(recorded, cut[gateway])
        if cut[gateway] < cursor.sequence:
            reader = readers[gateway]
            _to_next(connection, reader, reader.segments(cut[gateway], cursor.sequence), round_, interval_seconds)
        moved = {"block": number} if gateway == finder else {}
        _move(connection, gateway, cursor, certain=cut[gateway], recorded=recorded, **moved)
    if terms.window is not None:
        _close_window(connection, round_, _job_of(readers[finder], block), terms.window)
    if terms.scheme is Scheme.FPPS:
        worth = worth_of(_job_of(readers[finder], block))
        price = {"target": f"{worth.target:064x}", "subsidy": worth.subsidy, "fee_blocks": terms.fee_blocks}
        connection.execute(update(tables.round_).where(tables.round_.c.round == round_).values(**price))
    return Closing(block_hash)


def _to_next(
    connection: Connection, reader: JournalReader, segments: Iterable[Segment], round_: int, interval_seconds: int
) -> None:
    """Take the work of shares behind the cut from a round, and add it to the next one."""
    taken, given = {}, {}
    for worth, some in by_worth(segments, _worths(reader)).items():
        behind = count(some, interval_seconds)
        known = _names(reader, names_in(behind))
        negative: Counts = {
            interval: Counter({key: -shares for key, shares in counted.items()}) for interval, counted in behind.items()
        }
        taken[worth] = work_of(negative, known, interval_seconds)
        given[worth] = work_of(behind, known, interval_seconds)
    add(connection, round_, taken)
    add(connection, round_ + 1, given)


def _worths(reader: JournalReader) -> Callable[[int], Worth]:
    """What shares of a job are worth, asked of the journal once a job. Raises `JournalError` where it has none."""
    return cache(lambda number: worth_of(required_job(reader, number)))


def _job_of(reader: JournalReader, block: BlockRecord) -> Job:
    """What the block's finder worked on, or another job of that height: they have one target."""
    job = reader.job_at(block.height)
    if job is None:
        raise FoldError(f"{reader.path}: damaged: a block of height {block.height}, and no job of it")
    return job


def _close_window(connection: Connection, number: int, job: Job, window: int) -> None:
    """Keep what PPLNS divides by, as long as the order of record is at hand."""
    limit = window_weight(window, job.target)
    weights, place = window_before_now(connection, limit)
    rows = [{"round": number, "party": party, "weight": weight} for party, weight in weights.items()]
    values = {"window": limit, "window_place": place}
    connection.execute(update(tables.round_).where(tables.round_.c.round == number).values(**values))
    if rows:
        connection.execute(insert(tables.window_weight), rows)
