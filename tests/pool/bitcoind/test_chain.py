"""One and several nodes over real HTTP and ZMQ: wake-ups, the gate, failover, blocks to all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import zmq
from twisted.internet.defer import Deferred

from tarazy.pool.chain.bitcoind import leadership
from tarazy.pool.chain.bitcoind.faults import Fault, NodeError
from tarazy.pool.chain.bitcoind.template import parse_template
from tarazy.pool.chain.interface import Submission, SubmitVerdict, Template
from tarazy.pool.chain.transactions import block_coinbase, block_hash, block_transactions
from tarazy.pool.pricing import paid
from tests.pool.bitcoind.recorded import (
    RecordedNode,
    counted_tips,
    open_chain,
    pause,
    raw_answer,
    recorded,
    result,
    until,
)
from tests.pool.under_reactor import in_reactor

NEVER = 3_600.0
"""A pause between looks that does not end during a test."""
OTHER_TIPS = [f"{number:064x}" for number in range(1, 10)]


async def template_of(chain: Any) -> Template:
    """The first template, once a node leads."""
    await until(lambda: chain._leader)
    template: Template = await chain.template()
    return template


def tip_of(template: Template) -> str:
    """What it builds on, as displayed."""
    return template.previous_block_hash[::-1].hex()


async def fault_of(call: Deferred[Any]) -> NodeError:
    """Why a call failed."""
    with pytest.raises(NodeError) as failed:
        await call
    return failed.value


@in_reactor
async def test_a_node_gives_templates_and_answers_about_blocks() -> None:
    """Template, tip and confirmations in plain values; -5 is None, off the main chain is -1."""
    node = RecordedNode()
    chain = open_chain(node.settings())
    template = await template_of(chain)
    assert (template.height, tip_of(template), len(template.transactions)) == (157, node.tip, 6)
    tip = await chain.tip()
    assert (tip.height, tip.block_hash[::-1].hex()) == (156, node.tip)
    assert await chain.confirmations(bytes(32)) == 1
    node.answers["getblockheader"] = raw_answer("getblock-missing")
    assert await chain.confirmations(bytes(32)) is None
    node.answers["getblockheader"] = result("getblock-orphaned")
    assert await chain.confirmations(bytes(32)) == -1
    assert chain.nodes_up() == {"1": True}
    await chain.close()
    await node.stop()


@in_reactor
async def test_a_block_as_a_node_gives_it() -> None:
    """Whole, by its hash, with the fees that its coinbase paid out; unknown or pruned is None, junk a fault."""
    node = RecordedNode()
    chain = open_chain(node.settings())
    await until(lambda: chain._leader)
    told, (name, verbosity) = result("getblock-verbosity1"), recorded("getblock-raw")["request"]["body"]["params"]
    asked = []

    def answer(*parameters: Any) -> Any:
        asked.append(parameters)
        return raw_answer("getblock-raw")

    node.answers["getblock"] = answer
    block = await chain.block(bytes.fromhex(name)[::-1])
    assert asked == [(name, verbosity)]
    assert block is not None
    assert (block_hash(block)[::-1].hex(), len(block)) == (told["hash"], told["size"])
    assert [each.txid[::-1].hex() for each in block_transactions(block)] == told["tx"]
    paid_out = paid(block)
    assert (paid_out.block_hash, paid_out.previous, paid_out.height) == (
        name,
        told["previousblockhash"],
        told["height"],
    )
    assert paid_out.fees == sum(each.value for each in block_coinbase(block).outputs) - 25 * 10**8 == 16_920
    pruned = {"result": None, "error": {"code": -1, "message": "Block not available (pruned data)"}, "id": "x"}
    for unknown in (raw_answer("getblock-missing"), (500, orjson.dumps(pruned))):
        node.answers["getblock"] = unknown
        assert await chain.block(bytes(32)) is None
    for junk in (told, None, "zz", 7):
        node.answers["getblock"] = junk
        assert (await fault_of(chain.block(bytes(32)))).fault is Fault.NOT_JSON
    await chain.close()
    await node.stop()


@in_reactor
async def test_asking_alone_is_enough() -> None:
    """C-096: without long polling and ZMQ a new block is found by asking, and told once."""
    node = RecordedNode()
    node.answers["getblocktemplate"] = result("getblocktemplate-small") | {"longpollid": None}
    chain = open_chain(node.settings())
    await template_of(chain)
    with counted_tips(chain) as told:
        node.move(OTHER_TIPS[0])
        await until(lambda: told)
        await pause(0.3)
        assert len(told) == 1
    await chain.close()
    await node.stop()


@in_reactor
async def test_long_polling_alone_is_enough() -> None:
    """C-096: with asking and ZMQ silent, the answer to a long poll tells the new block; then it is polled anew."""
    node = RecordedNode()
    chain = open_chain(node.settings(), look_seconds=NEVER)
    await template_of(chain)
    await until(lambda: node.long_polls)
    with counted_tips(chain) as told:
        for number, tip in enumerate(OTHER_TIPS[:2], 1):
            node.move(tip)
            node.end_long_polls()
            await until(lambda: len(told) == number)  # noqa: B023 - used in this turn
            assert tip_of(await chain.template()) == tip
            await until(lambda: node.long_polls)
    await chain.close()
    await node.stop()


@in_reactor
async def test_a_failing_long_poll_is_not_repeated_at_once() -> None:
    """C-097, BIP22: a node that refuses long polls is polled again only after pauses."""
    node = RecordedNode()
    template = node.answers["getblocktemplate"]
    refused: list[float] = []

    def refuse(request: dict[str, Any]) -> Any:
        if "longpollid" not in request:
            return template(request)
        refused.append(time.monotonic())
        return raw_answer("starting-up")

    node.answers["getblocktemplate"] = refuse
    chain = open_chain(node.settings())
    await template_of(chain)
    await until(lambda: len(refused) == 3)
    assert refused[1] - refused[0] >= 1
    assert refused[2] - refused[1] >= 2
    await chain.close()
    await node.stop()


class Publisher:
    """A real ZMQ publisher, as a node's zmqpubhashblock."""

    def __init__(self) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self.endpoint = f"tcp://127.0.0.1:{self._socket.bind_to_random_port('tcp://127.0.0.1')}"
        self._number = 0x9D

    async def subscribed(self) -> None:
        """Wait until somebody listens."""
        await until(lambda: self._socket.poll(0))
        assert self._socket.recv() == b"\x01hashblock"

    def publish(self, frames: list[bytes]) -> None:
        """Any message."""
        self._socket.send_multipart(frames)

    def announce(self, tip: str, *, lost: int = 0) -> None:
        """A block, after `lost` announcements that nobody heard."""
        self._number += lost
        self.publish([b"hashblock", bytes.fromhex(tip), self._number.to_bytes(4, "little")])
        self._number += 1

    def close(self) -> None:
        """End it."""
        self._context.destroy(linger=0)


