"""Reading the registers as of any instant, and adding to them.

Nothing here changes or removes a row (invariant 7).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any, cast, get_args, get_type_hints

from sqlalchemy import Connection, func, insert, select

from tarazy.accreditation import audit, documents
from tarazy.accreditation.audit import AuditEvent, canonical, instant_text
from tarazy.accreditation.checking import (
    COOLING,
    EntryFault,
    Recording,
    RegisterError,
    field_faults,
    relation_faults,
)
from tarazy.accreditation.entries import ENTRY_TYPES, DocumentStatus, Entry, Geo, Licence, ReadBy, content_of
from tarazy.accreditation.geo import Ranges
from tarazy.accreditation.snapshot import Registers, standing, version_at
from tarazy.accreditation.tables import REGISTERS, lock_writers
from tarazy.config.law.calendar import legal_day

WITNESS = "register-entry"
"""Kind of the audit event that keeps a digest of an entry."""

_AT_ONCE = {"yield_per": 10_000}
_SHARED = frozenset({str, int, datetime})
"""Types of which equal values are the same: a bool equals an int and is none."""

RegistersVersion = tuple[int, ...]
"""Highest entry of each register: different as soon as anything was added."""


@cache
def _converters(register: str) -> dict[str, Callable[[Any], Any]]:
    hints = get_type_hints(ENTRY_TYPES[register])
    words: dict[str, Callable[[Any], Any]] = {}
    for name, hint in hints.items():
        for kind in (hint, *get_args(hint)):
            if isinstance(kind, type) and issubclass(kind, StrEnum):
                words[name] = kind
    return {**words, **({"networks": tuple} if "networks" in hints else {})}


def all_versions(
    connection: Connection, register: str, known_at: datetime | None = None, keys: Collection[str] | None = None
) -> dict[str, list[Entry]]:
    """Every version of each entry of a register, the latest recorded first; of `keys` alone if they are given."""
    table = REGISTERS[register]
    query = select(table).order_by(table.c.entry.desc())
    if known_at is not None:
        query = query.where(table.c.recorded_at <= known_at)
    if keys is not None:
        query = query.where(table.c[register].in_(keys))
    found: dict[str, list[Entry]] = {}
    rows = connection.execute(query, execution_options=_AT_ONCE)
    names = tuple(rows.keys())
    place, alike = names.index(register), [name not in ("entry", register) for name in names]
    told: dict[Any, Any] = {}
    """Values that rows before had: a register of machines that shares them takes half the memory."""
    for row in rows:
        values = {
            name: told.setdefault(value, value) if shares and type(value) in _SHARED else value
            for name, value, shares in zip(names, row, alike, strict=True)
        }
        found.setdefault(row[place], []).append(_entry(register, values))
    return found


def entry_of(register: str, row: Mapping[Any, Any]) -> Entry:
    """The entry that a row of a register's table is; raises ValueError when a word in it is none of the known."""
    return _entry(register, dict(row))


def _entry(register: str, values: dict[str, Any]) -> Entry:
    for name, convert in _converters(register).items():
        if values[name] is not None:
            values[name] = convert(values[name])
    return ENTRY_TYPES[register](**values)


def as_of(
    connection: Connection, valid_at: datetime, known_at: datetime | None = None, of: Collection[str] = tuple(REGISTERS)
) -> Registers:
    """The registers at `valid_at` as they were known at `known_at`, or as known now (invariants 6 and 7).

    `of`: these registers alone, the others are left empty.
    """
    versions = {register: all_versions(connection, register, known_at) for register in of}
    lists = _lists_of(connection, (entry for known in versions.get(Geo.register, {}).values() for entry in known))
    return Registers(versions, valid_at, lists)


def follow(connection: Connection, held: Registers, valid_at: datetime) -> Registers:
    """`held` at `valid_at` with what was recorded since; `held` itself if nothing was.

    Nothing is overlooked: writers come one after the other (`lock_writers`), and a `reader` sees one snapshot.
    """
    added: dict[str, Sequence[Entry]] = {}
    for register, highest in zip(REGISTERS, registers_version(connection), strict=True):
        newest = held.newest(register)
        last = newest.entry if newest else 0
        if highest == last:
            continue
        table = REGISTERS[register]
        rows = connection.execute(select(table).where(table.c.entry >= last).order_by(table.c.entry)).mappings()
        entries = [entry_of(register, row) for row in rows]
        if newest is not None and entries[:1] != [newest]:  # a copy of another day stands in the ledger's place
            return as_of(connection, valid_at)
        added[register] = entries[1:] if newest else entries
    return held.adding(added, valid_at, _lists_of(connection, added.get(Geo.register, ()))) if added else held


