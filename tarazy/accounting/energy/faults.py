"""What is wrong with a meter, by its readings: named, with the figures that show it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from sqlalchemy import Connection, Row, func, select

from tarazy.accounting.energy.intervals import Break, Segment
from tarazy.accounting.energy.meter import Meter, Unfit
from tarazy.accounting.energy.profiles import ModbusProfile, is_usable, load_profile
from tarazy.accounting.energy.readings import last_seen, last_statuses, steps_of
from tarazy.accounting.energy.tables import reading

_SILENT_INTERVALS = 2
_NEVER = datetime.min.replace(tzinfo=UTC)
_METERS_AT_ONCE = 100
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
    usable = [meter for meter in meters if is_usable(meter.profile)]
    parts = (usable[first : first + _METERS_AT_ONCE] for first in range(0, len(usable), _METERS_AT_ONCE))
    return [fault for some in parts for fault in _faults(connection, some, since, now, seconds, working)]


def _faults(
    connection: Connection,
    meters: Sequence[Meter],
    since: datetime,
    now: datetime,
    seconds: int,
    working: Collection[tuple[str, str | None]],
) -> Iterator[Fault]:
    keys = [meter.meter for meter in meters]
    seen = last_seen(connection, keys)
    patience = now - timedelta(seconds=_SILENT_INTERVALS * seconds)
    live = (meter for meter in meters if meter.pushed or isinstance(load_profile(meter.profile), ModbusProfile))
    silent = [meter.meter for meter in live if (seen[meter.meter] or _NEVER) < patience]
    statuses = last_statuses(connection, silent)
    steps = steps_of(connection, meters, since)
    refused = _refused(connection, keys, since)
    for meter in meters:
        segments, breaks = steps[meter.meter]
        last = statuses.get(meter.meter)
        yield from faults_of(
            meter,
            seen[meter.meter],
            "silent" if last == "ok" else last,
            [item for item in segments if item.end > since],
            [item for item in breaks if item.after > since],
            (meter.site, meter.party) in working,
        )
        if meter.meter in refused:
            yield Fault("refused", meter, refused[meter.meter])


def _refused(connection: Connection, meters: Sequence[str], since: datetime) -> dict[str, dict[str, int | str]]:
    """Of meters whose readings came in and were not taken: how many are kept, and the reason of the last one."""
    here = reading.c.meter.in_(meters) & (reading.c.at >= since) & reading.c.status.in_(_REFUSED)
    query = select(
        reading.c.meter, reading.c.status, func.count().label("times"), func.max(reading.c.at).label("last")
    ).where(here)
    by_meter: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    for row in connection.execute(query.group_by(reading.c.meter, reading.c.status)):
        by_meter[row.meter].append(row)
    found: dict[str, dict[str, int | str]] = {}
    for meter, rows in by_meter.items():
        newest = max(rows, key=lambda row: row.last)
        times = sum(row.times for row in rows)
        found[meter] = {"status": newest.status, "count": times, "last": newest.last.isoformat()}
    return found
