"""The books through reorganisations: by the consensus engine's answers, and by those recorded of a node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select

from tarazy.accounting import ledger, tables
from tarazy.accounting.blocks import MATURITY, BlockState, BlockStateError, open_blocks
from tarazy.accounting.distribution import Reconciled, reconcile
from tarazy.accounting.journal_file import BlockRecord
from tarazy.pool.blocks import reward_of
from tarazy.pool.chain.assembly import build_block
from tarazy.pool.chain.interface import Template
from tarazy.pool.chain.regtest import RegtestChain
from tests.accounting.books import START_US, Gateway, at, observe_block, share, standing, state
from tests.pool.bitcoind.recorded import RecordedNode, counted_tips, open_chain, raw_answer, result, until
from tests.pool.mining import POOL_SCRIPT, hash_of, solve
from tests.pool.under_reactor import in_reactor

OTHERS = b"\x51"


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[RegtestChain]:
    """A fresh chain; a block of ours takes some 256 hashes."""
    opened = RegtestChain(tmp_path / "chain", -24)
    yield opened
    opened.close()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway of two parties."""
    opened = Gateway(tmp_path / "journal.sqlite", ("alpha", "beta"))
    yield opened
    opened.close()


class _Branch:
    """Blocks on top of one another, whoever finds them and whether or not theirs is the main chain."""

    def __init__(self, chain: RegtestChain, template: Template) -> None:
        self.chain = chain
        self.template = template

    def ours(self, gateway: Gateway, work: int) -> str:
        """A block of the pool with work of both parties before it; its displayed hash."""
        block = solve(self.template)
        assert self.chain.submit(block).reason == ""
        gateway.write(share(1, work), share(2, 1))
        found = BlockRecord(
            hash_of(block), self.template.height, reward_of(block, POOL_SCRIPT), gateway.sequence + 1, 1, START_US
        )
        gateway.write(share(1), block=found)
        self._follow(block)
        return hash_of(block)[::-1].hex()

    def others(self, count: int) -> None:
        """Blocks of the rest of the network."""
        for _ in range(count):
            block = build_block(self.template, OTHERS, b"other")
            self.chain.relay(block)
            self._follow(block)

    def _follow(self, block: bytes) -> None:
        """The next template on this branch; near the tip the engine alone knows the halving, so it is not crossed."""
        self.template = replace(
            self.template,
            height=self.template.height + 1,
            previous_block_hash=hash_of(block),
            mintime=self.template.mintime + 1,
            curtime=self.template.curtime + 1,
        )


def _keep_books(engine: Engine, gateway: Gateway, chain: RegtestChain, minute: int) -> Reconciled:
    with engine.begin() as connection:
        gateway.fold(connection)
        for block in open_blocks(connection):
            confirmations = chain.engine.confirmations(bytes.fromhex(block.block_hash)[::-1])
            observe_block(connection, block.block_hash, confirmations, at(minute))
        return reconcile(connection, at(minute))


def test_three_blocks_leave_and_return(engine: Engine, chain: RegtestChain, gateway: Gateway) -> None:
    """R-010, R-011, R-020: a reorganisation of three blocks takes back three distributions by new entries alone."""
    fork = chain.template()
    pool, rest = _Branch(chain, fork), _Branch(chain, fork)
    found = [pool.ours(gateway, work) for work in (1, 2, 3)]
    assert len(_keep_books(engine, gateway, chain, 1).booked) == 3
    with engine.begin() as connection:
        before, balances, history = standing(connection), ledger.balances(connection), _history(connection)
    rest.others(4)
    assert len(_keep_books(engine, gateway, chain, 2).reversed) == 3
    with engine.begin() as connection:
        assert standing(connection) == []
        assert not any(ledger.balances(connection).values())
        assert [state(connection, block_hash) for block_hash in found] == [BlockState.ORPHANED] * 3
    pool.others(2)
    assert len(_keep_books(engine, gateway, chain, 3).booked) == 3
    with engine.begin() as connection:
        assert standing(connection) == before
        assert ledger.balances(connection) == balances
        assert _history(connection)[: len(history)] == history
        assert ledger.check(connection) == []


def test_only_the_upper_blocks_leave(engine: Engine, chain: RegtestChain, gateway: Gateway) -> None:
    """R-010, R-013: two of three leave for good, a later one takes over their work, and what stays becomes final."""
    pool = _Branch(chain, chain.template())
    lower = pool.ours(gateway, 1)
    rest = _Branch(chain, pool.template)
    lost = [pool.ours(gateway, work) for work in (2, 3)]
    _keep_books(engine, gateway, chain, 1)
    rest.others(2)
    later = rest.ours(gateway, 4)
    assert len(_keep_books(engine, gateway, chain, 2).reversed) == 2
    with engine.begin() as connection:
        assert [item[:3] for item in standing(connection)] == [(lower, 1, 1), (later, 2, 4)]
        assert [state(connection, block_hash) for block_hash in lost] == [BlockState.ORPHANED] * 2
    for _ in range(40):
        chain.relay(build_block(chain.template(), OTHERS, b"other"))
    assert _keep_books(engine, gateway, chain, 3).finalised == ()
    for _ in range(MATURITY - 41):
        chain.relay(build_block(chain.template(), OTHERS, b"other"))
    assert len(_keep_books(engine, gateway, chain, 4).finalised) == 2
    with engine.begin() as connection:
        assert open_blocks(connection) == []
        assert not any(amount for name, amount in ledger.balances(connection).items() if "immature" in name)
        assert ledger.check(connection) == []


