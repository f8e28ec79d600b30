"""The embedded chain as the server uses it: on its own thread, under the reactor."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import cast

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads

from tarazy.pool.chain.embedded import EmbeddedChain
from tarazy.pool.chain.interface import Chain, SubmitVerdict
from tarazy.pool.chain.pending import TransactionRefusedError
from tarazy.pool.chain.regtest import ChainError
from tests.pool.mining import hash_of, solve
from tests.pool.under_reactor import in_reactor


def open_chain(directory: Path, exponent: int = -32) -> Deferred[EmbeddedChain]:
    """A chain on the real reactor."""
    opening = EmbeddedChain.open(cast(IReactorFromThreads, reactor), directory, exponent)
    return Deferred.fromCoroutine(opening)


@in_reactor
async def test_tip_listeners_are_called_in_the_reactors_thread(tmp_path: Path) -> None:
    """Once after each change of the tip, not for a block that changes nothing; calls are answered in order."""
    embedded = await open_chain(tmp_path)
    chain: Chain = embedded
    called: list[tuple[bool, Deferred[None]]] = []
    arrived: list[Deferred[None]] = [Deferred(), Deferred()]

    def listener() -> None:
        called.append((threading.current_thread() is threading.main_thread(), arrived[len(called)]))
        called[-1][1].callback(None)

    chain.on_tip(listener)
    template = await chain.template()
    block, rival = solve(template), solve(template, extranonce=1)
    assert (await chain.submit(block)).verdict is SubmitVerdict.ACCEPTED
    await arrived[0]
    assert (await embedded.relay(rival)).verdict is SubmitVerdict.INCONCLUSIVE
    assert (await chain.submit(solve(await chain.template()))).verdict is SubmitVerdict.ACCEPTED
    await arrived[1]
    assert [in_reactor for in_reactor, _ in called] == [True, True]
    assert (await chain.tip()).height == 103
    assert await chain.confirmations(hash_of(block)) == 2
    assert await chain.confirmations(bytes(32)) is None
    await chain.close()


@in_reactor
async def test_closed_chain_answers_with_an_error(tmp_path: Path) -> None:
    """Calls before the close are answered, later ones fail at once; closing twice is fine."""
    chain = await open_chain(tmp_path)
    waiting = chain.template()
    closing = chain.close()
    assert (await waiting).height == 102
    with pytest.raises(ChainError, match="closed"):
        await chain.template()
    await closing
    await chain.close()


@in_reactor
async def test_directory_in_use_is_refused_in_words(tmp_path: Path) -> None:
    """A second opening fails and says so; after the first closed, it works."""
    first = await open_chain(tmp_path)
    with pytest.raises(ChainError, match="in use by another process; stop that one"):
        await open_chain(tmp_path)
    await first.close()
    second = await open_chain(tmp_path)
    assert (await second.tip()).height == 101
    await second.close()


@in_reactor
async def test_refused_transaction_fails_the_deferred(tmp_path: Path) -> None:
    """The reason travels through the thread."""
    chain = await open_chain(tmp_path)
    with pytest.raises(TransactionRefusedError, match="TX decode failed"):
        await chain.add_transaction(b"junk")
    await chain.close()
