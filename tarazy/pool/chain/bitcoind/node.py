"""One node: watched every second, waited upon for new blocks, asked for templates, given blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from twisted.internet.threads import deferToThread

from tarazy.pool.chain.bitcoind.empty import BestBlock, read_best
from tarazy.pool.chain.bitcoind.faults import Fault, NodeError
from tarazy.pool.chain.bitcoind.gate import NodeStatus, gate, read_status
from tarazy.pool.chain.bitcoind.hashblock import HashBlocks
from tarazy.pool.chain.bitcoind.leadership import Candidate
from tarazy.pool.chain.bitcoind.rpc import Rpc
from tarazy.pool.chain.bitcoind.template import long_poll_id, parse_template
from tarazy.pool.chain.bitcoind.turns import Turns
from tarazy.pool.chain.bitcoind.words import call_body, hash_of, submission_of
from tarazy.pool.chain.interface import Submission, SubmitVerdict, Template, Tip
from tarazy.stratum.job import displayed

LOOK_SECONDS = 1.0
"""How often its best block is asked for."""
STATUS_SECONDS = 5.0
"""How often it is asked about its chain and peers while its tip stays."""
RETRY_SECONDS = (1.0, 2.0, 5.0)
"""Pauses between questions to an ill node; the last one repeats."""
BEST_SECONDS = 0.25
"""A template waits for two calls about the best block before it, so neither may last longer."""
TEMPLATE_SECONDS = 20.0
SUBMIT_SECONDS = 60.0
PROPOSAL_SECONDS = 60.0
LONG_POLL_SECONDS = 900.0
"""A long poll may last so long: never less than 5 min, for bitcoind answers when there is something new."""
LONG_POLL_RETRY_SECONDS = (1.0, 2.0, 5.0, 15.0, 60.0)
"""BIP22 forbids to repeat a failed long poll at once."""
BAD_TEMPLATE_SECONDS = 30.0
"""A node whose template cannot be mined on is asked for another after so long."""
_PRUNED = -1
"""What getblock answers of a block whose data is gone."""

_log = structlog.get_logger()


class Node:
    """A node and what is known of it. Which of several leads is not its business."""

    def __init__(
        self,
        reactor: Any,
        number: int,
        rpc: Rpc,
        *,
        network: str,
        pinned: tuple[str, ...],
        zmq: str | None,
        on_tip: Callable[[Node, bytes], None],
        on_change: Callable[[Node], None],
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """`number`, from 1, names it in logs. `on_tip(node, hash)` hears of its best block, again and again;
        `on_change(node)` of everything that may decide who leads."""
        self.number = number
        self.fault: NodeError | None = NodeError(Fault.NOT_ASKED, "it has not answered yet")
        """Why it cannot be used; None while it is well."""
        self.status: NodeStatus | None = None
        """Its last word, also of an ill node."""
        self._reactor = reactor
        self._rpc = rpc
        self._closed = False
        self._network = network
        self._pinned = pinned
        self._on_tip = on_tip
        self._on_change = on_change
        self._look_seconds = look_seconds
        self._rules = ["segwit", "signet"] if network == "signet" else ["segwit"]
        self._well_since = 0.0
        self._shunned_until = 0.0
        self._status_at = 0.0
        self._failures = 0
        self._poll_id: str | None = None
        self._polled: str | None = None
        self._poll_failures = 0
        self._watch = Turns(reactor, f"watch node {number}", self._look)
        self._long_poll = Turns(reactor, f"long poll node {number}", self._poll)
        self._hash_blocks = None if zmq is None else HashBlocks(reactor, zmq, self._heard)

    def start(self) -> None:
        """Begin to watch it."""
        self._watch.start()
        if self._hash_blocks is not None:
            self._hash_blocks.start()

    async def close(self) -> None:
        """Ask it nothing any more."""
        self._closed = True
        self._watch.stop()
        self._long_poll.stop()
        if self._hash_blocks is not None:
            self._hash_blocks.stop()
        await self._rpc.close()

    @property
    def asked(self) -> bool:
        """Whether it is known how it is."""
        return self.fault is None or self.fault.fault is not Fault.NOT_ASKED

    @property
    def candidate(self) -> Candidate:
        """It, in the terms of the choice of a leader."""
        return Candidate(None if self.fault else self.status, self._well_since)

    def lead(self, leads: bool) -> None:
        """Wait for new blocks at this node by long polling, or not any more."""
        if leads:
            self._polled, self._poll_failures = None, 0
            self._long_poll.start()
        else:
            self._long_poll.stop()

    def look(self) -> None:
        """Ask for its best block now."""
        self._watch.hurry()

    def fail(self, error: NodeError) -> None:
        """It did not do what the pool needs of it."""
        if self._closed:
            return
        if error.fault is Fault.BAD_TEMPLATE:
            self._shunned_until = self._reactor.seconds() + BAD_TEMPLATE_SECONDS
        if self.fault is None or self.fault.fault is not error.fault:
            _log.error("node_ill", node=self.number, reason=str(error))
        self.fault = error.anew()
        self._on_change(self)

    async def template(self) -> Template:
        """The template for the block after its tip; parsed off the reactor's thread (C-104)."""
        words = await self._rpc.call("getblocktemplate", {"rules": self._rules}, seconds=TEMPLATE_SECONDS)
        template = await deferToThread(parse_template, words)
        self._poll_id = long_poll_id(words)
        return template

    async def best(self) -> BestBlock | None:
        """Its best block; None when that has changed while it was asked. It must answer within `BEST_SECONDS`."""
        name = hash_of(await self._rpc.call("getbestblockhash", seconds=BEST_SECONDS))
        return read_best(name, await self._rpc.call("getblockheader", displayed(name), seconds=BEST_SECONDS))

    async def work(self, block_hash: bytes) -> int:
        """Hashes expected behind the chain up to a block."""
        header = await self._rpc.call("getblockheader", displayed(block_hash))
        try:
            return int(header["chainwork"], 16)
        except (KeyError, TypeError, ValueError) as error:
            raise NodeError(Fault.NOT_JSON, f"getblockheader lacks chainwork: {error!r}") from error

    async def tip(self) -> Tip:
        """Its best block."""
        words = await self._rpc.call("getblockchaininfo")
        try:
            return Tip(int(words["blocks"]), hash_of(words["bestblockhash"]))
        except (KeyError, TypeError, ValueError) as error:
            raise NodeError(Fault.NOT_JSON, f"getblockchaininfo lacks something: {error!r}") from error

    async def confirmations(self, block_hash: bytes) -> int | None:
        """1 for its tip, more below it, -1 off its main chain, None when unknown to it."""
        try:
            header = await self._rpc.call("getblockheader", displayed(block_hash))
            return int(header["confirmations"])
        except NodeError as error:
            if error.fault is Fault.UNKNOWN_BLOCK:
                return None
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise NodeError(Fault.NOT_JSON, f"getblockheader lacks confirmations: {error!r}") from error

    async def block(self, block_hash: bytes) -> bytes | None:
        """A block, serialised; None when it is unknown to it, or pruned."""
        try:
            return bytes.fromhex(await self._rpc.call("getblock", displayed(block_hash), 0))
        except NodeError as error:
            if error.fault is Fault.UNKNOWN_BLOCK or error.code == _PRUNED:
                return None
            raise
        except (TypeError, ValueError) as error:
            raise NodeError(Fault.NOT_JSON, f"getblock gave no hex: {error!r}") from error

    async def submit(self, body: bytes) -> Submission:
        """Offer a block, as the body of a submitblock; on a connection of its own (C-111)."""
        try:
            result = await self._rpc.call("submitblock", body=body, fresh=True, seconds=SUBMIT_SECONDS)
        except NodeError as error:
            if error.fault is Fault.UNDECODABLE:
                return Submission(SubmitVerdict.REJECTED, error.words)
            raise
        return submission_of(result)

    async def propose(self, block: bytes) -> str | None:
        """Why it would refuse a block, its work aside; None when it would not (BIP23)."""
        request = {"mode": "proposal", "rules": self._rules}

        def body() -> bytes:
            return call_body("getblocktemplate", [{**request, "data": block.hex()}])

        made = await deferToThread(body)
        answer = await self._rpc.call("getblocktemplate", body=made, fresh=True, seconds=PROPOSAL_SECONDS)
        return None if answer is None else str(answer)[:100]

    async def _look(self) -> float:
        try:
            tip = hash_of(await self._rpc.call("getbestblockhash"))
            if self.fault is None:
                self._on_tip(self, tip)
            await self._inquire(tip)
        except NodeError as error:
            self.fail(error)
            self._failures += 1
            return RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS)) - 1]
        self._failures = 0
        return self._look_seconds

    async def _inquire(self, tip: bytes) -> None:
        """Bring the status up to date when it is old or the tip another. Raises what keeps it from leading."""
        now = self._reactor.seconds()
        if (
            self.fault is None
            and self.status is not None
            and self.status.tip.block_hash == tip
            and now - self._status_at < STATUS_SECONDS
        ):
            self._on_change(self)
            return
        self.status = read_status(await self._rpc.call("getblockchaininfo"), await self._rpc.call("getnetworkinfo"))
        self._status_at = now
        if wanting := gate(self.status, self._network):
            raise wanting
        for pinned in self._pinned:
            if (await self.confirmations(bytes.fromhex(pinned)[::-1]) or 0) < 1:
                raise NodeError(Fault.WRONG_CHAIN, f"block {pinned} of chain.pinned_blocks is not in its chain")
        if self.fault is not None and now >= self._shunned_until:
            _log.info("node_well", node=self.number, height=self.status.tip.height)
            self.fault, self._well_since = None, now
        self._on_change(self)

    async def _poll(self) -> float:
        if self._poll_id in (None, self._polled):
            return LOOK_SECONDS
        self._polled = self._poll_id
        try:
            request = {"rules": self._rules, "longpollid": self._polled}
            await self._rpc.wait("getblocktemplate", request, seconds=LONG_POLL_SECONDS)
        except NodeError:
            self._polled = None
            self._poll_failures += 1
            self._watch.hurry()
            return LONG_POLL_RETRY_SECONDS[min(self._poll_failures, len(LONG_POLL_RETRY_SECONDS)) - 1]
        self._poll_failures = 0
        self._watch.hurry()
        return LOOK_SECONDS

    def _heard(self, block_hash: bytes | None) -> None:
        if block_hash is not None and self.fault is None:
            self._on_tip(self, block_hash)
        self._watch.hurry()
