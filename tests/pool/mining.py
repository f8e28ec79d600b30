"""Blocks made by hand for the tests of the chain."""

from __future__ import annotations

from itertools import count

from embit.script import Script, Witness
from embit.transaction import Transaction, TransactionInput, TransactionOutput

from tarazy.pool.chain.interface import Template
from tarazy.pool.chain.transactions import ANYONE_CAN_SPEND, block_hash
from tarazy.pool.templates import make_job, serialize_block
from tarazy.stratum.job import Job, double_sha256, merkle_root

POOL_SCRIPT = b"\x00\x14" + bytes(range(20))
"""A P2WPKH script of nobody's."""
MASK = 0x1FFFE000


def job_of(template: Template, *, number: int = 1, clean: bool = True) -> Job:
    """A job as the pool makes it."""
    return make_job(template, number=number, payout_script=POOL_SCRIPT, tag=b"/tarazy/", clean=clean, mask=MASK)


def solve(
    template: Template, *, extranonce: int = 0, exponent: int = -20, misses: bool = False, root: bytes = b""
) -> bytes:
    """`solve_job` on a job of `template`."""
    return solve_job(job_of(template), template, extranonce, exponent, misses=misses, root=root)


def solve_job(
    job: Job, template: Template, extranonce: int = 0, exponent: int = -20, *, misses: bool = False, root: bytes = b""
) -> bytes:
    """The block of a job: one that meets its target, or with `misses` only regtest's.

    `root` replaces the merkle root.
    """
    coinbase = job.coinb1(exponent) + extranonce.to_bytes(12, "big") + job.coinbase_end
    head = b"".join(
        (
            job.version.to_bytes(4, "little") + job.previous_block_hash,
            root or merkle_root(coinbase, job.branch),
            job.ntime.to_bytes(4, "little") + job.nbits.to_bytes(4, "little"),
        )
    )
    regtest = 0x7FFFFF << 232
    for nonce in count():
        header = head + nonce.to_bytes(4, "little")
        found = int.from_bytes(double_sha256(header), "little")
        if (job.target < found <= regtest) if misses else found <= job.target:
            break
    return serialize_block(header, coinbase, template)


def spend(outpoint: bytes, value: int, *, fee: int = 1_000, outputs: int = 1, witness: bytes = b"\x51") -> bytes:
    """A transaction that spends one anyone-can-spend coin to `outputs` new ones."""
    each = (value - fee) // outputs
    paid = [TransactionOutput(each, Script(ANYONE_CAN_SPEND)) for _ in range(outputs - 1)]
    paid.append(TransactionOutput(value - fee - each * (outputs - 1), Script(ANYONE_CAN_SPEND)))
    spent = TransactionInput(outpoint[:32][::-1], int.from_bytes(outpoint[32:], "little"), witness=Witness([witness]))
    return bytes(Transaction(2, [spent], paid).serialize())


def hash_of(block: bytes) -> bytes:
    """A block's hash in internal order."""
    return block_hash(block)