@in_reactor
async def test_zmq_alone_is_enough() -> None:
    """C-096: announcements tell each new block once, across gaps and nonsense; the hash is in display order."""
    node, publisher = RecordedNode(), Publisher()
    chain = open_chain(node.settings(zmq=publisher.endpoint), look_seconds=NEVER)
    node.answers["getblocktemplate"] = result("getblocktemplate-small") | {"longpollid": None}
    await template_of(chain)
    await publisher.subscribed()
    with counted_tips(chain) as told:
        for frames in recorded("zmq-hashblock")["messages"]:
            node.move(frames[1])
            publisher.publish([bytes.fromhex(frame) for frame in frames])
            await until(lambda: node.calls[-1] == "getnetworkinfo")
            node.calls.append("seen")
        assert len(told) == 2
        publisher._number = 0x9F
        publisher.announce(node.tip)
        node.move(OTHER_TIPS[0])
        publisher.announce(OTHER_TIPS[1], lost=3)  # a gap: ask, do not believe
        await until(lambda: len(told) == 3)
        assert chain._told is not None
        assert chain._told[::-1].hex() == OTHER_TIPS[0]
        for nonsense in ([b"hashblock"], [b"hashblock", b"", b""], [b"hashblockx", b"x" * 32, b"xxxx"]):
            publisher.publish(nonsense)
        node.move(OTHER_TIPS[2])
        publisher.announce(OTHER_TIPS[2], lost=1)
        await until(lambda: len(told) == 4)
    await chain.close()
    publisher.close()
    await node.stop()


@pytest.mark.parametrize(
    ("wanting", "fault"),
    [
        ({"chain": "main"}, Fault.WRONG_CHAIN),
        ({"initialblockdownload": True}, Fault.INITIAL_DOWNLOAD),
        ({"headers": 200}, Fault.OUT_OF_SYNC),
    ],
)
@in_reactor
async def test_no_work_before_the_gate(wanting: dict[str, Any], fault: Fault) -> None:
    """C-102: a node on the wrong chain, still loading or behind its headers is never asked for a template."""
    node = RecordedNode()
    node.info = wanting
    chain = open_chain(node.settings())
    await until(lambda: chain._nodes[0]._failures)
    assert (await fault_of(chain.template())).fault is fault
    assert "getblocktemplate" not in node.calls
    node.info = {}
    assert (await template_of(chain)).height == 157
    await chain.close()
    await node.stop()


