"""The embedded chain: a regtest chain judged by the real engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tarazy.accounting.worth import REGTEST_HALVING_BLOCKS, subsidy
from tarazy.pool.chain.assembly import REGTEST_NBITS, build_block
from tarazy.pool.chain.interface import Submission, SubmitVerdict
from tarazy.pool.chain.regtest import FIRST_BLOCKS, ChainError, RegtestChain
from tarazy.pool.chain.transactions import (
    ANYONE_CAN_SPEND,
    block_coinbase,
    block_transactions,
    outpoint,
    witness_commitment,
)
from tests.pool.mining import POOL_SCRIPT, hash_of, solve

EXPONENT = -24
ACCEPTED = Submission(SubmitVerdict.ACCEPTED)


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[RegtestChain]:
    """A fresh chain; a block of ours takes some 256 hashes."""
    opened = RegtestChain(tmp_path / "chain", EXPONENT)
    yield opened
    opened.close()


def test_a_new_chain_begins_with_mature_coins_for_anyone(chain: RegtestChain) -> None:
    """101 blocks are mined at the first start, so that the first coinbase is spendable in the next block."""
    tip = chain.engine.tip()
    assert tip.height == FIRST_BLOCKS == 101
    first = chain.engine.path(chain.engine.genesis(), tip.block_hash)[1][0]
    block = chain.engine.block(first)
    assert block is not None
    assert block_coinbase(block).outputs[0].script == ANYONE_CAN_SPEND
    assert chain.engine.confirmations(first) == 101


def test_template_is_what_the_next_block_has_to_be(chain: RegtestChain) -> None:
    """Height, previous block, times above the median, subsidy, nbits of regtest and the stricter target."""
    template = chain.template()
    tip = chain.engine.tip()
    header = chain.engine.header(tip.block_hash)
    assert header is not None
    assert (template.height, template.previous_block_hash) == (102, tip.block_hash)
    assert template.mintime == header.median_time + 1 <= template.curtime
    assert template.nbits == REGTEST_NBITS
    assert template.target == 0xFFFF << 232
    assert template.coinbase_value == 50 * 10**8
    assert template.transactions == ()
    assert template.witness_commitment == witness_commitment(())


def test_block_of_ours_is_accepted_and_counted(chain: RegtestChain) -> None:
    """The engine takes a block made from a template (C-107); its confirmations count from 1."""
    block = solve(chain.template())
    assert chain.submit(block) == ACCEPTED
    assert chain.engine.tip().block_hash == hash_of(block)
    assert chain.engine.confirmations(hash_of(block)) == 1
    assert chain.submit(block).verdict is SubmitVerdict.DUPLICATE
    assert chain.engine.confirmations(bytes(32)) is None


def test_stricter_target_holds_for_us_and_not_for_the_rest_of_the_network(chain: RegtestChain) -> None:
    """A block that only meets regtest's nbits is high-hash for us, and good from the rest of the network."""
    block = solve(chain.template(), misses=True)
    assert chain.submit(block) == Submission(SubmitVerdict.REJECTED, "high-hash")
    assert chain.engine.confirmations(hash_of(block)) is None
    assert chain.relay(block) == ACCEPTED


def test_engine_gives_its_reason_for_each_fault(chain: RegtestChain) -> None:
    """What consensus refuses is refused with the engine's own word."""
    good = chain.template()
    refused = {
        "bad-txnmrklroot": solve(good, root=bytes(32)),
        "bad-cb-height": solve(replace(good, height=101)),
        "bad-witness-merkle-match": solve(replace(good, witness_commitment=good.witness_commitment[:6] + bytes(32))),
        "bad-cb-amount": solve(replace(good, coinbase_value=good.coinbase_value + 1)),
        "prev-blk-not-found": solve(replace(good, previous_block_hash=bytes(31) + b"\x01")),
        "bad-diffbits": solve(replace(good, nbits=0x207FFFFE)),
        "time-too-old": solve(replace(good, curtime=good.mintime - 1)),
        "time-too-new": solve(replace(good, curtime=good.curtime + 7400)),
        "block-decode-failed": solve(good)[:-1],
    }
    answers = {reason: chain.submit(block) for reason, block in refused.items()}
    assert answers == {reason: Submission(SubmitVerdict.REJECTED, reason) for reason in refused}
    assert chain.submit(solve(good) + b"\x00").reason == "block-decode-failed"
    assert chain.relay(b"").reason == chain.relay(b"\xff" * 200).reason == "block-decode-failed"
    assert chain.submit(b"").reason == "block-decode-failed"
    assert chain.engine.tip().height == 101


