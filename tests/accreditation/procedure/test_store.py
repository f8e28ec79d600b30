"""Cases in the database: the record, its audit events, and what a grant enters in a register."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, func, select

from tarazy.accreditation import audit, documents, registers
from tarazy.accreditation.checking import RegisterError
from tarazy.accreditation.entries import Certificate, DocumentStatus, Permit
from tarazy.accreditation.procedure import tables
from tarazy.accreditation.procedure.case import Case
from tarazy.accreditation.procedure.events import Kind, content_of
from tarazy.accreditation.procedure.filing import ApplicationError
from tarazy.accreditation.procedure.machine import IllegalEventError, Stage
from tarazy.accreditation.procedure.store import (
    CaseError,
    File,
    Recorded,
    Report,
    all_cases,
    load,
    open_case,
    record,
)
from tarazy.accreditation.tables import audit as audit_log
from tarazy.config.law import NoRuleInForceError
from tarazy.config.law.calendar import day_start
from tarazy.config.law.services import Service
from tests.accreditation import world as registered
from tests.accreditation.procedure.world import APPLICATION, CONTENTS, LAW, at

NOW = at("2025-09-15 12:00")
PDF = b"%PDF-1.4 a letter"


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """A transaction in a database with one party and an open case."""
    with engine.begin() as opened:
        party = registered.party("altyn", valid_from=at("2025-01-01"))
        registers.append(opened, party, at("2025-06-01"), "operator")
        open_case(opened, "acme-1", Service.SECURED_ASSET_PERMIT, "altyn", at("2025-06-02"), "operator")
        yield opened


def happens(
    connection: Connection, kind: Kind, when: str | date, key: str = "acme-1", now: datetime = NOW, **more: Any
) -> Recorded:
    """Record an event that says what the world's does, with `says` besides."""
    says = {**CONTENTS.get(kind, {}), **more.pop("says", {})}
    moment = at(when) if isinstance(when, str) else when
    return record(
        connection, key, Report(kind=kind, when=moment, content=content_of(kind, says), **more), LAW, now, "operator"
    )


def granted(connection: Connection) -> Case:
    """The case with a grant."""
    happens(connection, Kind.FILED, "2025-06-09 10:00", files=[File("node_guarantee", "Хат", PDF)])
    happens(connection, Kind.REGISTERED, "2025-06-09 11:00")
    return happens(connection, Kind.GRANTED, "2025-06-12").case


def permit(connection: Connection, key: str = "KZ-130-0001", when: str = "2025-09-01") -> Permit | None:
    """The permit in force on a day."""
    return registers.as_of(connection, at(when)).permits.get(key)


def test_a_granted_permit_enters_its_register_by_itself(connection: Connection) -> None:
    """With all its columns, three years, and the case by name; in the transaction of the event."""
    granted(connection)
    entry = permit(connection)
    assert entry
    assert (entry.party, entry.issued_by, entry.issued_on) == ("altyn", "Уполномоченный орган", date(2025, 6, 12))
    assert (entry.application, entry.platform) == ("ЖТ-2025-17", "Дән")
    assert entry.purpose == APPLICATION["purpose_ru"]
    assert "Жаңаауыл" in entry.address
    assert entry.status is DocumentStatus.IN_FORCE
    assert (entry.valid_from, entry.valid_to) == (day_start(date(2025, 6, 12)), day_start(date(2028, 6, 12)))
    assert entry.why == "case acme-1, event 3: granted"
    row = connection.execute(select(tables.case_event).where(tables.case_event.c.number == 3)).one()
    assert (row.register, row.register_key, row.entry) == ("permit", "KZ-130-0001", entry.entry)


def test_a_grant_and_its_entry_stand_or_fall_together(engine: Engine, connection: Connection) -> None:
    """When the register refuses, the event is not recorded either, once the transaction is rolled back."""
    happens(connection, Kind.FILED, "2025-06-09 10:00", says={"application": {"platform_name": "Дән"}})
    happens(connection, Kind.REGISTERED, "2025-06-09 11:00")
    with pytest.raises(ApplicationError, match="purpose, activity_addresses; correct its filing"):
        happens(connection, Kind.GRANTED, "2025-06-12")
    assert len(load(connection, "acme-1").record) == 2
    happens(connection, Kind.FILED, "2025-06-09 10:00", corrects=1, why="fields were left out")
    with pytest.raises(RegisterError, match="issued_by"), connection.begin_nested():
        happens(connection, Kind.GRANTED, "2025-06-12", says={"issued_by": "=1+1"})
    assert len(load(connection, "acme-1").record) == 3
    assert permit(connection) is None
    happens(connection, Kind.GRANTED, "2025-06-12")
    assert permit(connection)


