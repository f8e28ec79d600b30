"""The node client against nodes that judge by Bitcoin Core's consensus engine, over HTTP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from tarazy.accounting.blocks import BlockState
from tarazy.pool.blocks import BlockStore
from tarazy.pool.chain.assembly import build_block
from tarazy.pool.chain.bitcoind import leadership
from tarazy.pool.chain.bitcoind.chain import BitcoindChain
from tarazy.pool.chain.embedded import EmbeddedChain
from tarazy.pool.chain.interface import SubmitVerdict
from tarazy.pool.chain.peer import PeerEntrance
from tarazy.pool.chain.transactions import ANYONE_CAN_SPEND, block_coinbase, block_hash, outpoint
from tarazy.pool.clock import Clock
from tarazy.pool.follower import Mining, TemplateFollower
from tarazy.pool.proposals import Proposals, unsolved_block
from tarazy.stratum.job import Job, JobNumbers
from tests.pool.bitcoind.recorded import REACTOR, open_chain, until
from tests.pool.mining import MASK, POOL_SCRIPT, job_of, solve, spend
from tests.pool.under_reactor import in_reactor


class JudgingNode:
    """An embedded chain behind its entrance, as a node of the pool and with its own part of the network."""

    def __init__(self, chain: EmbeddedChain) -> None:
        self.chain = chain
        self.entrance = PeerEntrance(chain, REACTOR, 0, strict=True)

    @classmethod
    async def open(cls, directory: Path) -> JudgingNode:
        return cls(await EmbeddedChain.open(REACTOR, directory, -26))

    @property
    def settings(self) -> Any:
        return {"url": f"http://127.0.0.1:{self.entrance.port}", "user": "u", "password": "p"}

    async def others_mine(self, extra: bytes) -> bytes:
        """A block of somebody else, found at this node."""
        block = build_block(await self.chain.template(), ANYONE_CAN_SPEND, extra)
        assert (await self.chain.relay(block)).verdict is SubmitVerdict.ACCEPTED
        return block

    async def copy_to(self, other: JudgingNode) -> None:
        """Give all blocks to a node, as peers do."""
        blocks: list[bytes] = []
        name = (await self.chain.tip()).block_hash
        while (await other.chain.header(name)) is None:
            block = await self.chain.block(name)
            assert block is not None
            blocks.append(block)
            name = block[4:36]
        for block in reversed(blocks):
            await other.chain.relay(block)

    async def close(self) -> None:
        await self.entrance.stop()
        await self.chain.close()


async def follow(chain: BitcoindChain) -> tuple[TemplateFollower, list[Job]]:
    """A follower on the chain and the jobs it publishes; the first is there."""
    jobs: list[Job] = []
    mining = Mining(POOL_SCRIPT, b"/tarazy/", MASK)
    follower = TemplateFollower(
        chain, REACTOR, JobNumbers(1), mining, refresh=60.0, publish=jobs.append, on_dry=lambda _: None
    )
    follower.start()
    await until(lambda: jobs)
    return follower, jobs


@in_reactor
async def test_a_block_is_found_accepted_and_followed(tmp_path: Path) -> None:
    """C-107, C-110, C-112, C-115: kept on disk, submitted, connected; again it is a duplicate; a rival is inconclusive
    and becomes orphaned."""
    node = await JudgingNode.open(tmp_path / "node")
    chain = open_chain(node.settings)
    states: list[tuple[BlockState, int]] = []
    store = BlockStore(
        tmp_path / "blocks",
        chain,
        cast(Clock, REACTOR),
        POOL_SCRIPT,
        lambda _, state, confirmations: states.append((state, confirmations)),
    )
    store.start()
    await until(lambda: chain._leader)
    template = await chain.template()
    block = solve(template, extranonce=1)
    found = store.found(block)
    assert found.height == 102
    await until(lambda: states[-1] == (BlockState.CONNECTED, 1))
    assert (await chain.submit(block)).verdict is SubmitVerdict.DUPLICATE
    rival = solve(template, extranonce=2)
    store.found(rival)
    await until(lambda: (BlockState.SUBMITTED, 0) in states[3:])
    await node.others_mine(b"above")
    await until(lambda: (BlockState.CONNECTED, 2) in states and (BlockState.ORPHANED, -1) in states)
    bad = solve(template, extranonce=3, root=bytes(32))
    assert (await chain.submit(bad)).reason == "bad-txnmrklroot"
    assert (await chain.submit(b"\x00")).reason.startswith("submitblock: Block decode failed")
    store.stop()
    await chain.close()
    await node.close()


@in_reactor
async def test_every_kind_of_template_passes_as_a_proposal(tmp_path: Path) -> None:
    """C-106, C-108: with 0, 1, 2, 3 and more transactions the unsolved block is acceptable, and solved it is accepted;
    one with a wrong height, value, commitment or root is not."""
    node = await JudgingNode.open(tmp_path)
    chain = open_chain(node.settings)
    await until(lambda: chain._leader)
    header = await node.chain.header((await node.chain.tip()).block_hash)
    assert header is not None
    for number in (0, 1, 2, 3, 9):
        await pending(node, number)
        template = await chain.template()
        assert len(template.transactions) == number
        assert await chain.propose(unsolved_block(job_of(template), template)) is None
        for wrong in (
            replace(template, height=template.height + 1),
            replace(template, coinbase_value=template.coinbase_value + 1),
            replace(template, witness_commitment=template.witness_commitment[:-1] + b"\x00"),
        ):
            assert str(await chain.propose(unsolved_block(job_of(wrong), wrong))).startswith("bad-")
        spoilt = bytearray(unsolved_block(job_of(template), template))
        spoilt[40] ^= 1
        assert await chain.propose(bytes(spoilt)) == "block-mutated"
        assert (await chain.submit(solve(template))).verdict is SubmitVerdict.ACCEPTED
    old = unsolved_block(job_of(template), template)
    assert await chain.propose(old) == "inconclusive-not-best-prevblk"
    await chain.close()
    await node.close()


async def pending(node: JudgingNode, count: int) -> None:
    """Let `count` transactions wait; they spend the coinbase that has just matured, one after the other."""
    if not count:
        return
    tip = await node.chain.tip()
    name = tip.block_hash
    for _ in range(100):
        header = await node.chain.header(name)
        assert header is not None
        name = header.previous_block_hash
    block = await node.chain.block(name)
    assert block is not None
    coinbase = block_coinbase(block)
    spent, value = outpoint(coinbase.txid, 0), coinbase.outputs[0].value
    for _ in range(count):
        txid = await node.chain.add_transaction(spend(spent, value))
        spent, value = outpoint(txid, 0), value - 1_000


@in_reactor
async def test_a_refused_template_is_an_alarm(tmp_path: Path) -> None:
    """C-108: the alarm stands until a template passes; a changed tip is none."""
    node = await JudgingNode.open(tmp_path)
    chain = open_chain(node.settings)
    await until(lambda: chain._leader)
    template = await chain.template()
    proposals = Proposals(chain)
    wrong = replace(template, coinbase_value=template.coinbase_value + 1)
    proposals.offer(job_of(wrong), wrong)
    proposals.offer(job_of(wrong), wrong)
    await until(lambda: not proposals.healthy)
    proposals.offer(job_of(template), template)
    await until(lambda: proposals.healthy)
    await node.others_mine(b"other")
    proposals.offer(job_of(wrong), wrong)
    await until(lambda: not proposals._busy)
    assert proposals.healthy
    await chain.close()
    await node.close()


@in_reactor
async def test_failover_and_reorganisation_between_two_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """C-100, C-101: the leader dies, the other is on another block of equal height: a clean job on that; never back to
    less work; a longer branch is followed when it comes."""
    monkeypatch.setattr(leadership, "RETURN_SECONDS", 0.2)
    first, second = await JudgingNode.open(tmp_path / "1"), await JudgingNode.open(tmp_path / "2")
    await first.others_mine(b"longer")
    await first.copy_to(second)
    assert await first.chain.tip() == await second.chain.tip()
    chain = open_chain(first.settings, second.settings)
    await until(lambda: all(chain.nodes_up().values()))
    await until(lambda: chain._leader is chain._nodes[0])
    follower, jobs = await follow(chain)
    one, other = await first.others_mine(b"one"), await second.others_mine(b"other")
    await until(lambda: jobs[-1].previous_block_hash == block_hash(one))
    await first.entrance.stop()
    _abort_connections(first)
    await until(lambda: jobs[-1].previous_block_hash == block_hash(other))
    switch = next(job for job in jobs if job.previous_block_hash == block_hash(other))
    assert (switch.clean, switch.height) == (True, jobs[-1].height)
    heights = [job.height for job in jobs]
    assert heights == sorted(heights)
    above = await second.others_mine(b"above")
    await until(lambda: jobs[-1].previous_block_hash == block_hash(above))
    assert jobs[-1].height == switch.height + 1
    solved = solve(await chain.template())
    assert (await chain.submit(solved)).verdict is SubmitVerdict.ACCEPTED
    await until(lambda: jobs[-1].previous_block_hash == block_hash(solved))
    follower.stop()
    await chain.close()
    await first.chain.close()
    await second.close()


def _abort_connections(node: JudgingNode) -> None:
    for reader in REACTOR.getReaders():
        if getattr(reader, "getHost", None) and getattr(reader, "getPeer", None):
            host = reader.getHost()
            if getattr(host, "port", 0) == node.entrance.port:
                reader.abortConnection()
