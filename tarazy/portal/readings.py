"""Readings that a site's agent pushes: what is fit is recorded, of each other row it is told what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast, get_args

from sqlalchemy import Connection

from tarazy.accounting.energy.asic import Claim
from tarazy.accounting.energy.claims import keep_claim
from tarazy.accounting.energy.devices import Device, devices_from, fittings
from tarazy.accounting.energy.meter import Quantity, Reading, Status
from tarazy.accounting.energy.profiles import ProfileError
from tarazy.accounting.energy.readings import (
    ReadingError,
    append_readings,
    folded_until,
    gives_spans,
    recorded_counts,
    require_possible,
)
from tarazy.accreditation.entries import Meter, ReadBy
from tarazy.accreditation.registers import all_versions
from tarazy.accreditation.snapshot import version_at
from tarazy.portal.guard import Fault

MAXIMUM_ROWS = 500
_OLDEST = timedelta(days=366)
"""How long ago a reading may be pushed: a clock that starts at 1970 must not make half a century of intervals."""
_HIGHEST = 2**63 - 1
_MOST_CLAIMED = 10**12
_AHEAD = timedelta(minutes=5)
_COLUMNS = {"meter", "at", "count", "quantity", "status"}
_STATUSES = set(get_args(Status)) - {"withdrawn"}


class Pushed:
    """What became of the readings that were pushed to this process. It counts on, and is read beside."""

    def __init__(self) -> None:
        self.results: dict[str, int] = {"recorded": 0, "repeated": 0, "refused": 0}
        self.waiting: dict[str, int] = {}
        """By site, what its agent still had to push."""

    def count(self, site: str, told: Mapping[str, Any], body: object) -> None:
        """Count an answer that was given, and take over what the agent says of its spool."""
        self.results["recorded"] += told["recorded"]
        self.results["repeated"] += told["repeated"]
        self.results["refused"] += len(told["refused"])
        waiting = body.get("waiting") if isinstance(body, dict) else None
        if type(waiting) is int and 0 <= waiting <= _HIGHEST:
            self.waiting[site] = waiting


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
    if isinstance(body, dict) and "machines" in body:
        keep_claim(connection, site, _claim(body["machines"], now), now)
    told = {row["meter"] for row in rows if isinstance(row, dict) and isinstance(row.get("meter"), str)}
    devices = _devices(connection, site, sorted(meter for meter in told if "\0" not in meter), now)
    fit: dict[int, Reading] = {}
    refused: dict[int, _RowError] = {}
    for number, row in enumerate(rows):
        try:
            reading = _reading(row)
            _require(reading, devices[reading.meter], now)
            fit[number] = reading
        except _RowError as error:
            refused[number] = error
    refused |= _contradictions(connection, fit)
    refused |= _folded(connection, fit)
    taken = append_readings(connection, [reading for number, reading in fit.items() if number not in refused], now)
    faults = [{"row": number, "code": error.code, "problem": str(error)} for number, error in sorted(refused.items())]
    return {"recorded": taken.recorded, "repeated": taken.repeated, "refused": faults}


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


def _claim(told: object, now: datetime) -> Claim:
    """What the machines of the site claim. Raises `Fault`."""
    counts = ("asked", "answered", "telling", "power_w")
    if isinstance(told, dict) and told.keys() == {"at", *counts}:
        numbers = [told[name] for name in counts]
        if all(type(number) is int and 0 <= number <= _MOST_CLAIMED for number in numbers):
            asked, answered, telling, power_w = numbers
            try:
                at = _instant(told["at"])
            except _RowError as error:
                raise Fault(422, "unfit", str(error)) from None
            if telling <= answered <= asked and now - _OLDEST <= at <= now + _AHEAD:
                return Claim(at, asked, answered, telling, power_w)
    raise Fault(422, "unfit", f"machines has at, {', '.join(counts)}: whole numbers, each of the first three no less")


def _folded(connection: Connection, fit: Mapping[int, Reading]) -> dict[int, _RowError]:
    """Rows that would change energy which changes no more; one that is recorded already is no matter."""
    until = folded_until(connection, sorted({reading.meter for reading in fit.values()}))
    late = {number: reading for number, reading in fit.items() if reading.at < until.get(reading.meter, reading.at)}
    known = recorded_counts(connection, list(late.values()))
    return {
        number: _RowError("too_old", f"energy up to {until[reading.meter].isoformat()} is folded and changes no more")
        for number, reading in late.items()
        if reading.status != "ok" or (reading.meter, reading.quantity, reading.at) not in known
    }


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


def _devices(
    connection: Connection, site: str, meters: Sequence[str], now: datetime
) -> dict[str, list[Device] | _RowError]:
    """The devices of each meter, or why nothing may be pushed of it."""
    entries = all_versions(connection, Meter.register, keys=meters)
    spans = gives_spans(connection, meters, now)
    fitted = fittings(connection, meters)
    found: dict[str, list[Device] | _RowError] = {}
    for meter in meters:
        entry = version_at(entries.get(meter, []), now)
        if not isinstance(entry, Meter) or entry.site != site:
            found[meter] = _RowError("unknown_meter", f"site {site} has no such meter in the register")
        elif entry.read_by is not ReadBy.AGENT:
            problem = "the pool reads this meter itself; register it with read_by agent"
            found[meter] = _RowError("not_behind_agent", problem)
        elif spans.get(meter, False):
            problem = "this meter gives the energy of spans, not its register; register another"
            found[meter] = _RowError("contradicts", problem)
        else:
            try:
                found[meter] = devices_from(fitted[meter], entry.profile)
            except ProfileError as error:
                found[meter] = _RowError("no_profile", str(error))
    return found


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
