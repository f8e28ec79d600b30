"""Believed steps of registers and spans, read back in the order of their instants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from fractions import Fraction

from sqlalchemy import Connection, and_, exists, select

from tarazy.accounting.energy.devices import devices_from, devices_of, fittings
from tarazy.accounting.energy.good import in_force
from tarazy.accounting.energy.intervals import Break, Segment, believed, believed_spans
from tarazy.accounting.energy.meter import Meter, Quantity
from tarazy.accounting.energy.profiles import is_usable
from tarazy.accounting.energy.tables import reading, settled

CONTEXT = 16
"""Good readings before a moment from which on a chain agrees with the one from the beginning: a wrong one at its start
is overcome by two that agree, and so many that agree with none are passed over."""
_KEYS_AT_ONCE = 200
_LOOKED_BACK = (timedelta(hours=1), timedelta(hours=8))
"""What is read at once of many meters before a moment: enough of those read each minute, then of each half hour."""


def registers_since(
    connection: Connection,
    meter: str,
    since: datetime | None,
    quantity: Quantity = "import",
    known_at: datetime | None = None,
    context: int = 1,
) -> list[tuple[datetime, int]]:
    """(instant, count) of the good readings, ascending, from the last `context` at or before `since`."""
    register = reading.c.seconds.is_(None)
    good = and_(reading.c.meter == meter, reading.c.quantity == quantity, register, in_force(known_at))
    query = select(reading.c.at, reading.c.register_count).where(good).order_by(reading.c.at, reading.c.reading)
    if since is not None:
        before = select(reading.c.at).where(good, reading.c.at <= since).order_by(reading.c.at.desc()).limit(context)
        starts = connection.scalars(before).all()
        if starts:
            query = query.where(reading.c.at >= starts[-1])
    return [(row.at, row.register_count) for row in connection.execute(query)]


def steps_since(
    connection: Connection, meter: Meter, since: datetime | None, known_at: datetime | None = None
) -> tuple[list[Segment], list[Break]]:
    """Believed steps and breaks of the import register; after `since` they are those found from the beginning."""
    devices = devices_of(connection, meter.meter, meter.profile, known_at=known_at)
    segments, breaks = believed(
        registers_since(connection, meter.meter, since, known_at=known_at, context=CONTEXT), devices
    )
    good = and_(reading.c.meter == meter.meter, reading.c.quantity == "import", in_force(known_at))
    query = select(reading).where(good, reading.c.seconds.is_not(None)).order_by(reading.c.at)
    if since is not None:
        query = query.where(reading.c.at > since)
    spans = [(row.at - timedelta(seconds=row.seconds), row.at, row.register_count) for row in connection.execute(query)]
    segments_of_spans, breaks_of_spans = believed_spans(spans, devices)
    return [*segments, *segments_of_spans], [*breaks, *breaks_of_spans]


def steps_of(
    connection: Connection, meters: Sequence[Meter], since: datetime
) -> dict[str, tuple[list[Segment], list[Break]]]:
    """What `steps_since` gives for each of many meters, in few queries."""
    keys = [meter.meter for meter in meters]
    fitted = fittings(connection, keys)
    registers, spans = registers_of(connection, keys, since), spans_of(connection, keys, since)
    found = {}
    for meter in meters:
        devices = devices_from(fitted[meter.meter], meter.profile)
        segments, breaks = believed(registers.get(meter.meter, []), devices)
        segments_of_spans, breaks_of_spans = believed_spans(spans.get(meter.meter, []), devices)
        found[meter.meter] = [*segments, *segments_of_spans], [*breaks, *breaks_of_spans]
    return found


def spans_of(
    connection: Connection, meters: Sequence[str], since: datetime
) -> dict[str, list[tuple[datetime, datetime, int]]]:
    """Meter → its spans (start, end, counts) that ended after `since`, ascending; of those that give spans."""
    good = and_(reading.c.meter.in_(meters), reading.c.quantity == "import", in_force(None), reading.c.at > since)
    query = select(reading).where(good, reading.c.seconds.is_not(None)).order_by(reading.c.at)
    spans: dict[str, list[tuple[datetime, datetime, int]]] = {}
    for row in connection.execute(query):
        spans.setdefault(row.meter, []).append((row.at - timedelta(seconds=row.seconds), row.at, row.register_count))
    return spans


def registers_of(
    connection: Connection, meters: Sequence[str], since: datetime
) -> dict[str, list[tuple[datetime, int]]]:
    """What `registers_since` gives for each of many meters, with as much context as `steps_since` takes.

    All that have readings near `since` are read at once; the others begin anywhere, and are read one by one.
    """
    good = and_(reading.c.quantity == "import", reading.c.seconds.is_(None), in_force(None))
    found: dict[str, list[tuple[datetime, int]]] = {}
    short = list(meters)
    for back in _LOOKED_BACK:
        near = since - back
        query = select(reading.c.meter, reading.c.at, reading.c.register_count).where(
            reading.c.meter.in_(short), reading.c.at >= near, good
        )
        found |= {meter: [] for meter in short}
        for meter, at, count in connection.execute(query.order_by(reading.c.meter, reading.c.at, reading.c.reading)):
            found[meter].append((at, count))
        before = {meter: sum(at <= since for at, _ in found[meter]) for meter in short}
        for meter, count in before.items():
            if count > CONTEXT:
                del found[meter][: count - CONTEXT]
        short = [meter for meter, count in before.items() if count < CONTEXT]
        if not short:
            return found
        whole = _without_before(connection, short, near)
        short = [meter for meter in short if meter not in whole]
    for meter in short:
        found[meter] = registers_since(connection, meter, since, context=CONTEXT)
    return found


def _without_before(connection: Connection, meters: Sequence[str], instant: datetime) -> set[str]:
    """Those of `meters`, settled before, of which nothing was read before `instant`."""
    earlier = exists(select(reading.c.reading).where(reading.c.meter == settled.c.meter, reading.c.at < instant))
    return set(connection.scalars(select(settled.c.meter).where(settled.c.meter.in_(meters), ~earlier)))


def exported_wh(
    connection: Connection, meter: Meter, start: datetime, end: datetime, known_at: datetime | None = None
) -> int | None:
    """What the export register moved by in [start, end), in whole watt-hours rounded down; None where none was read.

    It is evidence beside consumption, which it does not lower.
    """
    registers = registers_since(connection, meter.meter, start, "export", known_at, CONTEXT)
    if not registers:
        return None
    segments, _ = believed(registers, devices_of(connection, meter.meter, meter.profile, "export", known_at))
    moved = sum((each.energy_until(end) - each.energy_until(start) for each in segments), Fraction(0))
    return int(moved)


def site_power_w(
    connection: Connection, meters: Iterable[Meter], now: datetime, window_seconds: int = 60
) -> dict[str, int | None]:
    """Mean power in watts of each site over the last `window_seconds`, from its meters' registers.

    None where a meter of the site has no usable profile or gave no two believable readings in that time: a part is not
    the site's power.
    """
    since = now - timedelta(seconds=window_seconds)
    meters = list(meters)
    usable = [meter for meter in meters if is_usable(meter.profile)]
    powers: dict[str, int | None] = {}
    told: dict[str, tuple[list[Segment], list[Break]]] = {}
    for first in range(0, len(usable), _KEYS_AT_ONCE):
        told |= steps_of(connection, usable[first : first + _KEYS_AT_ONCE], since)
    for meter in meters:
        segments = [step for step in told.get(meter.meter, ([], []))[0] if step.start >= since]
        power, before = None, powers.get(meter.site, 0)
        if segments and before is not None:
            elapsed = sum(((segment.end - segment.start) for segment in segments), timedelta())
            energy = sum((segment.energy_wh for segment in segments), Fraction(0))
            power = before + int(energy * 3_600_000_000 // (elapsed // timedelta(microseconds=1)))
        powers[meter.site] = power
    return powers
