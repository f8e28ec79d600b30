"""Reading the registers as of any instant, and adding to them.

Nothing here changes or removes a row (invariant 7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, get_type_hints

from sqlalchemy import Connection, func, insert, select

from tarazy.accreditation.checking import EntryFault, RegisterError, field_faults, relation_faults
from tarazy.accreditation.entries import ENTRY_TYPES, DocumentStatus, Entry, content_of
from tarazy.accreditation.snapshot import Registers, version_at
from tarazy.accreditation.tables import REGISTERS, lock_writers

RegistersVersion = tuple[int, ...]
"""Highest entry of each register: different as soon as anything was added."""


@cache
def _converters(register: str) -> dict[str, Callable[[Any], Any]]:
    hints = get_type_hints(ENTRY_TYPES[register])
    words = {name: kind for name, kind in hints.items() if isinstance(kind, type) and issubclass(kind, StrEnum)}
    return {**words, **({"networks": tuple} if "networks" in hints else {})}


def _entries(connection: Connection, register: str, known_at: datetime | None) -> dict[str, list[Entry]]:
    table, kind, converters = REGISTERS[register], ENTRY_TYPES[register], _converters(register)
    query = select(table).order_by(table.c.entry.desc())
    if known_at is not None:
        query = query.where(table.c.recorded_at <= known_at)
    found: dict[str, list[Entry]] = {}
    for row in connection.execute(query).mappings():
        values = dict(row)
        for name, convert in converters.items():
            values[name] = convert(values[name])
        found.setdefault(values[register], []).append(kind(**values))
    return found


def as_of(connection: Connection, valid_at: datetime, known_at: datetime | None = None) -> Registers:
    """The registers at `valid_at` as they were known at `known_at`, or as known now (invariants 6 and 7)."""
    versions = {register: _entries(connection, register, known_at) for register in REGISTERS}
    return Registers(versions, valid_at)


def registers_version(connection: Connection) -> RegistersVersion:
    """One cheap read that tells whether anything was added since: compare with an earlier answer."""
    highest = (select(func.max(table.c.entry)).scalar_subquery() for table in REGISTERS.values())
    row = connection.execute(select(*(func.coalesce(entry, 0) for entry in highest))).one()
    return tuple(int(entry) for entry in row)


def newest_recorded_at(connection: Connection) -> datetime | None:
    """When the registers were last added to; None while they are empty."""
    instants = (connection.scalar(select(func.max(table.c.recorded_at))) for table in REGISTERS.values())
    return max((instant for instant in instants if instant is not None), default=None)


def append_all(connection: Connection, entries: Sequence[Entry], recorded_at: datetime, recorded_by: str) -> None:
    """Record `entries`, all or none; they may refer to each other.

    Raises `RegisterError` when a value breaks its column's rule, a party or site referred to is unknown, or
    an account belongs to another party; ValueError when `recorded_at` lies before what is already recorded.
    """
    faults: list[EntryFault] = [fault for index, entry in enumerate(entries) for fault in field_faults(index, entry)]
    lock_writers(connection)
    faults += relation_faults(connection, entries)
    if faults:
        raise RegisterError(faults)
    by_register: dict[str, list[Entry]] = {}
    for entry in entries:
        by_register.setdefault(entry.register, []).append(entry)
    for register in sorted(by_register, key=list(REGISTERS).index):
        _insert(connection, register, by_register[register], recorded_at, recorded_by)


def _insert(
    connection: Connection, register: str, entries: Iterable[Entry], recorded_at: datetime, recorded_by: str
) -> None:
    table = REGISTERS[register]
    latest = select(table.c.recorded_at).order_by(table.c.entry.desc()).limit(1)
    last = connection.execute(latest).scalar()
    if last is not None and recorded_at < last:
        raise ValueError(
            f"the register {register} was last added to at {last.isoformat()}, later than now; set the clock"
        )
    stamp = {"recorded_at": recorded_at, "recorded_by": recorded_by}
    connection.execute(insert(table), [{**content_of(entry), **stamp} for entry in entries])


def append(connection: Connection, entry: Entry, recorded_at: datetime, recorded_by: str) -> None:
    """Record one entry; raises as `append_all` does."""
    append_all(connection, [entry], recorded_at, recorded_by)


def restate(
    connection: Connection,
    register: str,
    key: str,
    *,
    valid_from: datetime,
    valid_to: datetime | None = None,
    recorded_at: datetime,
    recorded_by: str,
    **changes: Any,
) -> None:
    """Add a version of `key` that differs in `changes` from the one in force at `valid_from`.

    With `valid_to` the earlier version holds again afterwards. Raises LookupError when none is in force.
    """
    known = _entries(connection, register, None).get(key, [])
    current = version_at(known, valid_from)
    if current is None:
        raise LookupError(f"no {register} {key} is in force at {valid_from.isoformat()}; see `register show`")
    entry = replace(current, valid_from=valid_from, valid_to=valid_to, **changes)
    append(connection, entry, recorded_at, recorded_by)


def suspend_licence(
    connection: Connection,
    number: str,
    *,
    since: datetime,
    until: datetime,
    reason: str,
    recorded_at: datetime,
    recorded_by: str,
) -> None:
    """Suspend a licence from `since` until `until`; then its earlier version holds again."""
    restate(
        connection,
        "licence",
        number,
        valid_from=since,
        valid_to=until,
        recorded_at=recorded_at,
        recorded_by=recorded_by,
        status=DocumentStatus.SUSPENDED,
        reason=reason,
    )


def revoke_licence(
    connection: Connection,
    number: str,
    *,
    since: datetime,
    reason: str,
    recorded_at: datetime,
    recorded_by: str,
) -> None:
    """End a licence for good at `since`. Raises LookupError when it is not in force, or revoked already."""
    current = as_of(connection, since).licences.get(number)
    if current is not None and current.status is DocumentStatus.REVOKED:
        raise LookupError(f"licence {number} is revoked already, since {current.valid_from.isoformat()}")
    restate(
        connection,
        "licence",
        number,
        valid_from=since,
        recorded_at=recorded_at,
        recorded_by=recorded_by,
        status=DocumentStatus.REVOKED,
        reason=reason,
    )
