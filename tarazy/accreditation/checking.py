"""What must hold before entries are recorded: each column's rule, and what entries say of each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, and_, or_, select

from tarazy.accreditation.entries import OPTIONAL, Entry, Party, fields_of
from tarazy.accreditation.tables import REGISTERS, party


@dataclass(frozen=True, slots=True)
class EntryFault:
    """What is wrong with one entry of a batch, and the cure."""

    index: int
    """Place of the entry in the batch, from 0."""
    column: str
    problem: str


class RegisterError(ValueError):
    """Entries cannot be recorded; nothing was."""

    def __init__(self, faults: Sequence[EntryFault]) -> None:
        super().__init__("; ".join(f"{fault.column}: {fault.problem}" for fault in faults[:20]))
        self.faults = tuple(faults)


def field_faults(index: int, entry: Entry) -> Iterable[EntryFault]:
    """Values of `entry` that its columns' rules would not have let in from a file."""
    for name, field in fields_of(entry.register).items():
        value = getattr(entry, name)
        if value is None and name in OPTIONAL:
            continue
        try:
            if field.read(value) != value:
                yield EntryFault(index, name, f"expected {field.hint}")
        except ValueError as error:
            yield EntryFault(index, name, str(error))


def relation_faults(
    connection: Connection, entries: Sequence[Entry], also_known: Iterable[tuple[str, str]] = ()
) -> list[EntryFault]:
    """What `entries` say that does not fit together or with what is recorded.

    `also_known` holds (register, key) pairs that count as recorded although they are not.
    """
    return [
        *_validity_faults(entries),
        *_repetition_faults(entries),
        *_reference_faults(connection, entries, {*also_known, *((row.register, row.key) for row in entries)}),
        *_account_faults(connection, entries),
    ]


def _validity_faults(entries: Sequence[Entry]) -> Iterable[EntryFault]:
    for index, entry in enumerate(entries):
        if entry.valid_to is not None and entry.valid_to <= entry.valid_from:
            yield EntryFault(index, "valid_to", "lies before valid_from; correct one of them")


def _repetition_faults(entries: Sequence[Entry]) -> Iterable[EntryFault]:
    seen: set[tuple[str, str, datetime]] = set()
    for index, entry in enumerate(entries):
        identity = (entry.register, entry.key, entry.valid_from)
        if identity in seen:
            yield EntryFault(index, entry.register, f"{entry.key} stands here twice from the same day; remove one row")
        seen.add(identity)


def _reference_faults(
    connection: Connection, entries: Sequence[Entry], known: set[tuple[str, str]]
) -> Iterable[EntryFault]:
    references = [
        (index, name, field.reference, getattr(entry, name))
        for index, entry in enumerate(entries)
        for name, field in fields_of(entry.register).items()
        if field.reference is not None
    ]
    for register in {register for _, _, register, _ in references}:
        wanted = {key for _, _, named, key in references if named == register and (named, key) not in known}
        column = REGISTERS[register].c[register]
        known |= {(register, key) for key in _recorded(connection, column, wanted)}
    for index, name, register, key in references:
        if (register, key) not in known:
            yield EntryFault(index, name, f"there is no {register} {key}; import it first or correct the key")


def _recorded(connection: Connection, column: Column[Any], values: set[str]) -> set[str]:
    """Those of `values` that stand in `column`."""
    ordered = sorted(values)
    return {
        value
        for start in range(0, len(ordered), 500)
        for value in connection.execute(
            select(column).where(column.in_(ordered[start : start + 500])).distinct()
        ).scalars()
    }


def _account_faults(connection: Connection, entries: Sequence[Entry]) -> Iterable[EntryFault]:
    parties = [(index, entry) for index, entry in enumerate(entries) if isinstance(entry, Party)]
    recorded = _recorded(connection, party.c.account, {entry.account for _, entry in parties})
    claimed: dict[str, str] = {}
    for index, entry in parties:
        first = claimed.setdefault(entry.account, entry.party)
        if first != entry.party or (entry.account in recorded and _other_holder(connection, entry)):
            yield EntryFault(index, "account", f"{entry.account} belongs to another party; choose another login")


def _other_holder(connection: Connection, entry: Party) -> bool:
    """Whether another recorded party has the account when `entry` begins."""
    rivals = select(party.c.party).where(party.c.account == entry.account, party.c.party != entry.party)
    begun = and_(
        party.c.valid_from <= entry.valid_from,
        or_(party.c.valid_to.is_(None), party.c.valid_to > entry.valid_from),
    )
    query = select(party.c.party, party.c.account).where(party.c.party.in_(rivals), begun)
    in_force = {row.party: row.account for row in connection.execute(query.order_by(party.c.entry))}
    return entry.account in in_force.values()
