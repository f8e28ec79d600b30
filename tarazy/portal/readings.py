"""Readings that a site's agent pushes: what is fit is recorded, of each other row it is told what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast, get_args

from sqlalchemy import Connection

from tarazy.accounting.energy.devices import Device, devices_of
from tarazy.accounting.energy.meter import Quantity, Reading, Status
from tarazy.accounting.energy.profiles import ProfileError
from tarazy.accounting.energy.readings import ReadingError, append_readings, gives, recorded_counts, require_possible
from tarazy.accreditation.entries import Meter, ReadBy
from tarazy.accreditation.registers import versions_of
from tarazy.accreditation.snapshot import version_at
from tarazy.portal.guard import Fault

MAXIMUM_ROWS = 500
_OLDEST = timedelta(days=366)
"""How long ago a reading may be pushed: a clock that starts at 1970 must not make half a century of intervals."""
_HIGHEST = 2**63 - 1
_COLUMNS = {"meter", "at", "count", "quantity", "status"}
_STATUSES = set(get_args(Status)) - {"withdrawn"}


class _RowError(ValueError):
    """A row that is not recorded: a code for programs, and the cure."""

    def __init__(self, code: str, problem: str) -> None:
        super().__init__(problem)
        self.code = code


def push(connection: Connection, site: str, body: object, now: datetime) -> dict[str, Any]:
    """Record the rows of `{"readings": [{"meter", "at", "count"}, …]}` for the meters of `site`.

    The same row again changes nothing. Raises `Fault` when the body is of another shape.
    """
    rows = body.get("readings") if isinstance(body, dict) else None
    if not isinstance(rows, list) or len(rows) > MAXIMUM_ROWS:
        raise Fault(422, "unfit", f'expected {{"readings": [{{"meter", "at", "count"}}]}}, at most {MAXIMUM_ROWS} rows')
    devices: dict[str, list[Device] | _RowError] = {}
    fit: dict[int, Reading] = {}
    refused: dict[int, _RowError] = {}
    for number, row in enumerate(rows):
        try:
            reading = _reading(row)
            if reading.meter not in devices:
                devices[reading.meter] = _devices(connection, site, reading.meter, now)
            _require(reading, devices[reading.meter], now)
            fit[number] = reading
        except _RowError as error:
            refused[number] = error
    refused |= _contradictions(connection, fit)
    taken = append_readings(connection, [reading for number, reading in fit.items() if number not in refused], now)
    told = [{"row": number, "code": error.code, "problem": str(error)} for number, error in sorted(refused.items())]
    return {"recorded": taken.recorded, "repeated": taken.repeated, "refused": told}


def _contradictions(connection: Connection, fit: Mapping[int, Reading]) -> dict[int, _RowError]:
    """Rows with another count than is recorded, or than a row before them has, for the same instant."""
    good = {number: reading for number, reading in fit.items() if reading.status == "ok"}
    counts: dict[Any, int | None] = {**recorded_counts(connection, list(good.values()))}
    found = {}
    for number, reading in good.items():
        first = counts.setdefault((reading.meter, reading.quantity, reading.at), reading.register_count)
        if first != reading.register_count:
            found[number] = _RowError("contradicts", f"{first} is recorded; correct it: tarazy meter correct")
    return found


def _reading(row: object) -> Reading:
    if not isinstance(row, dict) or not {"meter", "at"} <= row.keys() <= _COLUMNS:
        raise _RowError("malformed", f"expected an object with {', '.join(sorted(_COLUMNS))}")
    count, status, quantity = row.get("count"), row.get("status", "ok"), row.get("quantity", "import")
    if not isinstance(row["meter"], str) or "\0" in row["meter"]:
        raise _RowError("malformed", "meter is the key of a meter")
    if not isinstance(status, str) or status not in _STATUSES or quantity not in get_args(Quantity):
        raise _RowError("malformed", f"status is one of {', '.join(sorted(_STATUSES))}, quantity import or export")
    if (type(count) is int) is not (status == "ok") or (status != "ok" and count is not None):
        raise _RowError("malformed", "count is what the register showed, a whole number; none unless the status is ok")
    if count is not None and count > _HIGHEST:
        raise _RowError("malformed", f"count is at most {_HIGHEST}")
    return Reading(row["meter"], _instant(row["at"]), count, cast(Status, status), quantity, "agent")


def _instant(text: object) -> datetime:
    try:
        instant = datetime.fromisoformat(text if isinstance(text, str) else "")
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise _RowError("malformed", "at is an instant with its zone, such as 2026-03-03T12:00:00+05:00")


def _devices(connection: Connection, site: str, meter: str, now: datetime) -> list[Device] | _RowError:
    entry = version_at(versions_of(connection, "meter", meter), now)
    if not isinstance(entry, Meter) or entry.site != site:
        return _RowError("unknown_meter", f"site {site} has no such meter in the register")
    if entry.read_by is not ReadBy.AGENT:
        return _RowError("not_behind_agent", "the pool reads this meter itself; register it with read_by agent")
    if gives(connection, meter, spans=True):
        return _RowError("contradicts", "this meter gives the energy of spans, not its register; register another")
    try:
        return list(devices_of(connection, meter, entry.profile))
    except ProfileError as error:
        return _RowError("no_profile", str(error))


def _require(reading: Reading, devices: list[Device] | _RowError, now: datetime) -> None:
    if isinstance(devices, _RowError):
        raise devices
    if reading.at > now:
        raise _RowError("future", f"it is {now.isoformat()} here; send it again then, or set the clock")
    if reading.at < now - _OLDEST:
        raise _RowError("too_old", f"it is {now.isoformat()} here; set the clock, or import old readings from a file")
    try:
        require_possible(reading, devices, now)
    except ReadingError as error:
        raise _RowError("impossible", str(error)) from None
