"""From a real Modbus conversation with faults to the watt-hours of a party: nothing wrong gets through."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from pymodbus.constants import ExcCodes
from sqlalchemy import Engine

from tarazy.accounting.energy.balance import Settled, settle
from tarazy.accounting.energy.figures import energy_by_party, site_intervals
from tarazy.accounting.energy.meter import Meter, Reading, Status
from tarazy.accounting.energy.poller import MeterPoller
from tarazy.accounting.energy.recording import append_readings
from tests.accounting.energy.support import PROFILE, SILENCE, T0, Answer, on_asyncio, scripted_meter

BUSY = ExcCodes.DEVICE_BUSY
NOT_AVAILABLE = [0xFFFF] * 4


async def _converse(answers: Sequence[Answer], profile: str) -> tuple[Meter, list[Reading]]:
    """Poll a meter that gives `answers` one after another, a minute apart by the poller's clock."""
    readings: list[Reading] = []
    done = asyncio.Event()
    async with scripted_meter(profile) as (server, where):

        def next_answer(reading: Reading) -> None:
            if not done.is_set():
                readings.append(reading)
            if len(readings) == len(answers):
                done.set()
            else:
                server.answer = answers[len(readings)]

        def clock() -> datetime:
            return T0 + timedelta(minutes=len(readings))

        server.answer = answers[0]
        poller = MeterPoller(next_answer, clock, 0.001, 0.1)
        poller.follow([where])
        await done.wait()
        await poller.stop().asFuture(asyncio.get_running_loop())
    return where, readings


async def _settled(
    engine: Engine, answers: Sequence[Answer], profile: str = PROFILE
) -> tuple[list[tuple[int, str]], list[Status], Settled]:
    where, readings = await _converse(answers, profile)
    until = T0 + timedelta(minutes=len(answers) - 1)
    with engine.begin() as connection:
        append_readings(connection, readings, until)
        settled = settle(connection, [where], 300, until, lambda *_: {"a": 1 << 60}, lambda *_: 20_000, until)
        intervals: list[tuple[int, str]] = [
            (item.energy_wh, item.quality) for item in site_intervals(connection, T0, until)
        ]
        parties = energy_by_party(connection, T0, until)
    assert sum(item.energy_wh for item in parties.values()) == sum(energy for energy, _ in intervals)
    return intervals, [reading.status for reading in readings], settled


@pytest.mark.parametrize("fault", [BUSY, SILENCE, NOT_AVAILABLE], ids=["exception", "silence", "garbage"])
@on_asyncio
async def test_answers_that_fail_cost_no_energy(engine: Engine, fault: Answer) -> None:
    """Two failed polls of eleven: the register goes on beneath them and every watt-hour is counted."""
    answers: list[Answer] = [minute * 100 for minute in range(11)]
    answers[3] = answers[7] = fault
    intervals, statuses, settled = await _settled(engine, answers)
    assert intervals == [(500, "measured"), (500, "measured")]
    assert statuses.count("ok") == 9
    assert settled.breaks == ()


@on_asyncio
async def test_a_wrong_scale_in_one_answer_is_named_and_not_counted(engine: Engine) -> None:
    """One answer a million times too large: a finding, and the energy beside it stays exact."""
    answers: list[Answer] = [1000 + minute * 100 for minute in range(11)]
    answers[4] = 1_400_000_000
    intervals, _, settled = await _settled(engine, answers)
    assert intervals == [(500, "measured"), (500, "measured")]
    assert [item.kind for _, item in settled.breaks] == ["too_fast"]


@on_asyncio
async def test_a_rollover_is_counted_through(engine: Engine) -> None:
    """Nine digits of 0.1 kWh run over between two polls; word order and scale are the profile's."""
    answers: list[Answer] = [999_999_996 + minute for minute in range(11)]
    intervals, _, settled = await _settled(engine, answers, "generic-uint32-100wh")
    assert intervals == [(500, "measured"), (500, "measured")]
    assert settled.breaks == ()


@on_asyncio
async def test_a_stuck_register_shows_beside_the_work(engine: Engine) -> None:
    """The meter says zero; the estimate from the work says what it should have been."""
    where, readings = await _converse([777] * 6, PROFILE)
    until = T0 + timedelta(minutes=5)
    with engine.begin() as connection:
        append_readings(connection, readings, until)
        settle(connection, [where], 300, until, lambda *_: {"a": 1 << 60}, lambda *_: 20_000, until)
        energy = energy_by_party(connection, T0, until)["site-1", "a"]
    assert (energy.energy_wh, energy.estimate_wh) == (0, 6405)


@on_asyncio
async def test_an_exchanged_meter_leaves_a_named_hole(engine: Engine) -> None:
    """The new meter's register is lower: the minute between them is missing, the rest is exact."""
    answers = [50_000 + minute * 100 for minute in range(6)] + [minute * 100 for minute in range(5)]
    intervals, _, settled = await _settled(engine, answers)
    assert intervals == [(500, "measured"), (400, "missing")]
    assert [item.kind for _, item in settled.breaks] == ["backwards"]
