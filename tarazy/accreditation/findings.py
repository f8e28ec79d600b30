"""Findings: opened when a condition has held for a while, settled by people or by themselves, never forgotten.

What is found is a `Condition`, and `plausibility` finds them. A finding is its record: a register that the server alone
writes. Its versions are its history, each with who, when and why, and each is witnessed by the audit log.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Connection

from tarazy.accreditation.checking import RegisterError
from tarazy.accreditation.entries import Finding, FindingKind, FindingState, Severity
from tarazy.accreditation.problems import Problem
from tarazy.accreditation.registers import append, append_all, versions_of
from tarazy.accreditation.snapshot import Registers, version_at
from tarazy.accreditation.tables import lock_writers

ITSELF = "tarazy"
"""Who recorded what the server found."""
BY_ITSELF = "by itself: the condition is gone"
LISTED = 20
"""Entries of a list in evidence; how many there are is told beside it."""
MAXIMUM_CHANGES = 500
"""Versions recorded in one pass; what is left comes in the next."""
_RENEWAL = timedelta(days=1)
"""Evidence that changed while a finding stands is recorded no more often."""
_LONGEST_TEXT = 128

_ORDER = list(Severity)


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is not as it should be, at this moment."""

    kind: FindingKind
    severity: Severity
    of_register: str
    of_key: str
    """The entry it is about."""
    party: str | None = None
    site: str | None = None
    """Whom it concerns."""
    evidence: Mapping[str, int | str | list[str] | list[int]] | None = None

    @property
    def key(self) -> str:
        """Key of its finding: the kind and the subject, with the site where it is a party's at a site."""
        at = [self.site] if self.of_register == "party" and self.site else []
        return ":".join([self.kind, self.of_register, self.of_key, *at])


