"""The records of final rounds: made once each, put into the audit log under a signed head, before anything is paid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, select
from twisted.internet.threads import deferToThread

from tarazy.accounting import tables
from tarazy.accounting.journal_file import JournalError, reading
from tarazy.accounting.proof.record import compose, keep, last_round, spans_of, unproven
from tarazy.accounting.proof.shares import Hashed, ProofError, Span, hash_rounds
from tarazy.accreditation import audit
from tarazy.accreditation.heads import SigningKey, sign_head
from tarazy.database.engine import Database
from tarazy.pool.apart import Apart, StoppedError
from tarazy.pool.chain.transactions import HEADER_SIZE, block_transactions
from tarazy.pool.clock import Clock
from tarazy.stratum.job import displayed, double_sha256, merkle_branch

_log = structlog.get_logger()

EVENT = "round_proof"
_ROUNDS, _SHARES = 200, 1_000_000
"""At most so many rounds are hashed in one run of a process, and no more once they hold so many shares."""
_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 60.0, 3600.0
"""How long a round that could not be proven rests; each time twice as long."""
_GRACE_SECONDS = 3.0
"""How long the server's end waits for a run under way."""

_Spans = Sequence[tuple[int, list[Span]]]


@dataclass(slots=True)
class _Trouble:
    """A round that could not be proven."""

    reason: str
    rests: float
    again: float
    """When it is tried again, by the clock."""


class Proving:
    """Makes the records that are due, many in one run of a process; what cannot be proven holds up no other."""

    def __init__(
        self,
        clock: Clock,
        database: Database,
        journals: Path,
        blocks: Path,
        signing: Callable[[Connection], SigningKey],
    ) -> None:
        """`journals` and `blocks`: directories of all gateways."""
        self._clock = clock
        self._database = database
        self._journals = journals
        self._blocks = blocks
        self._signing = signing
        self._hashing: Apart[list[Hashed | Exception]] | None = None
        self._troubles: dict[int, _Trouble] = {}
        """By distribution."""
        self._stopped = False

    async def prove(self) -> None:
        """All that are due; those in trouble again when they have rested."""
        waiting = await self._database.read(unproven)
        self._troubles = {each: self._troubles[each] for each in waiting if each in self._troubles}
        now = self._clock.seconds()
        todo = [each for each in waiting if each not in self._troubles or self._troubles[each].again <= now]
        while todo and not self._stopped:
            batch = await self._database.read(_batch, todo, self._journals)
            todo = todo[len(batch) :]
            await self._prove(batch)

    async def _prove(self, batch: _Spans) -> None:
        self._hashing = Apart(hash_rounds, [spans for _, spans in batch])
        try:
            results = await deferToThread(self._hashing.result)
        except StoppedError as error:
            if self._stopped:
                return
            results = [error] * len(batch)
        finally:
            self._hashing = None
        for (distribution, spans), hashed in zip(batch, results, strict=True):
            try:
                if isinstance(hashed, Exception):
                    raise hashed
                record = await self._database.run(self._record, distribution, spans, hashed)
            except (ProofError, JournalError, StoppedError, OSError) as error:
                await self._rest(distribution, str(error))
            else:
                self._troubles.pop(distribution, None)
                _log.info("round_proven", round=record["round"], shares=hashed.shares, sum_root=record["sum_root"])

    async def _rest(self, distribution: int, reason: str) -> None:
        """Let a round wait; the log tells a reason once."""
        before = self._troubles.get(distribution)
        rests = min(2 * before.rests, _LONGEST_WAIT_SECONDS) if before else _WAIT_SECONDS
        if before is None or before.reason != reason:
            round_ = await self._database.run(last_round, distribution)
            _log.error("round_not_proven", round=round_, reason=reason, effect="it is not paid; it is tried again")
        self._troubles[distribution] = _Trouble(reason, rests, self._clock.seconds() + rests)

    def _record(self, connection: Connection, distribution: int, spans: list[Span], hashed: Hashed) -> dict[str, Any]:
        return put_on_record(connection, distribution, spans, hashed, self._blocks, self._signing(connection))

    def stop(self) -> None:
        """Begin nothing more; what is under way may end within seconds, else it is begun anew after the next start."""
        self._stopped = True
        if self._hashing is not None:
            self._clock.callLater(_GRACE_SECONDS, self._hashing.stop)


def _batch(connection: Connection, distributions: Sequence[int], journals: Path) -> list[tuple[int, list[Span]]]:
    """So many of some distributions, from the first on, as one run hashes; with their shares."""
    batch: list[tuple[int, list[Span]]] = []
    held = 0
    for distribution in distributions[:_ROUNDS]:
        batch.append((distribution, spans_of(connection, distribution, journals)))
        held += sum(span.until - span.after for span in batch[-1][1])
        if held >= _SHARES:
            break
    return batch


def obstacle(connection: Connection, distribution: int, journals: Path, blocks: Path) -> str | None:
    """What keeps a final distribution from its record, as far as that is seen without hashing its shares."""
    try:
        for span in spans_of(connection, distribution, journals):
            if span.after == span.until:
                continue
            with reading(span.journal, span.gateway) as reader:
                for _ in reader.segments(span.after, span.until):
                    pass
        _script(connection, distribution, blocks)
    except (ProofError, JournalError, OSError) as error:
        return str(error)
    return None


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
    """A found block, wherever its gateway keeps it. Raises `ProofError` or OSError."""
    cure = "bring its file back from a copy"
    found = (*directory.glob(f"gateway-*/{block_hash}.block"), *directory.glob(f"*/settled/{block_hash}.block"))
    for path in found:
        block = path.read_bytes()
        if displayed(double_sha256(block[:HEADER_SIZE])) == block_hash and _is_whole(block):
            return block
    if found:
        raise ProofError(f"{found[0]}: damaged: not the whole block that its name says; {cure}")
    raise ProofError(f"{directory}: no gateway keeps block {block_hash}; {cure}")


def _is_whole(block: bytes) -> bool:
    try:
        return bool(block_transactions(block))
    except ValueError:
        return False


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
