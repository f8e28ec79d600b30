"""One meter over a real Modbus TCP conversation: each way to fail is a status, and passes."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import replace

import pytest
from pymodbus.constants import ExcCodes

from tarazy.accounting.energy.modbus import ModbusMeter
from tarazy.accounting.energy.profiles import load_modbus_profile
from tests.accounting.energy.support import PROFILE, SILENCE, Answer, meter, on_asyncio, scripted_meter

MEASURED = load_modbus_profile(PROFILE)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@on_asyncio
async def test_a_register_is_read_over_the_wire() -> None:
    """Cumulative watt-hours arrive as whole numbers, on one connection that is kept."""
    async with scripted_meter() as (server, where):
        device = ModbusMeter(where, MEASURED)
        for register in (0, 1, 123_456_789_012, 2**63 - 1):
            server.answer = register
            assert await device.read() == (register, "ok")
        device.close()


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (ExcCodes.DEVICE_BUSY, "exception"),
        (ExcCodes.ILLEGAL_ADDRESS, "exception"),
        (SILENCE, "silent"),
        ([0xFFFF] * 4, "garbage"),
        ([0x8000, 0, 0, 0], "garbage"),
    ],
)
@on_asyncio
async def test_a_failure_is_a_status_and_passes(fault: Answer, status: str) -> None:
    """Error answer, silence and garbage are told apart, and the meter is read again when it recovers."""
    async with scripted_meter() as (server, where):
        device = ModbusMeter(where, MEASURED, timeout_seconds=0.2)
        server.answer = 10
        assert await device.read() == (10, "ok")
        server.answer = fault
        assert await device.read() == (None, status)
        server.answer = 20
        assert await device.read() == (20, "ok")
        device.close()


@on_asyncio
async def test_an_address_the_meter_does_not_have_is_an_exception() -> None:
    """A profile for another kind of meter is answered with an error, not with a number."""
    async with scripted_meter() as (_, where):
        elsewhere = MEASURED.model_copy(update={"address": 4000})
        device = ModbusMeter(where, elsewhere)
        assert await device.read() == (None, "exception")
        device.close()


@on_asyncio
async def test_a_refused_connection_is_a_status() -> None:
    """Nobody listens: refused, without waiting for the time limit."""
    device = ModbusMeter(replace(meter(), port=_free_port()), MEASURED)
    began = time.monotonic()
    assert await device.read() == (None, "refused")
    assert time.monotonic() - began < 3


@on_asyncio
async def test_a_meter_that_restarts_is_read_again() -> None:
    """The connection broke; the next read opens a new one."""
    async with scripted_meter() as (server, where):
        server.answer = 5
        device = ModbusMeter(where, MEASURED, timeout_seconds=0.2)
        assert await device.read() == (5, "ok")
    assert (await device.read())[1] in ("refused", "silent")
    async with scripted_meter() as (server, again):
        server.answer = 6
        device = ModbusMeter(again, MEASURED)
        assert await device.read() == (6, "ok")
        device.close()


@pytest.mark.parametrize("noise", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00" * 300, b""])
@on_asyncio
async def test_another_protocol_on_the_port_is_a_status(noise: bytes) -> None:
    """A server that is no meter, or closes at once, gives a status within the time limit."""

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(noise)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    device = ModbusMeter(replace(meter(), port=port), MEASURED, timeout_seconds=0.2)
    value, status = await device.read()
    assert value is None
    assert status in ("silent", "refused")
    server.close()
    await server.wait_closed()


@on_asyncio
async def test_a_silent_connection_is_not_used_again() -> None:
    """A peer that vanished leaves a connection that swallows everything: the next read opens another."""
    connections = 0

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.read()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    where = replace(meter(), port=server.sockets[0].getsockname()[1])
    device = ModbusMeter(where, MEASURED, timeout_seconds=0.1)
    assert [await device.read() for _ in range(2)] == [(None, "silent")] * 2
    assert connections == 2
    server.close()
    await server.wait_closed()


@on_asyncio
async def test_an_answer_that_cannot_be_decoded_is_silence_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A function that nobody knows: pymodbus raises in the event loop, whose own lines carry addresses."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readexactly(12)
        writer.write(asked[:4] + b"\0\x03" + asked[6:7] + b"\x63\0")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    device = ModbusMeter(replace(meter(), port=server.sockets[0].getsockname()[1]), MEASURED, timeout_seconds=0.2)
    assert await device.read() == (None, "silent")
    device.close()
    server.close()
    assert [line.name for line in caplog.records] == []