def listed(texts: Collection[str]) -> list[str]:
    """The first `LISTED` of them in order, each cut to a bounded length."""
    return [text[:_LONGEST_TEXT] for text in sorted(texts)[:LISTED]]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a condition must hold, or be gone, before that counts."""

    opens_after: timedelta
    resolves_after: timedelta
    """Also how long a finding that a person resolved waits before the same condition opens it again."""


class Watch:
    """Knows since when conditions hold and since when they are gone.

    That is kept in memory alone: after a restart everything must hold, or be gone, for its time again.
    """

    def __init__(self, patience: Patience, blocking: Collection[FindingKind] = ()) -> None:
        """`blocking`: kinds whose findings keep those they concern from mining."""
        self._patience = patience
        self._blocking = frozenset(blocking)
        self._held: dict[str, datetime] = {}
        self._gone: dict[str, datetime] = {}

    def look(self, registers: Registers, conditions: Iterable[Condition]) -> list[Finding]:
        """Versions to record at `registers.valid_at`, the most severe first, after `conditions` were found then.

        While a finding is open its severity only rises.
        """
        now = registers.valid_at
        found = {condition.key: condition for condition in conditions}
        self._held = {key: self._held.get(key, now) for key in found}
        gone = {row.finding for row in registers.findings.values() if row.state is not FindingState.RESOLVED}
        self._gone = {key: self._gone.get(key, now) for key in gone - found.keys()}
        changes = [
            *(self._seen(registers.findings.get(key), condition, now) for key, condition in found.items()),
            *(self._missed(registers.findings[key], now) for key in self._gone),
        ]
        ordered = sorted(
            (change for change in changes if change is not None),
            key=lambda change: (-_ORDER.index(change.severity), change.finding),
        )
        return ordered[:MAXIMUM_CHANGES]

    def _seen(self, known: Finding | None, condition: Condition, now: datetime) -> Finding | None:
        if known is None or known.state is FindingState.RESOLVED:
            since = self._held[condition.key]
            if known is not None and (known.recorded_by, known.why) != (ITSELF, BY_ITSELF):
                since = max(since, known.valid_from + self._patience.resolves_after)
            if now - since < self._patience.opens_after:
                return None
            why = None if known is None else "found again"
            return self._version(condition, now, state=FindingState.OPEN, owner=None, why=why)
        severity = max(condition.severity, known.severity, key=_ORDER.index)
        lasting = replace(condition, severity=severity)
        fresh = self._version(lasting, now, state=known.state, owner=known.owner, why=None)
        if known.is_open and (known.severity, known.blocks) != (fresh.severity, fresh.blocks):
            return replace(fresh, why="severity or settings changed")
        if known.is_open and known.evidence != fresh.evidence and now - known.valid_from >= _RENEWAL:
            return replace(fresh, why="figures changed")
        return None

    def _missed(self, known: Finding, now: datetime) -> Finding | None:
        if now - self._gone[known.finding] < self._patience.resolves_after:
            return None
        return moved(known, now, state=FindingState.RESOLVED, why=BY_ITSELF)

    def _version(
        self, condition: Condition, now: datetime, *, state: FindingState, owner: str | None, why: str | None
    ) -> Finding:
        return Finding(
            finding=condition.key,
            kind=condition.kind,
            severity=condition.severity,
            of_register=condition.of_register,
            of_key=condition.of_key,
            party=condition.party,
            site=condition.site,
            evidence=dict(condition.evidence or {}),
            state=state,
            owner=owner,
            blocks=condition.kind in self._blocking,
            valid_from=now,
            why=why,
        )


def record(connection: Connection, changes: Iterable[Finding], registers: Registers, now: datetime) -> list[Finding]:
    """Record what `Watch.look` gave for `registers`, from `now` on, and return what was recorded.

    A finding that somebody changed since is left, and so is what does not fit the register, such as work of a party
    that a ledger put back from a copy does not know: it keeps nothing else from being recorded.
    """
    lock_writers(connection)
    fresh = []
    for change in changes:
        newest = versions_of(connection, "finding", change.finding)[:1]
        if [row.entry for row in newest] == [row.entry for row in registers.versions_of("finding", change.finding)[:1]]:
            fresh.append(replace(change, valid_from=now))
    while fresh:
        try:
            append_all(connection, fresh, now, ITSELF)
        except RegisterError as error:
            unfit = {fault.index for fault in error.faults}
            fresh = [change for index, change in enumerate(fresh) if index not in unfit]
        else:
            break
    return fresh


def moved(known: Finding, now: datetime, **changes: Any) -> Finding:
    """The next version of a finding."""
    fresh = {"corrects": None, "why": None, "note": None, "valid_from": now, "valid_to": None}
    return replace(known, **{**fresh, **changes})


class FindingError(ValueError):
    """A finding that is not there or does not allow what is asked, and the cure."""


def take(connection: Connection, key: str, owner: str, now: datetime, by: str, why: str | None = None) -> Finding:
    """Give an open finding an owner, who has it in hand from now on. Raises `FindingError`."""
    known, owner = _open(connection, key, now), _said("owner", owner)
    return _record(connection, moved(known, now, state=FindingState.ACKNOWLEDGED, owner=owner, why=why), by)


def resolve(connection: Connection, key: str, now: datetime, by: str, why: str) -> Finding:
    """Close a finding whose cause is mended; should it still be found later, it opens again. Raises as `take`."""
    known, why = _open(connection, key, now), _said("why", why)
    return _record(connection, moved(known, now, state=FindingState.RESOLVED, why=why), by)


def dismiss(connection: Connection, key: str, now: datetime, by: str, why: str) -> Finding:
    """Say that a finding is no fault; it stays so as long as its condition lasts. Raises as `take`."""
    known, why = _open(connection, key, now), _said("why", why)
    return _record(connection, moved(known, now, state=FindingState.DISMISSED, why=why), by)


def _said(what: str, text: str) -> str:
    if not text.strip():
        raise FindingError(Problem("finding-unsaid", what=what))
    return text.strip()


def _open(connection: Connection, key: str, now: datetime) -> Finding:
    lock_writers(connection)
    known = cast("Finding | None", version_at(versions_of(connection, "finding", key), now))
    if known is None:
        raise FindingError(Problem("finding-none", key=key))
    if not known.is_open:
        raise FindingError(
            Problem("finding-closed", key=key, state=known.state.value, instant=known.valid_from.isoformat())
        )
    return known


def _record(connection: Connection, change: Finding, by: str) -> Finding:
    try:
        append(connection, change, change.valid_from, by)
    except ValueError as error:
        raise FindingError(str(error)) from None
    return cast(Finding, versions_of(connection, "finding", change.finding)[0])
