"""The rest of the network, as a process over real HTTP."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThread

from tarazy.pool.chain.embedded import EmbeddedChain
from tarazy.pool.chain.interface import SubmitVerdict
from tarazy.pool.chain.peer import PeerEntrance
from tarazy.pool.chain.transactions import block_transactions
from tarazy.pool.demo.network import TRANSACTION_FEE, AwayError, Client, Network
from tests.pool.mining import hash_of, solve
from tests.pool.under_reactor import in_reactor

_CHILD = """
import sys
from tarazy.pool.demo.network import run_network
run_network(sys.argv[1], burst_blocks=int(sys.argv[2]), burst_seconds=0.3, orphan_every=int(sys.argv[3]), seed=7)
"""


class Tips:
    """Waits for a chain to become as a test wants it."""

    def __init__(self, chain: EmbeddedChain) -> None:
        self._changed: Deferred[None] = Deferred()
        chain.on_tip(self._change)

    def _change(self) -> None:
        changed, self._changed = self._changed, Deferred()
        changed.callback(None)

    async def until(self, holds: Callable[[], Deferred[bool]]) -> None:
        """Look again after each change of the tip."""
        while True:
            changed = self._changed
            if await holds():
                return
            await changed


def start(port: int, *, blocks: int, orphan_every: int) -> subprocess.Popen[bytes]:
    """The process."""
    return subprocess.Popen(
        [sys.executable, "-c", _CHILD, f"http://127.0.0.1:{port}", str(blocks), str(orphan_every)],
        stdout=subprocess.DEVNULL,
    )


async def open_chain(directory: Path) -> EmbeddedChain:
    """A chain on the real reactor; regtest's own target."""
    return await EmbeddedChain.open(cast(IReactorFromThreads, reactor), directory, -32)


@in_reactor
async def test_process_mines_and_orphans_our_blocks_until_sigterm(tmp_path: Path) -> None:
    """It buries one block of ours and orphans the next one with a longer branch; SIGTERM ends it with 0."""
    chain = await open_chain(tmp_path)
    tips = Tips(chain)
    entrance = PeerEntrance(chain, reactor, 0)
    child = start(entrance.port, blocks=2, orphan_every=2)
    try:

        async def ours() -> bytes:
            while True:
                block = solve(await chain.template())
                if (await chain.submit(block)).verdict is SubmitVerdict.ACCEPTED:
                    return hash_of(block)

        def stands(name: bytes, wanted: Callable[[int], bool]) -> Callable[[], Deferred[bool]]:
            return lambda: chain.confirmations(name).addCallback(lambda count: wanted(count or 0))

        await tips.until(lambda: chain.tip().addCallback(lambda tip: tip.height > 101))
        buried = await ours()
        await tips.until(stands(buried, lambda count: count >= 3))
        orphaned = await ours()
        await tips.until(stands(orphaned, lambda count: count == -1))
        assert (await chain.confirmations(buried) or 0) >= 3
        child.send_signal(signal.SIGTERM)
        assert await cast("Deferred[int]", deferToThread(child.wait, 10)) == 0
    finally:
        child.kill()
        child.wait()
        await entrance.stop()
        await chain.close()


@in_reactor
async def test_process_waits_for_a_server_that_is_away(tmp_path: Path) -> None:
    """Started before the server it retries, and mines when the server is there."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    child = start(port, blocks=1, orphan_every=0)
    chain = await open_chain(tmp_path)
    tips = Tips(chain)
    entrance = PeerEntrance(chain, reactor, port)
    try:
        await tips.until(lambda: chain.tip().addCallback(lambda tip: tip.height > 101))
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()
        await entrance.stop()
        await chain.close()


@in_reactor
async def test_transactions_of_the_network_are_mined(tmp_path: Path) -> None:
    """It spends the first blocks' coins, matured, with a fee; its next block carries the transaction."""
    chain = await open_chain(tmp_path)
    entrance = PeerEntrance(chain, reactor, 0)
    network = Network(Client(f"http://127.0.0.1:{entrance.port}"), orphan_every=0, seed=1)

    def play() -> tuple[str | None, str | None, str | None]:
        network.join()
        sent = network.send_transaction(), network.send_transaction(), network.send_transaction()
        network.burst(1)
        return sent

    first, second, third = await cast("Deferred[tuple[Any, Any, Any]]", deferToThread(play))
    assert None not in (first, second)
    assert third is None
    tip = await chain.tip()
    mined = block_transactions(await chain.block(tip.block_hash) or b"")
    assert [each.txid[::-1].hex() for each in mined[1:]] == [first, second]
    assert mined[0].outputs[0].value == 50 * 10**8 + 2 * TRANSACTION_FEE
    assert (await chain.template()).transactions == ()
    await entrance.stop()
    await chain.close()


def test_client_reaches_loopback_only_and_says_when_nobody_answers() -> None:
    """It is no tool against other people's nodes; a closed port is an error the loop can wait on."""
    with pytest.raises(ValueError, match="only"):
        Client("http://example.org:8332")
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        with pytest.raises(AwayError):
            Client(f"http://127.0.0.1:{reserved.getsockname()[1]}")("getbestblockhash")
