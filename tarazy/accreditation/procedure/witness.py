"""The cases held against the audit log, which kept a digest of every event when it was recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from tarazy.accreditation.procedure import tables
from tarazy.accreditation.procedure.store import EVENT, OPENED, event_of
from tarazy.accreditation.tables import audit


@dataclass(frozen=True, slots=True)
class CaseFault:
    """A case, or an event of it (from 1; 0 is its opening), that is not what was recorded."""

    case: str
    event: int
    problem: str

    def __str__(self) -> str:
        return f"case {self.case}, {f'event {self.event}' if self.event else 'opening'}: {self.problem}"


def case_faults(connection: Connection) -> Iterator[CaseFault]:
    """Cases and events that were changed, removed or slipped in behind the audit log's back."""
    witnessed = _witnessed(connection)
    for place, said in _standing(connection):
        known = witnessed.pop(place, None)
        if known is None:
            yield CaseFault(*place, "the audit log knows nothing of it")
        elif known != said:
            yield CaseFault(*place, "it was changed after it was recorded")
    for place in sorted(witnessed):
        yield CaseFault(*place, "it was removed")


def _standing(connection: Connection) -> Iterator[tuple[tuple[str, int], Any]]:
    for row in connection.execute(select(tables.case).order_by(tables.case.c.case)):
        yield (row.case, 0), (row.service, row.party, row.opened_by)
    query = select(tables.case_event).order_by(tables.case_event.c.case, tables.case_event.c.number)
    for row in connection.execute(query.execution_options(yield_per=1_000)):
        yield (row.case, row.number), _said(row)


def _said(row: Row[Any]) -> tuple[str, list[Any] | None, str] | None:
    """What an event says and entered; None when nobody could have recorded it as it stands."""
    try:
        digest = event_of(row).digest
    except (ValueError, TypeError):
        return None
    entered = None if row.entry is None else [row.register, row.register_key, row.entry]
    return digest, entered, row.recorded_by


def _witnessed(connection: Connection) -> dict[tuple[str, int], Any]:
    found: dict[tuple[str, int], Any] = {}
    query = select(audit.c.kind, audit.c.party, audit.c.body).where(audit.c.kind.in_((OPENED, EVENT)))
    for row in connection.execute(query.execution_options(yield_per=1_000)):
        body = json.loads(row.body)
        if row.kind == OPENED:
            found[body["case"], 0] = body["service"], row.party, body["by"]
        else:
            found[body["case"], body["event"]] = body["digest"], body["entered"], body["by"]
    return found
