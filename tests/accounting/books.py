"""Journals and ledgers that tests fill by hand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, Engine, select

from tarazy.accounting import tables
from tarazy.accounting.blocks import BlockState, set_block_state, state_of
from tarazy.accounting.distribution import Reconciled, reconcile
from tarazy.accounting.folding import Folded, fold
from tarazy.accounting.journal_file import SHARE, Batch, BlockRecord, JournalFile, JournalReader
from tarazy.accounting.paid_blocks import PaidBlock, price, unpriced
from tarazy.accounting.rounds import close_round
from tarazy.accounting.schemes import Schedule, Terms
from tarazy.stratum.difficulty import DIFFICULTY_1_TARGET
from tarazy.stratum.job import Job
from tarazy.stratum.ports import NameRecord
from tarazy.stratum.share import ShareRecord, Verdict

START = datetime(2026, 11, 1, tzinfo=UTC)
START_US = int(START.timestamp()) * 1_000_000
INTERVAL = 900
FEE_PPM = 10_000
REWARD = 312_500_000


def share(
    name: int = 1,
    exponent: int = 0,
    verdict: int = Verdict.ACCEPTED,
    second: float = 0,
    nonce: int = 0,
    job_number: int = 0,
) -> ShareRecord:
    """A share `second` seconds after `START`."""
    at_us = START_US + int(second * 1_000_000)
    return ShareRecord(
        at_us, name, job_number or JOB.number, bytes(8), 1_700_000_000, nonce, 0x20000000, exponent, int(verdict)
    )


def name_record(party: str, worker: str = "rig", site: str = "site") -> NameRecord:
    """A name `<party>.<worker>`."""
    return NameRecord(1, b"\x01\x00\x00\x01", party, worker, party, site, START_US)


def job(height: int, difficulty: int) -> Job:
    """A job of this height and network difficulty, and no more than that."""
    return Job(
        number=height << 32 | difficulty,
        height=height,
        previous_block_hash=bytes(32),
        version=0x20000000,
        nbits=0x1D00FFFF,
        target=DIFFICULTY_1_TARGET // difficulty,
        ntime=1_700_000_000,
        mintime=1_700_000_000,
        coinbase_head=b"",
        coinbase_tail=b"",
        coinbase_end=b"",
        branch=(),
        clean=True,
    )


def at(minutes: float) -> datetime:
    """An instant after `START`."""
    return START + timedelta(minutes=minutes)


JOB = Job(
    number=7 << 32,
    height=0,
    previous_block_hash=bytes(32),
    version=0x20000000,
    nbits=0x207FFFFF,
    target=0x7FFFFF << 232,
    ntime=1_700_000_000,
    mintime=1_700_000_000,
    coinbase_head=b"head",
    coinbase_tail=b"tail",
    coinbase_end=b"end",
    branch=(bytes(32),),
    clean=True,
)
"""What the shares of these books refer to; nobody rebuilds their work."""


class Gateway:
    """A gateway that writes shares and blocks into a real journal, one commit a call."""

    def __init__(self, path: Path, parties: Iterable[str], number: int = 1, synced: bool = True) -> None:
        """Names are numbered from 1 in the order of `parties`. Not `synced`: a power cut may take what it wrote."""
        self.number = number
        self.file = JournalFile(path, number)
        if not synced:
            self.file._connection.execute("PRAGMA synchronous=OFF")
        self.sequence = self.file.last_sequence()
        self.file.write(Batch(0, names=[(i, name_record(p)) for i, p in enumerate(parties, 1)], jobs=[JOB]))
        self.reader = JournalReader(path, number)

    def write(self, *shares: ShareRecord, block: BlockRecord | None = None) -> int:
        """Commit shares, and a block; the last sequence number."""
        packed = [SHARE.pack(*record) for record in shares]
        self.file.write(Batch(self.sequence + 1, packed, blocks=[block] if block else []))
        self.sequence += len(shares)
        return self.sequence

    def announce(self, height: int, difficulty: int) -> None:
        """Commit a job whose blocks have this height and network difficulty."""
        self.file.write(Batch(self.sequence + 1, jobs=[job(height, difficulty)]))

    def find(
        self,
        height: int,
        *,
        name: int = 1,
        reward: int = REWARD,
        verdict: int = Verdict.ACCEPTED,
        second: float = 0,
        job_number: int = 0,
    ) -> str:
        """Commit a share of weight 2**32 that solves a block; the block's displayed hash."""
        block_hash = bytes([self.number]) + (self.sequence + 1).to_bytes(31, "little")
        self.write(
            share(name, verdict=verdict, second=second, job_number=job_number),
            block=BlockRecord(block_hash, height, reward, self.sequence + 1, name, START_US + int(second * 1_000_000)),
        )
        return block_hash[::-1].hex()

    def mark(self, second: float) -> None:
        """Commit that all shares up to `second` seconds after `START` are there."""
        self.file.write(Batch(0, mark=START_US + int(second * 1_000_000)))

    def take_in(self, connection: Connection, limit: int = 1_000_000) -> Folded:
        """Fold what the journal holds, and close no round."""
        return fold(connection, self.reader, self.number, INTERVAL, limit, datetime.now(UTC))

    def fold(
        self,
        connection: Connection,
        *others: Gateway,
        limit: int = 1_000_000,
        fee_ppm: int = FEE_PPM,
        schedule: Schedule | None = None,
    ) -> list[str]:
        """Fold what this journal and the others hold, close rounds; the blocks that closed one.

        On PROP unless `schedule` says otherwise.
        """
        for gateway in (self, *others):
            gateway.take_in(connection, limit)
        return close_rounds(connection, self, *others, schedule=schedule or Schedule(Terms(fee_ppm)))

    def close(self) -> None:
        """Close reader and writer."""
        self.reader.close()
        self.file.close()


