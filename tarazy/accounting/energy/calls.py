"""What calls for intervals of a meter to be derived again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select

from tarazy.accounting.energy.good import in_force
from tarazy.accounting.energy.tables import due, reading

_KEYS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Call:
    """Something that calls for intervals of a meter to be derived again."""

    number: int
    since: datetime
    before: datetime | None
    """When a good reading of the import register was taken last before `since`."""
    resumes: bool
    """Earlier intervals are done: it goes on exactly at `since`."""

    @property
    def begins(self) -> datetime:
        """From when on steps may be others."""
        return self.before or self.since


def calls_for(connection: Connection, meters: Sequence[str]) -> dict[str, list[Call]]:
    """Meter → what calls for deriving it again."""
    before = (
        select(reading.c.at)
        .where(
            reading.c.meter == due.c.meter, reading.c.quantity == "import", reading.c.at < due.c.since, in_force(None)
        )
        .order_by(reading.c.at.desc())
        .limit(1)
        .scalar_subquery()
    )
    found: dict[str, list[Call]] = {}
    for row in connection.execute(select(due, before.label("before")).where(due.c.meter.in_(meters))):
        found.setdefault(row.meter, []).append(Call(row.due, row.since, row.before, row.resumes))
    return found


def answer(connection: Connection, calls: Sequence[Call]) -> None:
    """Take calls away that were followed, and no other that came meanwhile."""
    for first in range(0, len(calls), _KEYS_AT_ONCE):
        numbers = [call.number for call in calls[first : first + _KEYS_AT_ONCE]]
        connection.execute(delete(due).where(due.c.due.in_(numbers)))
