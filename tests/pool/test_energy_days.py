"""The office's hourly turn over the days that are over: killed anywhere, every figure stays what it was."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, Engine, event, select
from twisted.internet import task
from twisted.internet.defer import Deferred, ensureDeferred, succeed

from tarazy.accounting.energy.balance import settle
from tarazy.accounting.energy.figures import energy_by_meter, energy_by_party, peak_power
from tarazy.accounting.energy.meter import Meter, Reading
from tarazy.accounting.energy.recording import append_readings
from tarazy.accounting.energy.tables import interval, reading, site_day
from tarazy.accreditation.registers import as_of
from tarazy.config.law import load_law
from tarazy.config.law.calendar import day_start
from tarazy.database.engine import Database, open_engine
from tarazy.database.types import metadata
from tarazy.pool.clock import Clock
from tarazy.pool.folded import EnergyDays
from tests.pool.payouts.world import in_child

START = day_start(date(2025, 6, 29))
END = day_start(date(2025, 7, 1))
"""The last two days of a quarter whose fee was due long ago."""
HOUR = timedelta(hours=1)
METERS = [Meter(f"m{number}", f"site-{number % 2}", "h", 1, 1, "register-wh") for number in range(3)]


class _AtOnce:
    """The database as the office uses it, without the reactor's threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def run(self, work: Callable[..., Any], *given: Any) -> Deferred[Any]:
        """One transaction."""
        with self.engine.begin() as connection:
            return succeed(work(connection, *given))

    read = run


def _live(connection: Connection) -> None:
    """Two days of readings, with an hour of the next quarter, settled at once."""
    readings = [
        Reading(meter.meter, START + hour * HOUR, hour * (700 + hour), "ok") for meter in METERS for hour in range(50)
    ]
    append_readings(connection, readings, END + 2 * HOUR)
    rest = list(METERS)
    while rest:
        settled = settle(
            connection, rest, 3600, END + HOUR, lambda *_: {"a": 1 << 60}, lambda *_: 20_000, END + 2 * HOUR
        )
        rest = list(settled.rest)


def _turn(url: str, keep_days: int | None, kill_at: int) -> None:
    """The office's turn, until the n-th statement or commit, at which it is killed."""
    engine = open_engine(url)
    left = kill_at

    def step(*_: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    with engine.begin() as connection:
        now = datetime.now(UTC)
        registers = as_of(connection, now, now)
    event.listen(engine, "before_cursor_execute", step)
    event.listen(engine, "commit", step)
    days = EnergyDays(
        cast(Clock, task.Clock()), cast(Database, _AtOnce(engine)), lambda: registers, lambda: load_law(), keep_days
    )
    ensureDeferred(days.keep()).addErrback(lambda failure: failure.raiseException())


def _told(connection: Connection) -> list[Any]:
    return [figure(connection, START, END) for figure in (energy_by_meter, energy_by_party, peak_power)]


def test_killed_while_days_are_summed_and_folded_every_figure_stays(tmp_path: Path) -> None:
    """SIGKILL at statements and commits one after another: a piece is summed or not, folded or not."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    engine = open_engine(url)
    metadata.create_all(engine)
    with engine.begin() as connection:
        _live(connection)
        before = _told(connection)
    engine.dispose()
    for keep_days, state in ((None, "summed"), (0, "folded")):
        kill_at, deaths, states = 9, 0, set()
        while in_child(lambda: _turn(url, keep_days, kill_at)) == -signal.SIGKILL:  # noqa: B023 - called at once
            deaths += 1
            kill_at += 4
            with engine.begin() as connection:
                assert _told(connection) == before
                states |= set(connection.scalars(select(site_day.c.state).where(site_day.c.day_start < END)))
            engine.dispose()
        assert (deaths >= 4, len(states)) == (True, 2), (deaths, states)
        with engine.begin() as connection:
            days = select(site_day.c.state).where(site_day.c.day_start < END)
            assert connection.scalars(days).all() == [state] * 4
            assert _told(connection) == before
        engine.dispose()
    with engine.begin() as connection:
        assert connection.scalars(select(interval.c.interval_start).where(interval.c.interval_start < END)).all() == []
        assert connection.scalars(select(reading.c.reading)).all() != []
    engine.dispose()
