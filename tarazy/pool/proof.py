"""The evidence of where this server stands: taken at the start, once a day, and when somebody asks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import Connection
from twisted.internet.threads import deferToThread

from tarazy.accreditation.evidence import EvidenceRule
from tarazy.accreditation.registers import as_of
from tarazy.accreditation.server_evidence import Observed, findings, gather, keep
from tarazy.config.settings import Settings
from tarazy.database.engine import Database
from tarazy.pool.clock import Clock
from tarazy.pool.machine import observe
from tarazy.pool.repeat import Repeat

_DAY_SECONDS = 86_400.0

_log = structlog.get_logger()


def take(connection: Connection, settings: Settings, observed: Observed, at: datetime) -> tuple[str, dict[str, Any]]:
    """Weigh what the machine showed against the registers, and keep it; digest and content."""
    accreditation = settings.accreditation
    rule = EvidenceRule.of(accreditation)
    evidence = gather(as_of(connection, at), rule, accreditation.server, observed, at)
    return keep(connection, evidence, at), evidence


class DailyProof:
    """Takes the evidence now and every day; what is wanting is one line of the log each, without addresses."""

    def __init__(self, clock: Clock, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self.repeat = Repeat(clock, "take_server_evidence", _DAY_SECONDS, self.take)

    async def take(self) -> None:
        """Once."""
        observed = await deferToThread(observe, self._settings)
        digest, evidence = await self._database.run(take, self._settings, observed, datetime.now(UTC))
        wanting = [finding for finding in findings(evidence) if not finding.fine]
        for code in sorted({finding.code for finding in wanting}):
            _log.warning("server_evidence_wanting", finding=code, cure="see `tarazy check`")
        _log.info("server_evidence_taken", digest=digest, wanting=len(wanting))
