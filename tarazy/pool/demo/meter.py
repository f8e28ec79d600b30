"""A simulated electricity meter for demo and tests: a real Modbus TCP server with a register that grows.

As a process: `python -m tarazy.pool.demo.meter --port 5020 --watts 4200 --state meter.json`. The first
line on standard output is `{"port": N}` once it listens. The state file keeps the register: a restarted
meter goes on from there, and never below what it has answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from tarazy.accounting.energy.profiles import ModbusProfile, load_modbus_profile

_NANOSECONDS_PER_HOUR = 3_600_000_000_000


class Register:
    """A cumulative energy register driven by a power. It moves forward only, whatever the clock does."""

    def __init__(self, watts_of_now: Callable[[], float], start_wh: int) -> None:
        self._watts_of_now = watts_of_now
        self._start_wh = start_wh
        self._watt_nanoseconds = 0
        self._last = time.monotonic_ns()

    def wh(self) -> int:
        """Watt-hours by now; the time since the last call is counted at the present power."""
        now = time.monotonic_ns()
        self._watt_nanoseconds += max(0, int(self._watts_of_now() * (now - self._last)))
        self._last = now
        return self._start_wh + self._watt_nanoseconds // _NANOSECONDS_PER_HOUR


class MeterServer:
    """A running simulated meter: where it listens, and how to end it."""

    def __init__(self, server: ModbusTcpServer, register: Register) -> None:
        self._server = server
        self.register = register

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        transport = self._server.transport
        if not isinstance(transport, asyncio.Server):
            raise RuntimeError("the meter does not listen")
        return int(transport.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the listener and every connection."""
        await self._server.shutdown()  # type: ignore[no-untyped-call]


async def serve_meter(
    host: str,
    port: int,
    watts_of_now: Callable[[], float],
    profile: ModbusProfile,
    start_wh: int = 0,
    on_answer: Callable[[int], None] | None = None,
    unit: int = 1,
) -> MeterServer:
    """Start a meter of kind `profile` on `host`:`port` (0: a free one) whose register begins at `start_wh`.

    `on_answer` is called with the register in Wh before each answer is sent. Raises `OSError` when the
    address is taken.
    """
    register = Register(watts_of_now, start_wh)

    async def answer(
        _function: int,
        first: int,
        _address: int,
        _count: int,
        registers: list[int],
        _written: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        energy = register.wh()
        if on_answer is not None:
            on_answer(energy)
        count = energy * profile.wh_per_count.denominator // profile.wh_per_count.numerator
        place = profile.address - first
        registers[place : place + profile.words] = profile.words_of(count)
        return None

    data = SimData(profile.address, count=profile.words, values=0, datatype=DataType.REGISTERS)
    device = SimDevice(id=unit, simdata=[data], action=answer)
    server = ModbusTcpServer(device, address=(host, port))
    try:
        await server.serve_forever(background=True)
    except RuntimeError:
        raise OSError(f"port {port} of {host} is taken; choose another") from None
    return MeterServer(server, register)


def _load(state: Path, start_wh: int) -> int:
    with suppress(FileNotFoundError):
        return max(start_wh, int(json.loads(state.read_text())["register_wh"]))
    return start_wh


def _store(state: Path, register_wh: int) -> None:
    part = state.with_suffix(".part")
    part.write_text(json.dumps({"register_wh": register_wh}))
    os.replace(part, state)


async def _run(host: str, port: int, watts: float, profile: str, state: Path, start_wh: int) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    meter = await serve_meter(
        host,
        port,
        lambda: watts,
        load_modbus_profile(profile),
        _load(state, start_wh),
        on_answer=lambda register_wh: _store(state, register_wh),
    )
    click.echo(json.dumps({"port": meter.port}))
    await ended.wait()
    _store(state, meter.register.wh())
    await meter.stop()


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 takes a free one.")
@click.option("--watts", type=click.FloatRange(0), required=True, help="Power that it counts.")
@click.option("--profile", default="tarazy-demo", show_default=True)
@click.option("--start-wh", type=click.IntRange(0), default=0, help="Register of a new meter.")
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), required=True)
def main(host: str, port: int, watts: float, profile: str, start_wh: int, state: Path) -> None:
    """Serve a simulated meter until SIGTERM."""
    try:
        asyncio.run(_run(host, port, watts, profile, state, start_wh))
    except OSError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
