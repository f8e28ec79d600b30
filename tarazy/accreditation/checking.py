"""What must hold before entries are recorded: each column's rule, and what entries say of each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, Connection, and_, func, or_, select

from tarazy.accreditation import documents
from tarazy.accreditation.entries import Document, Entry, Geo, Party, Source, Wallet, WalletStatus, fields_of
from tarazy.accreditation.geo import Ranges
from tarazy.accreditation.payout_addresses import parties_with_address
from tarazy.accreditation.problems import Problem, problem_of
from tarazy.accreditation.tables import REGISTERS, document_content, party


@dataclass(frozen=True, slots=True)
class EntryFault:
    """What is wrong with one entry of a batch, and the cure."""

    index: int
    """Place of the entry in the batch, from 0."""
    column: str
    problem: Problem


class RegisterError(ValueError):
    """Entries cannot be recorded; nothing was."""

    def __init__(self, faults: Sequence[EntryFault]) -> None:
        super().__init__("; ".join(f"{fault.column}: {fault.problem}" for fault in faults[:20]))
        self.faults = tuple(faults)


COOLING = timedelta(days=3)
"""How long another payout address waits after its proposal, where nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Under what circumstances entries are recorded."""

    at: datetime
    by: str
    cooling: timedelta = COOLING
    """Time between the proposal of another payout address and the first instant it may be paid to."""


def field_faults(index: int, entry: Entry) -> Iterable[EntryFault]:
    """Values of `entry` that its columns' rules would not have let in from a file."""
    for name, field in fields_of(entry.register).items():
        value = getattr(entry, name)
        if value in (None, ()) and not field.required:
            continue
        try:
            if field.read(value) != value:
                yield EntryFault(index, name, Problem("written-otherwise", example=field.example))
        except ValueError as error:
            yield EntryFault(index, name, problem_of(error))


def relation_faults(
    connection: Connection,
    entries: Sequence[Entry],
    recording: Recording,
    also_known: Iterable[tuple[str, str]] = (),
) -> list[EntryFault]:
    """What `entries` say that does not fit together or with what is recorded.

    `also_known` holds (register, key) pairs that count as recorded although they are not.
    """
    versions = _Recorded(connection, entries)
    return [
        *_validity_faults(entries),
        *_repetition_faults(entries),
        *_correction_faults(versions, entries),
        *_reference_faults(connection, entries, {*also_known, *((row.register, row.key) for row in entries)}),
        *_account_faults(connection, entries),
        *_wallet_faults(versions, entries, recording),
        *_content_faults(connection, entries),
        *_list_faults(connection, entries),
    ]


@dataclass(frozen=True, slots=True)
class _Version:
    """What the checks need of a recorded version."""

    entry: int
    valid_from: datetime
    corrects: int | None
    recorded_at: datetime
    recorded_by: str
    wallet: tuple[str, str, str] | None
    """Party, address and status, if it is one."""


class _Recorded:
    """The recorded versions of the entries of a batch, by register and key."""

    def __init__(self, connection: Connection, entries: Sequence[Entry]) -> None:
        self._versions: dict[tuple[str, str], list[_Version]] = {}
        keys: dict[str, set[str]] = {}
        for entry in entries:
            keys.setdefault(entry.register, set()).add(entry.key)
        for register, wanted in keys.items():
            table = REGISTERS[register]
            own = (table.c.party, table.c.address, table.c.status) if register == Wallet.register else ()
            query = select(
                table.c[register],
                table.c.entry,
                table.c.valid_from,
                table.c.corrects,
                table.c.recorded_at,
                table.c.recorded_by,
                *own,
            ).order_by(table.c.entry)
            for part in _parts(wanted):
                for row in connection.execute(query.where(table.c[register].in_(part))):
                    key, number, valid_from, corrects, recorded_at, recorded_by, *said = row
                    told = tuple(said) if own else None
                    version = _Version(number, valid_from, corrects, recorded_at, recorded_by, told)
                    self._versions.setdefault((register, key), []).append(version)
        owners = {entry.party for entry in entries if isinstance(entry, Wallet)}
        self.with_address = parties_with_address(connection, owners)
        """Of the parties whose wallets are in the batch, those that have an address already."""

    def of(self, entry: Entry) -> list[_Version]:
        """Versions of the entry's key, the earliest recorded first."""
        return self._versions.get((entry.register, entry.key), [])