@in_reactor
async def test_a_pinned_block_must_be_in_the_chain() -> None:
    """C-102: unknown, or off the main chain, and the node is on a wrong chain."""
    node = RecordedNode()
    node.answers["getblockheader"] = raw_answer("getblock-missing")
    chain = open_chain(node.settings(), pinned=("ab" * 32,))
    await until(lambda: chain._nodes[0]._failures)
    told = await fault_of(chain.template())
    assert told.fault is Fault.WRONG_CHAIN
    assert "ab" * 32 in str(told)
    node.answers["getblockheader"] = {"confirmations": -1}
    await until(lambda: chain._nodes[0]._failures >= 2)
    assert (await fault_of(chain.template())).fault is Fault.WRONG_CHAIN
    node.answers["getblockheader"] = {"confirmations": 5, "chainwork": "2"}
    await template_of(chain)
    await chain.close()
    await node.stop()


@in_reactor
async def test_an_unknown_rule_stops_work_of_that_node_only() -> None:
    """C-098: a template with a rule that must be known is an alarm; another node's goes on."""
    strange, plain = RecordedNode(), RecordedNode()
    strange.answers["getblocktemplate"] = result("getblocktemplate-small") | {"rules": ["!segwit", "!strange"]}
    alone = open_chain(strange.settings())
    await until(lambda: alone._leader)
    told = await fault_of(alone.template())
    assert told.fault is Fault.BAD_TEMPLATE
    assert "!strange" in str(told)
    assert alone.nodes_up() == {"1": False}
    both = open_chain(strange.settings(), plain.settings())
    await until(lambda: list(both.nodes_up().values()) == [True, True])
    for _ in range(3):
        assert (await both.template()).height == 157
    assert both._leader is both._nodes[1]
    await alone.close()
    await both.close()
    await strange.stop()
    await plain.stop()


Ailment = Callable[[RecordedNode], object]


def _hang(node: RecordedNode) -> None:
    node.answers["getblocktemplate"] = node.answers["getbestblockhash"] = "hang"


AILMENTS: dict[str, Ailment] = {
    "warming up": lambda node: node.answers.update(getbestblockhash=raw_answer("starting-up")),
    "closed": lambda node: node.answers.update(getblocktemplate="close"),
    "truncated": lambda node: node.answers.update(getblocktemplate="cut"),
    "hanging": _hang,
    "initial download": lambda node: node.info.update(initialblockdownload=True),
}


