"""Nobody keeps the loop from the others by what it sends."""

from __future__ import annotations

import asyncio
import time

import orjson
import pytest

from tarazy.stratum.limits import Hit
from tarazy.stratum.ports import Admission, Peer
from tests.stratum.house import Client, Pool
from tests.stratum.loops import on_both_loops
from tests.stratum.test_edge import serving

SILENT = b'{"id":null,"method":"mining.ping"}\n'
"""A request that is not answered."""
LAST = b'{"id":9,"method":"mining.ping"}\n'


@pytest.mark.parametrize("line", [b"\n", SILENT])
@on_both_loops
async def test_a_megabyte_is_heard_in_many_turns(loop: asyncio.AbstractEventLoop, line: bytes) -> None:
    """C-005: the others get their turn in between, and nothing is lost or out of order."""
    async with serving(loop) as served:
        miner = await served.miner()
        longest = 0.0
        began = turned = time.thread_time()
        miner.write(line * ((1 << 20) // len(line)) + LAST)
        answer = loop.create_task(miner.read())
        while not answer.done():
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - turned)
            turned = time.thread_time()
        assert answer.result() == {"id": 9, "result": "pong", "error": None}
        assert longest < (turned - began) / 5
        miner.writer.close()


@on_both_loops
async def test_what_waits_for_a_later_turn_is_answered_before_a_planned_end(loop: asyncio.AbstractEventLoop) -> None:
    """C-094: a share behind much else, of which only the beginning was heard when the miner was dismissed."""
    async with serving(loop) as served:
        miner = await served.miner()
        admit = served.gate.admit

        def admit_and_dismiss(name: str, password: str, peer: Peer) -> Admission:
            loop.call_soon(served.server.dismiss, 1)
            return admit(name, password, peer)

        served.gate.admit = admit_and_dismiss  # type: ignore[method-assign]
        login = b'{"id":6,"method":"mining.authorize","params":["acme.rig08","x"]}\n'
        miner.write(login + SILENT * 500 + orjson.dumps(miner.share(7)) + b"\n")
        said = (await miner.rest()).splitlines()
        assert b'{"id":7,"result":true,"error":null}' in said


def test_empty_lines_count_before_ready() -> None:
    """C-004: they cost a little too; a miner at work may send them."""
    stranger = Client(Pool())
    stranger.send(b"{}\n" + b"\n" * 20)
    assert stranger.session.ended
    assert stranger.pool.board.counters.hits[Hit.UNREADY_MESSAGES] == 1
    miner = Pool().connect("acme.rig07")
    miner.send(b"\r\n\n" * 100 + LAST)
    assert miner.hear() == [{"id": 9, "result": "pong", "error": None}]
