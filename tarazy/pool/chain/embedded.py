"""A regtest chain inside the process, for development and demonstration. It is not for real coins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any, ParamSpec, TypeVar

import structlog
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from tarazy.pool.chain.engine import Header
from tarazy.pool.chain.interface import Submission, Template, Tip
from tarazy.pool.chain.regtest import ChainError, RegtestChain

P = ParamSpec("P")
T = TypeVar("T")

_log = structlog.get_logger()


class _EngineThread(Thread):
    """Does not keep a process from ending that failed before it closed the chain."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, daemon=True)


class EmbeddedChain:
    """The `Chain` that Bitcoin Core's consensus engine keeps on regtest. **Not for real coins.**

    Every second hash meets regtest's target, which nbits states. So `template` carries a stricter one of
    this chain's own, and `submit` refuses what misses it as `high-hash` before the engine sees it; the engine
    judges the rest. All of that happens on one thread of its own.
    """

    @classmethod
    async def open(cls, reactor: IReactorFromThreads, directory: Path, block_exponent: int) -> EmbeddedChain:
        """The chain in `directory`, begun with 101 blocks when new.

        `block_exponent`: the stricter target is that of difficulty 2**block_exponent. Raises `ChainError`
        when another process uses the directory.
        """
        chain = cls(reactor)
        try:
            await chain._run(chain._begin, directory, block_exponent)
        except BaseException:
            chain._thread.stop()
            raise
        return chain

    def __init__(self, reactor: IReactorFromThreads) -> None:
        """Use `open` instead."""
        self.failovers = 0
        self._reactor = reactor
        self._listeners: list[Callable[[], None]] = []
        self._closed = False
        self._thread = ThreadPool(minthreads=1, maxthreads=1, name="chain")
        self._thread.threadFactory = _EngineThread
        self._thread.start()

    def nodes_up(self) -> dict[str, bool]:
        """None: the chain is in the process itself."""
        return {}

    def template(self) -> Deferred[Template]:
        """The template for the block after the tip, with the pending transactions."""
        return self._run(lambda: self._chain.template())

    def empty_template(self, last: Template) -> Deferred[Template | None]:
        """None: `template` takes no time here."""
        return succeed(None)

    def submit(self, block: bytes) -> Deferred[Submission]:
        """Offer a block of the pool: it must meet this chain's own target, then the engine decides."""
        return self._run(lambda: self._judge(self._chain.submit, block))

    def propose(self, block: bytes) -> Deferred[str | None]:
        """Why a block on the tip would be refused, its work aside; None when it would not."""
        return self._run(lambda: self._chain.propose(block))

    def relay(self, block: bytes) -> Deferred[Submission]:
        """Take a block from the rest of a demo network, judged by the engine alone.

        The stricter target does not hold here: the rest of the network is given its hash power and need not
        show it. Whoever reaches this entrance can rewrite the chain.
        """
        return self._run(lambda: self._judge(self._chain.relay, block))

    def add_transaction(self, raw: bytes) -> Deferred[bytes]:
        """Let a transaction wait for a block; answers its txid, or fails with `TransactionRefusedError`."""
        return self._run(lambda: self._chain.add_transaction(raw))

    def wallet(self, method: str, *parameters: Any) -> Deferred[Any]:
        """The answer to a call of the chain's wallet; fails with `WalletError`."""
        return self._run(lambda: self._chain.wallet.call(method, *parameters))

    def tip(self) -> Deferred[Tip]:
        """The best block."""
        return self._run(lambda: self._chain.engine.tip())

    def confirmations(self, block_hash: bytes) -> Deferred[int | None]:
        """1 for the tip, more below it, -1 off the main chain, None when unknown."""
        return self._run(lambda: self._chain.engine.confirmations(block_hash))

    def header(self, block_hash: bytes) -> Deferred[Header | None]:
        """Header and place of a block, None when unknown."""
        return self._run(lambda: self._chain.engine.header(block_hash))

    def block(self, block_hash: bytes) -> Deferred[bytes | None]:
        """A stored block, None when there is none."""
        return self._run(lambda: self._chain.engine.block(block_hash))

    def on_tip(self, listener: Callable[[], None]) -> None:
        """Call `listener` in the reactor's thread after each change of the tip."""
        self._listeners.append(listener)

    def close(self) -> Deferred[None]:
        """Flush and stop; calls made before are answered first, later ones fail with `ChainError`."""
        if self._closed:
            return succeed(None)
        closing = self._run(lambda: self._chain.close())
        self._closed = True

        def stop(result: T) -> T:
            self._thread.stop()
            return result

        return closing.addBoth(stop)

    def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        if self._closed:
            return fail(ChainError("the chain is closed"))
        return deferToThreadPool(self._reactor, self._thread, work, *args, **kwargs)

    def _begin(self, directory: Path, block_exponent: int) -> None:
        self._chain = RegtestChain(directory, block_exponent)
        height = self._chain.engine.tip().height
        _log.warning("embedded_chain_open", note="regtest, not for real coins", height=height)

    def _judge(self, judge: Callable[[bytes], Submission], block: bytes) -> Submission:
        before = self._chain.engine.tip()
        answer = judge(block)
        if self._chain.engine.tip() != before:
            self._reactor.callFromThread(self._announce)
        return answer

    def _announce(self) -> None:
        for listener in tuple(self._listeners):
            listener()
