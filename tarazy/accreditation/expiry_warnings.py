"""Warnings of what ends soon: each threshold before each end is told once and witnessed by the audit log."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, insert, select

from tarazy.accreditation import audit
from tarazy.accreditation.expiry import Expiry
from tarazy.accreditation.tables import expiry_warning

EVENT = "expiry-warning"


def warn(connection: Connection, expiries: Iterable[Expiry], now: datetime) -> list[Expiry]:
    """Record the warnings among `expiries` that were not given before, and return them."""
    told = expiry_warning.c
    known = {
        (row.register, row.key, row.ends_at, row.within_days)
        for row in connection.execute(
            select(told.register, told.key, told.ends_at, told.within_days).where(told.ends_at > now)
        )
    }
    fresh = [row for row in expiries if row.ending.ends_at > now and (*_of(row), row.within_days) not in known]
    if fresh:
        rows = [
            {"register": register, "key": key, "ends_at": ends_at, "within_days": row.within_days, "warned_at": now}
            for row in fresh
            for register, key, ends_at in [_of(row)]
        ]
        connection.execute(insert(expiry_warning), rows)
        audit.append(connection, map(_event, fresh), now)
    return fresh


def _of(expiry: Expiry) -> tuple[str, str, datetime]:
    return expiry.ending.register, expiry.ending.key, expiry.ending.ends_at


def _event(expiry: Expiry) -> audit.AuditEvent:
    register, key, ends_at = _of(expiry)
    body = {
        "register": register,
        "key": key,
        "entry": expiry.ending.entry,
        "ends_at": audit.instant_text(ends_at),
        "days_left": expiry.days_left,
        "within_days": expiry.within_days,
    }
    return audit.AuditEvent(EVENT, body, party=expiry.ending.party)
