"""A pool's books with a final round of real shares: judged, folded, divided, recorded and signed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Engine

from tarazy.accounting.distribution import reconcile
from tarazy.accounting.folding import fold
from tarazy.accounting.journal_file import FOREVER, SHARE, Batch, BlockRecord, JournalFile, JournalReader
from tarazy.accounting.proof.export import export
from tarazy.accounting.proof.record import proof_of, spans_of, unproven
from tarazy.accounting.proof.sealing import keep_note, unsigned
from tarazy.accounting.proof.shares import hash_shares
from tarazy.accounting.rounds import close_round
from tarazy.accounting.schemes import Schedule, Terms
from tarazy.accreditation import audit
from tarazy.accreditation.audit_proof import prove_row
from tarazy.accreditation.checkpoint import sign
from tarazy.accreditation.heads import SigningKey
from tarazy.database.engine import open_engine
from tarazy.database.types import metadata
from tarazy.pool.chain.interface import Template
from tarazy.pool.chain.transactions import block_hash, witness_commitment
from tarazy.pool.proving import block_row, previous_of, put_on_record, read_block
from tarazy.pool.templates import serialize_block
from tarazy.stratum.job import Job
from tarazy.stratum.ports import NameRecord
from tarazy.stratum.share import ShareRecord, Verdict, Work, judge
from tests.accounting.books import observe_block
from tests.pool.mining import MASK, job_of

TEMPLATE = Template(
    height=840_000,
    previous_block_hash=bytes(range(32)),
    version=0x20000000,
    nbits=0x207FFFFF,
    target=1 << 247,
    curtime=1_800_000_000,
    mintime=1_799_999_000,
    coinbase_value=312_500_123,
    witness_commitment=witness_commitment(()),
    transactions=(),
)
FEE_PPM = 10_000
KEY = SigningKey("pool.test/audit", Ed25519PrivateKey.generate())


class Miner:
    """A name on a connection, which finds shares."""

    def __init__(self, pool: Pool, number: int, party: str, exponent: int) -> None:
        self.pool = pool
        self.number = number
        self.exponent = exponent
        self.extranonce1 = bytes([pool.gateway]) + number.to_bytes(3, "big")
        self.record = NameRecord(number, self.extranonce1, party, f"rig{number}", party, "site", pool.at_us - 1_000_000)
        self.seen: set[bytes] = set()
        self._fields = count(1)

    def work(self, job: Job, want_block: bool = False) -> tuple[ShareRecord, bytes]:
        """The next share that meets its difficulty, and its header."""
        work = Work(job, self.exponent)
        for number in self._fields:
            fields = (
                bytes(7)
                + bytes([self.number])
                + b"".join(value.to_bytes(4, "big") for value in (job.ntime + number % 60, number, (number % 8) << 13))
            )
            record, header, found, _ = judge(
                work, self.extranonce1, fields, MASK, self.seen, self.number, self.pool.tick(), False
            )
            if record.verdict == Verdict.ACCEPTED and found == want_block:
                return record, header
        raise AssertionError


class Pool:
    """One gateway's journal, a ledger, a directory of blocks."""

    def __init__(self, directory: Path, engine: Engine, gateway: int = 1, blocks: Path | None = None) -> None:
        self.directory = directory
        self.engine = engine
        self.gateway = gateway
        self.at_us = TEMPLATE.curtime * 1_000_000
        self.blocks = blocks or directory / "blocks"
        self.file = JournalFile(directory / f"gateway-{gateway}.sqlite", gateway)
        self.reader = JournalReader(self.file.path, gateway)
        self.miners: list[Miner] = []
        self.jobs = [job_of(TEMPLATE, number=gateway << 40)]
        self.sequence = 0
        self.true: list[tuple[str, int, ShareRecord]] = []
        """Party, sequence and record of each share answered true."""
        (self.blocks / f"gateway-{gateway}").mkdir(parents=True)

    def tick(self) -> int:
        """The next instant."""
        self.at_us += 1_000
        return self.at_us

    def join(self, party: str, exponent: int) -> Miner:
        """Another miner."""
        self.miners.append(Miner(self, len(self.miners) + 1, party, exponent))
        return self.miners[-1]

    def write(self, *shares: ShareRecord, blocks: list[BlockRecord] | None = None) -> None:
        """One commit."""
        names = [(miner.number, miner.record) for miner in self.miners]
        packed = [SHARE.pack(*share) for share in shares]
        self.file.write(Batch(self.sequence + 1, packed, names, self.jobs, blocks or []))
        for share in shares:
            self.sequence += 1
            if share.verdict == Verdict.ACCEPTED:
                self.true.append((self.miners[share.name - 1].record.party, self.sequence, share))

    def mine(self, shares: int) -> None:
        """So many shares, taken in turn, in commits of seven."""
        made = [self.miners[i % len(self.miners)].work(self.jobs[-1])[0] for i in range(shares)]
        for first in range(0, shares, 7):
            self.write(*made[first : first + 7])

    def find(self, template: Template = TEMPLATE) -> str:
        """A share that is a block; its displayed hash."""
        miner = self.miners[0]
        share, header = miner.work(self.jobs[-1], want_block=True)
        job = self.jobs[-1]
        coinbase = job.coinb1(share.exponent) + miner.extranonce1 + share.extranonce2 + job.coinbase_end
        raw = serialize_block(header, coinbase, template)
        name = block_hash(raw)
        found = BlockRecord(name, job.height, template.coinbase_value, self.sequence + 1, miner.number, share.at_us)
        self.write(share, blocks=[found])
        shown = name[::-1].hex()
        (self.blocks / f"gateway-{self.gateway}" / f"{shown}.block").write_bytes(raw)
        return shown

    def fold(self, connection: Connection, terms: Terms = Terms(FEE_PPM), *others: Pool) -> None:  # noqa: B008 - frozen
        """Fold all that this gateway and others have, close rounds, sign the chains' heads, as the office does."""
        now = datetime.now(UTC)
        pools = (self, *others)
        for pool in pools:
            pool.file.write(Batch(0, mark=FOREVER))
            fold(connection, pool.reader, pool.gateway, 900, 1_000_000, now)
        readers = {pool.gateway: pool.reader for pool in pools}
        while close_round(connection, readers, 900, Schedule(terms)).block_hash:
            pass
        for pool in pools:
            link = unsigned(connection, pool.gateway)
            if link is not None:
                head = audit.AuditHead(link.last, link.head.hex())
                note = sign(KEY.private, f"{KEY.name}/gateway-{pool.gateway}", head, now)
                keep_note(connection, pool.gateway, link, note)

    def close(self) -> None:
        """Close the files."""
        self.reader.close()
        self.file.close()


