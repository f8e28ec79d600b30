"""A real Modbus TCP server that answers as a test says, faults included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import wraps
from typing import Any, ParamSpec, cast

import pytest_twisted
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from sqlalchemy import Connection, func, select

from tarazy.accounting.energy.asyncio_bridge import run
from tarazy.accounting.energy.balance import settle
from tarazy.accounting.energy.meter import Meter
from tarazy.accounting.energy.profiles import load_modbus_profile
from tarazy.accounting.energy.tables import interval

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
PROFILE = "tarazy-demo"
SILENCE = "silence"

Answer = int | list[int] | ExcCodes | str
"""A count, raw words, an error code, or `SILENCE`."""


class ScriptedMeter:
    """Answers each request with `answer`, which a test may change at any time."""

    def __init__(self, profile: str = PROFILE, exports: int | None = None) -> None:
        self.answer: Answer = 0
        self.exports = exports
        """What its export register shows; None: it has none."""
        self.asked = 0
        self._ended = asyncio.Event()
        self._name = profile
        self._profile = load_modbus_profile(profile)
        words = self._profile.words
        places = [self._profile.address]
        if exports is not None and self._profile.export_address is not None:
            places.append(self._profile.export_address)
        data = [SimData(place, count=words, values=0, datatype=DataType.REGISTERS) for place in places]
        self._device = SimDevice(id=1, simdata=data, action=self._on_access)
        self._server = ModbusTcpServer(self._device, address=("127.0.0.1", 0))

    async def _on_access(
        self,
        _function: int,
        first: int,
        address: int,
        count: int,
        registers: list[int],
        _written: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        if address == self._profile.export_address and self.exports is not None:
            registers[address - first : address - first + count] = self._profile.words_of(self.exports)
            return None
        self.asked += 1
        if self.answer == SILENCE:
            await self._ended.wait()
        if isinstance(self.answer, ExcCodes):
            return self.answer
        if isinstance(self.answer, int):
            registers[:count] = self._profile.words_of(self.answer)
        elif isinstance(self.answer, list):
            registers[:count] = self.answer
        return None

    async def start(self) -> Meter:
        """Listen on a free port; gives the meter as the register would have it."""
        await self._server.serve_forever(background=True)
        assert isinstance(self._server.transport, asyncio.Server)
        port = self._server.transport.sockets[0].getsockname()[1]
        return Meter("m1", "site-1", "127.0.0.1", port, 1, self._name)

    async def stop(self) -> None:
        """Close the listener and every connection."""
        self._ended.set()
        await self._server.shutdown()  # type: ignore[no-untyped-call]


@asynccontextmanager
async def scripted_meter(
    profile: str = PROFILE, exports: int | None = None
) -> AsyncIterator[tuple[ScriptedMeter, Meter]]:
    """A listening `ScriptedMeter`."""
    server = ScriptedMeter(profile, exports)
    meter = await server.start()
    try:
        yield server, meter
    finally:
        await server.stop()


def meter(name: str = "m1", site: str = "site-1", profile: str = PROFILE) -> Meter:
    """A meter that nobody needs to reach."""
    return Meter(name, site, "127.0.0.1", 1, 1, profile)


def derive(
    connection: Connection, where: Meter, seconds: int, until: datetime, recorded_at: datetime
) -> list[datetime]:
    """Settle a meter at whose site nobody works; the starts of the intervals that changed."""
    at = interval.c.interval_start
    newest = select(at, func.max(interval.c.version)).where(interval.c.meter == where.meter).group_by(at).order_by(at)
    before = dict(connection.execute(newest).all())
    settle(connection, [where], seconds, until, lambda *_: {}, lambda *_: None, recorded_at)
    return [start for start, version in connection.execute(newest) if before.get(start) != version]


P = ParamSpec("P")


def on_asyncio(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, Coroutine[Any, Any, None]]:
    """Run an asyncio test under the Twisted reactor, as the server runs asyncio's libraries."""

    @wraps(test)
    async def started(*arguments: P.args, **named: P.kwargs) -> None:
        await run(asyncio.wait_for(test(*arguments, **named), 20))

    return cast("Callable[P, Coroutine[Any, Any, None]]", pytest_twisted.ensureDeferred(started))
