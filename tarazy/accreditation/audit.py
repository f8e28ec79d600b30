"""The audit log: every row carries the hash of the one before, so a change, gap or reordering shows.

hash = SHA-256(previous_hash ‖ canonical JSON of sequence, at, kind, party, account, body), where
previous_hash is the 64 hex digits of the row before (zeros before the first), and canonical JSON has sorted
keys, no spaces, UTF-8.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from tarazy.accreditation.tables import audit, lock_writers

FIRST_PREVIOUS_HASH = "0" * 64


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Something to be kept: what happened, to whom, and its particulars (JSON values without floats)."""

    kind: str
    body: Mapping[str, Any]
    party: str | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The last row: whoever kept an earlier head can prove that nothing up to it was changed or cut off."""

    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class AuditFault:
    """The first row at which the log is not what was written."""

    sequence: int
    problem: str


def canonical(value: Any) -> str:
    """JSON with one spelling only. Raises TypeError on floats: they have many."""
    _refuse_floats(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        raise TypeError("floats have no canonical form; record integers or text")
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return
    for part in value:
        _refuse_floats(part)


def instant_text(instant: datetime) -> str:
    """An instant as it stands in the log: UTC, microseconds, Z."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def row_hash(
    previous_hash: str,
    sequence: int,
    at: datetime,
    kind: str,
    party: str | None,
    account: str | None,
    body: str,
) -> str:
    """Hash of a row, hex; `body` is the canonical JSON text as stored."""
    content = {
        "sequence": sequence,
        "at": instant_text(at),
        "kind": kind,
        "party": party,
        "account": account,
        "body": json.loads(body),
    }
    return hashlib.sha256((previous_hash + canonical(content)).encode()).hexdigest()


def head(connection: Connection, before: datetime | None = None) -> AuditHead:
    """The last row, or the last written before an instant; sequence 0 and zeros when there is none."""
    newest = select(audit.c.sequence, audit.c.hash).order_by(audit.c.sequence.desc()).limit(1)
    if before is not None:
        newest = newest.where(audit.c.at < before)
    row = connection.execute(newest).first()
    return AuditHead(row.sequence, row.hash) if row else AuditHead(0, FIRST_PREVIOUS_HASH)


def append(connection: Connection, events: Iterable[AuditEvent], at: datetime) -> AuditHead:
    """Add `events` in order and give back the new head.

    Time in the log never runs backwards: after a clock was set back, rows carry the last row's instant until
    it has caught up.
    """
    lock_writers(connection)
    last = connection.execute(select(audit).order_by(audit.c.sequence.desc()).limit(1)).first()
    sequence, previous = (last.sequence, last.hash) if last else (0, FIRST_PREVIOUS_HASH)
    at = max(at, last.at) if last else at
    rows = []
    for event in events:
        sequence += 1
        body = canonical(event.body)
        digest = row_hash(previous, sequence, at, event.kind, event.party, event.account, body)
        rows.append(
            {
                "sequence": sequence,
                "at": at,
                "kind": event.kind,
                "party": event.party,
                "account": event.account,
                "body": body,
                "previous_hash": previous,
                "hash": digest,
            }
        )
        previous = digest
    if rows:
        connection.execute(insert(audit), rows)
    return AuditHead(sequence, previous)


def verify(connection: Connection, kept: AuditHead | None = None) -> AuditFault | None:
    """The first fault of the log, or None when it is whole.

    Rows cut off at the end leave a shorter, intact log: only an earlier head `kept` elsewhere shows that.
    """
    return verify_rows(_stream(connection), kept)


def verify_rows(rows: Iterable[Row[Any]], kept: AuditHead | None = None) -> AuditFault | None:
    """As `verify`, for rows in the order of their sequence."""
    sequence, previous = 0, FIRST_PREVIOUS_HASH
    for row in rows:
        sequence += 1
        if row.sequence != sequence:
            return AuditFault(sequence, f"row {sequence} is missing")
        if row.previous_hash != previous:
            return AuditFault(sequence, f"row {sequence} does not follow from the row before")
        if _recomputed(row) != row.hash:
            return AuditFault(sequence, f"row {sequence} was changed")
        if kept is not None and kept.sequence == sequence and kept.hash != row.hash:
            return AuditFault(sequence, f"row {sequence} is not the one whose hash was kept")
        previous = row.hash
    if kept is not None and kept.sequence > sequence:
        return AuditFault(sequence + 1, f"rows {sequence + 1} to {kept.sequence} are missing at the end")
    return None


def _recomputed(row: Row[Any]) -> str | None:
    try:
        if canonical(json.loads(row.body)) != row.body:
            return None
        return row_hash(row.previous_hash, row.sequence, row.at, row.kind, row.party, row.account, row.body)
    except (ValueError, TypeError):
        return None


def _stream(connection: Connection) -> Iterator[Row[Any]]:
    query = select(audit).order_by(audit.c.sequence).execution_options(yield_per=1_000)
    yield from connection.execute(query)
