"""The cases against the audit log: no event is changed, removed or slipped in unnoticed (invariant 7)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, delete, insert, select, update

from tarazy.accreditation import registers
from tarazy.accreditation.procedure import tables
from tarazy.accreditation.procedure.events import Kind, content_of
from tarazy.accreditation.procedure.store import File, Report, open_case, record
from tarazy.accreditation.procedure.witness import case_faults
from tarazy.config.law.services import Service
from tests.accreditation import world as registered
from tests.accreditation.procedure.world import CONTENTS, LAW, at

EVENT = tables.case_event
STEPS = ((Kind.FILED, "2025-06-09"), (Kind.REGISTERED, "2025-06-09"), (Kind.GRANTED, "2025-06-12"))


def faults(engine: Engine) -> list[str]:
    """What is found, in words."""
    with engine.connect() as connection:
        return [str(fault) for fault in case_faults(connection)]


@pytest.fixture(autouse=True)
def _filled(engine: Engine) -> None:
    with engine.begin() as connection:
        party = registered.party("altyn", valid_from=at("2025-01-01"))
        registers.append(connection, party, at("2025-06-01"), "operator")
        open_case(connection, "acme-1", Service.SECURED_ASSET_PERMIT, "altyn", at("2025-06-02"), "operator")
        for kind, when in STEPS:
            files = [File("other", "Хат", b"%PDF-1.4")]
            report = Report(kind=kind, when=at(when), content=content_of(kind, CONTENTS[kind]), files=files, note="x")
            record(connection, "acme-1", report, LAW, at("2025-09-15"), "operator")


def test_untouched_cases_have_no_faults(engine: Engine) -> None:
    """What was recorded is what stands there."""
    assert faults(engine) == []


def test_each_changed_column_of_an_event_is_found(engine: Engine) -> None:
    """Whatever was said or entered, changing it behind the log's back shows and names the event."""
    with engine.connect() as connection:
        row = connection.execute(select(EVENT).where(EVENT.c.number == 3)).mappings().one()
    for name, value in row.items():
        if name in ("case", "number", "recorded_at"):
            continue
        with engine.begin() as connection:
            connection.execute(update(EVENT).where(EVENT.c.number == 3).values({name: _other(name, value)}))
        assert faults(engine) == ["case acme-1, event 3: it was changed after it was recorded"], name
        with engine.begin() as connection:
            connection.execute(update(EVENT).where(EVENT.c.number == 3).values({name: value}))
    assert faults(engine) == []


def _other(name: str, value: Any) -> Any:
    if name == "at":
        return value.replace(minute=59)
    if name == "content":
        return {**value, "number": "KZ-130-0002"}
    if name == "attachments":
        return [[*value[0][:2], "0" * 64]]
    if name == "kind":
        return "refused"
    if name in ("corrects", "entry"):
        return 99
    return "other"


def test_a_removed_and_a_slipped_in_event_are_found(engine: Engine) -> None:
    """And a case that changed hands."""
    with engine.begin() as connection:
        row = dict(connection.execute(select(EVENT).where(EVENT.c.number == 3)).mappings().one())
        connection.execute(delete(EVENT).where(EVENT.c.number == 3))
        connection.execute(insert(EVENT), [{**row, "number": 4}])
        connection.execute(update(tables.case).values(party="berke"))
    assert faults(engine) == [
        "case acme-1, opening: it was changed after it was recorded",
        "case acme-1, event 4: the audit log knows nothing of it",
        "case acme-1, event 3: it was removed",
    ]
