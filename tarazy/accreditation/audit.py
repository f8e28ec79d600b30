"""The audit log: append-only rows that are the leaves of a Merkle tree (RFC 6962), so any change of the past shows.

A leaf is the canonical JSON of sequence, at, kind, party, account and body, UTF-8; canonical JSON has sorted keys and
no spaces. Row n is leaf n - 1. Each row keeps the hashes of the full subtrees that it completes, its leaf's first: a
proof reads as many rows as the tree has levels, and a lie is found where it stands.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from tarazy.accreditation.merkle import HASH_BYTES, Frontier, Node, fold, full_subtrees, leaf_hash, prove_inclusion
from tarazy.accreditation.tables import audit, lock_writers

_HEX = 2 * HASH_BYTES


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Something to be kept: what happened, to whom, and its particulars (JSON values without floats)."""

    kind: str
    body: Mapping[str, Any]
    party: str | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An event as it stands in the log."""

    sequence: int
    at: datetime
    kind: str
    party: str | None
    account: str | None
    body: str
    """Canonical JSON."""
    hashes: str
    """Hex of the hashes of the full subtrees that the row completes, from its leaf up."""

    def leaf(self) -> bytes:
        """Hash of the row's content; raises ValueError when it holds what is no text."""
        ahead = {"account": self.account, "at": instant_text(self.at)}
        behind = {"kind": self.kind, "party": self.party, "sequence": self.sequence}
        return leaf_hash(f'{canonical(ahead)[:-1]},"body":{self.body},{canonical(behind)[1:]}'.encode())


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The log at one moment: whoever kept it can prove that nothing up to it was changed or cut off since."""

    size: int
    """Rows."""
    root: str
    """Hash over all of them, hex."""


@dataclass(frozen=True, slots=True)
class AuditFault:
    """The first place at which the log is not what was written."""

    sequence: int
    problem: str


def canonical(value: Any) -> str:
    """JSON with one spelling only. Raises TypeError on floats: they have many."""
    _refuse_floats(value)
    return _ENCODER.encode(value)


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _refuse_floats(value: Any) -> None:
    if isinstance(value, str | int | None):
        return
    if isinstance(value, float):
        raise TypeError("floats have no canonical form; record integers or text")
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    for part in parts:
        _refuse_floats(part)


def instant_text(instant: datetime) -> str:
    """An instant as it stands in the log: UTC, microseconds, Z."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def size_of(connection: Connection, before: datetime | None = None) -> int:
    """Rows in the log, or those written before an instant."""
    newest = select(audit.c.sequence).order_by(audit.c.sequence.desc()).limit(1)
    if before is not None:
        newest = newest.where(audit.c.at < before)
    return connection.execute(newest).scalar() or 0


def head(connection: Connection, before: datetime | None = None) -> AuditHead:
    """The log as it is, or as it was before an instant."""
    size = size_of(connection, before)
    return AuditHead(size, fold(read_nodes(connection, full_subtrees(0, size))).hex())


def read_nodes(connection: Connection, nodes: Iterable[Node]) -> list[bytes]:
    """Hashes of full subtrees, as they are kept; raises LookupError when one is not."""
    places = [((index + 1) << level, level) for level, index in nodes]
    query = select(audit.c.sequence, audit.c.hashes).where(audit.c.sequence.in_({row for row, _ in places}))
    kept = {row.sequence: row.hashes for row in connection.execute(query)}
    try:
        found = [bytes.fromhex(kept[row][level * _HEX : (level + 1) * _HEX]) for row, level in places]
    except (KeyError, ValueError):
        found = []
    if any(len(made) != HASH_BYTES for made in found) or len(found) < len(places):
        raise LookupError("the audit log lacks hashes of its tree; see `tarazy audit check`")
    return found


def append(connection: Connection, events: Iterable[AuditEvent], at: datetime) -> AuditHead:
    """Add `events` in order and give back the new head.

    Time in the log never runs backwards: after a clock was set back, rows carry the last row's instant until
    it has caught up.
    """
    lock_writers(connection)
    last = connection.execute(select(audit).order_by(audit.c.sequence.desc()).limit(1)).first()
    size = last.sequence if last else 0
    at = max(at, last.at) if last else at
    frontier = Frontier(size, read_nodes(connection, full_subtrees(0, size)))
    rows = []
    for event in events:
        row = AuditRow(frontier.size + 1, at, event.kind, event.party, event.account, canonical(event.body), "")
        hashes = "".join(made.hex() for _, made in frontier.append(row.leaf()))
        rows.append(
            {
                "sequence": row.sequence,
                "at": at,
                "kind": row.kind,
                "party": row.party,
                "account": row.account,
                "body": row.body,
                "hashes": hashes,
            }
        )
    if rows:
        connection.execute(insert(audit), rows)
    return AuditHead(frontier.size, frontier.root.hex())


