"""The poller: every meter on its own, whatever the others or the listener do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from pymodbus.constants import ExcCodes

from tarazy.accounting.energy.meter import Reading
from tarazy.accounting.energy.poller import MeterPoller, pause_seconds
from tests.accounting.energy.support import SILENCE, meter, on_asyncio, scripted_meter


class _Listener:
    """Takes readings and lets a test wait for the next of a meter."""

    def __init__(self) -> None:
        self.readings: asyncio.Queue[Reading] = asyncio.Queue()

    def poller(self, poll_seconds: float = 0.02) -> MeterPoller:
        return MeterPoller(self.readings.put_nowait, lambda: datetime.now(UTC), poll_seconds, 0.2)

    async def until(self, **wanted: object) -> Reading:
        """The next reading with these values."""
        while True:
            reading = await self.readings.get()
            if all(getattr(reading, name) == value for name, value in wanted.items()):
                return reading


def test_pauses_double_up_to_a_minute_and_never_undercut_the_schedule() -> None:
    """Back-off for a meter that fails: 1, 2, 4 … 60 s; one polled every 15 minutes keeps its 15 minutes."""
    assert [pause_seconds(1.0, failures) for failures in (0, 1, 2, 3, 6, 1000)] == [1, 2, 4, 8, 60, 60]
    assert [pause_seconds(900.0, failures) for failures in (0, 5)] == [900, 900]


@on_asyncio
async def test_an_export_register_is_read_where_there_is_one() -> None:
    """After each import, of the same meter; one without it is asked again only after an hour of polls."""
    listener = _Listener()
    async with scripted_meter("abb-b23", exports=9) as (server, where), scripted_meter("abb-b23") as (_, without):
        server.answer = 50
        poller = listener.poller(0.01)
        poller.follow([where, replace(without, meter="m2")])
        await listener.until(meter="m1", quantity="export", status="ok", register_count=9)
        await listener.until(meter="m1", quantity="import", register_count=50)
        await listener.until(meter="m2", quantity="export", status="exception")
        told = [await listener.until(meter="m2") for _ in range(10)]
        await poller.stop().asFuture(asyncio.get_running_loop())
    assert {(each.quantity, each.status) for each in told} == {("import", "ok")}


@on_asyncio
async def test_faults_of_one_meter_become_readings_and_leave_the_other_alone() -> None:
    """Exception, silence and garbage each give a row with a status; afterwards the meter is read again."""
    listener = _Listener()
    async with scripted_meter() as (bad, first), scripted_meter() as (good, second):
        bad.answer, good.answer = 10, 1000
        poller = listener.poller()
        poller.follow([first, replace(second, meter="m2")])
        await listener.until(meter="m1", status="ok", register_count=10)
        for answer, status in ((ExcCodes.DEVICE_BUSY, "exception"), ([0xFFFF] * 4, "garbage")):
            bad.answer = answer
            assert (await listener.until(meter="m1", status=status)).register_count is None
            bad.answer = 11
            await listener.until(meter="m1", status="ok")
        bad.answer = SILENCE
        await listener.until(meter="m1", status="silent")
        good.answer = 2000
        await listener.until(meter="m2", status="ok", register_count=2000)
        await poller.stop().asFuture(asyncio.get_running_loop())


@on_asyncio
async def test_the_poller_follows_the_register_of_meters() -> None:
    """A meter whose address changed is asked at the new one and no more at the old."""
    listener = _Listener()
    async with scripted_meter() as (old, first), scripted_meter() as (new, second):
        old.answer, new.answer = 1, 2
        poller = listener.poller()
        poller.follow([first])
        await listener.until(meter="m1", register_count=1)
        poller.follow([second])
        await listener.until(meter="m1", register_count=2)
        asked = old.asked
        for _ in range(3):
            await listener.until(meter="m1", register_count=2)
        assert old.asked == asked
        poller.follow([first])
        await listener.until(meter="m1", register_count=1)
        asked = new.asked
        for _ in range(3):
            await listener.until(meter="m1", register_count=1)
        assert new.asked == asked
        await poller.stop().asFuture(asyncio.get_running_loop())


@on_asyncio
async def test_a_listener_that_fails_does_not_stop_the_meter() -> None:
    """The database being away is no reason to stop reading."""
    told = asyncio.Event()
    calls = 0

    def fail_twice(_: Reading) -> None:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise OSError("no database")
        told.set()

    async with scripted_meter() as (_, where):
        poller = MeterPoller(fail_twice, lambda: datetime.now(UTC), 0.02)
        poller.follow([where])
        await told.wait()
        await poller.stop().asFuture(asyncio.get_running_loop())


@on_asyncio
async def test_an_unusable_profile_stops_only_its_meter() -> None:
    """A meter whose profile does not exist is logged; the others are read."""
    listener = _Listener()
    async with scripted_meter() as (server, where):
        server.answer = 3
        poller = listener.poller()
        poller.follow([replace(meter("m0"), profile="nothing"), where])
        await listener.until(meter="m1", register_count=3)
        await poller.stop().asFuture(asyncio.get_running_loop())


@on_asyncio
async def test_stopping_twice_or_without_meters_is_fine() -> None:
    """The office may stop a poller that never started."""
    poller = _Listener().poller()
    for _ in range(2):
        await poller.stop().asFuture(asyncio.get_running_loop())


@on_asyncio
async def test_stopping_at_any_moment_of_an_answer_is_heard() -> None:
    """A meter that refuses the connection just as the office ends must not hold it up for a whole pause."""
    for turns in range(40):
        poller = _Listener().poller(poll_seconds=3600.0)
        poller.follow([meter()])
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.wait_for(poller.stop().asFuture(asyncio.get_running_loop()), 10)
