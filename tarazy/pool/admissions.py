"""Admission while the pool runs: the registers are followed, decisions made on the newest, and all of them kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import structlog
from sqlalchemy import Connection

from tarazy.accounting.durable import write_durably
from tarazy.accreditation import audit
from tarazy.accreditation.decisions import DecisionLog
from tarazy.accreditation.geo import load_geo
from tarazy.accreditation.index import AdmissionIndex, CompiledRegisters
from tarazy.accreditation.registers import RegistersVersion, as_of, registers_version
from tarazy.accreditation.snapshot import Registers
from tarazy.config.settings import AccreditationSettings
from tarazy.database.engine import Database
from tarazy.pool.clock import Clock, Timer
from tarazy.pool.repeat import Repeat
from tarazy.stratum.login import split_login
from tarazy.stratum.ports import Admission, Peer

_FOLLOW_SECONDS = 0.4
"""Two looks at the registers within the second in which a change must take hold (invariant 4)."""
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
        self._index = AdmissionIndex(settings.server, load_geo(settings.country), settings.demo_addresses)
        self._decisions = DecisionLog()
        self._unwritten: list[audit.AuditEvent] = []
        self._version: RegistersVersion | None = None
        self._timer: Timer | None = None
        self._on_change: Callable[[], None] = lambda: None
        self.registers = Registers({}, datetime.now(UTC))
        """The newest, at the instant they were read."""
        self.follow = Repeat(clock, "follow_registers", _FOLLOW_SECONDS, self.refresh)
        self.keep = Repeat(clock, "keep_decisions", _KEEP_SECONDS, self._write_decisions)

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

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever a decision may come out differently than before."""
        self._on_change = listener

    def admit(self, name: str, password: str, peer: Peer) -> Admission:
        """Decide, and note the decision for the audit log (a port of the Stratum server)."""
        account, worker = split_login(name)
        now = datetime.now(UTC)
        decision = self._index.decide(account, worker, peer.address, now, peer.site)
        self._decisions.add(decision, account, worker, peer.address, now)
        return Admission(
            decision.admitted, decision.text, account, worker, decision.party, decision.site, decision.reasons
        )

    async def refresh(self) -> None:
        """Take up the registers if anything was added to them since the last time, whoever is writing the ledger."""
        compiled = await self._database.read(self._read)
        if compiled is not None:
            self.registers = compiled.registers
            self._index.install(compiled)
            self._changed()

    def _read(self, connection: Connection) -> CompiledRegisters | None:
        version = registers_version(connection)
        if version == self._version:
            return None
        compiled = CompiledRegisters(as_of(connection, datetime.now(UTC)))
        self._version = version
        return compiled

    def _changed(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        now = datetime.now(UTC)
        change = self._index.next_change(now)
        if change is not None:
            wait = min(change - now, _LONGEST_TIMER)
            self._timer = self._clock.callLater(max(0.0, wait.total_seconds()), self._changed)
        self._on_change()

    async def _write_decisions(self) -> None:
        if not self._unwritten:  # while the database is away, what comes is counted where it stands, not piled up
            self._unwritten = self._decisions.take(datetime.now(UTC))
        if self._unwritten:
            events = list(self._unwritten)
            await self._database.run(_append, events)
            del self._unwritten[: len(events)]


def _append(connection: Connection, events: list[audit.AuditEvent]) -> None:
    audit.append(connection, events, datetime.now(UTC))