def new_template(height: int) -> Template:
    """Work on another block."""
    return replace(TEMPLATE, height=height, previous_block_hash=height.to_bytes(32, "little"))


def bury(engine: Engine, *blocks: str) -> None:
    """Let blocks become final."""
    now = datetime.now(UTC)
    with engine.begin() as connection:
        for name in blocks:
            observe_block(connection, name, 100, now)
        reconcile(connection, now)


def mature(engine: Engine, directory: Path, *blocks: str) -> None:
    """Let blocks become final, and record what follows."""
    bury(engine, *blocks)
    with engine.begin() as connection:
        for distribution in unproven(connection):
            spans = spans_of(connection, distribution, directory)
            put_on_record(connection, distribution, spans, hash_shares(spans), directory / "blocks", KEY)


def export_of(connection: Connection, directory: Path, round_: int, output: Path) -> dict[str, Any]:
    """Write the export of a round as the command does; its record."""
    proof = proof_of(connection, round_)
    block = read_block(directory / "blocks", proof.record["block_hash"])
    prove = partial(prove_row, connection)
    export(connection, proof, directory, output, previous_of(block), prove, lambda done, of: None)
    (output / "block.json").write_text(json.dumps(block_row(block)))
    (output / "keys.txt").write_text(f"{KEY.verifier}\n")
    return proof.record


def pools(directory: Path) -> Iterator[tuple[Engine, Pool, Pool]]:
    """Two gateways and their ledger, for a fixture."""
    engine = open_engine(f"sqlite:///{directory}/ledger.db")
    metadata.create_all(engine)
    first, second = Pool(directory, engine, 1), Pool(directory, engine, 2)
    yield engine, first, second
    first.close()
    second.close()
    engine.dispose()
