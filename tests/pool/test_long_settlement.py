"""A meter that speaks again after weeks: others write between the parts of its settlement, and a stop cuts it off."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import Engine, func, select
from twisted.internet import task
from twisted.internet.defer import ensureDeferred

from tarazy.accounting.energy.balance import settle
from tarazy.accounting.energy.meter import Reading
from tarazy.accounting.energy.recording import append_readings
from tarazy.accounting.energy.tables import interval
from tarazy.accreditation.entries import Meter, ReadBy
from tarazy.accreditation.registers import append_all, as_of
from tarazy.config.settings import Settings
from tarazy.database.engine import Database
from tarazy.pool import office as office_module
from tarazy.pool.admissions import Admissions
from tarazy.pool.chain.interface import Chain
from tarazy.pool.demo.prepare import prepare
from tarazy.pool.demo.scenario import demo_settings
from tarazy.pool.followed import FollowedBlocks
from tarazy.pool.office import Office
from tests.pool.test_office_killed import AtOnce
from tests.pool.under_reactor import in_reactor
from tests.reports.world import registers

PART = 100


def _office(clock: task.Clock, settings: Settings, engine: Engine) -> Office:
    with engine.begin() as connection:
        admissions = SimpleNamespace(registers=as_of(connection, datetime.now(UTC)))
    blocks = cast(FollowedBlocks, SimpleNamespace(look=lambda: None, blocks=list))
    database = cast(Database, AtOnce(engine))
    return Office(cast(Any, clock), settings, database, cast(Admissions, admissions), blocks, cast(Chain, None))


def _since(engine: Engine, start: datetime) -> None:
    """A meter that an agent reads: its register at an instant, and now."""
    entries = [each for each in registers() if not isinstance(each, Meter)]
    meter = next(each for each in registers() if isinstance(each, Meter))
    now = datetime.now(UTC)
    heard = replace(meter, read_by=ReadBy.AGENT, profile="register-wh")
    with engine.begin() as connection:
        append_all(connection, [*entries, heard], now, "test")
        told = [Reading(meter.meter, start, 0, "ok"), Reading(meter.meter, now, 1_000_000, "ok")]
        append_readings(connection, told, now)


@in_reactor
async def test_a_long_settlement_lets_others_write_and_is_cut_off_by_a_stop(
    tmp_path: Path, sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each part nothing is done for a while; a stop waits for two parts at most, the next start does the rest."""
    monkeypatch.setattr(office_module, "settle", partial(settle, most=PART))
    settings = prepare(tmp_path / "pool", demo_settings(peer_port=1), datetime.now(UTC)).settings
    seconds = settings.energy.interval_seconds
    _since(sqlite_engine, datetime.now(UTC) - timedelta(seconds=4 * PART * seconds))

    def settled() -> int:
        with sqlite_engine.begin() as connection:
            return connection.scalar(select(func.count()).select_from(interval)) or 0

    clock = task.Clock()
    office = _office(clock, settings, sqlite_engine)
    office.energy.start()
    assert settled() == PART
    clock.advance(0.1)
    assert settled() == PART, "SQLite's waiters look every tenth of a second"
    stopping = ensureDeferred(office.stop())
    clock.advance(0.1)
    await stopping
    assert settled() == 3 * PART
    office = _office(clock, settings, sqlite_engine)
    kept = ensureDeferred(office.keep_energy())
    while not kept.called:
        clock.advance(0.1)
    assert settled() >= 4 * PART - 1
    await office.stop()
