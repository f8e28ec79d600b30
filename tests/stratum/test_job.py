"""Jobs, their numbers, and merkle branches."""

from __future__ import annotations

from hashlib import sha256

import orjson
import pytest

from tarazy.stratum.codec import encode_notify, swap_words
from tarazy.stratum.job import JobNumbers, double_sha256, merkle_branch, merkle_root
from tarazy.stratum.miner import MinerJob
from tests.stratum.house import Pool


def plain_root(hashes: list[bytes]) -> bytes:
    """The merkle root as Bitcoin defines it."""
    while len(hashes) > 1:
        if len(hashes) % 2:
            hashes = [*hashes, hashes[-1]]
        hashes = [double_sha256(hashes[i] + hashes[i + 1]) for i in range(0, len(hashes), 2)]
    return hashes[0]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7, 8, 9, 100, 257])
def test_branch_leads_to_the_root(count: int) -> None:
    """The branch rebuilds the same root as the whole tree, for any number of transactions."""
    txids = [sha256(bytes([i % 256, i // 256])).digest() for i in range(count)]
    coinbase = b"coinbase"
    assert merkle_root(coinbase, merkle_branch(txids)) == plain_root([double_sha256(coinbase), *txids])


def test_difficulty_stands_in_the_coinbase() -> None:
    """Invariant 11: the byte behind the coinbase's head is the exponent plus 32."""
    job = Pool().make_job()
    for exponent in range(-32, 65):
        coinb1 = job.coinb1(exponent)
        own = bytes([exponent + 32]) + job.number.to_bytes(8, "big")
        assert coinb1 == job.coinbase_head + own + job.coinbase_tail


def test_job_numbers_never_repeat() -> None:
    """C-044: numbers rise, also over a restart a second later, and show as 16 hex digits."""
    first, second = JobNumbers(1_800_000_000), JobNumbers(1_800_000_001)
    issued = [first() for _ in range(1000)] + [second() for _ in range(1000)]
    assert issued == sorted(set(issued))
    assert all(len(f"{number:016x}") == 16 for number in issued)


def test_notify_carries_nine_parameters_in_wire_order() -> None:
    """C-043: nine parameters, clean last; a miner reads back what the job holds."""
    job = Pool().make_job(previous=bytes(range(32)))
    for clean, line in enumerate(encode_notify(job, job.coinb1(3))):
        params = orjson.loads(line)["params"]
        assert len(params) == 9
        assert params[8] is bool(clean)
        read = MinerJob.of(params)
        assert read.previous_block_hash == job.previous_block_hash
        assert (read.version, read.nbits, read.ntime) == (job.version, job.nbits, job.ntime)
        assert (read.coinb1, read.coinb2, read.branch) == (job.coinb1(3), job.coinbase_end, job.branch)


def test_previous_hash_travels_in_swapped_words() -> None:
    """C-043: the genesis hash as the reference shows it."""
    genesis = bytes.fromhex("000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f")[::-1]
    assert swap_words(genesis).hex() == ("0a8ce26f72b3f1b646a2a6c14ff763ae65831e939c085ae10019d66800000000")
    assert swap_words(swap_words(genesis)) == genesis
