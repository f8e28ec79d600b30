"""Cases in the database. Nothing here changes or removes a row (invariant 7)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from tarazy.accreditation import audit, documents, registers
from tarazy.accreditation.entries import Entry
from tarazy.accreditation.entries import content_of as entry_content
from tarazy.accreditation.procedure import tables
from tarazy.accreditation.procedure.case import Case
from tarazy.accreditation.procedure.events import (
    Attachment,
    Content,
    Event,
    Filed,
    HearingCalled,
    Kind,
    Refused,
    content_of,
)
from tarazy.accreditation.procedure.filing import check_application, check_attachments, check_grounds
from tarazy.accreditation.procedure.granting import entry_of
from tarazy.accreditation.procedure.machine import IllegalEventError
from tarazy.accreditation.snapshot import standing
from tarazy.accreditation.tables import lock_writers, party
from tarazy.config.law import LawBook
from tarazy.config.law.calendar import day_start, legal_day
from tarazy.config.law.services import Service, StateServiceRule

OPENED, EVENT = "case-opened", "case-event"
"""Kinds of the audit events of cases."""

_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)


class CaseError(ValueError):
    """A case cannot be opened or found. The text says why and what to do."""


@dataclass(frozen=True, slots=True)
class File:
    """A file to attach: code of the document it is, title, content."""

    code: str
    title: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What happened, as somebody reports it. A day alone is its first instant, or that of the day's last event."""

    kind: Kind
    when: datetime | date
    content: Content
    files: Sequence[File] = ()
    corrects: int | None = None
    why: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """The case with its new event, and the register and key that a decision entered."""

    case: Case
    event: Event
    entered: tuple[str, str] | None


def open_case(
    connection: Connection, key: str, service: Service, party_key: str | None, now: datetime, by: str
) -> Case:
    """Open a case; `party_key` is None for the pool's own. Raises `CaseError`."""
    if not _KEY.fullmatch(key):
        raise CaseError(f"{key!r}: a case's key is lower-case letters, digits, dots and dashes, at most 64")
    if (service is Service.SECURED_ASSET_PERMIT) is (party_key is None):
        whose = "a party's: name it" if party_key is None else "the pool's own: name no party"
        raise CaseError(f"a case of {service} is {whose}")
    lock_writers(connection)
    if connection.execute(select(tables.case.c.case).where(tables.case.c.case == key)).first():
        raise CaseError(f"there is a case {key} already; choose another key")
    known = select(party.c.party).where(party.c.party == party_key).limit(1)
    if party_key is not None and connection.execute(known).first() is None:
        raise CaseError(f"there is no party {party_key}; enter it in the register first")
    row = {"case": key, "service": service.value, "party": party_key, "opened_at": now, "opened_by": by}
    connection.execute(insert(tables.case), [row])
    body = {"case": key, "service": service.value, "by": by}
    audit.append(connection, [audit.AuditEvent(OPENED, body, party=party_key)], now)
    return Case(key, service, party_key, now, by)


def record(connection: Connection, key: str, report: Report, book: LawBook, now: datetime, by: str) -> Recorded:
    """Add an event to a case, with its files, its audit event and, for a grant, its entry in the register.

    Raises `CaseError`, `IllegalEventError`, `ApplicationError`, `documents.DocumentError`, `RegisterError` or
    `NoRuleInForceError`: then roll back, nothing of it counts.
    """
    lock_writers(connection)
    case = load(connection, key)
    at = _instant(report.when, case)
    if at > now:
        raise CaseError(f"{at.isoformat()} lies in the future: record what happened once it has")
    if (report.corrects is None) is not (report.why is None):
        raise CaseError("a correction names the event it corrects and says why; other events do neither")
    event = Event(
        number=len(case.record) + 1,
        kind=report.kind,
        at=at,
        content=report.content,
        attachments=_attached(connection, case, report, now),
        corrects=report.corrects,
        why=report.why,
        note=report.note,
        recorded_at=now,
        recorded_by=by,
    )
    before, case = case, replace(case, record=(*case.record, event))
    rule = case.rule(book, legal_day(now))
    _check(case, event, rule)
    entered = _enter(connection, before, case, event, rule, now, by)
    _insert(connection, case, event, entered)
    audit.append(connection, [_audit_event(case, event, entered)], now)
    return Recorded(case, event, None if entered is None else (entered.register, entered.key))


def _attached(connection: Connection, case: Case, report: Report, now: datetime) -> tuple[Attachment, ...]:
    """The files of an event; a correction without any keeps those of what it corrects."""
    if not report.files and report.kind is not Kind.STRUCK:
        corrected = (row.attachments for row in case.record if row.number == report.corrects)
        return next(corrected, ())
    return tuple(
        Attachment(file.code, file.title, documents.store(connection, file.content, now)) for file in report.files
    )


def _instant(when: datetime | date, case: Case) -> datetime:
    if isinstance(when, datetime):
        return when
    same_day = [event.at for event in case.course.events if event.day == when]
    return max(same_day, default=day_start(when))


def _check(case: Case, event: Event, rule: StateServiceRule) -> None:
    if event.kind is Kind.STRUCK and event.corrects is None:
        raise IllegalEventError("name the event that did not happen, and say why")
    _ = case.course
    check_attachments((file.code for file in event.attachments), rule)
    match event.content:
        case Filed(application=application):
            check_application(application, rule)
        case HearingCalled(grounds=grounds) | Refused(grounds=grounds):
            check_grounds(grounds, rule)


