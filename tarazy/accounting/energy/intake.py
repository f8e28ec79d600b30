"""Readings that come in by themselves, pushed or over MQTT: each is taken, or told why not and kept as a failed one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast, get_args

from sqlalchemy import Connection

from tarazy.accounting.energy.devices import Device, devices_from, fittings
from tarazy.accounting.energy.intervals import floor_to
from tarazy.accounting.energy.meter import Quantity, Reading, Source, Status, Unfit
from tarazy.accounting.energy.profiles import ProfileError
from tarazy.accounting.energy.recording import (
    ReadingError,
    Taken,
    append_readings,
    folded_until,
    gives_spans,
    recorded_counts,
    require_possible,
)

OLDEST = timedelta(days=366)
"""How long ago a reading may be taken: a clock that starts at 1970 must not make half a century of intervals."""
_HIGHEST = 2**63 - 1
_COLUMNS = {"meter", "at", "count", "quantity", "status"}
_STATUSES = ("ok", "exception", "silent", "refused", "garbage", "stale")
_ONCE_SECONDS = 900
"""A meter's refused readings of one sort are kept once in so many seconds."""

Code = Literal[Unfit, "malformed", "unknown_meter", "not_behind_agent", "no_profile"]


class RowError(ValueError):
    """A reading that is not taken: a code for programs, and the cure."""

    def __init__(self, code: Code, problem: str) -> None:
        super().__init__(problem)
        self.code = code


@dataclass(frozen=True)
class Intake:
    """What became of some readings: how many were recorded, and which were refused."""

    taken: Taken
    refused: dict[int, RowError]


def parse_row(row: object, source: Source) -> Reading:
    """A reading as JSON tells it: {"meter", "at", "count"}, and "quantity" and "status". Raises `RowError`."""
    if not isinstance(row, dict) or not {"meter", "at"} <= row.keys() <= _COLUMNS:
        raise RowError("malformed", f"expected an object with {', '.join(sorted(_COLUMNS))}")
    count, status, quantity = row.get("count"), row.get("status", "ok"), row.get("quantity", "import")
    if not isinstance(row["meter"], str) or "\0" in row["meter"]:
        raise RowError("malformed", "meter is the key of a meter")
    if status not in _STATUSES or quantity not in get_args(Quantity):
        raise RowError("malformed", f"status is one of {', '.join(_STATUSES)}, quantity import or export")
    if (type(count) is int) is not (status == "ok") or (status != "ok" and count is not None):
        raise RowError("malformed", "count is what the register showed, a whole number; none unless the status is ok")
    if count is not None and count > _HIGHEST:
        raise RowError("malformed", f"count is at most {_HIGHEST}")
    return Reading(row["meter"], instant_of(row["at"]), count, cast(Status, status), quantity, source)


def instant_of(text: object) -> datetime:
    """An instant as JSON tells it. Raises `RowError`."""
    try:
        instant = datetime.fromisoformat(text if isinstance(text, str) else "")
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise RowError("malformed", "at is an instant with its zone, such as 2026-03-03T12:00:00+05:00")


def take(
    connection: Connection, given: Mapping[int, Reading], profile_of: Callable[[str], str], now: datetime
) -> Intake:
    """Record what is fit of `given`; the same again changes nothing.

    `profile_of` gives the registered profile of a meter, or raises `RowError` where nothing is to be taken of it. Of a
    meter that it knows, what is refused is kept as a failed reading of about this moment.
    """
    devices = _devices(connection, sorted({reading.meter for reading in given.values()}), profile_of, now)
    fit: dict[int, Reading] = {}
    refused: dict[int, RowError] = {}
    for number, reading in given.items():
        try:
            _require(reading, devices[reading.meter], now)
            fit[number] = reading
        except RowError as error:
            refused[number] = error
    refused |= _contradictions(connection, fit)
    refused |= _folded(connection, fit)
    taken = append_readings(connection, [reading for number, reading in fit.items() if number not in refused], now)
    about = floor_to(now, _ONCE_SECONDS)
    failed = {
        Reading(
            given[number].meter, about, None, cast(Status, error.code), given[number].quantity, given[number].source
        )
        for number, error in refused.items()
        if error.code in get_args(Unfit)
    }
    append_readings(connection, failed, now)
    return Intake(taken, refused)


def _devices(
    connection: Connection, meters: Sequence[str], profile_of: Callable[[str], str], now: datetime
) -> dict[str, Sequence[Device] | RowError]:
    """The devices of each meter, or why nothing is to be taken of it."""
    found: dict[str, Sequence[Device] | RowError] = {}
    profiles: dict[str, str] = {}
    for meter in meters:
        try:
            profiles[meter] = profile_of(meter)
        except RowError as error:
            found[meter] = error
    spans = gives_spans(connection, list(profiles), now)
    fitted = fittings(connection, list(profiles))
    for meter, profile in profiles.items():
        if spans.get(meter, False):
            problem = "this meter gives the energy of spans, not its register; register another"
            found[meter] = RowError("contradicts", problem)
            continue
        try:
            found[meter] = devices_from(fitted[meter], profile)
        except ProfileError as error:
            found[meter] = RowError("no_profile", str(error))
    return found


def _require(reading: Reading, devices: Sequence[Device] | RowError, now: datetime) -> None:
    if isinstance(devices, RowError):
        raise devices
    if reading.at > now:
        raise RowError("future", f"it is {now.isoformat()} here; send it again then, or set the clock")
    if reading.at < now - OLDEST:
        raise RowError("too_old", f"it is {now.isoformat()} here; set the clock, or import old readings from a file")
    try:
        require_possible(reading, devices, now)
    except ReadingError as error:
        raise RowError("impossible", str(error)) from None


def _contradictions(connection: Connection, fit: Mapping[int, Reading]) -> dict[int, RowError]:
    """Rows with another count than is recorded, or than a row before them has, for the same instant."""
    good = {number: reading for number, reading in fit.items() if reading.status == "ok"}
    counts: dict[Any, int | None] = {**recorded_counts(connection, list(good.values()))}
    found = {}
    for number, reading in good.items():
        first = counts.setdefault((reading.meter, reading.quantity, reading.at), reading.register_count)
        if first != reading.register_count:
            found[number] = RowError("contradicts", f"{first} is recorded; correct it: tarazy meter correct")
    return found


def _folded(connection: Connection, fit: Mapping[int, Reading]) -> dict[int, RowError]:
    """Rows that would change energy which changes no more; one that is recorded already is no matter."""
    until = folded_until(connection, sorted({reading.meter for reading in fit.values()}))
    late = {number: reading for number, reading in fit.items() if reading.at < until.get(reading.meter, reading.at)}
    known = recorded_counts(connection, list(late.values()))
    return {
        number: RowError("too_old", f"energy up to {until[reading.meter].isoformat()} is folded and changes no more")
        for number, reading in late.items()
        if reading.status != "ok" or (reading.meter, reading.quantity, reading.at) not in known
    }