def test_rival_at_equal_height_is_no_loss_and_may_win(chain: RegtestChain) -> None:
    """A rival is inconclusive; two blocks on one side orphan the other, which returns when its side grows."""
    template = chain.template()
    ours, rival = solve(template, extranonce=1), solve(template, extranonce=2)
    assert chain.submit(ours) == ACCEPTED
    assert chain.submit(rival).verdict is SubmitVerdict.INCONCLUSIVE
    assert chain.engine.confirmations(hash_of(rival)) == -1
    above = replace(template, height=103, previous_block_hash=hash_of(rival), curtime=template.curtime + 1)
    assert chain.submit(solve(above)) == ACCEPTED
    assert chain.engine.confirmations(hash_of(ours)) == -1
    assert chain.engine.confirmations(hash_of(rival)) == 2
    first = solve(replace(above, previous_block_hash=hash_of(ours)), extranonce=3)
    second = solve(replace(above, height=104, previous_block_hash=hash_of(first)), extranonce=4)
    assert chain.submit(first).verdict is SubmitVerdict.INCONCLUSIVE
    assert chain.submit(second) == ACCEPTED
    assert chain.engine.confirmations(hash_of(ours)) == 3


def test_subsidy_halves_every_150_blocks(chain: RegtestChain) -> None:
    """The engine accepts full subsidies across a halving and no satoshi more."""
    assert [subsidy(height, REGTEST_HALVING_BLOCKS) for height in (1, 149, 150, 299, 300, 150 * 64)] == [
        5_000_000_000,
        5_000_000_000,
        2_500_000_000,
        2_500_000_000,
        1_250_000_000,
        0,
    ]
    for height in range(102, 152):
        assert chain.relay(build_block(chain.template(), POOL_SCRIPT, b"%d" % height)) == ACCEPTED
    assert chain.template().coinbase_value == 2_500_000_000


def test_chain_is_the_same_after_a_restart(tmp_path: Path) -> None:
    """Closing and opening keeps tip, coins and the answer to a block that is known."""
    first = RegtestChain(tmp_path, EXPONENT)
    block = solve(first.template())
    assert first.submit(block) == ACCEPTED
    first.close()
    second = RegtestChain(tmp_path, EXPONENT)
    assert second.engine.tip().block_hash == hash_of(block)
    assert second.submit(block).verdict is SubmitVerdict.DUPLICATE
    assert second.submit(solve(second.template())) == ACCEPTED
    second.close()


_CHILD = """
import sys
from pathlib import Path
from tarazy.pool.chain.assembly import build_block
from tarazy.pool.chain.regtest import RegtestChain
chain = RegtestChain(Path(sys.argv[1]), -32)
for number in range(10**6):
    block = build_block(chain.template(), bytes([0x51]), b"%d" % number)
    assert chain.relay(block).verdict == "accepted"
    print(chain.engine.tip().block_hash.hex(), flush=True)
"""


def test_what_was_answered_survives_sigkill(tmp_path: Path) -> None:
    """A process that mines is killed again and again; each block it was told of is in the chain."""
    known: list[str] = []
    for answers in (1, 7, 30):
        child = subprocess.Popen([sys.executable, "-c", _CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        known += [child.stdout.readline().strip() for _ in range(answers)]
        os.kill(child.pid, signal.SIGKILL)
        child.stdout.close()
        child.wait()
    chain = RegtestChain(tmp_path, EXPONENT)
    tip = chain.engine.tip()
    assert tip.height >= 101 + len(known)
    assert all((chain.engine.confirmations(bytes.fromhex(name)) or 0) >= 1 for name in known)
    assert chain.submit(solve(chain.template())) == ACCEPTED
    chain.close()


def test_second_process_is_told_that_the_directory_is_in_use(tmp_path: Path, chain: RegtestChain) -> None:
    """One directory, one process; the refusal leaves the first one unharmed."""
    with pytest.raises(ChainError, match="in use by another process"):
        RegtestChain(tmp_path / "chain", EXPONENT)
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(tmp_path / "chain")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "in use by another process" in done.stderr
    assert chain.submit(solve(chain.template())) == ACCEPTED


def test_engine_files_lost_are_rebuilt_with_their_coins(tmp_path: Path) -> None:
    """Without the engine's files a new chain begins, and the coins are counted anew from it."""
    first = RegtestChain(tmp_path, EXPONENT)
    first.close()
    for path in sorted((tmp_path / "engine").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    second = RegtestChain(tmp_path, EXPONENT)
    newest = second.engine.tip().block_hash
    oldest = second.engine.path(second.engine.genesis(), newest)[1][0]
    block = second.engine.block(oldest)
    assert block is not None
    coinbase = block_transactions(block)[0]
    assert second._store.coin(outpoint(coinbase.txid, 0)) is not None
    second.close()
