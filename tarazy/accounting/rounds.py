"""Rounds: the journals of the gateways folded into tallies, exactly once, and cut where a block was found.

The order of record is the order of folding: by sequence number within a gateway, batch after batch between
gateways. Cursor, tallies, closed rounds and the chain over the shares change in one transaction.

While PPLNS is or will be in force, the credited shares are kept in that order, a stretch a fold; when a round closes
under it, the window before its end is read off them, so that what happens to any block later cannot move it.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any, TypeAlias

from sqlalchemy import Connection, insert, select, update

from tarazy.accounting import tables
from tarazy.accounting.blocks import BlockState
from tarazy.accounting.journal_file import SHARE, UNKNOWN_FINDER, BlockRecord, JournalReader, Segment
from tarazy.accounting.order import forget_order, keep_order, window_before_now
from tarazy.accounting.proof.sealing import digests_of, salts, seal
from tarazy.accounting.schemes import Schedule, Terms, window_weight
from tarazy.accounting.upsert import upsert
from tarazy.stratum.difficulty import weight_of
from tarazy.stratum.job import displayed
from tarazy.stratum.ports import NameRecord
from tarazy.stratum.share import Verdict

FEW_WORKERS = 20_000
"""Up to so many a fold asks for their tallies by name; beyond, for all of the interval."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AT = struct.Struct(">Q34x")
_COUNTED = struct.Struct(">8xI28xbB")
"""Of `SHARE`: the time; name, exponent and verdict."""

_COLUMNS = ("interval_start", "party", "account", "worker", "site", "weight", "shares", "stale_weight", "stale_shares")

_Counts: TypeAlias = Counter[tuple[int, int, int, int]]
"""Number of shares by name, interval since 1970, exponent and verdict."""

_Part: TypeAlias = tuple[list[Segment], _Counts, BlockRecord | None]
"""Shares of a round, counted, and the block that closes it."""

_Key: TypeAlias = tuple[datetime, str, str, str, str]
"""Interval start, party, account, worker and site of a tally."""


_NOBODY = NameRecord(connection=0, extranonce1=b"", account="", worker="", party="", site="", at_us=0)


class FoldError(Exception):
    """The journal cannot be folded. One line: what is wrong with it, and the cure."""


@dataclass(frozen=True, slots=True)
class Folded:
    """What one call of `fold` did."""

    shares: int
    blocks: tuple[str, ...]
    """Displayed hashes of the blocks that closed a round."""
    complete: bool
    """Whether the journal held no more."""
    sequence: int
    """The last share that is folded now."""


@dataclass(slots=True)
class _Work:
    weight: int = 0
    shares: int = 0
    stale_weight: int = 0
    stale_shares: int = 0


def fold(
    connection: Connection,
    reader: JournalReader,
    gateway: int,
    interval_seconds: int,
    limit: int,
    schedule: Schedule,
) -> Folded:
    """Fold about `limit` shares that the journal of `gateway` holds behind its cursor; whole commits of it.

    Accepted and stale shares are tallied by intervals of `interval_seconds`. A block closes its round behind
    its last share; the round keeps where each journal stood and the terms in force when the block was found.
    Belongs into one transaction. Raises `FoldError` or `JournalError`.
    """
    sequence, position = require_journal(connection, reader, gateway)
    segments, blocks, complete = reader.since(sequence, position, limit)
    end = segments[-1].last_sequence if segments else sequence
    due = list(takewhile(lambda numbered: complete or numbered[1].sequence <= end, blocks))
    if segments or due:
        first = SHARE.unpack_from(segments[0].shares)[0] if segments else due[0][1].found_at_us
        number = _open_round(connection, _instant(first))
        cuts = _cuts(segments, [block for _, block in due])
        parts = [(inside, _count(inside, interval_seconds), block) for inside, block in cuts]
        names = _names(reader, parts)
        parties = {name.party for name in names.values() if name.party}
        digests = digests_of(gateway, reader, names, salts(connection, parties))
        windowed = schedule.windowed()
        if not windowed:
            forget_order(connection)
        for inside, counts, block in parts:
            seal(connection, gateway, inside, digests)
            if windowed:
                keep_order(connection, inside, names)
            _tally(connection, number, _work(counts, names, interval_seconds))
            if block is not None:
                sequence = max(sequence, block.sequence)
                terms = schedule.at(_instant(block.found_at_us))
                _close(connection, gateway, number, sequence, block, names[block.name], terms)
                if terms.window is not None:
                    _close_window(connection, reader, number, block, terms.window)
                number += 1
        position = due[-1][0] if due else position
        cursor = {"gateway": gateway, "journal": reader.identity, "sequence": end, "block": position}
        upsert(connection, tables.gateway, [cursor])
    shares = sum(segment.count for segment in segments)
    return Folded(shares, tuple(displayed(block.block_hash) for _, block in due), complete, end)