def _validity_faults(entries: Sequence[Entry]) -> Iterable[EntryFault]:
    for index, entry in enumerate(entries):
        if entry.valid_to is None or entry.valid_to > entry.valid_from:
            continue
        if entry.corrects is None or entry.valid_to < entry.valid_from:
            yield EntryFault(index, "valid_to", Problem("validity-order"))


def _repetition_faults(entries: Sequence[Entry]) -> Iterable[EntryFault]:
    seen: set[tuple[str, str, datetime]] = set()
    for index, entry in enumerate(entries):
        identity = (entry.register, entry.key, entry.valid_from)
        if identity in seen:
            yield EntryFault(index, entry.register, Problem("twice", key=entry.key))
        seen.add(identity)


def _correction_faults(versions: _Recorded, entries: Sequence[Entry]) -> Iterable[EntryFault]:
    claimed: set[tuple[str, int]] = set()
    for index, entry in enumerate(entries):
        known = {version.entry: version for version in versions.of(entry)}
        corrected_by = {version.corrects: version.entry for version in known.values() if version.corrects}
        if entry.corrects is None:
            standing = (row for row in known.values() if row.entry not in corrected_by)
            same = next((row for row in standing if row.valid_from == entry.valid_from), None)
            if same is not None:
                problem = Problem("same-instant", entry=str(same.entry), key=entry.key)
                yield EntryFault(index, "corrects", problem)
            continue
        if not entry.why:
            yield EntryFault(index, "why", Problem("why-empty"))
        if entry.corrects not in known:
            yield EntryFault(
                index,
                "corrects",
                Problem("no-entry", register=entry.register, key=entry.key, entry=str(entry.corrects)),
            )
        elif entry.corrects in corrected_by:
            problem = Problem("corrected-already", entry=str(entry.corrects), by=str(corrected_by[entry.corrects]))
            yield EntryFault(index, "corrects", problem)
        elif (entry.register, entry.corrects) in claimed:
            yield EntryFault(index, "corrects", Problem("corrected-twice", entry=str(entry.corrects)))
        claimed.add((entry.register, entry.corrects))


def _wallet_faults(versions: _Recorded, entries: Sequence[Entry], recording: Recording) -> Iterable[EntryFault]:
    """A party's first address counts at once; every other needs a proposal, a second person and some time."""
    wallets = [(index, entry) for index, entry in enumerate(entries) if isinstance(entry, Wallet)]
    taken = set(versions.with_address)
    named: dict[str, tuple[str, str]] = {}
    for index, entry in wallets:
        known, whose = versions.of(entry), (entry.party, entry.address)
        others = [version.wallet[:2] for version in known if version.wallet] + [named.setdefault(entry.key, whose)]
        if any(other != whose for other in others):
            yield EntryFault(index, "address", Problem("wallet-other", key=entry.key))
            continue
        if entry.status is not WalletStatus.APPROVED:
            continue
        if entry.party not in taken:
            taken.add(entry.party)
            continue
        corrected = {version.corrects for version in known}
        standing = [version for version in known if version.wallet and version.entry not in corrected]
        approved = [row for row in standing if row.wallet and row.wallet[2] == WalletStatus.APPROVED]
        if approved and entry.valid_from >= min(row.valid_from for row in approved):
            continue
        proposed = [row for row in standing if row.wallet and row.wallet[2] == WalletStatus.PROPOSED]
        if not proposed:
            yield EntryFault(index, "status", Problem("wallet-unproposed"))
        elif all(row.recorded_by == recording.by for row in proposed):
            yield EntryFault(index, "status", Problem("wallet-own", by=recording.by))
        elif entry.valid_from < (first := proposed[0].recorded_at + recording.cooling):
            yield EntryFault(
                index, "valid_from", Problem("wallet-cooling", instant=first.isoformat(timespec="seconds"))
            )