def _lists_of(connection: Connection, entries: Iterable[Entry]) -> dict[str, Ranges]:
    digests = {entry.digest for entry in entries if isinstance(entry, Geo)}
    return {digest: _list(connection, digest) for digest in digests}


_lists: dict[str, Ranges] = {}
"""Lists read before, by digest: there are as many as were ever recorded."""


def _list(connection: Connection, digest: str) -> Ranges:
    if digest not in _lists:
        _lists[digest] = Ranges.parse(documents.load(connection, digest))
    return _lists[digest]


def versions_of(connection: Connection, register: str, key: str) -> list[Entry]:
    """Every version of one entry, the latest recorded first."""
    return all_versions(connection, register, keys=[key]).get(key, [])


def registers_version(connection: Connection) -> RegistersVersion:
    """One cheap read that tells whether anything was added since: compare with an earlier answer."""
    highest = (select(func.max(table.c.entry)).scalar_subquery() for table in REGISTERS.values())
    row = connection.execute(select(*(func.coalesce(entry, 0) for entry in highest))).one()
    return tuple(int(entry) for entry in row)


def newest_recorded_at(connection: Connection) -> datetime | None:
    """When the registers were last added to; None while they are empty."""
    instants = (connection.scalar(select(func.max(table.c.recorded_at))) for table in REGISTERS.values())
    return max((instant for instant in instants if instant is not None), default=None)


def append_all(
    connection: Connection,
    entries: Sequence[Entry],
    recorded_at: datetime,
    recorded_by: str,
    cooling: timedelta = COOLING,
) -> None:
    """Record `entries`, all or none, each with its event in the audit log; they may refer to each other.

    `cooling`: time between the proposal of another payout address and the first instant it may be paid to.
    Raises `RegisterError` when a value breaks its column's rule or entries do not fit together or with what is
    recorded; ValueError when `recorded_at` lies before what is already recorded.
    """
    faults: list[EntryFault] = [fault for index, entry in enumerate(entries) for fault in field_faults(index, entry)]
    lock_writers(connection)
    faults += relation_faults(connection, entries, Recording(recorded_at, recorded_by, cooling))
    if faults:
        raise RegisterError(faults)
    by_register: dict[str, list[Entry]] = {}
    for entry in entries:
        by_register.setdefault(entry.register, []).append(entry)
    events: list[AuditEvent] = []
    for register in sorted(by_register, key=list(REGISTERS).index):
        recorded = by_register[register]
        numbers = _insert(connection, register, recorded, recorded_at, recorded_by)
        events += [_event(entry, number, recorded_by) for entry, number in zip(recorded, numbers, strict=True)]
    audit.append(connection, events, recorded_at)


def _event(entry: Entry, number: int, recorded_by: str) -> AuditEvent:
    named = {"register": entry.register, "key": entry.key, "entry": number}
    return AuditEvent(WITNESS, {**named, "digest": content_digest(entry), "by": recorded_by})


_LATER: Mapping[tuple[str, str], Any] = {
    ("site", "energy_by"): None,
    ("site", "energy_parts"): None,
    ("site", "energy_rest"): None,
    ("meter", "party"): None,
    ("meter", "read_by"): ReadBy.POOL,
}
"""Columns that came after the first digests, and what entries of before have in them: that is left out, so that those
digests stay true."""


def content_digest(entry: Entry) -> str:
    """SHA-256, hex, of the canonical JSON of what a person said in this version."""
    content = {
        name: _plain(value)
        for name, value in content_of(entry).items()
        if (column := (entry.register, name)) not in _LATER or value != _LATER[column]
    }
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return instant_text(value)
    return list(value) if isinstance(value, tuple) else value.isoformat() if isinstance(value, date) else value


def _insert(
    connection: Connection, register: str, entries: Iterable[Entry], recorded_at: datetime, recorded_by: str
) -> Sequence[int]:
    table = REGISTERS[register]
    latest = select(table.c.recorded_at).order_by(table.c.entry.desc()).limit(1)
    last = connection.execute(latest).scalar()
    if last is not None and recorded_at < last:
        raise ValueError(
            f"the register {register} was last added to at {last.isoformat()}, later than now; set the clock"
        )
    stamp = {"recorded_at": recorded_at, "recorded_by": recorded_by}
    rows = [{**content_of(entry), **stamp} for entry in entries]
    return (
        connection.execute(insert(table).returning(table.c.entry, sort_by_parameter_order=True), rows).scalars().all()
    )


