"""The records of final rounds: made once each, put into the audit log under a signed head, before anything is paid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, select
from twisted.internet.threads import deferToThread

from tarazy.accounting import tables
from tarazy.accounting.proof.record import compose, keep, spans_of, unproven
from tarazy.accounting.proof.shares import Hashed, ProofError, Span, hash_shares
from tarazy.accreditation import audit
from tarazy.accreditation.heads import SigningKey, sign_head
from tarazy.config.settings import Settings
from tarazy.database.engine import Database
from tarazy.pool.apart import Apart, StoppedError
from tarazy.pool.chain.transactions import HEADER_SIZE, block_transactions
from tarazy.stratum.job import displayed, merkle_branch

_log = structlog.get_logger()

EVENT = "round_proof"


class Proving:
    """Makes the records that are due, one after the other."""

    def __init__(self, settings: Settings, database: Database, signing: Callable[[Connection], SigningKey]) -> None:
        self._settings = settings
        self._database = database
        self._signing = signing
        self._hashing: Apart[Hashed] | None = None
        self._given_up: set[int] = set()
        self._stopped = False

    async def prove(self) -> None:
        """Once. A round that cannot be proven is told once and left unproven until the next start; nor is it paid."""
        for distribution in await self._database.run(unproven):
            if distribution not in self._given_up and not self._stopped:
                await self._prove(distribution)

    async def _prove(self, distribution: int) -> None:
        journals = self._settings.journal_path.parent
        try:
            spans = await self._database.run(spans_of, distribution, journals)
            self._hashing = Apart(hash_shares, spans)
            hashed = await deferToThread(self._hashing.result)
            record = await self._database.run(self._record, distribution, spans, hashed)
        except StoppedError:
            if not self._stopped:
                raise
        except ProofError as error:
            self._given_up.add(distribution)
            _log.error("round_not_proven", distribution=distribution, reason=str(error))
        else:
            _log.info("round_proven", round=record["round"], shares=hashed.shares, sum_root=record["sum_root"])

    def _record(self, connection: Connection, distribution: int, spans: list[Span], hashed: Hashed) -> dict[str, Any]:
        blocks = self._settings.blocks_path.parent
        return put_on_record(connection, distribution, spans, hashed, blocks, self._signing(connection))

    def stop(self) -> None:
        """Leave what is under way; it is begun anew after the next start."""
        self._stopped = True
        if self._hashing is not None:
            self._hashing.stop()


def put_on_record(
    connection: Connection, distribution: int, spans: list[Span], hashed: Hashed, blocks: Path, key: SigningKey
) -> dict[str, Any]:
    """Keep the record of a distribution, in the audit log too, and sign that. Raises `ProofError`."""
    record = compose(connection, distribution, spans, hashed, _script(connection, distribution, blocks))
    now = datetime.now(UTC)
    head = audit.append(connection, [audit.AuditEvent(EVENT, record)], now)
    keep(connection, record, head.size)
    sign_head(connection, key, now)
    return record


def _script(connection: Connection, distribution: int, blocks: Path) -> bytes:
    """The script that the whole reward of its block was paid to."""
    table, block = tables.distribution, tables.block
    query = select(block).join(table, table.c.block_hash == block.c.block_hash)
    row = connection.execute(query.where(table.c.distribution == distribution)).one()
    paid: Counter[bytes] = Counter()
    for output in block_transactions(read_block(blocks, row.block_hash))[0].outputs:
        paid[output.script] += output.value
    for script, value in paid.items():
        if value == row.reward and value:
            return script
    raise ProofError(f"block {row.block_hash}: no script in its coinbase received its {row.reward} sat")


def read_block(directory: Path, block_hash: str) -> bytes:
    """A found block, wherever its gateway keeps it. Raises `ProofError`."""
    for path in (*directory.glob(f"gateway-*/{block_hash}.block"), *directory.glob(f"*/settled/{block_hash}.block")):
        return path.read_bytes()
    raise ProofError(f"{directory}: no gateway keeps block {block_hash}; bring its file back from a copy")


def previous_of(block: bytes) -> str:
    """The block that a serialised one, or its header, is built on, as displayed."""
    return displayed(block[4:36])


def block_row(block: bytes) -> dict[str, Any]:
    """What shows that a coinbase lies in a block: header, coinbase without witness, branch."""
    transactions = block_transactions(block)
    return {
        "header": block[:HEADER_SIZE].hex(),
        "coinbase": _without_witness(transactions[0].raw).hex(),
        "branch": [element.hex() for element in merkle_branch([each.txid for each in transactions[1:]])],
    }


def _without_witness(raw: bytes) -> bytes:
    """A coinbase as its id is made of it: the pool's has marker, flag and one witness of 32 bytes."""
    if raw[4:6] != b"\x00\x01":
        return raw
    return raw[:4] + raw[6:-38] + raw[-4:]
