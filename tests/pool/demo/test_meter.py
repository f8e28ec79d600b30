"""The simulated meter: a real Modbus server and a real process whose register only ever grows."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tarazy.accounting.energy.meter import Meter
from tarazy.accounting.energy.modbus import ModbusMeter
from tarazy.accounting.energy.profiles import load_modbus_profile
from tarazy.pool.demo.meter import serve_meter
from tests.accounting.energy.support import on_asyncio

PROFILE = "tarazy-demo"
MEGAWATTS = 3_600_000_000.0
"""A power at which the register grows by a watt-hour a microsecond."""


def _device(port: int, profile: str = PROFILE) -> ModbusMeter:
    return ModbusMeter(Meter("m1", "site-1", "127.0.0.1", port, 1, profile), load_modbus_profile(profile))


async def _register(port: int) -> int:
    device = _device(port)
    value, status = await device.read()
    device.close()
    assert status == "ok"
    assert value is not None
    return value


@contextmanager
def _process(state: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "tarazy.pool.demo.meter", "--watts", str(MEGAWATTS), "--state", str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            yield child, json.loads(child.stdout.readline())["port"]
        finally:
            child.kill()


@on_asyncio
async def test_the_register_grows_with_the_power() -> None:
    """Energy is power times the time between two answers, and stands still without power."""
    power = MEGAWATTS
    meter = await serve_meter("127.0.0.1", 0, lambda: power, load_modbus_profile(PROFILE), start_wh=5_000_000)
    began = time.monotonic()
    first = await _register(meter.port)
    second = await _register(meter.port)
    elapsed = time.monotonic() - began
    assert 5_000_000 <= first < second
    assert second - first <= elapsed * 1_000_000
    power = 0.0
    assert await _register(meter.port) == await _register(meter.port)
    await meter.stop()


@pytest.mark.parametrize("profile", ["tarazy-demo", "generic-uint32-100wh"])
@on_asyncio
async def test_it_speaks_every_profile(profile: str) -> None:
    """Address, kind of registers, word order and scale are the profile's, rollover included."""
    start = 100_000_070_000_000
    meter = await serve_meter("127.0.0.1", 0, lambda: 0.0, load_modbus_profile(profile), start_wh=start)
    device = _device(meter.port, profile)
    kind = load_modbus_profile(profile)
    assert await device.read() == (start // kind.wh_per_count % kind.counts, "ok")
    device.close()
    await meter.stop()


@on_asyncio
async def test_an_address_in_use_is_told() -> None:
    """A second meter on the same port fails with a cure."""
    meter = await serve_meter("127.0.0.1", 0, lambda: 0.0, load_modbus_profile(PROFILE))
    with pytest.raises(OSError, match="is taken; choose another"):
        await serve_meter("127.0.0.1", meter.port, lambda: 0.0, load_modbus_profile(PROFILE))
    await meter.stop()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
@on_asyncio
async def test_a_restarted_meter_goes_on(tmp_path: Path, ending: signal.Signals) -> None:
    """The register is never below what was answered, ended cleanly or killed; SIGTERM exits 0."""
    state = tmp_path / "meter.json"
    with _process(state) as (child, port):
        answered = await _register(port)
        child.send_signal(ending)
        code = await asyncio.to_thread(child.wait, 10)
    assert code == (0 if ending == signal.SIGTERM else -signal.SIGKILL)
    assert json.loads(state.read_text())["register_wh"] >= answered
    with _process(state) as (_, port):
        assert await _register(port) >= answered
