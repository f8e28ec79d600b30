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

from sqlalchemy import ColumnElement, Connection, String, insert, select, type_coerce
from sqlalchemy.exc import OperationalError

from tarazy.accreditation.merkle import HASH_BYTES, Frontier, Node, full_subtrees, leaf_hash
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
        """Hash of the row's content; raises ValueError or TypeError when it holds what is no text."""
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
    return head_of(connection, size_of(connection, before))


def head_of(connection: Connection, size: int) -> AuditHead:
    """The first `size` rows of the log."""
    return AuditHead(size, frontier_of(connection, size).root.hex())


def frontier_of(connection: Connection, size: int) -> Frontier:
    """What rows after the first `size` are hashed with."""
    return Frontier(size, read_nodes(connection, full_subtrees(0, size)))


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
    frontier = frontier_of(connection, size)
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


class UnreadableRowError(Exception):
    """A row that the database cannot give back, or not as it was written."""

    def __init__(self, sequence: int) -> None:
        super().__init__(f"row {sequence} was changed: it cannot be read")
        self.sequence = sequence


def rows_of(connection: Connection, after: int = 0, until: int | None = None) -> Iterator[AuditRow]:
    """Rows `after` + 1 to `until` in order, or to the end; a thousand in memory at a time.

    Raises `UnreadableRowError` at the first that holds what nobody wrote.
    """
    columns = [exact_instant(connection, column) if column is audit.c.at else column for column in audit.c]
    for step in (1_000, 1):  # one by one to that which cannot be read
        query = select(*columns).order_by(audit.c.sequence)
        if after:
            query = query.where(audit.c.sequence > after)
        if until is not None:
            query = query.where(audit.c.sequence <= until)
        try:
            for row in connection.execute(query.execution_options(yield_per=step)):
                sequence, at, *rest = row
                yield AuditRow(sequence, read_instant(at), *rest)
                after = sequence
            return
        except (ValueError, TypeError, OperationalError):
            pass
    raise UnreadableRowError(after + 1)


def exact_instant(connection: Connection, column: ColumnElement[datetime]) -> ColumnElement[Any]:
    """A column of instants for `read_instant`: where they are text, as the text that is there."""
    return type_coerce(column, String()) if connection.dialect.name == "sqlite" else column


def read_instant(told: datetime | str) -> datetime:
    """An instant of an `exact_instant`; raises ValueError or TypeError for what nobody wrote."""
    if isinstance(told, datetime):
        return told
    instant = datetime.fromisoformat(told)
    if instant.isoformat(" ", "microseconds") != told or instant.tzinfo:
        raise ValueError("not as it was written")
    return instant.replace(tzinfo=UTC)


def verify_rows(
    rows: Iterable[AuditRow], heads: Iterable[AuditHead] = (), frontier: Frontier | None = None
) -> AuditFault | None:
    """The first fault of a log, or None when it is whole and is what each of `heads` was taken of.

    Rows cut off at the end, and rows rewritten together with every hash above them, leave an intact log: only an
    earlier head kept elsewhere shows that, and between which heads. `frontier` is of the rows before the first of
    `rows`, where they are not the log's first; `heads` are none of fewer rows than that.
    """
    frontier = frontier or Frontier()
    roots: dict[int, set[str]] = {}
    for kept in heads:
        roots.setdefault(kept.size, set()).add(kept.root)
    two = min((size for size in roots if len(roots[size]) > 1), default=None)
    if two is not None:
        return AuditFault(two, f"two signed heads of {two} rows differ: two logs were told")
    try:
        fault = _first_fault(rows, roots, frontier)
    except UnreadableRowError as error:
        return AuditFault(error.sequence, str(error))
    missing = min((size for size in roots if size > frontier.size), default=None)
    if fault is None and missing is not None:
        return AuditFault(frontier.size + 1, f"rows {frontier.size + 1} to {missing} are missing at the end")
    return fault


def _first_fault(rows: Iterable[AuditRow], heads: Mapping[int, set[str]], frontier: Frontier) -> AuditFault | None:
    """The first fault of the rows that are there; they join `frontier`."""
    trusted = frontier.size
    fault = _head_fault(frontier, heads, trusted)
    if fault is not None:
        return fault
    for row in rows:
        sequence = frontier.size + 1
        if row.sequence != sequence:
            stray = f"row {row.sequence} stands where row {sequence} belongs"
            return AuditFault(sequence, f"row {sequence} is missing" if row.sequence > sequence else stray)
        problem = _row_fault(row, frontier)
        if problem is not None:
            return AuditFault(sequence, problem)
        if sequence in heads:
            fault = _head_fault(frontier, heads, trusted)
            if fault is not None:
                return fault
            trusted = sequence
    return None


def _head_fault(frontier: Frontier, heads: Mapping[int, set[str]], trusted: int) -> AuditFault | None:
    """What is wrong when there is a head of just the rows seen so far, the first `trusted` of which another covers."""
    roots = heads.get(frontier.size)
    if roots is None or roots == {frontier.root.hex()}:
        return None
    if frontier.size == trusted:
        return AuditFault(trusted, f"the head of {trusted} rows is not of what this log begins with")
    between = f"rows {trusted + 1} to {frontier.size}" if trusted + 1 < frontier.size else f"row {frontier.size}"
    return AuditFault(trusted + 1, f"among {between} there is one that is not what the head was taken of")


def _row_fault(row: AuditRow, frontier: Frontier) -> str | None:
    """What is wrong with a row; it joins `frontier`."""
    try:
        leaf = row.leaf()
    except (ValueError, TypeError):
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
