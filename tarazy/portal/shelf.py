"""Searching the registers as of any moment: in memory, so that a page of ten thousand machines costs milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from sqlalchemy import Engine

from tarazy.accreditation.entries import ENTRY_TYPES, Entry, Finding, fields_of
from tarazy.accreditation.registers import follow
from tarazy.accreditation.snapshot import Registers, version_at
from tarazy.database.engine import reader

LONGEST_SEARCH = 100


@dataclass(frozen=True, slots=True)
class Moment:
    """Of when the registers are asked for, and as they were known when; None: as known now."""

    valid_at: datetime
    known_at: datetime | None


@dataclass(frozen=True, slots=True)
class Search:
    """Which entries are wanted, and in which order."""

    key: str | None = None
    """Of one entry alone."""
    text: str = ""
    """Words that each stand somewhere in an entry, whatever their case."""
    sort: str | None = None
    """A column; without one, in order of keys."""
    descending: bool = False
    open_alone: bool = False
    """Of findings, those that wait for somebody."""


class Shelf:
    """The registers as they were last read, with what was recorded since. For any thread."""

    def __init__(self, engine: Engine) -> None:
        self._reader = reader(engine)
        self._lock = Lock()
        self._held = Registers({}, datetime.now(UTC))
        self._texts: dict[tuple[str, int], str] = {}
        """What is searched in an entry, by register and number: entries never change."""

    def present(self, now: datetime) -> Registers:
        """All registers at `now` as they are known now.

        Read in a transaction that begins after the one before, so that none looks like a copy of another day.
        """
        with self._lock, self._reader.begin() as connection:
            self._held = follow(connection, self._held, now)
            return self._held.at(now)

    def registers(self, moment: Moment) -> Registers:
        """All registers as of a moment."""
        held = self.present(datetime.now(UTC))
        if moment.known_at is None:
            return held.at(moment.valid_at)
        known = {name: _known(held.histories(name), moment.known_at) for name in ENTRY_TYPES}
        return Registers(known, moment.valid_at, held.lists)

    def find(self, kind: str, moment: Moment, search: Search) -> list[Entry]:
        """The versions of a register in force that fit."""
        histories = self.present(datetime.now(UTC)).histories(kind)
        if search.key is not None:
            histories = {search.key: histories[search.key]} if search.key in histories else {}
        if moment.known_at is not None:
            histories = _known(histories, moment.known_at)
        at = moment.valid_at
        found = [entry for versions in histories.values() if (entry := version_at(versions, at)) is not None]
        if search.open_alone:
            found = [entry for entry in found if isinstance(entry, Finding) and entry.is_open]
        words = search.text.casefold().split()
        if words:
            found = [entry for entry in found if self._has(entry, words)]
        if search.sort is not None:
            return _sorted(found, search.sort, search.descending)
        return found[::-1] if search.descending else found

    def _has(self, entry: Entry, words: Sequence[str]) -> bool:
        text = self._texts.get((entry.register, entry.entry))
        if text is None:
            text = self._texts[entry.register, entry.entry] = _text(entry)
        return all(word in text for word in words)


def _text(entry: Entry) -> str:
    values = (getattr(entry, name) for name in fields_of(entry.register))
    texts = (" ".join(value) if isinstance(value, tuple) else str(value) for value in values if value is not None)
    return "\n".join(texts).casefold()


def _known(histories: Mapping[str, Sequence[Entry]], known_at: datetime) -> dict[str, list[Entry]]:
    """The versions that were recorded until then."""
    known = {
        key: [row for row in versions if row.recorded_at is not None and row.recorded_at <= known_at]
        for key, versions in histories.items()
    }
    return {key: versions for key, versions in known.items() if versions}


def _sorted(entries: list[Entry], column: str, descending: bool) -> list[Entry]:
    """By a column's values, empty ones last either way."""

    def value(entry: Entry) -> Any:
        told = getattr(entry, column)
        return told.casefold() if isinstance(told, str) else told

    filled = [entry for entry in entries if getattr(entry, column) is not None]
    empty = [entry for entry in entries if getattr(entry, column) is None]
    return [*sorted(filled, key=value, reverse=descending), *empty]
