"""Readings of a meter whose clock is a little ahead: kept on disk until their instant has come."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select

from tarazy.accounting.energy.meter import Reading
from tarazy.accounting.energy.tables import waiting

AHEAD = timedelta(minutes=5)
"""By how much a meter's clock may be ahead."""

_FIELDS = tuple(column.name for column in waiting.columns if column is not waiting.c.waiting)


def hold(connection: Connection, readings: Iterable[Reading], now: datetime) -> list[Reading]:
    """Keep those whose instant comes within `AHEAD`; gives the others, and kept ones whose instant has come."""
    early: list[Reading] = []
    taken: list[Reading] = []
    for reading in readings:
        (early if now < reading.at <= now + AHEAD else taken).append(reading)
    come = connection.execute(select(waiting).where(waiting.c.at <= now).order_by(waiting.c.waiting)).all()
    if come:
        connection.execute(delete(waiting).where(waiting.c.waiting.in_([row.waiting for row in come])))
    if early:
        connection.execute(insert(waiting), [{name: getattr(each, name) for name in _FIELDS} for each in early])
    return [*(Reading(**{name: getattr(row, name) for name in _FIELDS}) for row in come), *taken]
