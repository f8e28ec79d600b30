"""The export of a round of very many shares, to measure the verifier: `python -m tests.pool.big_round 10000000 DIR`.

Real shares of 100 parties under 12 levels of branch, judged, folded, divided, recorded and signed as a pool does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import click

from tarazy.accounting.journal_file import SHARE, Batch
from tarazy.database.engine import open_engine
from tarazy.database.types import metadata
from tarazy.pool.chain.interface import TemplateTransaction
from tarazy.pool.chain.transactions import decode_transaction, witness_commitment
from tarazy.stratum.job import Job
from tarazy.stratum.share import Verdict, Work, judge
from tests.pool.mining import MASK, job_of, spend
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
    for number in range(_PARTIES):
        pool.join(f"party-{number}", -32)
    for number in range(shares // _COMMIT):
        if number % _JOB_COMMITS == 0:
            pool.jobs = [job_of(template, number=(1 << 40) + number // _JOB_COMMITS)]
            found = [_shares(miner, pool.jobs[0]) for miner in pool.miners]
        names = [(miner.number, miner.record) for miner in pool.miners]
        packed = list(islice(found[number % _PARTIES], _COMMIT))
        pool.file.write(Batch(pool.sequence + 1, packed, names if number == 0 else [], pool.jobs, []))
        pool.sequence += _COMMIT
        if number % 1_000 == 0:
            click.echo(f"{pool.sequence:,} shares")
    block = pool.find(template)
    with engine.begin() as connection:
        for _ in range(0, pool.sequence, _FOLDED):
            pool.fold(connection)
    mature(engine, directory, block)
    with engine.begin() as connection:
        export_of(connection, directory, 1, directory / "export")
    click.echo(f"{directory / 'export'}: verify it with --key '{KEY.verifier}'")


def _shares(miner: Miner, job: Job) -> Iterator[bytes]:
    """All shares that a miner finds on a job."""
    work = Work(job, miner.exponent)
    for nonce in count():
        fields = bytes(8) + job.ntime.to_bytes(4, "big") + nonce.to_bytes(4, "big") + bytes(4)
        at_us = miner.pool.tick()
        share, _, found, _ = judge(work, miner.extranonce1, fields, MASK, set(), miner.number, at_us, False)
        if share.verdict == Verdict.ACCEPTED and not found:
            yield SHARE.pack(*share)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
