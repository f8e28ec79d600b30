"""Readings that the pool has not acknowledged yet, on disk in the order in which they were taken."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from tarazy.accounting.energy.meter import Reading

MOST_HELD = 2_000_000
"""Readings held: 100 meters read every minute for two weeks. Then the oldest go: the registers make up for them."""


class SpoolError(Exception):
    """The file cannot be used, and the cure."""


@dataclass(frozen=True)
class Spooled:
    """A reading as it is sent; `sequence` counts on."""

    sequence: int
    meter: str
    at: str
    count: int | None
    status: str
    quantity: str


class Spool:
    """An SQLite file of one agent: a reading is on disk when `add` returns."""

    def __init__(self, path: Path, most: int = MOST_HELD) -> None:
        """Open or make it. Raises `SpoolError`, also when another agent has it open."""
        self._most = most
        try:
            self._file = sqlite3.connect(path, timeout=0, isolation_level=None)
            for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
                self._file.execute(f"PRAGMA {pragma}")
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS reading (sequence INTEGER PRIMARY KEY AUTOINCREMENT,"
                " meter TEXT NOT NULL, at TEXT NOT NULL, count INTEGER, status TEXT NOT NULL) STRICT"
            )
            if "quantity" not in {row[1] for row in self._file.execute("PRAGMA table_info(reading)")}:
                self._file.execute("ALTER TABLE reading ADD COLUMN quantity TEXT NOT NULL DEFAULT 'import'")
        except sqlite3.Error as error:
            raise SpoolError(f"{path}: {error}; is another agent running, or is this another file?") from None

    def add(self, reading: Reading) -> None:
        """Keep a reading; with too many, the oldest goes."""
        row = (reading.meter, reading.at.isoformat(), reading.register_count, reading.status, reading.quantity)
        with self._file:  # commits, or takes all of it back
            self._file.execute("BEGIN")
            added = self._file.execute(
                "INSERT INTO reading (meter, at, count, status, quantity) VALUES (?, ?, ?, ?, ?)", row
            )
            self.drop((added.lastrowid or 0) - self._most)

    def oldest(self, count: int) -> list[Spooled]:
        """The first `count` readings."""
        query = "SELECT sequence, meter, at, count, status, quantity FROM reading ORDER BY 1 LIMIT ?"
        rows = self._file.execute(query, (count,))
        return [Spooled(*row) for row in rows]

    def count(self) -> int:
        """How many are held, those being pushed too."""
        count: int = self._file.execute("SELECT count(*) FROM reading").fetchone()[0]
        return count

    def drop(self, until: int) -> None:
        """Forget what was acknowledged: all up to this sequence."""
        self._file.execute("DELETE FROM reading WHERE sequence <= ?", (until,))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