def _content_faults(connection: Connection, entries: Sequence[Entry]) -> Iterable[EntryFault]:
    documents = [(index, entry) for index, entry in enumerate(entries) if isinstance(entry, Document)]
    kept = document_content
    for index, entry in documents:
        row = connection.execute(
            select(kept.c.media_type, func.length(kept.c.content)).where(kept.c.digest == entry.digest)
        ).first()
        if row is None:
            yield EntryFault(index, "digest", Problem("file-missing"))
        elif tuple(row) != (entry.media_type, entry.size):
            yield EntryFault(index, "media_type", Problem("file-differs", type=row[0], size=row[1]))


def _list_faults(connection: Connection, entries: Sequence[Entry]) -> Iterable[EntryFault]:
    """A list of addresses is kept before it is recorded, and is what the entry says of it."""
    for index, entry in enumerate(entries):
        if not isinstance(entry, Geo):
            continue
        if entry.geo is Source.SITE:
            yield EntryFault(index, "geo", Problem("list-site"))
        try:
            ranges = Ranges.parse(documents.load(connection, entry.digest))
        except LookupError:
            yield EntryFault(index, "digest", Problem("list-missing"))
        except ValueError:
            yield EntryFault(index, "digest", Problem("list-bad"))
        else:
            told = (entry.ranges, entry.ipv4_addresses, entry.ipv6_subnets)
            if told != (len(ranges), ranges.ipv4_addresses, ranges.ipv6_subnets):
                yield EntryFault(index, "ranges", Problem("list-numbers"))


def _reference_faults(
    connection: Connection, entries: Sequence[Entry], known: set[tuple[str, str]]
) -> Iterable[EntryFault]:
    references = [
        (index, name, field.reference, getattr(entry, name))
        for index, entry in enumerate(entries)
        for name, field in fields_of(entry.register).items()
        if field.reference is not None and getattr(entry, name) is not None
    ]
    references += [
        (index, "of_key", entry.of_register, entry.of_key)
        for index, entry in enumerate(entries)
        if isinstance(entry, Document)
    ]
    for register in {register for _, _, register, _ in references if register in REGISTERS}:
        wanted = {key for _, _, named, key in references if named == register and (named, key) not in known}
        column = REGISTERS[register].c[register]
        known |= {(register, key) for key in _recorded(connection, column, wanted)}
    for index, name, register, key in references:
        if (register, key) not in known:
            yield EntryFault(index, name, Problem("reference", register=register, key=key))


def _recorded(connection: Connection, column: Column[Any], values: set[str]) -> set[str]:
    """Those of `values` that stand in `column`."""
    return {
        value
        for part in _parts(values)
        for value in connection.execute(select(column).where(column.in_(part)).distinct()).scalars()
    }


def _parts(values: set[str]) -> Iterable[Sequence[str]]:
    """Values in order, as many at a time as a query may name."""
    ordered = sorted(values)
    return (ordered[start : start + 500] for start in range(0, len(ordered), 500))


def _account_faults(connection: Connection, entries: Sequence[Entry]) -> Iterable[EntryFault]:
    parties = [(index, entry) for index, entry in enumerate(entries) if isinstance(entry, Party)]
    recorded = _recorded(connection, party.c.account, {entry.account for _, entry in parties})
    claimed: dict[str, str] = {}
    for index, entry in parties:
        first = claimed.setdefault(entry.account, entry.party)
        if first != entry.party or (entry.account in recorded and _other_holder(connection, entry)):
            yield EntryFault(index, "account", Problem("account-taken", account=entry.account))


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
