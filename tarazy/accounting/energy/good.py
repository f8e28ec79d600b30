"""Which readings count."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, select

from tarazy.accounting.energy.tables import reading


def in_force(known_at: datetime | None) -> ColumnElement[bool]:
    """Good readings that no other corrects, as known at an instant."""
    later = reading.alias()
    replaced = select(later.c.reading).where(later.c.corrects == reading.c.reading)
    good = reading.c.status == "ok"
    if known_at is None:
        return and_(good, ~exists(replaced))
    return and_(good, reading.c.recorded_at <= known_at, ~exists(replaced.where(later.c.recorded_at <= known_at)))