def _enter(
    connection: Connection, before: Case, case: Case, event: Event, rule: StateServiceRule, now: datetime, by: str
) -> Entry | None:
    """Enter in the register what `event` grants, or mend or take back what it corrects.

    What was mended in the register by hand stays, except where the correction says something else than before.
    """
    if event.kind is not Kind.GRANTED and event.corrects is None:
        return None
    was, made = _granted(before, rule), _granted(case, rule)
    stamp: dict[str, Any] = {"recorded_at": now, "recorded_by": by}
    if was is None:
        return None if made is None else _appended(connection, made, now, by)
    why = f"case {case.key}, event {event.number}: {event.why}"
    changes = {} if made is None else {name: value for name, value in _said(made) if value != getattr(was, name, None)}
    if made is not None and not changes:
        return None
    now_stands = _standing(connection, case.key)
    if made is not None and (made.register, made.key) == (was.register, was.key):
        return _appended(connection, replace(now_stands, corrects=now_stands.entry, why=why, **changes), now, by)
    registers.withdraw(connection, now_stands.register, now_stands.key, now_stands.entry, why=why, **stamp)
    return None if made is None else _appended(connection, made, now, by)


def _granted(case: Case, rule: StateServiceRule) -> Entry | None:
    event = case.course.last(Kind.GRANTED)
    return None if event is None else entry_of(case, event, rule)


def _said(entry: Entry) -> Iterator[tuple[str, Any]]:
    """What the case says in an entry: all but how the entry came about."""
    return ((name, value) for name, value in entry_content(entry).items() if name not in ("corrects", "why", "note"))


def _appended(connection: Connection, entry: Entry, now: datetime, by: str) -> Entry:
    known = standing(registers.versions_of(connection, entry.register, entry.key))
    taken_back = next((row for row in known if row.valid_from == row.valid_to == entry.valid_from), None)
    if taken_back is not None and entry.corrects is None:
        entry = replace(entry, corrects=taken_back.entry)
    registers.append(connection, entry, now, by)
    return registers.versions_of(connection, entry.register, entry.key)[0]


def _standing(connection: Connection, key: str) -> Entry:
    """The version that now stands for what the case entered last."""
    event = tables.case_event
    query = select(event.c.register, event.c.register_key, event.c.entry)
    last = query.where(event.c.case == key, event.c.entry.is_not(None)).order_by(event.c.number.desc()).limit(1)
    row = connection.execute(last).one()
    versions = {version.entry: version for version in registers.versions_of(connection, row.register, row.register_key)}
    following = {version.corrects: version.entry for version in versions.values() if version.corrects is not None}
    entry: int = row.entry
    while entry in following:
        entry = following[entry]
    return versions[entry]


def _insert(connection: Connection, case: Case, event: Event, entered: Entry | None) -> None:
    row = {
        "case": case.key,
        "number": event.number,
        "kind": event.kind.value,
        "at": event.at,
        "content": event.content.model_dump(mode="json", exclude_none=True),
        "attachments": [[file.code, file.title, file.digest] for file in event.attachments],
        "corrects": event.corrects,
        "why": event.why,
        "note": event.note,
        "register": entered.register if entered else None,
        "register_key": entered.key if entered else None,
        "entry": entered.entry if entered else None,
        "recorded_at": event.recorded_at,
        "recorded_by": event.recorded_by,
    }
    connection.execute(insert(tables.case_event), [row])


def _audit_event(case: Case, event: Event, entered: Entry | None) -> audit.AuditEvent:
    """What the log keeps: which event, and the digest of all that it says; no personal data."""
    body = {
        "case": case.key,
        "event": event.number,
        "kind": event.kind.value,
        "at": audit.instant_text(event.at),
        "corrects": event.corrects,
        "documents": [file.digest for file in event.attachments],
        "entered": None if entered is None else [entered.register, entered.key, entered.entry],
        "digest": event.digest,
        "by": event.recorded_by,
    }
    return audit.AuditEvent(EVENT, body, party=case.party)


def load(connection: Connection, key: str) -> Case:
    """One case with its whole record. Raises `CaseError` when there is none."""
    found = _cases(connection, key)
    if not found:
        raise CaseError(f"there is no case {key}; see `case list`")
    return found[0]


def all_cases(connection: Connection) -> list[Case]:
    """Every case with its whole record, in the order in which they were opened."""
    return _cases(connection)


def _cases(connection: Connection, key: str | None = None) -> list[Case]:
    cases = select(tables.case).order_by(tables.case.c.opened_at, tables.case.c.case)
    rows = select(tables.case_event).order_by(tables.case_event.c.case, tables.case_event.c.number)
    if key is not None:
        cases, rows = cases.where(tables.case.c.case == key), rows.where(tables.case_event.c.case == key)
    events: dict[str, list[Event]] = {}
    for row in connection.execute(rows):
        events.setdefault(row.case, []).append(event_of(row))
    return [
        Case(row.case, Service(row.service), row.party, row.opened_at, row.opened_by, tuple(events.get(row.case, ())))
        for row in connection.execute(cases)
    ]


def event_of(row: Row[Any]) -> Event:
    """The event that a row is. Raises ValueError when it says what no event can."""
    kind = Kind(row.kind)
    content: Mapping[str, Any] = row.content
    return Event(
        number=row.number,
        kind=kind,
        at=row.at,
        content=content_of(kind, dict(content)),
        attachments=tuple(Attachment(*file) for file in row.attachments),
        corrects=row.corrects,
        why=row.why,
        note=row.note,
        recorded_at=row.recorded_at,
        recorded_by=row.recorded_by,
    )
