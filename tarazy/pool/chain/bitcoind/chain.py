"""The chain that bitcoind nodes keep: one node leads, all of them get our blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.threads import deferToThread

from tarazy.config.settings import BitcoindChainSettings
from tarazy.pool.chain.bitcoind.credentials import credentials_of
from tarazy.pool.chain.bitcoind.empty import HALVING_INTERVALS, empty_template
from tarazy.pool.chain.bitcoind.faults import Fault, NodeError
from tarazy.pool.chain.bitcoind.leadership import Floor, Leadership
from tarazy.pool.chain.bitcoind.node import LOOK_SECONDS, Node
from tarazy.pool.chain.bitcoind.rpc import Rpc
from tarazy.pool.chain.bitcoind.words import best_submission, call_body
from tarazy.pool.chain.interface import Submission, SubmitVerdict, Template, Tip

_T = TypeVar("_T")
_Asking = Coroutine[Deferred[Any], Any, _T]
_log = structlog.get_logger()


class BitcoindChain:
    """The `Chain` of a pool on real nodes.

    The first node of the settings that is well leads: its templates are mined on. When it is not, the next one
    takes over in the middle of a call. New blocks are told by the leader's long poll, by ZMQ and by asking
    every second; whichever comes first counts (C-096).
    """

    def __init__(self, reactor: Any, settings: BitcoindChainSettings, *, look_seconds: float = LOOK_SECONDS) -> None:
        self.failovers = 0
        """How often another node took over."""
        self._reactor = reactor
        self._halving_interval = HALVING_INTERVALS[settings.network] if settings.empty_job_first else None
        self._listeners: list[Callable[[], None]] = []
        self._leadership = Leadership()
        self._leader: Node | None = None
        self._last_leader: Node | None = None
        self._floor: Floor | None = None
        self._worked_on: bytes | None = None
        self._told: bytes | None = None
        self._asking: dict[Deferred[Any], Node] = {}
        self._asked: Deferred[None] = Deferred()
        self._closed = False
        self._nodes = [
            Node(
                reactor,
                number,
                Rpc(reactor, each.url, credentials_of(each)),
                network=settings.network,
                pinned=settings.pinned_blocks,
                zmq=each.zmq,
                on_tip=self._tip_seen,
                on_change=self._reconsider,
                look_seconds=look_seconds,
            )
            for number, each in enumerate(settings.nodes, 1)
        ]

    def start(self) -> Deferred[None]:
        """Begin to watch the nodes. Fires as soon as one leads, or when all have been asked in vain."""
        for node in self._nodes:
            node.start()
        return self._asked

    def nodes_up(self) -> dict[str, bool]:
        """Node number → whether it is well."""
        return {str(node.number): node.fault is None for node in self._nodes}

    def template(self) -> Deferred[Template]:
        """The leader's template; another node's if the leader fails meanwhile. Fails with `NodeError`."""
        return Deferred.fromCoroutine(self._template())

    def empty_template(self, last: Template) -> Deferred[Template | None]:
        """A template without transactions on the leader's best block, if that has more work than was mined on so far.

        None too where the settings do not want it, or where nbits may be another than in `last`.
        """
        return Deferred.fromCoroutine(self._empty_template(last))

    def submit(self, block: bytes) -> Deferred[Submission]:
        """Offer a block to all nodes at once. The first that takes it answers; a refusal is one of all nodes.

        Fails with `NodeError` when no node took it and some gave no answer: it is to be offered again.
        """
        return Deferred.fromCoroutine(self._submit(block))

    def propose(self, block: bytes) -> Deferred[str | None]:
        """Why the leader would refuse a block, its work aside; None when it would not."""
        return Deferred.fromCoroutine(self._with_leader(lambda node: node.propose(block)))

    def tip(self) -> Deferred[Tip]:
        """The leader's best block."""
        return Deferred.fromCoroutine(self._with_leader(lambda node: node.tip()))

    def confirmations(self, block_hash: bytes) -> Deferred[int | None]:
        """1 for the leader's tip, more below it, -1 off its main chain, None when unknown to it."""
        return Deferred.fromCoroutine(self._with_leader(lambda node: node.confirmations(block_hash)))

    def block(self, block_hash: bytes) -> Deferred[bytes | None]:
        """A block that the leader has; None when it is unknown to it, or pruned."""
        return Deferred.fromCoroutine(self._with_leader(lambda node: node.block(block_hash)))

    def on_tip(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each change of the leader's tip, and when another node leads."""
        self._listeners.append(listener)

    def close(self) -> Deferred[None]:
        """Ask the nodes nothing any more."""
        self._closed = True
        for asking in tuple(self._asking):
            asking.cancel()
        closing: Deferred[Any] = DeferredList([Deferred.fromCoroutine(node.close()) for node in self._nodes])
        return closing.addCallback(lambda _: None)

    async def _template(self) -> Template:
        for _ in range(len(self._nodes) + 1):
            node = self._leader
            if node is None:
                break
            asking = Deferred.fromCoroutine(self._from(node))
            self._asking[asking] = node
            try:
                return await asking
            except NodeError as error:
                if node is self._leader:
                    node.fail(error)
            except Exception:
                if self._closed or node is self._leader:
                    raise
            finally:
                del self._asking[asking]
        raise self._leaderless()

    async def _from(self, node: Node) -> Template:
        """Its template; asked for again if an empty one on a newer block was given out meanwhile."""
        index = self._nodes.index(node)
        while True:
            floor = self._floor
            template = await node.template()
            previous = template.previous_block_hash
            if self._floor is floor and (floor is None or floor.node != index or previous != self._worked_on):
                work = await node.work(previous)
                if self._floor is floor:
                    if floor is not None and work < floor.work and floor.node != index:
                        raise NodeError(Fault.BEHIND, "its template is behind what is mined on already")
                    self._floor, self._worked_on = Floor(work, index), previous
            if previous == self._worked_on:
                return template

    async def _empty_template(self, last: Template) -> Template | None:
        node, halving_interval = self._leader, self._halving_interval
        if node is None or halving_interval is None:
            return None
        try:
            best = await node.best()
        except NodeError as error:
            _log.info("no_empty_job", node=node.number, reason=str(error))
            return None
        floor = self._floor
        if best is None or node is not self._leader or floor is None or best.work <= floor.work:
            return None
        template = empty_template(best, last, int(time.time()), halving_interval)
        if template is not None:
            self._floor, self._worked_on = Floor(best.work, self._nodes.index(node)), best.block_hash
        return template

    async def _submit(self, block: bytes) -> Submission:
        body = await deferToThread(lambda: call_body("submitblock", [block.hex()]))
        first: Deferred[Submission] = Deferred()
        answers: dict[int, Submission] = {}
        silent: list[Exception] = []

        async def offer(node: Node) -> None:
            try:
                answer = await node.submit(body)
            except Exception as error:
                _log.error("block_offer_failed", node=node.number, reason=str(error))
                silent.append(error)
                return
            log = _log.error if answer.verdict is SubmitVerdict.REJECTED else _log.info
            log("block_offered", node=node.number, verdict=str(answer.verdict), reason=answer.reason)
            answers[node.number] = answer
            if answer.verdict is not SubmitVerdict.REJECTED and not first.called:
                first.callback(answer)

        def all_heard(_: object) -> None:
            if first.called:
                return
            if silent:
                first.errback(silent[0])
            else:
                first.callback(best_submission([answers[number] for number in sorted(answers)]))

        offers = DeferredList([Deferred.fromCoroutine(offer(node)) for node in self._nodes], consumeErrors=True)
        offers.addCallback(all_heard)
        return await first

    async def _with_leader(self, ask: Callable[[Node], _Asking[_T]]) -> _T:
        if self._leader is None:
            raise self._leaderless()
        return await ask(self._leader)

    def _leaderless(self) -> NodeError:
        for node in self._nodes:
            if node.fault is not None:
                return node.fault.anew()
        return NodeError(Fault.BEHIND, "no node has the block that is mined on already")

    def _tip_seen(self, node: Node, tip: bytes) -> None:
        if node is self._leader:
            if tip != self._told:
                self._tell(tip)
        elif self._leader is not None and tip != self._told:
            self._leader.look()

    def _tell(self, tip: bytes) -> None:
        self._told = tip
        for listener in tuple(self._listeners):
            listener()

    def _reconsider(self, _changed: Node) -> None:
        if self._closed:
            return
        self._choose()
        if not self._asked.called and (self._leader or all(node.asked for node in self._nodes)):
            self._asked.callback(None)

    def _choose(self) -> None:
        candidates = [node.candidate for node in self._nodes]
        index = self._leadership.choose(candidates, self._floor, self._reactor.seconds())
        chosen = None if index is None else self._nodes[index]
        if chosen is self._leader:
            return
        if self._leader is not None:
            self._leader.lead(False)
        self._leader = chosen
        if chosen is None:
            _log.error("no_node_leads", reason=str(self._leaderless()))
            self._drop_calls()
            return
        if self._last_leader not in (None, chosen):
            self.failovers += 1
        self._last_leader = chosen
        assert chosen.status is not None
        _log.info("node_leads", node=chosen.number, height=chosen.status.tip.height)
        chosen.lead(True)
        self._drop_calls()
        self._tell(chosen.status.tip.block_hash)

    def _drop_calls(self) -> None:
        for asking, node in tuple(self._asking.items()):
            if node is not self._leader:
                asking.cancel()
