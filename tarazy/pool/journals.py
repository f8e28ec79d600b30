"""The journals of every gateway of this host, as the office folds them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection

from tarazy.accounting.cursors import cursor_of
from tarazy.accounting.folding import Folded, fold
from tarazy.accounting.journal_file import JournalReader
from tarazy.accounting.rounds import Closing, close_round
from tarazy.accounting.schemes import Schedule

_FOLD_SHARES = 500_000
"""Shares in one transaction: it costs by the tallies it touches, so many shares at once are cheaper."""
_NAME = re.compile(r"gateway-([0-9]{1,3})\.sqlite")


class Journals:
    """Opened as they appear in a directory. They are read on the database's thread."""

    def __init__(self, directory: Path, interval_seconds: int, schedule: Schedule) -> None:
        self._directory = directory
        self._interval_seconds = interval_seconds
        self._schedule = schedule
        self._readers: dict[int, JournalReader] = {}
        self._folded: dict[int, int] = {}

    def gateways(self) -> list[int]:
        """The numbers of all gateways that have a journal."""
        named = (_NAME.fullmatch(path.name) for path in self._directory.glob("gateway-*.sqlite"))
        return sorted(int(found[1]) for found in named if found)

    def require(self, connection: Connection) -> None:
        """Raise `FoldError` or `JournalError` if one of them is not the one that was folded so far."""
        for gateway in self.gateways():
            self._folded[gateway] = cursor_of(connection, self._reader(gateway), gateway).sequence

    def fold(self, connection: Connection, gateway: int) -> Folded:
        """Fold some of what is new in one gateway's journal, in one transaction. Raises as `require`."""
        reader = self._reader(gateway)
        folded = fold(connection, reader, gateway, self._interval_seconds, _FOLD_SHARES, datetime.now(UTC))
        self._folded[gateway] = folded.sequence
        return folded

    def close_round(self, connection: Connection, gateways: Iterable[int]) -> Closing:
        """Close the open round if the journals say so, in one transaction; `gateways`: those that could be folded."""
        readers = {gateway: self._reader(gateway) for gateway in gateways}
        return close_round(connection, readers, self._interval_seconds, self._schedule)

    def unfolded(self) -> int:
        """Shares on disk that are not folded yet."""
        return sum(
            max(0, reader.last_sequence() - self._folded.get(gateway, 0)) for gateway, reader in self._readers.items()
        )

    def _reader(self, gateway: int) -> JournalReader:
        if gateway not in self._readers:
            self._readers[gateway] = JournalReader(self._directory / f"gateway-{gateway}.sqlite", gateway)
        return self._readers[gateway]

    def close(self) -> None:
        """Close the files."""
        while self._readers:
            self._readers.popitem()[1].close()