def _history(connection: Connection) -> list[tuple[object, ...]]:
    """All that was ever booked, in order."""
    entry, posting = tables.ledger_entry, tables.ledger_posting
    query = select(entry, posting.c.account, posting.c.amount).join(posting)
    return [tuple(row) for row in connection.execute(query.order_by(entry.c.entry, posting.c.account))]


@in_reactor
async def test_answers_of_a_node(sqlite_engine: Engine, tmp_path: Path) -> None:
    """R-011: connected, off the main chain, forgotten and connected again, as a node really answered."""
    gateway = Gateway(tmp_path / "journal.sqlite", ("alpha", "beta"))
    gateway.write(share(2, 4))
    block_hash = gateway.find(156)
    with sqlite_engine.begin() as connection:
        gateway.fold(connection)
    node = RecordedNode()
    chain = open_chain(node.settings())
    await until(lambda: chain.nodes_up() == {"1": True})
    connected = node.answers["getblockheader"]
    answers = (
        (connected, BlockState.CONNECTED, Reconciled(booked=(1,))),
        (result("getblock-orphaned"), BlockState.ORPHANED, Reconciled(reversed=(1,))),
        (raw_answer("getblock-missing"), BlockState.UNKNOWN, Reconciled()),
        (connected, BlockState.CONNECTED, Reconciled(booked=(2,))),
    )
    for minute, (answer, expected, changed) in enumerate(answers):
        node.answers["getblockheader"] = answer
        confirmations = await chain.confirmations(bytes.fromhex(block_hash)[::-1])
        with sqlite_engine.begin() as connection:
            observe_block(connection, block_hash, confirmations, at(minute))
            assert state(connection, block_hash) is expected
            assert reconcile(connection, at(minute)) == changed
            assert ledger.check(connection) == []
    await chain.close()
    await node.stop()
    gateway.close()


@in_reactor
async def test_a_mature_block_leaves_as_a_node_told_it(sqlite_engine: Engine, tmp_path: Path) -> None:
    """R-011, R-020: found, mature, off the chain again: taken back until it is final, then left to people."""
    gateway = Gateway(tmp_path / "journal.sqlite", ("alpha", "beta"))
    orphaned, here = result("getblock-orphaned"), result("getblockheader")
    gateway.write(share(2, 4))
    other = gateway.find(orphaned["height"] + 1)
    gateway.write(share(1, 3), share(2, 5))
    name = bytes.fromhex(orphaned["hash"])[::-1]
    found = BlockRecord(name, orphaned["height"], 312_500_000, gateway.sequence + 1, 1, START_US)
    gateway.write(share(1), block=found)
    with sqlite_engine.begin() as connection:
        gateway.fold(connection)
    node = RecordedNode()
    chain = open_chain(node.settings())
    await until(lambda: chain.nodes_up() == {"1": True})

    def said(header: Any) -> Callable[[str], Any]:
        """Of our block; the node does not know the other one, and all the rest is its main chain."""
        known = {orphaned["hash"]: header, other: raw_answer("getblock-missing")}
        return lambda asked, *_: known.get(asked, node._header(asked))

    async def follow(header: Any, minute: int) -> Reconciled:
        node.answers["getblockheader"] = said(header)
        with sqlite_engine.begin() as connection:
            names = [block.block_hash for block in open_blocks(connection)]
        counts = {each: await chain.confirmations(bytes.fromhex(each)[::-1]) for each in names or [orphaned["hash"]]}
        with sqlite_engine.begin() as connection:
            for each, count in counts.items():
                observe_block(connection, each, count, at(minute))
            return reconcile(connection, at(minute))

    def deep(confirmations: int) -> Any:
        return here | {"hash": orphaned["hash"], "height": orphaned["height"], "confirmations": confirmations}

    assert (await follow(deep(1), 1)).booked == (1,)
    assert await follow(deep(MATURITY), 2) == Reconciled(), "the other one might return: not final"
    with sqlite_engine.begin() as connection:
        assert state(connection, orphaned["hash"]) is BlockState.MATURE
        stood, balances = standing(connection), ledger.balances(connection)
    with counted_tips(chain) as told:
        node.move(result("getbestblockhash-after-invalidate"), blocks=1)
        await until(lambda: told)
    assert (await follow(orphaned, 3)).reversed == (1,)
    with sqlite_engine.begin() as connection:
        assert (standing(connection), any(ledger.balances(connection).values())) == ([], False)
        assert _history(connection)[0][2] == "distribution"
        assert ledger.check(connection) == []
    assert (await follow(deep(MATURITY), 4)).booked == (2,)
    with sqlite_engine.begin() as connection:
        assert (standing(connection), ledger.balances(connection)) == (stood, balances)
    assert (await follow(deep(MATURITY + 1), 5)).finalised == (2,)
    with sqlite_engine.begin() as connection:
        final, history = ledger.balances(connection), _history(connection)
    with pytest.raises(BlockStateError, match="for people to decide"):
        await follow(orphaned, 6)
    with sqlite_engine.begin() as connection:
        assert (ledger.balances(connection), _history(connection)) == (final, history)
        assert ledger.check(connection) == []
    await chain.close()
    await node.stop()
    gateway.close()
