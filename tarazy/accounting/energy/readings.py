"""Readings in the database: appended as they come, read back in the order of their instants."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, func, insert, select

from tarazy.accounting.energy.intervals import believed
from tarazy.accounting.energy.modbus import Meter, Reading
from tarazy.accounting.energy.profiles import is_usable, load_profile
from tarazy.accounting.energy.tables import reading


def append_readings(connection: Connection, readings: Iterable[Reading], recorded_at: datetime) -> None:
    """Store readings, failed ones too: a silence is evidence as well."""
    rows = [
        {
            "meter": item.meter,
            "at": item.at,
            "register_wh": item.register_wh,
            "status": item.status,
            "recorded_at": recorded_at,
        }
        for item in readings
    ]
    if rows:
        connection.execute(insert(reading), rows)


def registers_since(connection: Connection, meter: str, since: datetime | None) -> list[tuple[datetime, int]]:
    """(instant, register in Wh) of the good readings, ascending, from the last at or before `since`."""
    good = and_(reading.c.meter == meter, reading.c.status == "ok")
    start = None
    if since is not None:
        start = connection.scalar(select(func.max(reading.c.at)).where(good, reading.c.at <= since))
    query = select(reading.c.at, reading.c.register_wh).where(good).order_by(reading.c.at, reading.c.reading)
    if start is not None:
        query = query.where(reading.c.at >= start)
    return [(row.at, row.register_wh) for row in connection.execute(query)]


def site_power_w(
    connection: Connection, meters: Iterable[Meter], now: datetime, window_seconds: int = 60
) -> dict[str, int | None]:
    """Mean power in watts of each site over the last `window_seconds`, from its meters' registers.

    None where a meter of the site has no usable profile or gave no two believable readings in that time: a part is not
    the site's power.
    """
    since = now - timedelta(seconds=window_seconds)
    powers: dict[str, int | None] = {}
    for meter in meters:
        registers = [item for item in registers_since(connection, meter.meter, since) if item[0] >= since]
        segments = believed(registers, load_profile(meter.profile))[0] if is_usable(meter.profile) else []
        power, before = None, powers.get(meter.site, 0)
        if segments and before is not None:
            elapsed = sum(((segment.end - segment.start) for segment in segments), timedelta())
            energy = sum(segment.energy_wh for segment in segments)
            power = before + energy * 3_600_000_000 // (elapsed // timedelta(microseconds=1))
        powers[meter.site] = power
    return powers


def last_seen(connection: Connection, meters: Iterable[str]) -> dict[str, datetime | None]:
    """When each meter last gave a good reading; None when it never did."""
    return {
        meter: connection.scalar(
            select(func.max(reading.c.at)).where(reading.c.meter == meter, reading.c.status == "ok")
        )
        for meter in meters
    }
