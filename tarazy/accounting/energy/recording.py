"""Readings enter the database: appended as they come, corrected by others, dropped once they are folded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import get_args

from sqlalchemy import Connection, and_, delete, exists, func, insert, select, tuple_

from tarazy.accounting.energy.devices import Device
from tarazy.accounting.energy.good import in_force
from tarazy.accounting.energy.meter import Quantity, Reading
from tarazy.accounting.energy.steps import CONTEXT
from tarazy.accounting.energy.tables import due, reading, settled

_KEYS_AT_ONCE = 200
_WH_PER_KWH = 1000
_NEAR = timedelta(hours=2)
_LONGEST_INTERVAL = timedelta(hours=1)


class ReadingError(ValueError):
    """A reading that cannot be taken, and the cure."""


@dataclass(frozen=True)
class Taken:
    """How many of some readings were recorded, and how many were there already."""

    recorded: int
    repeated: int


def require_possible(item: Reading, devices: Sequence[Device], now: datetime) -> None:
    """Raise `ReadingError` unless the reading is not of the future, and one that its meter's `devices` can give.

    Spans are in whole kilowatt-hours, so their meter must count in them.
    """
    if item.at > now:
        raise ReadingError(f"{item.meter}: {item.at.isoformat()} lies in the future; now it is {now.isoformat()}")
    device = [device for device in devices if device.since <= item.at][-1]
    if item.register_count is not None and not 0 <= item.register_count < device.counts:
        raise ReadingError(f"{item.meter}: {item.register_count}: its register runs to {device.counts - 1}")
    if item.seconds is not None and device.wh_per_count != _WH_PER_KWH:
        raise ReadingError(f"{item.meter}: the file has kilowatt-hours; register the meter as register-kwh")


def append_readings(connection: Connection, readings: Iterable[Reading], recorded_at: datetime) -> Taken:
    """Store readings, failed ones too: a silence is evidence as well.

    One that is there already, by its meter, quantity and instant, changes nothing; a failed one by its status as well.
    Raises `ReadingError`, nothing being stored, when it has another count: that takes a correction.
    """
    given: dict[tuple[str, Quantity, datetime], Reading] = {}
    failed = []
    repeated = 0
    for item in readings:
        if item.status != "ok":
            failed.append(item)
            continue
        same = given.setdefault((item.meter, item.quantity, item.at), item)
        if same is not item:
            _require_same(item, same.register_count)
            repeated += 1
    _require_one_sort(connection, list(given.values()))
    known = recorded_counts(connection, list(given.values()))
    require_unfolded(connection, [item for key, item in given.items() if key not in known])
    fresh = []
    for key, item in given.items():
        if key in known:
            _require_same(item, known[key])
            repeated += 1
        else:
            fresh.append(item)
    failures = set(failed) - _known_failures(connection, failed)
    new = [*fresh, *sorted(failures, key=lambda item: item.at)]
    _insert(connection, new, recorded_at)
    return Taken(len(new), repeated + len(failed) - len(failures))


def folded_until(connection: Connection, meters: Sequence[str]) -> dict[str, datetime]:
    """Meter → up to where only figures of days are left of it, where that is so."""
    found: dict[str, datetime] = {}
    for first in range(0, len(meters), _KEYS_AT_ONCE):
        here = settled.c.meter.in_(meters[first : first + _KEYS_AT_ONCE])
        rows = connection.execute(select(settled.c.meter, settled.c.folded_until).where(here))
        found |= {meter: until for meter, until in rows if until is not None}
    return found


def require_unfolded(connection: Connection, readings: Sequence[Reading]) -> None:
    """Raise `ReadingError` for a reading that would change energy which is folded."""
    until = folded_until(connection, sorted({item.meter for item in readings}))
    for item in readings:
        end = until.get(item.meter)
        if end is not None and item.at - timedelta(seconds=item.seconds or 0) < end:
            raise ReadingError(f"{item.meter}: its energy up to {end.isoformat()} is folded and changes no more")


def _require_one_sort(connection: Connection, readings: Sequence[Reading]) -> None:
    """A meter gives its register or counts of spans: both together would count energy twice."""
    sorts = {item.meter: item.seconds is not None for item in readings}
    mixed = {item.meter for item in readings if sorts[item.meter] != (item.seconds is not None)}
    known = gives_spans(connection, list(sorts), max((item.at for item in readings), default=None))
    for meter, spans in sorts.items():
        if meter in mixed or known.get(meter, spans) != spans:
            raise ReadingError(f"{meter}: a meter gives either its register or the energy of spans; register another")


def gives_spans(connection: Connection, meters: Sequence[str], about: datetime | None = None) -> dict[str, bool]:
    """Meter → whether it gives the energy of spans instead of its register; left out where it never gave a reading.

    Whatever a meter gave once it always gives, so any one reading tells; those shortly before `about` are at hand.
    """
    found: dict[str, bool] = {}
    good = reading.c.status == "ok"
    if about is not None:
        near = (reading.c.at > about - _NEAR) & (reading.c.at <= about)
        for first in range(0, len(meters), _KEYS_AT_ONCE):
            here = reading.c.meter.in_(meters[first : first + _KEYS_AT_ONCE])
            query = (
                select(reading.c.meter, func.max(reading.c.seconds)).where(here, near, good).group_by(reading.c.meter)
            )
            found |= {meter: seconds is not None for meter, seconds in connection.execute(query)}
    for meter in meters:
        if meter not in found:
            newest = select(reading.c.seconds).where(reading.c.meter == meter, good).order_by(reading.c.at.desc())
            row = connection.execute(newest.limit(1)).first()
            if row is not None:
                found[meter] = row.seconds is not None
    return found


def _require_same(item: Reading, count: int | None) -> None:
    if item.register_count != count:
        raise ReadingError(
            f"{item.meter}, {item.quantity}, {item.at.isoformat()}: {item.register_count}, but {count} is recorded; "
            "if that is wrong, correct it: tarazy meter correct"
        )


def recorded_counts(connection: Connection, readings: Sequence[Reading]) -> dict[tuple[str, Quantity, datetime], int]:
    """Counts recorded first for the same keys, whatever corrected them since."""
    found: dict[tuple[str, Quantity, datetime], int] = {}
    for first in range(0, len(readings), _KEYS_AT_ONCE):
        part = readings[first : first + _KEYS_AT_ONCE]
        query = select(reading.c.meter, reading.c.quantity, reading.c.at, reading.c.register_count).where(
            tuple_(reading.c.meter, reading.c.at).in_({(item.meter, item.at) for item in part}),
            reading.c.status == "ok",
            reading.c.corrects.is_(None),
        )
        for meter, quantity, at, count in connection.execute(query):
            found[meter, quantity, at] = count
    return found


def _known_failures(connection: Connection, failed: Sequence[Reading]) -> set[Reading]:
    """Those that are recorded."""
    found: set[Reading] = set()
    for first in range(0, len(failed), _KEYS_AT_ONCE):
        part = failed[first : first + _KEYS_AT_ONCE]
        query = select(reading.c.meter, reading.c.quantity, reading.c.at, reading.c.status).where(
            tuple_(reading.c.meter, reading.c.at).in_({(item.meter, item.at) for item in part}),
            reading.c.status != "ok",
        )
        known = set(map(tuple, connection.execute(query)))
        found |= {item for item in part if (item.meter, item.quantity, item.at, item.status) in known}
    return found


def _insert(connection: Connection, readings: Sequence[Reading], recorded_at: datetime) -> None:
    rows = [
        {
            "meter": item.meter,
            "quantity": item.quantity,
            "at": item.at,
            "register_count": item.register_count,
            "seconds": item.seconds,
            "status": item.status,
            "source": item.source,
            "recorded_at": recorded_at,
        }
        for item in readings
    ]
    if rows:
        connection.execute(insert(reading), rows)
    since: dict[str, datetime] = {}
    for item in readings:
        if item.status == "ok" and item.quantity == "import":
            begun = item.at - timedelta(seconds=item.seconds or 0)
            since[item.meter] = min(begun, since.get(item.meter, begun))
    if since:
        connection.execute(insert(due), [{"meter": meter, "since": at} for meter, at in since.items()])


def correct(connection: Connection, wrong: Reading, count: int | None, recorded_at: datetime) -> None:
    """Replace the reading with the key of `wrong` by one of `count`, or take it away (None).

    Raises `ReadingError` when there is no such reading, or it says so already.
    """
    later = reading.alias()
    query = select(reading.c.reading, reading.c.register_count, reading.c.seconds).where(
        reading.c.meter == wrong.meter,
        reading.c.quantity == wrong.quantity,
        reading.c.at == wrong.at,
        reading.c.status.in_(("ok", "withdrawn")),
        ~exists(select(later.c.reading).where(later.c.corrects == reading.c.reading)),
    )
    old = connection.execute(query).first()
    if old is None:
        raise ReadingError(f"{wrong.meter} has no reading of {wrong.quantity} at {wrong.at.isoformat()}")
    if old.register_count == count:
        raise ReadingError(f"{wrong.meter}: {count} is what is recorded for {wrong.at.isoformat()}")
    require_unfolded(connection, [replace(wrong, seconds=old.seconds)])
    row = {
        "meter": wrong.meter,
        "quantity": wrong.quantity,
        "at": wrong.at,
        "register_count": count,
        "seconds": old.seconds,
        "status": "withdrawn" if count is None else "ok",
        "source": wrong.source,
        "corrects": old.reading,
        "recorded_at": recorded_at,
    }
    connection.execute(insert(reading), row)
    connection.execute(insert(due), {"meter": wrong.meter, "since": wrong.at - timedelta(seconds=old.seconds or 0)})


def drop_readings(connection: Connection, meter: str, before: datetime) -> int:
    """Delete a meter's readings before an instant, but the last good ones of its registers; how many those were.

    Those of the last hour are kept besides: the derivation that goes on begins an interval earlier.
    """
    cut = before - _LONGEST_INTERVAL
    for quantity in get_args(Quantity):
        good = and_(reading.c.meter == meter, reading.c.quantity == quantity, in_force(None))
        last = select(reading.c.at).where(good, reading.c.at < before - _LONGEST_INTERVAL, reading.c.seconds.is_(None))
        kept = connection.scalars(last.order_by(reading.c.at.desc()).limit(CONTEXT)).all()
        cut = min([cut, *kept])
    return connection.execute(delete(reading).where(reading.c.meter == meter, reading.c.at < cut)).rowcount
