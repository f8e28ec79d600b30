"""What is wrong with a meter, by its readings: named, with the figures that show it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from sqlalchemy import Connection, func, select

from tarazy.accounting.energy.intervals import Break, Segment
from tarazy.accounting.energy.meter import Meter, Unfit
from tarazy.accounting.energy.profiles import ModbusProfile, is_usable, load_profile
from tarazy.accounting.energy.readings import last_seen, steps_since
from tarazy.accounting.energy.tables import reading

_SILENT_INTERVALS = 2
_REFUSED = ("garbage", "stale", *get_args(Unfit))
_STANDS = timedelta(hours=1)
"""How long a register must have stood still, by its readings, before that is a fault."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a meter now."""

    kind: Literal["silent", "register", "refused", "stuck"]
    """silent: without a good reading, though asked or to come by itself; register: it went backwards or too fast;
    refused: readings came in that could not be taken; stuck: it stands still while the site's machines work."""
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

    Only a meter that is read over Modbus, or whose readings are to come by themselves, is ever silent: after two
    intervals of `seconds`.
    """
    faults: list[Fault] = []
    for meter in meters:
        if not is_usable(meter.profile):
            continue
        seen = last_seen(connection, [meter.meter])[meter.meter]
        patience = timedelta(seconds=_SILENT_INTERVALS * seconds)
        live = meter.pushed or isinstance(load_profile(meter.profile), ModbusProfile)
        silent = live and (seen is None or seen < now - patience)
        segments, breaks = steps_since(connection, meter, since)
        faults += faults_of(
            meter,
            seen,
            _last_status(connection, meter.meter) if silent else None,
            [item for item in segments if item.end > since],
            [item for item in breaks if item.after > since],
            (meter.site, meter.party) in working,
        )
        faults += _refused(connection, meter, since)
    return faults


def _refused(connection: Connection, meter: Meter, since: datetime) -> Iterator[Fault]:
    """Readings of it that came in and were not taken: how many are kept, and the reason of the last one."""
    here = (reading.c.meter == meter.meter) & (reading.c.at >= since) & reading.c.status.in_(_REFUSED)
    query = select(reading.c.status, func.count().label("times"), func.max(reading.c.at).label("last")).where(here)
    rows = connection.execute(query.group_by(reading.c.status)).all()
    if rows:
        newest = max(rows, key=lambda row: row.last)
        evidence = {"status": newest.status, "count": sum(row.times for row in rows), "last": newest.last.isoformat()}
        yield Fault("refused", meter, evidence)


def _last_status(connection: Connection, meter: str) -> str | None:
    """How it answered last; None when it was never asked."""
    own = (reading.c.meter == meter) & (reading.c.quantity == "import")
    query = select(reading.c.status).where(own).order_by(reading.c.at.desc()).limit(1)
    status: str | None = connection.scalar(query)
    return "silent" if status == "ok" else status
