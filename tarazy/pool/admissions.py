"""Admission while the pool runs: the registers are followed, decisions made on the newest, and all of them kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import structlog
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from tarazy.accounting.durable import write_durably
from tarazy.accreditation import audit
from tarazy.accreditation.admission import Question
from tarazy.accreditation.decisions import DecisionLog
from tarazy.accreditation.evidence import EvidenceRule
from tarazy.accreditation.index import AdmissionIndex, CompiledRegisters
from tarazy.accreditation.registers import follow
from tarazy.accreditation.snapshot import Registers
from tarazy.config.settings import AccreditationSettings
from tarazy.database.engine import Database
from tarazy.metrics.facts import AdmissionFacts
from tarazy.pool.clock import Clock, Timer
from tarazy.pool.repeat import Repeat
from tarazy.stratum.login import split_login
from tarazy.stratum.ports import Admission, Peer

_FOLLOW_SECONDS = 0.25
"""A change must take hold within a second, and a miner has half of it to read why it must go (invariant 4)."""
_KEEP_SECONDS = 1.0
_LONGEST_TIMER = timedelta(hours=1)

_log = structlog.get_logger()


class Admissions:
    """The gate of the Stratum server.

    While the database is away it decides on the last registers it saw, and keeps its decisions until they can be
    written.
    """

    def __init__(self, clock: Clock, database: Database, settings: AccreditationSettings, pending: Path) -> None:
        """`pending`: file that takes the decisions which the database could not take at the end."""
        self._pending = pending
        self._clock = clock
        self._database = database
        self._server = settings.server
        self._index = AdmissionIndex(EvidenceRule.of(settings), settings.demo_addresses)
        self._decisions = DecisionLog()
        self._unwritten: list[audit.AuditEvent] = []
        self._counted = {"admitted": 0, "refused": 0}
        self._timer: Timer | None = None
        self._on_change: Callable[[], None] = lambda: None
        self.follow = Repeat(clock, "follow_registers", _FOLLOW_SECONDS, self.refresh)
        self.keep = Repeat(clock, "keep_decisions", _KEEP_SECONDS, self._write_decisions)

    @property
    def registers(self) -> Registers:
        """The newest that are known."""
        return self._index.compiled.registers

    async def start(self) -> None:
        """Read the registers once, then follow them. Fails when the database does."""
        await self.refresh()
        if self._pending.exists():
            lines = self._pending.read_bytes().splitlines()
            self._unwritten = [audit.AuditEvent(**orjson.loads(line)) for line in lines]
            await self._write_decisions()
            self._pending.unlink()
        self.follow.start()
        self.keep.start()

    async def stop(self) -> None:
        """Stop following, and write every decision not written yet."""
        await self.follow.stop()
        await self.keep.stop()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._unwritten += self._decisions.take(datetime.now(UTC), everything=True)
        try:
            await self._write_decisions()
        except Exception:
            earlier = self._pending.read_bytes().splitlines() if self._pending.exists() else []
            write_durably(self._pending, b"\n".join([*earlier, *map(orjson.dumps, self._unwritten)]))
            _log.warning("decisions_pending", count=len(self._unwritten), file=str(self._pending))

    def facts(self) -> AdmissionFacts:
        """Decisions since the start, and the rows that the ledger could not take yet."""
        return AdmissionFacts(dict(self._counted), len(self._unwritten))

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever a decision may come out differently than before."""
        self._on_change = listener

    def admit(self, name: str, password: str, peer: Peer) -> Admission:
        """Decide, and note the decision for the audit log (a port of the Stratum server)."""
        account, worker = split_login(name)
        now = datetime.now(UTC)
        question = Question(account, worker, peer.address, self._server, peer.certificate_site, peer.port_sites)
        decision = self._index.decide(question, now)
        self._decisions.add(decision, account, worker, peer.address, now)
        self._counted["admitted" if decision.admitted else "refused"] += 1
        return Admission(
            decision.admitted, decision.text, account, worker, decision.party, decision.site, decision.reasons
        )

    async def refresh(self) -> None:
        """Take up the registers if anything was added to them since the last time, whoever is writing the ledger."""
        held = self._index.compiled
        compiled = await self._database.read(_newer, held)
        if compiled is not held:
            self._index.install(compiled)
            self._changed()

    def _changed(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        now = datetime.now(UTC)
        change = self._index.next_change(now)
        if change is not None:
            wait = min(change - now, _LONGEST_TIMER)
            self._timer = self._clock.callLater(max(0.0, wait.total_seconds()), self._changed)
            self._foreseen = Deferred.fromCoroutine(self._foresee(change))
            self._foreseen.addErrback(_not_foreseen)
        self._on_change()

    async def _foresee(self, change: datetime) -> None:
        """Work out beside the reactor what holds from `change` on."""
        compiled = self._index.compiled
        upcoming = await self._database.compute(compiled.at, change)
        if self._index.compiled is compiled:
            self._index.foresee(upcoming)

    async def _write_decisions(self) -> None:
        if not self._unwritten:  # while the database is away, what comes is counted where it stands, not piled up
            self._unwritten = self._decisions.take(datetime.now(UTC))
        if self._unwritten:
            events = list(self._unwritten)
            await self._database.run(_append, events)
            del self._unwritten[: len(events)]


def _not_foreseen(failure: Failure) -> None:
    _log.error("change_not_foreseen", error=repr(failure.value))


def _newer(connection: Connection, held: CompiledRegisters) -> CompiledRegisters:
    """`held` with what was recorded since; itself if nothing was."""
    registers = follow(connection, held.registers, datetime.now(UTC))
    return held if registers is held.registers else held.with_registers(registers)


def _append(connection: Connection, events: list[audit.AuditEvent]) -> None:
    audit.append(connection, events, datetime.now(UTC))