def close_rounds(connection: Connection, *gateways: Gateway, schedule: Schedule | None = None) -> list[str]:
    """Close rounds as long as the journals of `gateways` allow; the blocks that closed one."""
    readers = {gateway.number: gateway.reader for gateway in gateways}
    terms = schedule or Schedule(Terms(FEE_PPM))
    closed = []
    while (block_hash := close_round(connection, readers, INTERVAL, terms).block_hash) is not None:
        closed.append(block_hash)
    return closed


def price_rounds(connection: Connection, *fees: int) -> None:
    """Give the rounds of FPPS that wait for it the average of what these blocks paid in fees."""
    blocks = [PaidBlock(f"{place:064x}", f"{place - 1:064x}", place, fee, {}) for place, fee in enumerate(fees, 1)]
    for each in unpriced(connection):
        price(connection, each.round, blocks)


def observe_block(connection: Connection, block_hash: str, confirmations: int | None, instant: datetime) -> bool:
    """Record a chain's answer about a block; whether its state changed."""
    return set_block_state(connection, block_hash, state_of(confirmations), confirmations or 0, instant)


def settle(engine: Engine, instant: datetime, **confirmations: int | None) -> Reconciled:
    """Tell what the chain says of blocks, given by `b<hash>`, and reconcile."""
    with engine.begin() as connection:
        for key, count in confirmations.items():
            observe_block(connection, key.removeprefix("b"), count, instant)
        return reconcile(connection, instant)


def state(connection: Connection, block_hash: str) -> BlockState:
    """The recorded state of a block."""
    table = tables.block
    return BlockState(connection.execute(select(table.c.state).where(table.c.block_hash == block_hash)).scalar_one())


def standing(connection: Connection) -> list[tuple[str, int, int, int, int, dict[str, int]]]:
    """Standing distributions by round: block, rounds, fee, remainder, credits."""
    table, credit = tables.distribution, tables.credit
    rows = connection.execute(select(table).where(table.c.state != "reversed").order_by(table.c.last_round)).all()
    found = []
    for row in rows:
        query = select(credit.c.party, credit.c.amount).where(credit.c.distribution == row.distribution)
        credits = {part.party: part.amount for part in connection.execute(query)}
        found.append((row.block_hash, row.first_round, row.last_round, row.fee, row.remainder, credits))
    return found


def require_site_sums(connection: Connection) -> None:
    """The sums by site are those of the tallies."""
    counts = ("weight", "shares", "stale_weight", "stale_shares")
    sums: dict[tuple[object, ...], list[int]] = {}
    for row in connection.execute(select(tables.tally)):
        key = row.round, row.interval_start, row.party, row.site
        sums[key] = [had + getattr(row, name) for had, name in zip(sums.get(key, [0] * 4), counts, strict=True)]
    kept = connection.execute(select(tables.site_tally)).all()
    assert {tuple(row[:4]): [getattr(row, name) for name in counts] for row in kept} == sums
    for row in connection.execute(select(tables.tally).where(tables.tally.c.shares > 0)):
        (of_site,) = (each for each in kept if each[:4] == (row.round, row.interval_start, row.party, row.site))
        assert of_site.heaviest * row.shares >= row.weight
