"""Work done again and again: after a failure and after a long wait, the next turn comes soon all the same."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs
from twisted.internet.task import Clock

from tarazy.pool import repeat
from tarazy.pool.repeat import Repeat

REST = 1e6


def turns_of(work: Callable[[], None]) -> tuple[Clock, list[int]]:
    """Work every second, resting very long after each turn of real time, and its turns so far."""
    clock, turns = Clock(), [0]

    async def once() -> None:
        turns[0] += 1
        time.sleep(0.001)
        work()

    Repeat(clock, "work", 1.0, once, rest=REST).start()
    return clock, turns


def test_the_rest_after_work_is_bounded() -> None:
    """A turn that took long is followed by a rest, of `LONGEST_REST` at most."""
    clock, turns = turns_of(lambda: None)
    clock.advance(2)
    assert turns == [1]
    clock.advance(repeat.LONGEST_REST)
    assert turns == [2]


def test_no_rest_after_a_failure() -> None:
    """A database that let the work wait and fail is asked again at the usual pace."""

    def fail() -> None:
        raise OSError("away")

    clock, turns = turns_of(fail)
    clock.advance(1)
    clock.advance(1)
    assert turns == [3]


def test_what_a_database_cannot_do_is_told() -> None:
    """Its reason is in the log, without the values of the statement."""

    def read() -> None:
        with create_engine("sqlite://").begin() as connection:
            connection.execute(text("select :secret from nowhere"), {"secret": "Алтын"})

    with pytest.raises(OperationalError):
        read()
    with capture_logs() as lines:
        turns_of(read)
    assert [(line["event"], line["error"]) for line in lines] == [
        ("repeated_work_failed", "database: no such table: nowhere")
    ]