@pytest.mark.parametrize("ailment", AILMENTS)
@in_reactor
async def test_another_node_takes_over_and_gives_back(ailment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """C-100: within seconds, in the middle of a call; and back to the first when it is well again."""
    monkeypatch.setattr(leadership, "RETURN_SECONDS", 0.3)
    monkeypatch.setattr("tarazy.pool.chain.bitcoind.node.STATUS_SECONDS", 0.1)
    monkeypatch.setattr("tarazy.pool.chain.bitcoind.node.RETRY_SECONDS", (0.1,))
    first, second = RecordedNode(), RecordedNode()
    chain = open_chain(first.settings(), second.settings())
    await template_of(chain)
    await until(lambda: chain._leader is chain._nodes[0])
    await until(lambda: all(chain.nodes_up().values()))
    before = chain.failovers
    answers = dict(first.answers)
    AILMENTS[ailment](first)
    began = time.monotonic()
    asked = len(second.calls)
    while "getblocktemplate" not in second.calls[asked:]:
        assert (await chain.template()).height == 157
        await pause(0.05)
    assert time.monotonic() - began < 15
    assert chain.failovers == before + 1
    first.answers, first.info = answers, {}
    await until(lambda: chain._leader is chain._nodes[0])
    assert chain.failovers == before + 2
    await chain.close()
    await first.stop()
    await second.stop()


@in_reactor
async def test_a_node_that_falls_behind_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """C-100: the leader has not the block that another has: the other leads after a moment, and it is told."""
    monkeypatch.setattr(leadership, "LAG_SECONDS", 0.2)
    first, second = RecordedNode(), RecordedNode()
    chain = open_chain(first.settings(), second.settings())
    await template_of(chain)
    await until(lambda: all(chain.nodes_up().values()))
    with counted_tips(chain) as told:
        second.move(OTHER_TIPS[0])
        await until(lambda: told)
    assert tip_of(await chain.template()) == OTHER_TIPS[0]
    assert chain._leader is chain._nodes[1]
    await second.stop()
    asked = len(first.calls)
    assert (await fault_of(chain.template())).fault in (Fault.UNREACHABLE, Fault.CUT_OFF)
    await until(lambda: len(first.calls) > asked + 5)
    assert chain.nodes_up() == {"1": True, "2": False}
    assert (await fault_of(chain.template())).fault is Fault.UNREACHABLE
    assert "getblocktemplate" not in first.calls[asked:], "work would move backwards"
    first.move(OTHER_TIPS[0])
    assert tip_of(await template_of(chain)) == OTHER_TIPS[0]
    await chain.close()
    await first.stop()


@in_reactor
async def test_blocks_go_to_all_nodes_and_the_first_that_takes_one_answers() -> None:
    """C-111: a hanging and a dead node delay nobody."""
    first, hanging, dead = RecordedNode(), RecordedNode(), RecordedNode()
    chain = open_chain(first.settings(), hanging.settings(), dead.settings())
    await until(lambda: all(chain.nodes_up().values()))
    offered: list[str] = []
    first.answers["submitblock"] = lambda data: offered.append(data)
    hanging.answers["submitblock"] = "hang"
    await dead.stop()
    began = time.monotonic()
    block = bytes(range(256)) * 8_000
    assert await chain.submit(block) == Submission(SubmitVerdict.ACCEPTED)
    assert time.monotonic() - began < 5
    assert offered == [block.hex()]
    await until(lambda: "submitblock" in hanging.calls)
    await chain.close()
    await first.stop()
    await hanging.stop()


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (result("submitblock-bad"), None, Submission(SubmitVerdict.ACCEPTED)),
        (result("submitblock-duplicate"), "inconclusive", Submission(SubmitVerdict.DUPLICATE)),
        ("inconclusive", "high-hash", Submission(SubmitVerdict.INCONCLUSIVE)),
        ("bad-txnmrklroot", "high-hash", Submission(SubmitVerdict.REJECTED, "bad-txnmrklroot")),
        (raw_answer("submitblock-undecodable"), "duplicate", Submission(SubmitVerdict.DUPLICATE)),
    ],
)
@in_reactor
async def test_answers_of_two_nodes(one: Any, other: Any, expected: Submission) -> None:
    """C-112: one node that takes a block wins over another that refuses it; only all can refuse it."""
    first, second = RecordedNode(), RecordedNode()
    first.answers["submitblock"], second.answers["submitblock"] = lambda _: one, lambda _: other
    chain = open_chain(first.settings(), second.settings())
    answer = await chain.submit(b"block")
    both = {SubmitVerdict.DUPLICATE, SubmitVerdict.INCONCLUSIVE}
    assert answer == expected or {answer.verdict, expected.verdict} == both
    await chain.close()
    await first.stop()
    await second.stop()


@pytest.mark.parametrize(
    "unknown",
    [
        "close",
        "cut",
        (503, b""),
        raw_answer("starting-up"),
        (500, b'{"result":null,"error":{"code":-25,"message":""}}'),
    ],
)
@in_reactor
async def test_no_answer_is_no_refusal(unknown: Any) -> None:
    """C-112: error -25 or -28, HTTP errors and closed connections: to be offered again, also if others refuse."""
    silent, refusing = RecordedNode(), RecordedNode()
    silent.answers["submitblock"] = unknown
    refusing.answers["submitblock"] = lambda _: "high-hash"
    chain = open_chain(silent.settings(), refusing.settings())
    await fault_of(chain.submit(b"block"))
    assert (silent.calls + refusing.calls).count("submitblock") >= 2
    await chain.close()
    await silent.stop()
    await refusing.stop()


@in_reactor
async def test_a_large_template_does_not_hold_up_the_loop() -> None:
    """C-104: while a template of 1.4 MB is read again and again, no turn of the loop costs as much as reading it."""
    node = RecordedNode()
    node.template = "getblocktemplate-large"
    chain = open_chain(node.settings())
    large = _as_answer(result("getblocktemplate-large"))
    node.answers["getblocktemplate"] = (200, large)
    await template_of(chain)
    readings = []
    for _ in range(5):
        began = time.thread_time()
        assert len(parse_template(orjson.loads(large)["result"]).transactions) == 2_100
        readings.append(time.thread_time() - began)
    turns: list[float] = []
    running = True

    async def beat() -> None:
        last = time.thread_time()
        while running:
            await asyncio.sleep(0)
            now = time.thread_time()
            turns.append(now - last)
            last = now

    beating = asyncio.get_event_loop().create_task(beat())
    for _ in range(5):
        assert len((await chain.template()).transactions) == 2_100
    running = False
    await Deferred.fromFuture(beating)
    assert sorted(turns)[-3] < min(readings), "five would cost it; a collection of garbage costs one or two"
    await chain.close()
    await node.stop()


def _as_answer(words: Any) -> bytes:
    return orjson.dumps({"result": words, "error": None, "id": 1})