def test_corrections_of_a_grant_mend_the_register(connection: Connection) -> None:
    """What the register knew before can still be asked for; what was mended by hand stays."""
    granted(connection)
    first = permit(connection)
    assert first
    registers.correct(
        connection,
        "permit",
        "KZ-130-0001",
        first.entry,
        why="the platform was renamed",
        recorded_at=NOW,
        recorded_by="operator",
        platform="Дән-2",
    )
    later = NOW.replace(hour=13)
    happens(
        connection, Kind.GRANTED, "2025-06-12", now=later, corrects=3, why="wrong day", says={"issued_on": "2025-06-11"}
    )
    mended = permit(connection)
    assert mended
    assert (mended.issued_on, mended.platform) == (date(2025, 6, 11), "Дән-2")
    assert mended.valid_to == day_start(date(2028, 6, 11))
    assert mended.why == "case acme-1, event 4: wrong day"
    before = registers.as_of(connection, at("2025-09-01"), NOW).permits["KZ-130-0001"]
    assert before.issued_on == date(2025, 6, 12)
    latest = NOW.replace(hour=14)
    happens(
        connection, Kind.GRANTED, "2025-06-12", now=latest, corrects=4, why="misread", says={"number": "KZ-130-0007"}
    )
    assert permit(connection) is None
    assert permit(connection, "KZ-130-0007")


def test_a_correction_of_the_application_reaches_the_permit(connection: Connection) -> None:
    """One that says nothing of the permit leaves it alone."""
    granted(connection)
    untouched = permit(connection)
    happens(connection, Kind.REGISTERED, "2025-06-09 12:00", corrects=2, why="the hour")
    assert permit(connection) == untouched
    happens(
        connection, Kind.REGISTERED, "2025-06-09 12:00", corrects=4, why="the number", says={"number": "ЖТ-2025-18"}
    )
    mended = permit(connection)
    assert mended
    assert mended.application == "ЖТ-2025-18"


def test_a_correction_keeps_the_files_unless_it_brings_others(connection: Connection) -> None:
    """Who mends a word of the application need not attach everything again."""
    case = granted(connection)
    files = case.record[0].attachments
    mended = happens(connection, Kind.FILED, "2025-06-09 10:05", corrects=1, why="the hour")
    assert mended.event.attachments == files
    other = [File("gift_contract", "Шарт", PDF + b"2")]
    replaced = happens(connection, Kind.FILED, "2025-06-09 10:05", corrects=4, why="another contract", files=other)
    assert [file.code for file in replaced.event.attachments] == ["gift_contract"]


def test_a_struck_grant_leaves_the_register_and_may_come_again(connection: Connection) -> None:
    """It was recorded in the wrong case, or too early."""
    granted(connection)
    struck = happens(connection, Kind.STRUCK, "2025-06-13", corrects=3, why="another applicant's")
    assert struck.case.course.stage is Stage.REGISTERED
    assert permit(connection) is None
    happens(connection, Kind.GRANTED, "2025-06-12", now=NOW.replace(hour=13))
    assert permit(connection)


def test_accreditation_enters_the_pools_certificate(connection: Connection) -> None:
    """Without an end unless the document names one: the term is not known."""
    key = "pool-1"
    open_case(connection, key, Service.POOL_ACCREDITATION, None, NOW, "operator")
    happens(connection, Kind.FILED, "2025-06-09", key, says={"application": {"anything": "goes"}})
    happens(connection, Kind.REGISTERED, "2025-06-09", key)
    recorded = happens(
        connection, Kind.GRANTED, "2025-06-30", key, says={"number": "KZ-POOL-1", "valid_to": "2027-12-31"}
    )
    assert recorded.entered == ("certificate", "KZ-POOL-1")
    entry = registers.as_of(connection, at("2025-09-01")).certificates["KZ-POOL-1"]
    assert isinstance(entry, Certificate)
    assert entry.valid_to == day_start(date(2028, 1, 1))
    assert entry.why == "case pool-1, event 3: granted"


def test_every_event_is_in_the_audit_log_without_personal_data(connection: Connection) -> None:
    """The log has the digest of what was said; the log stays whole."""
    case = granted(connection)
    rows = connection.execute(select(audit_log).where(audit_log.c.kind.like("case-%")).order_by(audit_log.c.sequence))
    bodies = [row.body for row in rows]
    assert len(bodies) == 4
    for row, body in zip(case.record, bodies[1:], strict=True):
        assert row.digest in body
        assert "240140000001" not in body
        assert "Омирбеков" not in body
    assert documents.load(connection, case.record[0].attachments[0].digest) == PDF
    assert case.record[0].attachments[0].digest in bodies[1]
    assert audit.verify_rows(audit.rows_of(connection)) is None


def test_what_is_loaded_is_what_was_recorded(connection: Connection) -> None:
    """Also with corrections; cases come in the order of their opening."""
    granted(connection)
    case = happens(connection, Kind.STRUCK, "2025-06-13", corrects=3, why="wrong").case
    assert load(connection, "acme-1") == case
    assert load(connection, "acme-1").digest == case.digest
    open_case(connection, "a-2", Service.SECURED_ASSET_PERMIT, "altyn", NOW, "operator")
    assert [found.key for found in all_cases(connection)] == ["acme-1", "a-2"]