def require_journal(connection: Connection, reader: JournalReader, gateway: int) -> tuple[int, int]:
    """The last share and block of the journal that are folded.

    Raises `FoldError` when another journal was folded so far, or this one has lost shares that were folded: going on
    would pass over shares in silence.
    """
    table = tables.gateway
    row = connection.execute(select(table).where(table.c.gateway == gateway).with_for_update()).one_or_none()
    if row is None:
        return 0, 0
    cure = "bring the right file back, or start this gateway with a new number"
    if row.journal != reader.identity:
        raise FoldError(f"{reader.path}: is not the journal of gateway {gateway} that was folded so far; {cure}")
    if reader.last_sequence() < row.sequence:
        ends = f"ends at share {reader.last_sequence()}, but {row.sequence} are folded"
        raise FoldError(f"{reader.path}: {ends}; {cure}")
    return row.sequence, row.block


def _instant(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _open_round(connection: Connection, at: datetime) -> int:
    """The open round, which is always the last; the very first opens with its first share."""
    table = tables.round_
    number = connection.scalar(select(table.c.round).order_by(table.c.round.desc()).limit(1).with_for_update())
    if number is None:
        connection.execute(insert(table).values(round=1, opened_at=at))
        return 1
    return int(number)


def _cuts(segments: list[Segment], blocks: list[BlockRecord]) -> Iterator[tuple[list[Segment], BlockRecord | None]]:
    """The shares of each round with the block that closes it, then those of the round that stays open."""
    for block in blocks:
        yield [_until(segment, block.sequence) for segment in segments], block
        segments = [_behind(segment, block.sequence) for segment in segments]
    yield segments, None


def _until(segment: Segment, sequence: int) -> Segment:
    count = min(max(sequence + 1 - segment.first_sequence, 0), segment.count)
    return replace(segment, count=count, shares=segment.shares[: count * SHARE.size])


def _behind(segment: Segment, sequence: int) -> Segment:
    skip = min(max(sequence + 1 - segment.first_sequence, 0), segment.count)
    return Segment(segment.first_sequence + skip, segment.count - skip, segment.shares[skip * SHARE.size :])


def _count(segments: Iterable[Segment], interval_seconds: int) -> _Counts:
    length = interval_seconds * 1_000_000
    counts: _Counts = Counter()
    for segment in segments:
        instants = [at_us for (at_us,) in _AT.iter_unpack(segment.shares)]
        if instants and min(instants) // length == max(instants) // length:
            interval = instants[0] // length
            for (name, exponent, verdict), shares in Counter(_COUNTED.iter_unpack(segment.shares)).items():
                counts[name, interval, exponent, verdict] += shares
        else:
            for at_us, (name, exponent, verdict) in zip(instants, _COUNTED.iter_unpack(segment.shares), strict=True):
                counts[name, at_us // length, exponent, verdict] += 1
    return counts


def _names(reader: JournalReader, parts: Iterable[_Part]) -> dict[int, NameRecord]:
    wanted = {key[0] for _, counts, _ in parts for key in counts}
    wanted.update(block.name for _, _, block in parts if block is not None and block.name != UNKNOWN_FINDER)
    names = {UNKNOWN_FINDER: _NOBODY, **reader.names(wanted)}
    if missing := wanted - names.keys():
        raise FoldError(f"{reader.path}: damaged: shares of name {min(missing)}, which it does not have")
    return names


def _work(counts: _Counts, names: Mapping[int, NameRecord], interval_seconds: int) -> dict[_Key, _Work]:
    """The work of each tally. Shares rejected for other reasons than being stale count for nothing."""
    work: dict[_Key, _Work] = {}
    for (number, interval, exponent, verdict), shares in counts.items():
        if verdict not in (Verdict.ACCEPTED, Verdict.STALE):
            continue
        name = names[number]
        start = _EPOCH + timedelta(seconds=interval * interval_seconds)
        tally = work.setdefault((start, name.party, name.account, name.worker, name.site), _Work())
        if verdict == Verdict.ACCEPTED:
            tally.weight += shares * weight_of(exponent)
            tally.shares += shares
        else:
            tally.stale_weight += shares * weight_of(exponent)
            tally.stale_shares += shares
    return work


def _tally(connection: Connection, number: int, work: dict[_Key, _Work]) -> None:
    """Add to the tallies of the open round and to the parties' weights in it."""
    if not work:
        return
    weights: Counter[str] = Counter()
    for (_, party, *_), done in work.items():
        weights[party] += done.weight
    _add_present(connection, number, work)
    upsert(connection, tables.tally, [_row(number, key, done) for key, done in work.items()])
    table = tables.round_weight
    query = select(table.c.party, table.c.weight).where(table.c.round == number, table.c.party.in_(weights))
    for party, weight in connection.execute(query).all():
        weights[party] += weight
    upsert(connection, table, [{"round": number, "party": p, "weight": w} for p, w in weights.items() if w])


def _add_present(connection: Connection, number: int, work: dict[_Key, _Work]) -> None:
    """Add what the tallies hold so far. It is done here, because SQLite has no integers of this size."""
    table = tables.tally
    query = select(*(table.c[name] for name in _COLUMNS)).where(
        table.c.round == number,
        table.c.interval_start.in_({key[0] for key in work}),
        table.c.party.in_({key[1] for key in work}),
    )
    workers = {key[3] for key in work}
    if len(workers) <= FEW_WORKERS:
        query = query.where(table.c.worker.in_(workers))
    for *key, weight, shares, stale_weight, stale_shares in connection.execute(query).all():
        if done := work.get(tuple(key)):
            done.weight += weight
            done.shares += shares
            done.stale_weight += stale_weight
            done.stale_shares += stale_shares


def _row(number: int, key: _Key, done: _Work) -> dict[str, Any]:
    start, party, account, worker, site = key
    return {
        "round": number,
        "interval_start": start,
        "party": party,
        "account": account,
        "worker": worker,
        "site": site,
        "weight": done.weight,
        "shares": done.shares,
        "stale_weight": done.stale_weight,
        "stale_shares": done.stale_shares,
    }


def _close(
    connection: Connection,
    gateway: int,
    number: int,
    sequence: int,
    block: BlockRecord,
    finder: NameRecord,
    terms: Terms,
) -> None:
    """Close the round behind `sequence` of the finder's gateway; the others stand where they are folded."""
    found_at = _instant(block.found_at_us)
    block_hash = displayed(block.block_hash)
    cut = {str(row.gateway): row.sequence for row in connection.execute(select(tables.gateway))}
    connection.execute(
        update(tables.round_)
        .where(tables.round_.c.round == number)
        .values(
            closed_at=found_at,
            block_hash=block_hash,
            gateway=gateway,
            cut=cut | {str(gateway): sequence},
            fee_ppm=terms.fee_ppm,
            fees=dict(terms.fees) or None,
            scheme=terms.scheme,
        )
    )
    connection.execute(
        insert(tables.block).values(
            block_hash=block_hash,
            height=block.height,
            round=number,
            gateway=gateway,
            sequence=sequence,
            party=finder.party,
            worker=finder.worker,
            found_at=found_at,
            state=BlockState.FOUND,
            confirmations=0,
            reward=block.reward,
            state_at=found_at,
        )
    )
    connection.execute(insert(tables.round_).values(round=number + 1, opened_at=found_at))


def _close_window(connection: Connection, reader: JournalReader, number: int, block: BlockRecord, window: int) -> None:
    """Keep what PPLNS divides by, as long as the order of record is at hand."""
    target = reader.network_target(block.height)
    if target is None:
        raise FoldError(f"{reader.path}: damaged: a block of height {block.height}, and no job of it")
    limit = window_weight(window, target)
    rows = [{"round": number, "party": p, "weight": w} for p, w in window_before_now(connection, limit).items()]
    connection.execute(update(tables.round_).where(tables.round_.c.round == number).values(window=limit))
    if rows:
        connection.execute(insert(tables.window_weight), rows)
