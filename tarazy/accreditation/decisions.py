"""Decisions on their way into the audit log and back out: all kept, at a bounded cost.

A miner refused once a second costs one row a minute that carries the count, an unknown one a row in ten minutes.
Invented account names beyond a limit share one row, which counts them by reason: nothing is lost silently.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from tarazy.accreditation.admission import Decision, EntryReference, Reason
from tarazy.accreditation.audit import AuditEvent, instant_text
from tarazy.accreditation.evidence import Verdicts
from tarazy.accreditation.tables import audit

ADMITTED = "admitted"
REFUSED = "refused"
OVERFLOW = "refused-overflow"
DECISION_KINDS = (ADMITTED, REFUSED, OVERFLOW)

_LONGEST = 127
_LATEST_ROW = timedelta(days=1)
"""So much later than a decision its row is looked for: rows wait for their window, and for a database that is away."""

_Key = tuple[str, str, tuple[Reason, ...], tuple[EntryReference, ...], Verdicts]


def _safe(text: str) -> str:
    """What a stranger sent, fit for a database and a page: anything unusual escaped, cut to 127 characters."""
    text = text[:_LONGEST]
    return text if text.isascii() and text.isprintable() else ascii(text)[1:-1][:_LONGEST]


@dataclass(slots=True)
class _Tally:
    """Equal decisions since the last row about them."""

    decision: Decision
    first: datetime
    last: datetime
    worker: str = ""
    peer: str = ""
    count: int = 0
    written_at: datetime | None = None

    def add(self, worker: str, peer: str, at: datetime) -> None:
        if not self.count:
            self.first = at
        self.count += 1
        self.last, self.worker, self.peer = at, worker, peer

    def event(self, account: str) -> AuditEvent:
        body = {
            "reasons": list(self.decision.reasons),
            "text": self.decision.text,
            "site": self.decision.site,
            "entries": [list(reference) for reference in self.decision.entries],
            "evidence": dict(self.decision.evidence),
            "worker": self.worker,
            "peer": self.peer,
            "count": self.count,
            "first": instant_text(self.first),
            "last": instant_text(self.last),
        }
        kind = ADMITTED if self.decision.admitted else REFUSED
        return AuditEvent(kind, body, self.decision.party or None, account)


@dataclass(slots=True)
class _Overflow:
    """Refusals of unknown accounts beyond the limit, since the last row about them."""

    first: datetime
    last: datetime
    count: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)

    def event(self) -> AuditEvent:
        body = {
            "count": self.count,
            "by_reason": dict(self.by_reason),
            "first": instant_text(self.first),
            "last": instant_text(self.last),
        }
        return AuditEvent(OVERFLOW, body)


class DecisionLog:
    """Gathers decisions into audit events: the first of its kind at once, then one a window with a count.

    Decisions are of one kind when account, reasons, the entries they rested on and what the sources said of the
    address are equal; worker and address are those of the latest. No more than `strangers` unknown accounts are told
    apart at a time, and their window is `patience`: whoever invents names gets no more than so many rows in that time.
    """

    def __init__(
        self,
        window: timedelta = timedelta(minutes=1),
        strangers: int = 256,
        patience: timedelta = timedelta(minutes=10),
    ) -> None:
        self._window = window
        self._patience = patience
        self._limit = strangers
        self._strangers = 0
        self._tallies: dict[_Key, _Tally] = {}
        self._overflow: _Overflow | None = None
        self._overflow_written_at: datetime | None = None

    def add(self, decision: Decision, account: str, worker: str, peer: str, at: datetime) -> None:
        """Take note of a decision made at `at`. Names are kept as printable ASCII of bounded length."""
        account, worker, peer = _safe(account), _safe(worker), _safe(peer)
        key = (decision.party, account, decision.reasons, decision.entries, decision.evidence)
        tally = self._tallies.get(key)
        if tally is None:
            if not decision.party and self._strangers >= self._limit:
                self._add_overflow(decision, at)
                return
            self._strangers += not decision.party
            tally = self._tallies[key] = _Tally(decision, at, at)
        tally.add(worker, peer, at)

    def _add_overflow(self, decision: Decision, at: datetime) -> None:
        overflow = self._overflow = self._overflow or _Overflow(at, at)
        overflow.count += 1
        overflow.last = at
        overflow.by_reason.update(decision.reasons)

    def take(self, now: datetime, *, everything: bool = False) -> list[AuditEvent]:
        """Events due at `now`, or with `everything` those not yet due too; they leave this log.

        Kinds of decision that did not occur for a whole window are forgotten.
        """
        events = []
        for key, tally in list(self._tallies.items()):
            if not (everything or self._due(tally.written_at, now, self._window if key[0] else self._patience)):
                continue
            if tally.count:
                events.append(tally.event(key[1]))
                tally.count, tally.written_at = 0, now
            else:
                del self._tallies[key]
                self._strangers -= not key[0]
        if self._overflow and (everything or self._due(self._overflow_written_at, now, self._window)):
            events.append(self._overflow.event())
            self._overflow, self._overflow_written_at = None, now
        return events

    @staticmethod
    def _due(written_at: datetime | None, now: datetime, window: timedelta) -> bool:
        return written_at is None or now - written_at >= window


@dataclass(slots=True)
class DecisionSummary:
    """Equal decisions of a period, from the audit log."""

    kind: str
    """`admitted`, `refused` or `refused-overflow` (unknown accounts beyond the limit, counted together)."""
    party: str
    account: str
    reasons: tuple[str, ...]
    first: datetime
    last: datetime
    worker: str = ""
    """Of the latest decision; empty where logins were counted together or named none."""
    count: int = 0
    sites: set[str] = field(default_factory=set)
    peers: set[str] = field(default_factory=set)
    """Addresses in the log's rows: the latest of each row."""
    rows: int = 0
    """How many audit rows this rests on, from `first_sequence` to `last_sequence`."""
    first_sequence: int = 0
    last_sequence: int = 0

    def plain(self) -> dict[str, Any]:
        """As JSON values, and instants."""
        return {
            "kind": self.kind,
            "party": self.party,
            "account": self.account,
            "worker": self.worker,
            "sites": sorted(self.sites),
            "peers": sorted(self.peers),
            "reasons": list(self.reasons),
            "count": self.count,
            "first": self.first,
            "last": self.last,
            "first_sequence": self.first_sequence,
            "last_sequence": self.last_sequence,
        }


