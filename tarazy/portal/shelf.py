"""Searching the registers as of any moment: in memory, so that a page of ten thousand machines costs milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from tarazy.accreditation.entries import Entry, Finding, fields_of
from tarazy.accreditation.snapshot import Registers, version_at

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
    """The registers as they were last read, with what was recorded since."""

    def __init__(self, registers: Callable[[Connection, datetime], Registers]) -> None:
        self._registers = registers

    def find(self, connection: Connection, kind: str, moment: Moment, search: Search) -> list[Entry]:
        """The versions of a register in force that fit."""
        histories = self._registers(connection, datetime.now(UTC)).histories(kind)
        if search.key is not None:
            histories = {search.key: histories[search.key]} if search.key in histories else {}
        found = _in_force(histories, moment)
        if search.open_alone:
            found = [entry for entry in found if isinstance(entry, Finding) and entry.is_open]
        words = search.text.casefold().split()
        if words:
            found = [entry for entry in found if _has(entry, words)]
        if search.sort is not None:
            return _sorted(found, search.sort, search.descending)
        return found[::-1] if search.descending else found


def _in_force(histories: Mapping[str, Sequence[Entry]], moment: Moment) -> list[Entry]:
    found = []
    for versions in histories.values():
        if moment.known_at is not None:
            known_at = moment.known_at
            versions = [row for row in versions if row.recorded_at is not None and row.recorded_at <= known_at]
        entry = version_at(versions, moment.valid_at)
        if entry is not None:
            found.append(entry)
    return found


def _has(entry: Entry, words: Sequence[str]) -> bool:
    values = (getattr(entry, name) for name in fields_of(entry.register))
    texts = (" ".join(value) if isinstance(value, tuple) else str(value) for value in values if value is not None)
    text = "\n".join(texts).casefold()
    return all(word in text for word in words)


def _sorted(entries: list[Entry], column: str, descending: bool) -> list[Entry]:
    """By a column's values, empty ones last either way."""

    def value(entry: Entry) -> Any:
        told = getattr(entry, column)
        return told.casefold() if isinstance(told, str) else told

    filled = [entry for entry in entries if getattr(entry, column) is not None]
    empty = [entry for entry in entries if getattr(entry, column) is None]
    return [*sorted(filled, key=value, reverse=descending), *empty]