def append(
    connection: Connection, entry: Entry, recorded_at: datetime, recorded_by: str, cooling: timedelta = COOLING
) -> None:
    """Record one entry; raises as `append_all` does."""
    append_all(connection, [entry], recorded_at, recorded_by, cooling)


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
) -> Entry:
    """Add a version of `key` that differs in `changes` from the one in force at `valid_from`.

    Gives the version. With `valid_to` the earlier one holds again afterwards. Raises LookupError when none is in force.
    """
    current = version_at(versions_of(connection, register, key), valid_from)
    if current is None:
        raise LookupError(f"no {register} {key} is in force at {valid_from.isoformat()}; see `register show`")
    fresh = {"corrects": None, "why": None}
    entry = replace(current, valid_from=valid_from, valid_to=valid_to, **{**fresh, **changes})
    append(connection, entry, recorded_at, recorded_by)
    return entry


def correct(
    connection: Connection,
    register: str,
    key: str,
    number: int,
    *,
    why: str,
    recorded_at: datetime,
    recorded_by: str,
    **changes: Any,
) -> None:
    """Put a version in the place of entry `number` of `key` that differs from it in `changes`.

    Raises LookupError when `key` has no such entry.
    """
    wrong = next((row for row in versions_of(connection, register, key) if row.entry == number), None)
    if wrong is None:
        raise LookupError(f"{register} {key} has no entry {number}; see `register history {register} {key}`")
    entry = replace(wrong, corrects=number, why=why, **changes)
    append(connection, entry, recorded_at, recorded_by)


def withdraw(
    connection: Connection, register: str, key: str, number: int, *, why: str, recorded_at: datetime, recorded_by: str
) -> None:
    """Take back entry `number` of `key`, which should never have been recorded; raises as `correct` does."""
    wrong = next((row for row in versions_of(connection, register, key) if row.entry == number), None)
    ends = wrong.valid_from if wrong else None
    stamp: dict[str, Any] = {"why": why, "recorded_at": recorded_at, "recorded_by": recorded_by}
    correct(connection, register, key, number, **stamp, valid_to=ends)


def suspend_licence(
    connection: Connection,
    number: str,
    *,
    since: datetime,
    until: datetime,
    reason: str,
    recorded_at: datetime,
    recorded_by: str,
) -> Licence:
    """Suspend a licence from `since` until `until`; then its earlier version holds again. Gives the suspension.

    Raises LookupError when it is not in force, or revoked.
    """
    _require_unrevoked(connection, number, since)
    suspended = restate(
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
    return cast(Licence, suspended)


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
    _require_unrevoked(connection, number, since)
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


def _require_unrevoked(connection: Connection, number: str, at: datetime) -> None:
    current = version_at(versions_of(connection, "licence", number), at)
    if isinstance(current, Licence) and current.status is DocumentStatus.REVOKED:
        raise LookupError(f"licence {number} is revoked already, since {current.valid_from.isoformat()}")


def reissue_licence(
    connection: Connection,
    number: str,
    new_number: str,
    *,
    since: datetime,
    reason: str,
    recorded_at: datetime,
    recorded_by: str,
) -> None:
    """Put a licence of another number in the place of `number`, for the same holder and to the same end.

    What is left of a suspension goes on in the new one.
    Raises LookupError when `number` is not in force, or when there is a licence `new_number`.
    """
    versions = standing(versions_of(connection, "licence", number))
    if versions_of(connection, "licence", new_number):
        raise LookupError(f"there is a licence {new_number} already; see `register history licence {new_number}`")
    stamp: dict[str, Any] = {"since": since, "reason": reason, "recorded_at": recorded_at, "recorded_by": recorded_by}
    revoke_licence(connection, number, **stamp)
    fresh: dict[str, Any] = {"licence": new_number, "replaces": number, "issued_on": legal_day(since)}
    fresh |= {"corrects": None, "why": None}
    told = {at for version in versions for at in (version.valid_from, version.valid_to) if at is not None}
    cuts = [since, *sorted(at for at in told if at > since)]
    for begin, end in zip(cuts, [*cuts[1:], None], strict=True):
        version = version_at(versions, begin)
        if isinstance(version, Licence):
            said = None if version.status is DocumentStatus.IN_FORCE else version.reason
            part: dict[str, Any] = {"reason": said, "valid_from": begin, "valid_to": end}
            append(connection, replace(version, **fresh, **part), recorded_at, recorded_by)
