"""What meters showed last: now, up to an instant, or as it was known at one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, CTE, ColumnElement, Connection, String, cast, func, select, true

from tarazy.accounting.energy.meter import Reading, Status
from tarazy.accounting.energy.tables import reading

_KEYS_AT_ONCE, _NEWEST_AT_ONCE = 200, 5_000


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
