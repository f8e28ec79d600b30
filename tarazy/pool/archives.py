"""Keeps the raw shares of final rounds as archives, and lets go of what the operator wants to keep no longer."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from twisted.internet.threads import deferToThread

from tarazy.accounting.archive import (
    ArchiveStopped,
    Stretch,
    archived_before,
    due,
    record_archived,
    remove_archives,
    write_archive,
)
from tarazy.accounting.journal_file import JournalReader, prune
from tarazy.config.settings import Settings
from tarazy.database.engine import Database
from tarazy.pool.clock import Clock
from tarazy.pool.repeat import Repeat

_ARCHIVE_SECONDS = 60.0
_PRUNED_COMMITS = 200
"""Commits that leave a journal at a time: its gateway waits no longer than for a commit of its own."""

_log = structlog.get_logger()


class Archives:
    """One final round after another, on a thread of its own; the journals are read beside their gateways."""

    def __init__(self, clock: Clock, settings: Settings, database: Database) -> None:
        self._database = database
        self._journals = settings.journal_path.parent
        self._directory = settings.archive_path
        self._rule = settings.accounting.archive
        self._ending = False
        self.repeat = Repeat(clock, "archive_shares", _ARCHIVE_SECONDS, self.keep)

    async def stop(self) -> None:
        """End; a round that is not through is archived the next time."""
        self._ending = True
        await self.repeat.stop()

    async def keep(self) -> None:
        """Archive all final rounds that are not yet, then delete what the settings keep no longer."""
        while not self._ending and (stretches := await self._database.read(due)):
            try:
                shares = await deferToThread(self._write, stretches)
            except ArchiveStopped:
                return
            number = stretches[0].round
            await self._database.run(record_archived, number, datetime.now(UTC))
            _log.info("round_archived", round=number, shares=shares)
        if self._rule.journal_days is not None:
            _, ends = await self._database.read(archived_before, _days_ago(self._rule.journal_days))
            await deferToThread(self._prune, ends)
        if self._rule.keep_days is not None:
            last, _ = await self._database.read(archived_before, _days_ago(self._rule.keep_days))
            if removed := await deferToThread(remove_archives, self._directory, last):
                _log.info("archives_removed", files=removed, last_round=last)

    def _write(self, stretches: Iterable[Stretch]) -> int:
        self._directory.mkdir(parents=True, exist_ok=True)
        shares = 0
        for stretch in stretches:
            if stretch.after < stretch.last:
                reader = JournalReader(self._path(stretch.gateway), stretch.gateway)
                try:
                    shares += write_archive(self._directory, reader, stretch, lambda: not self._ending)
                finally:
                    reader.close()
        return shares

    def _prune(self, ends: dict[int, int]) -> None:
        for gateway, last in ends.items():
            if self._path(gateway).exists():
                while not self._ending and prune(self._path(gateway), gateway, last, _PRUNED_COMMITS):
                    pass

    def _path(self, gateway: int) -> Path:
        return self._journals / f"gateway-{gateway}.sqlite"


def _days_ago(days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)
