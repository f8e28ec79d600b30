"""Readings enter the database once, failed ones too."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select

from tarazy.accounting.energy.meter import Reading
from tarazy.accounting.energy.recording import ReadingError, append_readings
from tarazy.accounting.energy.tables import reading
from tests.accounting.energy.support import T0


def _at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def _read(minutes: float, count: int) -> Reading:
    return Reading("m1", _at(minutes), count, "ok", source="file")


def test_the_same_reading_twice_is_one(engine: Engine) -> None:
    """A file or push that comes again changes nothing; one that says otherwise is refused whole."""
    with engine.begin() as connection:
        first = append_readings(connection, [_read(0, 0), _read(15, 9), _read(0, 0)], _at(30))
        again = append_readings(connection, [_read(0, 0), _read(15, 9), _read(30, 20)], _at(31))
        assert (first.recorded, first.repeated) == (2, 1)
        assert (again.recorded, again.repeated) == (1, 2)
        with pytest.raises(ReadingError, match="10, but 9 is recorded"):
            append_readings(connection, [_read(45, 30), _read(15, 10)], _at(32))
        assert connection.scalar(select(func.count()).select_from(reading)) == 3


def test_failed_readings_are_kept(engine: Engine) -> None:
    """A silence is a row without a register."""
    with engine.begin() as connection:
        append_readings(connection, [], _at(0))
        failed = [Reading("m1", _at(0), None, "exception"), Reading("m1", _at(1), None, "garbage")]
        assert append_readings(connection, failed, _at(1)).recorded == 2
        rows = connection.execute(select(reading.c.status, reading.c.register_count).order_by(reading.c.at))
        assert [tuple(row) for row in rows] == [("exception", None), ("garbage", None)]
