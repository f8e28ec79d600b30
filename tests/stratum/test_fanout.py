"""A new block goes to everybody at once; whatever else is due comes behind it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import replace

import orjson
import pytest

from tests.stratum.test_server import Served, in_loop, the_loop

MINERS = 60


@pytest.fixture
def served() -> Iterator[Served]:
    """A running server."""
    running = Served()
    yield running
    running.server.stop()


def jobs(miner: socket.socket) -> list[bool]:
    """The jobs that have reached a miner's socket since last asked: for each, whether it is clean."""
    try:
        data = miner.recv(1 << 20, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return []
    messages = [orjson.loads(line) for line in data.splitlines()]
    return [each["params"][-1] for each in messages if each.get("method") == "mining.notify"]


async def connected(served: Served) -> list[socket.socket]:
    """Ready miners, all of which wait for a job of their own because they asked for another difficulty."""
    miners = []
    loop = the_loop()
    for number in range(MINERS):
        miner = socket.create_connection(("127.0.0.1", served.port))
        miner.setblocking(False)
        lines = (
            '{"id":1,"method":"mining.subscribe","params":[]}',
            f'{{"id":2,"method":"mining.authorize","params":["acme.rig{number}"]}}',
            '{"id":3,"method":"mining.suggest_difficulty","params":[0.0625]}',
        )
        await loop.sock_sendall(miner, "\n".join((*lines, "")).encode())
        data = b""
        while b'"id":3,' not in data:
            data += await loop.sock_recv(miner, 1 << 16)
        miners.append(miner)
    return miners


@in_loop
async def test_a_new_block_reaches_all_before_any_refresh(served: Served) -> None:
    """C-052: when the loop comes to the next thing, each miner's socket has the new job, and nothing came before it."""
    miners = await connected(served)
    at_refresh: list[list[bool]] = []

    def refresh() -> None:
        at_refresh.extend(jobs(miner) for miner in miners)
        served.publish(b"\x22" * 32)

    for miner in miners:
        jobs(miner)
    served.publish(b"\x22" * 32)
    the_loop().call_soon(refresh)
    while not at_refresh:
        await asyncio.sleep(0)
    assert at_refresh == [[True]] * MINERS
    await asyncio.sleep(0)
    assert [jobs(miner) for miner in miners] == [[False]] * MINERS
    for miner in miners:
        miner.close()


@in_loop
async def test_a_mask_changed_at_run_time_reaches_those_who_roll(served: Served) -> None:
    """C-074: through the server, with the next job; a mask that the present job forbids changes nothing."""
    rolling, plain = await served.connect(), await served.miner("acme.rig08")
    rolling.write({"id": 1, "method": "mining.configure", "params": [["version-rolling"], {}]})
    rolling.write({"id": 2, "method": "mining.subscribe", "params": []})
    rolling.write({"id": 3, "method": "mining.authorize", "params": ["acme.rig07"]})
    while rolling.job is None:
        await rolling.read()
    with pytest.raises(ValueError, match="inside the mask"):
        served.server.follow(replace(served.server.board.rules, version_mask=0x20000000))
    served.server.follow(replace(served.server.board.rules, version_mask=0x0000F000))
    served.publish()
    assert (await plain.read())["method"] == "mining.notify"
    announcement, notify = await rolling.read(), await rolling.read()
    assert (announcement["method"], announcement["params"]) == ("mining.set_version_mask", ["0000f000"])
    assert notify["method"] == "mining.notify"