def prove_row(connection: Connection, sequence: int, size: int) -> dict[str, Any]:
    """The row, and the path by which it lies in the log's first `size` rows; raises LookupError when it does not.

    Keys: `row` (its columns), `leaf_index` (from 0), `tree_size`, `path` (hex, from the leaf up).
    """
    found = connection.execute(select(audit).where(audit.c.sequence == sequence)).mappings().first()
    if found is None or sequence > size:
        raise LookupError(f"the first {size} rows have no row {sequence}")
    path = prove_inclusion(lambda node: read_nodes(connection, [node])[0], sequence - 1, size)
    row = {name: value for name, value in found.items() if name != "hashes"}
    return {
        "row": {**row, "at": instant_text(row["at"])},
        "leaf_index": sequence - 1,
        "tree_size": size,
        "path": [made.hex() for made in path],
    }


def events_of(
    connection: Connection,
    *,
    kind: str | None = None,
    party: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    last: int,
) -> list[AuditRow]:
    """The latest `last` rows of a kind, about a party, in [since, until), in their order."""
    query = select(audit).order_by(audit.c.sequence.desc()).limit(last)
    for condition in (
        kind is not None and audit.c.kind == kind,
        party is not None and audit.c.party == party,
        since is not None and audit.c.at >= since,
        until is not None and audit.c.at < until,
    ):
        if condition is not False:
            query = query.where(condition)
    return [AuditRow(**row) for row in connection.execute(query).mappings()][::-1]


def rows_of(connection: Connection) -> Iterator[AuditRow]:
    """The whole log in order, a thousand rows in memory at a time."""
    query = select(audit).order_by(audit.c.sequence).execution_options(yield_per=1_000)
    return (AuditRow(*row) for row in connection.execute(query))


def verify_rows(rows: Iterable[AuditRow], heads: Iterable[AuditHead] = ()) -> AuditFault | None:
    """The first fault of a log, or None when it is whole and is what each of `heads` was taken of.

    Rows cut off at the end, and rows rewritten together with every hash above them, leave an intact log: only an
    earlier head kept elsewhere shows that, and between which heads.
    """
    frontier, trusted = Frontier(), 0
    waiting = sorted(set(heads), key=lambda kept: kept.size)
    for row in rows:
        sequence = frontier.size + 1
        if row.sequence != sequence:
            return AuditFault(sequence, f"row {sequence} is missing")
        fault = _row_fault(row, frontier)
        if fault is not None:
            return AuditFault(sequence, fault)
        while waiting and waiting[0].size <= sequence:
            kept = waiting.pop(0)
            if kept.size == sequence and kept.root != frontier.root.hex():
                between = f"rows {trusted + 1} to {sequence}" if trusted + 1 < sequence else f"row {sequence}"
                return AuditFault(trusted + 1, f"among {between} there is one that is not what the head was taken of")
            trusted = kept.size
    if waiting:
        return AuditFault(frontier.size + 1, f"rows {frontier.size + 1} to {waiting[0].size} are missing at the end")
    return None


def _row_fault(row: AuditRow, frontier: Frontier) -> str | None:
    """What is wrong with a row; it joins `frontier`."""
    try:
        leaf = row.leaf()
    except ValueError:
        return f"row {row.sequence} was changed"
    kept = row.hashes
    completed = [(node, made.hex()) for node, made in frontier.append(leaf)]
    if kept[:_HEX] != completed[0][1]:
        return f"row {row.sequence} was changed"
    for (level, index), made in completed[1:]:
        if kept[level * _HEX : (level + 1) * _HEX] != made:
            first, end = index << level, (index + 1) << level
            return f"among rows {first + 1} to {end} one was changed, or the hash over them that row {end} keeps"
    if len(kept) != len(completed) * _HEX:
        return f"row {row.sequence} keeps more hashes than it completes subtrees"
    return None
