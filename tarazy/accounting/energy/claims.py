"""Power that the machines of sites claim, kept apart from what meters show: no fee, report or allocation reads it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, select

from tarazy.accounting.energy.asic import Claim
from tarazy.accounting.energy.tables import machine_power


def keep_claim(connection: Connection, site: str, claim: Claim, recorded_at: datetime) -> bool:
    """Store a claim; False when the one of that instant is there already."""
    here = (machine_power.c.site == site) & (machine_power.c.at == claim.at)
    if connection.scalar(select(machine_power.c.asked).where(here)) is not None:
        return False
    row = {
        "site": site,
        "at": claim.at,
        "asked": claim.asked,
        "answered": claim.answered,
        "telling": claim.telling,
        "power_w": claim.power_w,
        "recorded_at": recorded_at,
    }
    connection.execute(insert(machine_power), row)
    return True


def last_claim(connection: Connection, site: str) -> Claim | None:
    """What the machines of a site claimed last."""
    query = select(machine_power).where(machine_power.c.site == site).order_by(machine_power.c.at.desc()).limit(1)
    row = connection.execute(query).first()
    return Claim(row.at, row.asked, row.answered, row.telling, row.power_w) if row else None
