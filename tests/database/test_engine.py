"""Transactions that only read."""

from __future__ import annotations

from sqlalchemy import Engine, func, select

from tarazy.accreditation.audit import AuditEvent, append
from tarazy.accreditation.tables import audit
from tarazy.database.engine import reader
from tests.accreditation.world import NOW


def test_a_reader_sees_one_snapshot(engine: Engine) -> None:
    """What is committed while it reads, it does not see: an export and a report are of one moment."""
    count = select(func.count()).select_from(audit)
    with reader(engine).begin() as reading:
        assert reading.execute(count).scalar() == 0
        with engine.begin() as writing:
            append(writing, [AuditEvent("test", {})], NOW)
        assert reading.execute(count).scalar() == 0
    with reader(engine).begin() as reading:
        assert reading.execute(count).scalar() == 1
    with engine.begin() as writing:
        append(writing, [AuditEvent("test", {})], NOW)