def test_a_day_alone_stands_after_what_happened_on_it(connection: Connection) -> None:
    """Filed at ten, registered that day; else the day's first instant."""
    happens(connection, Kind.FILED, "2025-06-09 10:00")
    assert happens(connection, Kind.REGISTERED, date(2025, 6, 9)).event.at == at("2025-06-09 10:00")
    assert happens(connection, Kind.DOCUMENTS_COMPLETE, date(2025, 6, 10)).event.at == day_start(date(2025, 6, 10))


@pytest.mark.parametrize(
    ("kind", "when", "more", "error", "fault"),
    [
        (Kind.GRANTED, "2025-06-09", {}, IllegalEventError, "may follow: filed, withdrawn"),
        (Kind.FILED, "2025-09-16", {}, CaseError, "lies in the future"),
        (Kind.FILED, "2025-06-09", {"corrects": 1}, CaseError, "says why"),
        (Kind.FILED, "2025-06-09", {"why": "x"}, CaseError, "names the event"),
        (Kind.STRUCK, "2025-06-09", {}, IllegalEventError, "name the event"),
        (Kind.FILED, "2023-06-09", {}, NoRuleInForceError, "service_secured_asset_permit on 2023-06-09"),
        (Kind.FILED, "2025-06-09", {"says": {"application": {"colour": "red"}}}, ApplicationError, "colour: no form"),
        (
            Kind.FILED,
            "2025-06-09",
            {"says": {"application": {"activity_addresses": "x"}}},
            ApplicationError,
            "a list of groups with postcode",
        ),
        (
            Kind.FILED,
            "2025-06-09",
            {"says": {"application": {"activity_addresses": [{"planet": "x"}]}}},
            ApplicationError,
            "activity_addresses.planet: no such part",
        ),
        (
            Kind.FILED,
            "2025-06-09",
            {"files": [File("diploma", "x", PDF)]},
            ApplicationError,
            "diploma: .* node_guarantee",
        ),
        (Kind.FILED, "2025-06-09", {"files": [File("other", "x", b"")]}, documents.DocumentError, "empty"),
    ],
)
def test_what_cannot_be_recorded_says_why(
    connection: Connection, kind: Kind, when: str, more: dict[str, Any], error: type[Exception], fault: str
) -> None:
    """And leaves nothing behind."""
    before = connection.scalar(select(func.count()).select_from(audit_log))
    with pytest.raises(error, match=fault), connection.begin_nested():
        happens(connection, kind, when, **more)
    assert load(connection, "acme-1").record == ()
    assert connection.scalar(select(func.count()).select_from(audit_log)) == before


def test_an_unknown_ground_is_refused(connection: Connection) -> None:
    """The rule's grounds are 1 to 5, and the fault lists them."""
    happens(connection, Kind.FILED, "2025-06-09")
    happens(connection, Kind.REGISTERED, "2025-06-09")
    with pytest.raises(ApplicationError, match=r"ground 6: .*5 \(No consent"):
        happens(connection, Kind.REFUSED, "2025-06-10", says={"grounds": [2, 6]})


@pytest.mark.parametrize(
    ("key", "service", "party", "fault"),
    [
        ("acme-1", Service.SECURED_ASSET_PERMIT, "altyn", "already"),
        ("Acme 2", Service.SECURED_ASSET_PERMIT, "altyn", "lower-case letters"),
        ("acme-2", Service.SECURED_ASSET_PERMIT, None, "a party's"),
        ("acme-2", Service.SECURED_ASSET_PERMIT, "nobody", "no party nobody"),
        ("acme-2", Service.POOL_ACCREDITATION, "altyn", "the pool's own"),
    ],
)
def test_what_cannot_be_opened_says_why(
    connection: Connection, key: str, service: Service, party: str | None, fault: str
) -> None:
    """Key, service and party must fit."""
    with pytest.raises(CaseError, match=fault):
        open_case(connection, key, service, party, NOW, "operator")
    with pytest.raises(CaseError, match="no case nowhere"):
        load(connection, "nowhere")


def test_nothing_is_changed_in_place(connection: Connection) -> None:
    """A row recorded once reads the same after every later event (invariant 7)."""
    query = select(tables.case_event).order_by(tables.case_event.c.number)
    granted(connection)
    before = connection.execute(query).all()
    happens(connection, Kind.STRUCK, "2025-06-13", corrects=3, why="wrong")
    assert connection.execute(query).all()[:3] == before


def test_the_moment_of_recording_is_kept(connection: Connection) -> None:
    """Beside that of the event itself."""
    event = happens(connection, Kind.FILED, "2025-06-09", note="by courier").event
    assert (event.recorded_at, event.recorded_by, event.note) == (NOW, "operator", "by courier")
    loaded = load(connection, "acme-1").record[0]
    assert loaded == replace(event, recorded_at=NOW.astimezone(UTC))
