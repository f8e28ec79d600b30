"""Machines asked for their power over real sockets: plausible answers of four kinds of firmware, and hostile ones.

The answers are made for these tests; names, nesting, units and faults (the missing comma, the NUL, the number with a
remark) are those seen in public tests of UpstreamData/pyasic and other programs. None was recorded from a machine here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from tarazy.accounting.energy import asic
from tarazy.accounting.energy.asic import AsicError, Claim, ask, ask_all, claimed_power, parse_answer, power_of
from tests.accounting.energy.support import on_asyncio

NOW = datetime(2026, 11, 26, tzinfo=UTC)
WHATSMINER = (
    b'{"STATUS":[{"STATUS":"S","Msg":"Summary"}],"SUMMARY":[{"MHS av":84983730.62,"Power":3593,"Power Rate":42.31}]}\0'
)
BTMINER_SILENT = b'{"STATUS":[{"STATUS":"S"}],"SUMMARY":[{"MHS av":84983730.62,"Power":-1}]}'
ANTMINER_SUMMARY = (
    b'{"STATUS":[{"STATUS":"S","Msg":"Summary"}],"SUMMARY":[{"GHS 5s":"201000.11","GHS av":200990.1}],"id":1}\0'
)
ANTMINER_STATS = (
    b'{"STATUS":[{"STATUS":"S","Msg":"CGMiner stats"}],"STATS":[{"BMMiner":"1.0.0","Type":"Antminer S21"}'
    b'{"STATS":0,"ID":"BTM_SOC0","chain_power":"3250 W"}],"id":1}\0'
)
"""Without the comma between its objects, as older firmware answers."""
ANTMINER_OLD = b'{"STATS":[{"STATS":0,"chain_power1":0,"chain_power6":234.84,"chain_power":"456.78 (AB)"}]}\0'
AVALON = (
    b'{"STATS":[{"STATS":0,"ID":"AVA100","MM ID0":"Ver[15-194] TMax[78] PS[0 1209 1187 297 3526] WALLPOWER[3731]\x01'
    b' GHSavg[184007.00]","MM Count":1},{"STATS":1,"ID":"POOL0"}]}\0'
)
REFUSED = b'{"STATUS":[{"STATUS":"E","Code":14,"Msg":"Invalid command"}]}\0'


@asynccontextmanager
async def machine(answers: dict[str, bytes], asked: list[str]) -> AsyncIterator[int]:
    """A TCP server that answers each command once and ends the connection; gives its port."""

    async def serve(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        command = json.loads(await incoming.read(1024))["command"]
        asked.append(command)
        outgoing.write(answers.get(command, REFUSED))
        outgoing.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("answers", "watts"),
    [
        ({"summary": WHATSMINER}, 3593),
        ({"summary": BTMINER_SILENT}, None),
        ({"summary": ANTMINER_SUMMARY, "stats": ANTMINER_STATS}, 3250),
        ({"summary": ANTMINER_SUMMARY, "stats": ANTMINER_OLD}, 456),
        ({"summary": ANTMINER_SUMMARY, "estats": AVALON}, 3731),
        ({"summary": ANTMINER_SUMMARY}, None),
    ],
    ids=["whatsminer", "unknown", "antminer", "old antminer", "avalon", "tells none"],
)
@on_asyncio
async def test_power_of_each_firmware(answers: dict[str, bytes], watts: int | None) -> None:
    """Whole watts, or none; nothing is sent that could change a machine."""
    asked: list[str] = []
    async with machine(answers, asked) as port:
        assert await power_of("127.0.0.1", port) == watts
    assert set(asked) <= {"summary", "stats", "estats"}
    with pytest.raises(ValueError, match="only read"):
        await ask("127.0.0.1", 1, "restart")


@pytest.mark.parametrize(
    "answer",
    [b"", b"\0", b"\xff\xfe\0", b"[]\0", b'{"SUMMARY":[{"Power":35', b"[" * 100_000, b'{"a":NaN}', b"null"],
    ids=["nothing", "nul", "no text", "a list", "cut off", "deep", "nan", "null"],
)
def test_an_answer_that_is_none(answer: bytes) -> None:
    """Told as such."""
    with pytest.raises(AsicError):
        parse_answer(answer)


@pytest.mark.parametrize(
    "section",
    [
        '{"SUMMARY":[{"Power":1e300}]}',
        '{"SUMMARY":[{"Power":true}]}',
        '{"SUMMARY":{"Power":3000}}',
        '{"SUMMARY":[3000]}',
        '{"SUMMARY":[{"Power":"3000; reboot"}]}',
        '{"STATS":[{"MM ID0":["WALLPOWER[3000]"]}]}',
        '{"STATS":[{"MM ID0":"WALLPOWER[9999999999]"}]}',
        '{"STATS":[{"chain_power":"900000 W"}]}',
        '{"STATS":[' + ",".join(['{"power":99999}'] * 9) + "]}",
    ],
)
def test_what_is_no_power_is_none(section: str) -> None:
    """Of another kind, or beyond what any machine draws."""
    assert claimed_power(parse_answer(section.encode())) is None


@on_asyncio
async def test_hostile_machines_cost_little_and_spoil_no_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sends without end, one nothing at all, one is not there; the fourth counts."""
    monkeypatch.setattr(asic, "SECONDS", 0.3)
    sent = 0

    async def flood(_incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        nonlocal sent
        while not outgoing.is_closing():
            outgoing.write(b"x" * 65_536)
            sent += 65_536
            await outgoing.drain()

    async def hold(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        await incoming.read()
        outgoing.close()

    servers = [await asyncio.start_server(serve, "127.0.0.1", 0) for serve in (flood, hold)]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    async with machine({"summary": WHATSMINER}, []) as port:
        told = await ask_all([("127.0.0.1", each) for each in (*ports, 1, port)], NOW)
    for server in servers:
        server.close()
    assert told == Claim(NOW, 4, 1, 1, 3593)
    assert sent < 64 * asic.LONGEST
