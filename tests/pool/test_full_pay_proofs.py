"""Rounds of FPPS that others verify: priced by the chain's own blocks, paid without their block, each lie named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from twisted.internet.defer import Deferred, succeed

from tarazy.accounting.proof.receipt import receipt
from tarazy.accounting.proof.record import proof_of
from tarazy.accounting.reserve import reserve
from tarazy.accounting.schemes import Scheme, Terms
from tarazy.accreditation.audit_proof import prove_row
from tarazy.database.engine import Database, open_engine
from tarazy.database.types import metadata
from tarazy.pool.chain.assembly import build_block
from tarazy.pool.chain.interface import Chain
from tarazy.pool.chain.transactions import ANYONE_CAN_SPEND, block_hash
from tarazy.pool.pricing import Pricing
from tarazy.pool.proving import read_block
from tests.accounting.books import observe_block
from tests.pool.mining import POOL_SCRIPT, job_of
from tests.pool.rounds import FEE_PPM, TEMPLATE, Pool, export_of, mature
from tests.pool.test_round_proofs import Forger, run_verifier
from tests.pool.under_reactor import in_reactor

SUBSIDY = 5_000_000_000
TERMS = Terms(FEE_PPM, {"beta": 5_000}, Scheme.FPPS, fee_blocks=3)


class Answering:
    """A chain that has blocks, and forgets one at first."""

    def __init__(self) -> None:
        self.blocks: dict[bytes, bytes] = {}
        self.asked: list[bytes] = []
        self.forgotten: bytes | None = None

    def add(self, block: bytes) -> bytes:
        self.blocks[block_hash(block)] = block
        return block_hash(block)

    def block(self, name: bytes) -> Deferred[bytes | None]:
        self.asked.append(name)
        return succeed(None if name == self.forgotten else self.blocks.get(name))


@in_reactor
async def test_a_round_without_its_block_is_proven(tmp_path: Path) -> None:
    """R-010, R-019, R-021, R-023: rounds, the second of an orphan; what the reserve gave, and every lie about it."""
    from twisted.internet import reactor

    engine = open_engine(f"sqlite:///{tmp_path}/ledger.db")
    metadata.create_all(engine)
    database = Database(engine, reactor)
    try:
        await _look(database, tmp_path)
    finally:
        database.close()


async def _look(database: Database, tmp_path: Path) -> None:
    engine = database.engine
    pool, chain = Pool(tmp_path, engine), Answering()
    for party in ("alpha", "beta"):
        pool.join(party, -30)
    tip = bytes(range(32))
    for height, fee in ((100, 1_000), (101, 2_001), (102, 1)):
        template = replace(TEMPLATE, height=height, previous_block_hash=tip, coinbase_value=SUBSIDY + fee)
        tip = chain.add(build_block(template, ANYONE_CAN_SPEND, b"other"))
        chain.forgotten = chain.forgotten or tip
    found: list[str] = []
    for number, (height, previous) in enumerate(((103, tip), (103, tip), (104, None))):
        parent = bytes.fromhex(found[0])[::-1] if previous is None else previous
        template = replace(TEMPLATE, height=height, previous_block_hash=parent, coinbase_value=SUBSIDY + 777)
        pool.jobs.append(job_of(template, number=(1 << 40) + 1 + number))
        pool.mine(12)
        found.append(pool.find(template))
    chain.add(read_block(pool.blocks, found[0]))
    with engine.begin() as connection:
        pool.fold(connection, TERMS)
    pricing = Pricing(database, cast("Chain", chain), pool.blocks)
    await pricing.price()
    with engine.begin() as connection:
        observe_block(connection, found[1], -1, datetime.now(UTC))
    mature(engine, tmp_path, found[0], found[2])
    with engine.begin() as connection, pytest.raises(LookupError):
        proof_of(connection, 1)
    chain.forgotten = None
    await pricing.price()
    assert len(chain.asked) == len(set(chain.asked)) + 1
    mature(engine, tmp_path)
    exported = []
    for round_ in (1, 2, 3):
        with engine.begin() as connection:
            record = export_of(connection, tmp_path, round_, tmp_path / f"round-{round_}")
            proof = proof_of(connection, round_)
            told = receipt(connection, proof, "beta", tmp_path) | {"audit": prove_row(connection, proof.audit_row)}
        (tmp_path / "receipt.json").write_text(json.dumps(told))
        done = run_verifier(tmp_path / f"round-{round_}", "--script", POOL_SCRIPT.hex())
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert (f"{record['average_fee']} sat of fees a block over 3" in done.stdout) is True
        assert ("left the main chain" in done.stdout) == (round_ == 2)
        own = run_verifier(tmp_path / "receipt.json")
        assert own.returncode == 0, own.stdout + own.stderr
        exported.append(record)
    assert [each["average_fee"] for each in exported] == [1_000, 1_000, (2_001 + 1 + 777) // 3]
    assert [each["reward"] for each in exported] == [SUBSIDY + 777, 0, SUBSIDY + 777]
    with engine.begin() as connection:
        assert reserve(connection).final == sum(each["reward"] - each["owed"] for each in exported)
    told["work"][0]["subsidy"] += 1
    (tmp_path / "receipt.json").write_text(json.dumps(told))
    assert "is not a part of that in the record" in run_verifier(tmp_path / "receipt.json").stderr
    for lie, words in LIES:
        shutil.rmtree(tmp_path / "lie", ignore_errors=True)
        forger = Forger(Path(shutil.copytree(tmp_path / "round-2", tmp_path / "lie")))
        lie(forger)
        forger.sign()
        done = run_verifier(forger.directory)
        assert done.returncode == 1
        assert words in done.stderr, (words, done.stderr)
    pool.close()


def _average(lie: Forger) -> None:
    lie.record["average_fee"] -= 1


def _fewer_blocks(lie: Forger) -> None:
    lie.record["fee_blocks"] = 2


def _other_block(lie: Forger) -> None:
    rows = lie.rows("fee-blocks.jsonl")
    lie.put("fee-blocks.jsonl", [rows[0], rows[2], rows[1]])


def _fee_hidden(lie: Forger) -> None:
    rows = lie.rows("fee-blocks.jsonl")
    rows[1]["coinbase"] = rows[2]["coinbase"]
    lie.put("fee-blocks.jsonl", rows)


def _reward_kept(lie: Forger) -> None:
    lie.record["stays"] = True


def _reward_made_up(lie: Forger) -> None:
    lie.record["reward"] = 5


def _subsidy(lie: Forger) -> None:
    lie.record["work"][0]["subsidy"] //= 2


def _satoshi(lie: Forger) -> None:
    rows = lie.rows("parties.jsonl")
    rows[0]["credit"] -= 1
    lie.put("parties.jsonl", rows)
    lie.record["owed"] -= 1
    lie.sums()


def _owed(lie: Forger) -> None:
    lie.record["owed"] += 1


LIES: tuple[tuple[Callable[[Forger], None], str], ...] = (
    (_average, "blocks before paid 1000 sat of fees each"),
    (_fewer_blocks, "holds 3 blocks, the fees of 2 are averaged"),
    (_other_block, "is not the block before the one before it"),
    (_fee_hidden, "the coinbase does not lie in block"),
    (_reward_kept, "the record divides 0"),
    (_reward_made_up, "and yet 5 sat came in"),
    (_subsidy, "another difficulty, subsidy or work"),
    (_satoshi, "sat are due after a fee of"),
    (_owed, "the remainder is 1 sat"),
)