def decisions_between(connection: Connection, since: datetime, until: datetime) -> list[DecisionSummary]:
    """What was admitted and refused by rows written in [since, until), summed by kind and reasons."""
    return _summed(_decisions(connection, since, until))


def decisions_during(connection: Connection, since: datetime, until: datetime) -> list[DecisionSummary]:
    """What was admitted and refused in [since, until), summed by kind and reasons, by rows written up to a day later.

    A row that tells of several decisions counts whole when its first and last enclose or touch that time.
    """
    rows = _decisions(connection, since, until + _LATEST_ROW)
    return _summed((row, body) for row, body in rows if _during(body, since, until))


def _during(body: Mapping[str, Any], since: datetime, until: datetime) -> bool:
    return datetime.fromisoformat(body["first"]) < until and datetime.fromisoformat(body["last"]) >= since


def _decisions(connection: Connection, since: datetime, until: datetime) -> Iterator[tuple[Any, dict[str, Any]]]:
    query = (
        select(audit)
        .where(audit.c.kind.in_(DECISION_KINDS), audit.c.at >= since, audit.c.at < until)
        .order_by(audit.c.sequence)
    )
    for row in connection.execute(query):
        yield row, json.loads(row.body)


def _summed(rows: Iterable[tuple[Any, dict[str, Any]]]) -> list[DecisionSummary]:
    found: dict[tuple[str, str, str, tuple[str, ...]], DecisionSummary] = {}
    for row, body in rows:
        reasons = tuple(body["by_reason"] if row.kind == OVERFLOW else body["reasons"])
        first, last = datetime.fromisoformat(body["first"]), datetime.fromisoformat(body["last"])
        key = (row.kind, row.party or "", row.account or "", reasons)
        summary = found.setdefault(key, DecisionSummary(*key, first, last, first_sequence=row.sequence))
        summary.first, summary.last = min(summary.first, first), max(summary.last, last)
        summary.worker = body.get("worker", "")
        summary.count += body["count"]
        summary.sites |= {body["site"]} if body.get("site") else set()
        summary.peers |= {body["peer"]} if body.get("peer") else set()
        summary.rows += 1
        summary.last_sequence = row.sequence
    return [found[key] for key in sorted(found)]
