"""What is wrong with a meter, by its readings: named, with the figures that show it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection, select

from tarazy.accounting.energy.intervals import Break, Segment
from tarazy.accounting.energy.meter import Meter
from tarazy.accounting.energy.profiles import ModbusProfile, is_usable, load_profile
from tarazy.accounting.energy.readings import last_seen, steps_since
from tarazy.accounting.energy.tables import reading

_SILENT_INTERVALS = 2
_STANDS = timedelta(hours=1)
"""How long a register must have stood still, by its readings, before that is a fault."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a meter now."""

    kind: Literal["silent", "register", "stuck"]
    """silent: asked and without a good reading; register: it went backwards or too fast; stuck: it stands still while
    the site's machines work."""
    meter: Meter
    evidence: dict[str, int | str]


def faults_of(
    meter: Meter,
    seen: datetime | None,
    last: str | None,
    segments: Sequence[Segment],
    breaks: Sequence[Break],
    works: bool,
) -> Iterator[Fault]:
    """Faults of a meter with these steps in the time judged.

    `seen`: its last good reading; `last`: the status of its last answer if it is silent, else None; `works`: whether
    shares came from its site in that time.
    """
    if last is not None:
        yield Fault("silent", meter, {"status": last, "since": seen.isoformat() if seen else "-"})
    if breaks:
        newest = breaks[-1]
        evidence = {"what": newest.kind, "before": newest.before.isoformat(), "after": newest.after.isoformat()}
        yield Fault("register", meter, {"count": len(breaks), **evidence})
    stood = sum((segment.end - segment.start for segment in segments), timedelta())
    if works and stood >= _STANDS and not any(segment.energy_wh for segment in segments):
        yield Fault("stuck", meter, {"since": segments[0].start.isoformat()})


def meter_faults(
    connection: Connection,
    meters: Iterable[Meter],
    since: datetime,
    now: datetime,
    seconds: int,
    working: Collection[tuple[str, str | None]],
) -> list[Fault]:
    """Faults of `meters` from `since` on. `working`: (site, party) and (site, None) from which shares came since then.

    Only a meter that is read over Modbus, by the pool or by its site's agent, is ever silent: after two intervals of
    `seconds`.
    """
    faults: list[Fault] = []
    for meter in meters:
        if not is_usable(meter.profile):
            continue
        seen = last_seen(connection, [meter.meter])[meter.meter]
        patience = timedelta(seconds=_SILENT_INTERVALS * seconds)
        silent = isinstance(load_profile(meter.profile), ModbusProfile) and (seen is None or seen < now - patience)
        segments, breaks = steps_since(connection, meter, since)
        faults += faults_of(
            meter,
            seen,
            _last_status(connection, meter.meter) if silent else None,
            [item for item in segments if item.end > since],
            [item for item in breaks if item.after > since],
            (meter.site, meter.party) in working,
        )
    return faults


def _last_status(connection: Connection, meter: str) -> str | None:
    """How it answered last; None when it was never asked."""
    query = select(reading.c.status).where(reading.c.meter == meter).order_by(reading.c.at.desc()).limit(1)
    status: str | None = connection.scalar(query)
    return "silent" if status == "ok" else status
