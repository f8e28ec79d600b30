"""The registers held against the audit log, which kept a digest of every entry when it was recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from tarazy.accreditation.registers import WITNESS, content_digest, entry_of
from tarazy.accreditation.tables import REGISTERS, audit


@dataclass(frozen=True, slots=True)
class WitnessFault:
    """An entry that is not what was recorded."""

    register: str
    entry: int
    problem: str

    def __str__(self) -> str:
        return f"{self.register}, entry {self.entry}: {self.problem}"


def register_faults(connection: Connection) -> Iterator[WitnessFault]:
    """Entries that were changed, removed or slipped in behind the audit log's back, register by register.

    Entries older than the log's first one of their register are not witnessed and count as they stand.
    """
    witnessed = _witnessed(connection)
    for register in REGISTERS:
        digests = witnessed.get(register, {})
        first = min(digests, default=None)
        table = REGISTERS[register]
        query = select(table).order_by(table.c.entry).execution_options(yield_per=1_000)
        for row in connection.execute(query).mappings():
            known = digests.pop(row["entry"], None)
            if known is None:
                if first is not None and row["entry"] > first:
                    yield WitnessFault(register, row["entry"], "the audit log knows nothing of it")
            elif known != _said(register, row):
                yield WitnessFault(register, row["entry"], "it was changed after it was recorded")
        for number, (key, _) in sorted(digests.items()):
            yield WitnessFault(register, number, f"it was removed; it was a version of {key}")


def _said(register: str, row: Mapping[Any, Any]) -> tuple[str, str] | None:
    """Key and digest of a row; None when nobody could have recorded it as it stands."""
    try:
        entry = entry_of(register, row)
    except ValueError:
        return None
    return entry.key, content_digest(entry)


def _witnessed(connection: Connection) -> dict[str, dict[int, tuple[str, str]]]:
    """Register → entry → key and digest, from the audit log."""
    found: dict[str, dict[int, tuple[str, str]]] = {}
    query = select(audit.c.body).where(audit.c.kind == WITNESS).execution_options(yield_per=1_000)
    for text in connection.execute(query).scalars():
        body = json.loads(text)
        found.setdefault(body["register"], {})[body["entry"]] = body["key"], body["digest"]
    return found
