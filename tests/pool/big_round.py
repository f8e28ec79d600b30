"""The export of a round of very many shares, to measure the verifier: `python -m tests.pool.big_round 10000000 DIR`.

Real shares of 100 parties under 12 levels of branch, folded, divided, recorded and signed as a pool does. A miner here
keeps its extranonce2 for a commit, so that making them costs little; who verifies them hashes every one in full.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import click

from tarazy.accounting.journal_file import SHARE, Batch
from tarazy.database.engine import open_engine
from tarazy.database.types import metadata
from tarazy.pool.chain.interface import TemplateTransaction
from tarazy.pool.chain.transactions import decode_transaction, witness_commitment
from tarazy.stratum.difficulty import target_of
from tarazy.stratum.job import Job, merkle_root
from tarazy.stratum.share import HEADER, Verdict
from tests.pool.mining import job_of, spend
from tests.pool.rounds import KEY, TEMPLATE, Miner, Pool, export_of, mature

_COMMIT = 1_000
_JOB_COMMITS = 50
_PARTIES = 100
_FOLDED = 1_000_000


def main(shares: int, directory: Path) -> None:
    """Make it in `directory`/export; `shares` in thousands, and the one that is the block."""
    directory.mkdir(parents=True)
    engine = open_engine(f"sqlite:///{directory}/ledger.db")
    metadata.create_all(engine)
    raw = [spend(index.to_bytes(32, "big"), 10_000) for index in range(2_048)]
    template = replace(
        TEMPLATE,
        nbits=0x1F00FFFF,
        target=0xFFFF << 224,
        transactions=tuple(TemplateTransaction(each, decode_transaction(each).txid, 1_000) for each in raw),
        witness_commitment=witness_commitment(raw),
    )
    pool = Pool(directory, engine)
    first = job_of(template, number=1 << 40)
    for number in range(_PARTIES):
        pool.join(f"party-{number}", -32)
    names = [(miner.number, miner.record) for miner in pool.miners]
    for number in range(shares // _COMMIT):
        pool.jobs = [replace(first, number=(1 << 40) + number // _JOB_COMMITS)]
        packed = _shares(pool.miners[number % _PARTIES], pool.jobs[0], number)
        pool.file.write(Batch(pool.sequence + 1, packed, names if number == 0 else [], pool.jobs, []))
        pool.sequence += _COMMIT
        if number % 1_000 == 0:
            click.echo(f"{pool.sequence:,} shares")
    block = pool.find(template)
    with engine.begin() as connection:
        for _ in range(0, pool.sequence, _FOLDED):
            pool.fold(connection)
    click.echo("folded")
    mature(engine, directory, block)
    click.echo("recorded")
    with engine.begin() as connection:
        export_of(connection, directory, 1, directory / "export")
    click.echo(f"{directory / 'export'}: verify it with --key '{KEY.verifier}'")


def _shares(miner: Miner, job: Job, commit: int) -> list[bytes]:
    """A commit of shares that a miner finds on a job, none of them a block."""
    extranonce2 = commit.to_bytes(8, "big")
    coinbase = job.coinb1(miner.exponent) + miner.extranonce1 + extranonce2 + job.coinbase_end
    root, target, nonce = merkle_root(coinbase, job.branch), target_of(miner.exponent), 0
    found: list[bytes] = []
    while len(found) < _COMMIT:
        header = HEADER.pack(job.version, job.previous_block_hash, root, job.ntime, job.nbits, nonce)
        if job.target < int.from_bytes(sha256(sha256(header).digest()).digest(), "little") <= target:
            own = (miner.pool.tick(), miner.number, job.number, extranonce2, job.ntime, nonce, job.version)
            found.append(SHARE.pack(*own, miner.exponent, Verdict.ACCEPTED))
        nonce += 1
    return found


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
