"""Readings in the database: appended as they come, corrected by others, read back in the order of their instants."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple, get_args

from sqlalchemy import (
    ARRAY,
    CTE,
    ColumnElement,
    Connection,
    String,
    and_,
    cast,
    delete,
    exists,
    func,
    insert,
    select,
    true,
    tuple_,
)

from tarazy.accounting.energy.devices import Device, devices_from, devices_of, fittings
from tarazy.accounting.energy.intervals import Break, Segment, believed, believed_spans
from tarazy.accounting.energy.meter import Meter, Quantity, Reading, Status
from tarazy.accounting.energy.profiles import is_usable
from tarazy.accounting.energy.tables import due, reading, settled

_KEYS_AT_ONCE, _NEWEST_AT_ONCE = 200, 5_000
_WH_PER_KWH = 1000
_NEAR = timedelta(hours=2)
_LOOKED_BACK = (timedelta(hours=1), timedelta(hours=8))
"""What is read at once of many meters before a moment: enough of those read each minute, then of each half hour."""
_LONGEST_INTERVAL = timedelta(hours=1)
_CONTEXT = 16
"""Good readings before a moment from which on a chain agrees with the one from the beginning: a wrong one at its start
is overcome by two that agree, and so many that agree with none are passed over."""


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


def _in_force(known_at: datetime | None) -> ColumnElement[bool]:
    """Good readings that no other corrects, as known at an instant."""
    later = reading.alias()
    replaced = select(later.c.reading).where(later.c.corrects == reading.c.reading)
    good = reading.c.status == "ok"
    if known_at is None:
        return and_(good, ~exists(replaced))
    return and_(good, reading.c.recorded_at <= known_at, ~exists(replaced.where(later.c.recorded_at <= known_at)))


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
    good = and_(reading.c.meter == meter, reading.c.quantity == quantity, register, _in_force(known_at))
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
        registers_since(connection, meter.meter, since, known_at=known_at, context=_CONTEXT), devices
    )
    good = and_(reading.c.meter == meter.meter, reading.c.quantity == "import", _in_force(known_at))
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
    good = and_(reading.c.meter.in_(meters), reading.c.quantity == "import", _in_force(None), reading.c.at > since)
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
    good = and_(reading.c.quantity == "import", reading.c.seconds.is_(None), _in_force(None))
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
            if count > _CONTEXT:
                del found[meter][: count - _CONTEXT]
        short = [meter for meter, count in before.items() if count < _CONTEXT]
        if not short:
            return found
        whole = _without_before(connection, short, near)
        short = [meter for meter in short if meter not in whole]
    for meter in short:
        found[meter] = registers_since(connection, meter, since, context=_CONTEXT)
    return found


def _without_before(connection: Connection, meters: Sequence[str], instant: datetime) -> set[str]:
    """Those of `meters`, settled before, of which nothing was read before `instant`."""
    earlier = exists(select(reading.c.reading).where(reading.c.meter == settled.c.meter, reading.c.at < instant))
    return set(connection.scalars(select(settled.c.meter).where(settled.c.meter.in_(meters), ~earlier)))


@dataclass(frozen=True, slots=True)
class Call:
    """Something that calls for intervals of a meter to be derived again."""

    number: int
    since: datetime
    before: datetime | None
    """When a good reading of the import register was taken last before `since`."""
    resumes: bool
    """Earlier intervals are done: it goes on exactly at `since`."""

    @property
    def begins(self) -> datetime:
        """From when on steps may be others."""
        return self.before or self.since


def calls_for(connection: Connection, meters: Sequence[str]) -> dict[str, list[Call]]:
    """Meter → what calls for deriving it again."""
    before = (
        select(reading.c.at)
        .where(
            reading.c.meter == due.c.meter, reading.c.quantity == "import", reading.c.at < due.c.since, _in_force(None)
        )
        .order_by(reading.c.at.desc())
        .limit(1)
        .scalar_subquery()
    )
    found: dict[str, list[Call]] = {}
    for row in connection.execute(select(due, before.label("before")).where(due.c.meter.in_(meters))):
        found.setdefault(row.meter, []).append(Call(row.due, row.since, row.before, row.resumes))
    return found


def answer(connection: Connection, calls: Sequence[Call]) -> None:
    """Take calls away that were followed, and no other that came meanwhile."""
    for first in range(0, len(calls), _KEYS_AT_ONCE):
        numbers = [call.number for call in calls[first : first + _KEYS_AT_ONCE]]
        connection.execute(delete(due).where(due.c.due.in_(numbers)))


def drop_readings(connection: Connection, meter: str, before: datetime) -> int:
    """Delete a meter's readings before an instant, but the last good ones of its registers; how many those were.

    Those of the last hour are kept besides: the derivation that goes on begins an interval earlier.
    """
    cut = before - _LONGEST_INTERVAL
    for quantity in get_args(Quantity):
        good = and_(reading.c.meter == meter, reading.c.quantity == quantity, _in_force(None))
        last = select(reading.c.at).where(good, reading.c.at < before - _LONGEST_INTERVAL, reading.c.seconds.is_(None))
        kept = connection.scalars(last.order_by(reading.c.at.desc()).limit(_CONTEXT)).all()
        cut = min([cut, *kept])
    return connection.execute(delete(reading).where(reading.c.meter == meter, reading.c.at < cut)).rowcount


def exported_wh(
    connection: Connection, meter: Meter, start: datetime, end: datetime, known_at: datetime | None = None
) -> int | None:
    """What the export register moved by in [start, end), in whole watt-hours rounded down; None where none was read.

    It is evidence beside consumption, which it does not lower.
    """
    registers = registers_since(connection, meter.meter, start, "export", known_at, _CONTEXT)
    if not registers:
        return None
    segments, _ = believed(registers, devices_of(connection, meter.meter, meter.profile, "export", known_at))
    moved = sum((each.energy_until(end) - each.energy_until(start) for each in segments), Fraction(0))
    return int(moved)


def last_registers(connection: Connection, meters: Sequence[str]) -> dict[str, tuple[datetime, int]]:
    """Meter → when its import register was read last, and its count; of those that have been settled."""
    good = and_(reading.c.quantity == "import", reading.c.seconds.is_(None), reading.c.meter == settled.c.meter)
    newest = select(reading.c.reading).where(good, _in_force(None)).order_by(reading.c.at.desc()).limit(1)
    found: dict[str, tuple[datetime, int]] = {}
    for first in range(0, len(meters), _KEYS_AT_ONCE):
        here = settled.c.meter.in_(meters[first : first + _KEYS_AT_ONCE])
        query = (
            select(reading.c.meter, reading.c.at, reading.c.register_count)
            .select_from(settled)
            .join(reading, reading.c.reading == newest.correlate(settled).scalar_subquery())
            .where(here)
        )
        found |= {meter: (at, count) for meter, at, count in connection.execute(query)}
    return found


def registers_wh(
    connection: Connection, meters: Sequence[Meter], last: dict[str, tuple[datetime, int]]
) -> dict[str, int]:
    """Meter → what its import register showed last, in whole watt-hours; 0 when it never did."""
    found: dict[str, int] = {}
    for first in range(0, len(meters), _KEYS_AT_ONCE):
        some = meters[first : first + _KEYS_AT_ONCE]
        fitted = fittings(connection, [meter.meter for meter in some])
        for meter in some:
            at, count = last.get(meter.meter, (None, 0))
            devices = devices_from(fitted[meter.meter], meter.profile) if at else []
            scale = [device.wh_per_count for device in devices if at and device.since <= at][-1:] or [Fraction(0)]
            found[meter.meter] = count * scale[0].numerator // scale[0].denominator
    return found


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


def last_seen(
    connection: Connection,
    meters: Iterable[str],
    until: datetime | None = None,
    known_at: datetime | None = None,
) -> dict[str, datetime | None]:
    """When each meter last gave a good reading of its import register, up to an instant; None when it never did."""
    good = (reading.c.quantity == "import") & (reading.c.status == "ok")
    return _newest(connection, meters, reading.c.at, good & _of_moment(until, known_at))


def _of_moment(until: datetime | None, known_at: datetime | None) -> ColumnElement[bool]:
    """Readings up to an instant, as recorded by another."""
    then = true() if until is None else reading.c.at <= until
    return then if known_at is None else then & (reading.c.recorded_at <= known_at)


def last_statuses(connection: Connection, meters: Iterable[str]) -> dict[str, Status | None]:
    """How the import register of each meter answered last; None when it was never asked."""
    return _newest(connection, meters, reading.c.status, reading.c.quantity == "import")


class Answer(NamedTuple):
    """How a meter answered last, and when."""

    status: Status
    at: datetime


def last_answers(
    connection: Connection,
    meters: Iterable[str],
    until: datetime | None = None,
    known_at: datetime | None = None,
) -> dict[str, Answer]:
    """What the import register of each meter answered last, up to an instant; those never asked are left out."""
    those = (reading.c.quantity == "import") & _of_moment(until, known_at)
    newest = {
        number: meter for meter, number in _newest(connection, meters, reading.c.reading, those).items() if number
    }
    numbers, found = list(newest), {}
    for first in range(0, len(numbers), _KEYS_AT_ONCE):
        some = reading.c.reading.in_(numbers[first : first + _KEYS_AT_ONCE])
        for row in connection.execute(select(reading.c.reading, reading.c.status, reading.c.at).where(some)):
            found[newest[row.reading]] = Answer(row.status, row.at)
    return found


def _newest(
    connection: Connection, meters: Iterable[str], what: ColumnElement[Any], those: ColumnElement[bool]
) -> dict[str, Any]:
    """Meter → something of the newest of its readings among `those`; each is found by itself, many in one query."""
    keys = list(meters)
    found: dict[str, Any] = dict.fromkeys(keys)
    for first in range(0, len(keys), _NEWEST_AT_ONCE):
        asked = _one_by_one(connection, keys[first : first + _NEWEST_AT_ONCE])
        newest = select(what).where(reading.c.meter == asked.c.meter, those).order_by(reading.c.at.desc()).limit(1)
        rows = connection.execute(select(asked.c.meter, newest.correlate(asked).scalar_subquery().label("newest")))
        found |= {row.meter: row.newest for row in rows}
    return found


def _one_by_one(connection: Connection, keys: Sequence[str]) -> CTE:
    """`keys` as rows, in one parameter: the statement stays the same, so that it is compiled once."""
    if connection.dialect.name == "sqlite":
        each: ColumnElement[Any] = func.json_each(json.dumps(keys)).table_valued("value").c.value
    else:
        each = func.unnest(cast(keys, ARRAY(String))).column_valued("value")
    return select(each.label("meter")).cte("asked")


def last_reading(
    connection: Connection, meter: str, until: datetime | None = None, known_at: datetime | None = None
) -> Reading | None:
    """What a meter showed, or how it failed to, the last time it was asked or sent something up to an instant."""
    here = (reading.c.meter == meter) & _of_moment(until, known_at)
    row = connection.execute(
        select(reading).where(here).order_by(reading.c.at.desc(), reading.c.reading.desc()).limit(1)
    ).first()
    if row is None:
        return None
    return Reading(row.meter, row.at, row.register_count, row.status, row.quantity, row.source, row.seconds)
