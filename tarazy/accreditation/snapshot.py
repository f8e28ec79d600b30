"""What the registers say at one instant: pure values, made from every known version of every entry."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from types import MappingProxyType
from typing import TypeVar, cast

from tarazy.accreditation.entries import (
    ENTRY_TYPES,
    Certificate,
    Document,
    Entry,
    Equipment,
    Finding,
    Geo,
    Licence,
    Meter,
    Party,
    Permit,
    Placement,
    Quota,
    Server,
    Site,
    Supply,
    Wallet,
    WalletStatus,
)
from tarazy.accreditation.geo import Ranges

E = TypeVar("E", bound=Entry)
T = TypeVar("T")
Versions = Mapping[str, Mapping[str, Sequence[Entry]]]
"""Register → key → every known version, the highest entry first."""

_BEGINNING = datetime.min.replace(tzinfo=UTC)
_END = datetime.max.replace(tzinfo=UTC)


def standing(entries: Sequence[Entry]) -> Sequence[Entry]:
    """All versions of one entry that no other of them corrects, in the same order."""
    if len(entries) == 1:
        return entries
    corrected = {entry.corrects for entry in entries} - {None}
    return [entry for entry in entries if entry.entry not in corrected] if corrected else entries


def version_at(entries: Sequence[Entry], instant: datetime) -> Entry | None:
    """The version in force at `instant` among all versions of one entry, the latest recorded first.

    It is the latest recorded one that holds then and that no other corrects. One that begins later or ends earlier,
    such as a suspension, covers another while it holds itself.
    """
    return next((entry for entry in standing(entries) if entry.holds(instant)), None)


class _Register:
    """One register: every known version of its entries, and those in force between two instants.

    Nothing changes it once it is made.
    """

    __slots__ = ("boundaries", "in_force", "newest", "since", "until", "versions")

    def __init__(
        self, versions: Mapping[str, Sequence[Entry]], boundaries: Sequence[datetime], newest: Entry | None
    ) -> None:
        self.versions = versions
        self.boundaries = boundaries
        self.newest = newest
        """The version recorded last."""
        self.since, self.until = _BEGINNING, _BEGINNING
        self.in_force: dict[str, Entry] = {}
        """The version of each entry that is in force from `since` until `until`, in order of keys."""

    @classmethod
    def of(cls, versions: Mapping[str, Sequence[Entry]], instant: datetime) -> _Register:
        """A register at `instant`."""
        newest = max((entries[0] for entries in versions.values()), key=lambda entry: entry.entry, default=None)
        boundaries = sorted({at for entries in versions.values() for entry in entries for at in _instants(entry)})
        return cls(dict(sorted(versions.items())), [_BEGINNING, *boundaries, _END], newest)._resolved(instant)

    def _resolved(self, instant: datetime) -> _Register:
        self._limit(instant)
        for key, entries in self.versions.items():
            entry = version_at(entries, instant)
            if entry is not None:
                self.in_force[key] = entry
        return self

    def _limit(self, instant: datetime) -> None:
        following = bisect_right(self.boundaries, instant)
        self.since, self.until = self.boundaries[following - 1 : following + 1]

    def at(self, instant: datetime) -> _Register:
        """The same knowledge at another instant; itself when nothing begins or ends in between."""
        if self.since <= instant < self.until:
            return self
        return _Register(self.versions, self.boundaries, self.newest)._resolved(instant)

    def adding(self, entries: Sequence[Entry], instant: datetime) -> _Register:
        """With `entries`, recorded since, in their order; only what they speak of is worked out again."""
        versions = dict(self.versions)
        for entry in entries:
            versions[entry.key] = [entry, *versions.get(entry.key, ())]
        fresh = {at for entry in entries for at in _instants(entry)}
        fresh = {at for at in fresh if self.boundaries[bisect_left(self.boundaries, at)] != at}
        boundaries = sorted([*self.boundaries, *sorted(fresh)]) if fresh else self.boundaries
        if len(versions) > len(self.versions):
            versions = _in_order(versions)
        made = _Register(versions, boundaries, entries[-1])
        if not self.since <= instant < self.until:
            return made._resolved(instant)
        made._limit(instant)
        in_force = dict(self.in_force)
        for key in {entry.key for entry in entries}:
            in_force.pop(key, None)
            version = version_at(versions[key], instant)
            if version is not None:
                in_force[key] = version
        made.in_force = _in_order(in_force)
        return made


def _in_order(by_key: Mapping[str, T]) -> dict[str, T]:
    """The same in order of keys: step by step, so that no other thread waits for all of it."""
    return {key: by_key[key] for key in sorted(by_key)}


def _instants(entry: Entry) -> Iterable[datetime]:
    """Those at which a version begins or ends."""
    return (entry.valid_from,) if entry.valid_to is None else (entry.valid_from, entry.valid_to)


class Registers:
    """What the registers say at `valid_at`, as far as it was known: each register a mapping in order of keys.

    Nothing changes it once it is made, so it may be handed from thread to thread.
    """

    def __init__(
        self, versions: Versions, valid_at: datetime, lists: Mapping[str, Ranges] = MappingProxyType({})
    ) -> None:
        """`lists`: the addresses that the versions in the register geo speak of, by digest."""
        registers = {name: _Register.of(versions.get(name, {}), valid_at) for name in ENTRY_TYPES}
        self._take(registers, valid_at, lists)

    def _take(self, registers: Mapping[str, _Register], valid_at: datetime, lists: Mapping[str, Ranges]) -> None:
        self.valid_at = valid_at
        self.lists = lists
        self._registers = registers
        self.constant_from = max(register.since for register in registers.values())
        self.constant_until = min(register.until for register in registers.values())
        """Between these two instants, the second not included, nothing begins or ends."""
        self.parties = self.in_force(Party)
        self.licences = self.in_force(Licence)
        self.sites = self.in_force(Site)
        self.placements = self.in_force(Placement)
        self.certificates = self.in_force(Certificate)
        self.servers = self.in_force(Server)
        self.equipment = self.in_force(Equipment)
        self.meters = self.in_force(Meter)
        self.supplies = self.in_force(Supply)
        self.quotas = self.in_force(Quota)
        self.permits = self.in_force(Permit)
        self.findings = self.in_force(Finding)
        self.geo = self.in_force(Geo)

    def _with(self, registers: Mapping[str, _Register], valid_at: datetime, lists: Mapping[str, Ranges]) -> Registers:
        """Others, which share with these whatever follows from registers that are the same."""
        other = Registers.__new__(Registers)
        other._take(registers, valid_at, lists)
        for derived, sources in _DERIVED.items():
            known = self.__dict__.get(derived)
            if known is not None and all(registers[name] is self._registers[name] for name in sources):
                other.__dict__[derived] = known
        return other

    def in_force(self, kind: type[E]) -> dict[str, E]:
        """The version of each entry of a register that is in force, by key."""
        return cast("dict[str, E]", self._registers[kind.register].in_force)

    def at(self, instant: datetime) -> Registers:
        """The same knowledge at another valid instant; cheap when nothing begins or ends in between."""
        return self._with({name: each.at(instant) for name, each in self._registers.items()}, instant, self.lists)

    def adding(
        self, entries: Mapping[str, Sequence[Entry]], valid_at: datetime, lists: Mapping[str, Ranges]
    ) -> Registers:
        """These and what was recorded since, by register and in that order; the cost is that of what is added."""
        registers = {
            name: each.adding(entries[name], valid_at) if entries.get(name) else each.at(valid_at)
            for name, each in self._registers.items()
        }
        return self._with(registers, valid_at, {**self.lists, **lists})

    def newest(self, register: str) -> Entry | None:
        """The version recorded last in a register."""
        return self._registers[register].newest

    def next_change(self, after: datetime) -> datetime | None:
        """The next instant at which anything begins or ends; None if nothing ever does."""
        following = (each.boundaries[bisect_right(each.boundaries, after)] for each in self._registers.values())
        instant = min(following)
        return None if instant == _END else instant

    def versions_of(self, register: str, key: str) -> Sequence[Entry]:
        """Every known version of one entry, the latest recorded first."""
        return self._registers[register].versions.get(key, ())

    def histories(self, register: str) -> Mapping[str, Sequence[Entry]]:
        """Every known version of each entry of a register, in order of keys, the latest recorded first."""
        return self._registers[register].versions

    def latest(self, kind: type[E]) -> list[E]:
        """Each entry's version in force; where none is, its latest one that stands: ended, or not begun."""
        current = self.in_force(kind)
        found = []
        for key, entries in self._registers[kind.register].versions.items():
            real = (entry for entry in standing(entries) if entry.valid_to != entry.valid_from)
            entry = current.get(key) or cast("E | None", next(real, None))
            if entry is not None:
                found.append(entry)
        return found

    @cached_property
    def accounts(self) -> dict[str, Party]:
        """Parties by account; should two claim one, the later entry holds it."""
        return {party.account: party for party in sorted(self.parties.values(), key=lambda row: row.entry)}

    @cached_property
    def wallet_by_party(self) -> dict[str, Wallet]:
        """The approved payout address of each party that began last."""
        approved = (row for row in self.in_force(Wallet).values() if row.status is WalletStatus.APPROVED)
        return {row.party: row for row in sorted(approved, key=lambda row: (row.valid_from, row.entry))}

    @cached_property
    def documents_of(self) -> dict[tuple[str, str], list[Document]]:
        """Documents in force by (register, key) of the entry they are attached to."""
        grouped: dict[tuple[str, str], list[Document]] = {}
        for row in self.in_force(Document).values():
            grouped.setdefault((row.of_register, row.of_key), []).append(row)
        return grouped

    @cached_property
    def licences_by_party(self) -> dict[str, list[Licence]]:
        """Licences of each party, those that ended or have not begun too."""
        grouped: dict[str, list[Licence]] = {}
        for licence in self.latest(Licence):
            grouped.setdefault(licence.party, []).append(licence)
        return grouped

    @cached_property
    def placements_by_site(self) -> dict[tuple[str, str], Placement]:
        """The placement of a party in a site, by (party, site)."""
        return {(row.party, row.site): row for row in _newest_first(self.placements)}

    @cached_property
    def sites_by_party(self) -> dict[str, tuple[str, ...]]:
        """Keys of the sites that each party owns or is placed in, in order."""
        grouped: dict[str, set[str]] = {}
        for site in self.sites.values():
            grouped.setdefault(site.party, set()).add(site.site)
        for placement in self.placements.values():
            if placement.site in self.sites:
                grouped.setdefault(placement.party, set()).add(placement.site)
        return {party: tuple(sorted(sites)) for party, sites in grouped.items()}

    @cached_property
    def meters_by_site(self) -> dict[str, tuple[str, ...]]:
        """Keys of the meters that stand or ever stood at each site, in order."""
        grouped: dict[str, list[str]] = {}
        for key, entries in self._registers[Meter.register].versions.items():
            for site in {entry.site for entry in entries if isinstance(entry, Meter)}:
                grouped.setdefault(site, []).append(key)
        return {site: tuple(keys) for site, keys in grouped.items()}

    @cached_property
    def equipment_by_site(self) -> dict[tuple[str, str], Equipment]:
        """One machine of a party at a site, the first recorded, by (party, site)."""
        found: dict[tuple[str, str], Equipment] = {}
        for row in self.equipment.values():
            place = row.party, row.site
            if place not in found or row.entry < found[place].entry:
                found[place] = row
        return found

    @cached_property
    def machines_by_site(self) -> dict[tuple[str, str], list[Equipment]]:
        """All machines of a party at a site, by (party, site)."""
        grouped: dict[tuple[str, str], list[Equipment]] = {}
        for machine in self.equipment.values():
            grouped.setdefault((machine.party, machine.site), []).append(machine)
        return grouped

    @cached_property
    def _blocking_findings(self) -> dict[tuple[str | None, str | None], list[Finding]]:
        grouped: dict[tuple[str | None, str | None], list[Finding]] = {}
        for row in self.findings.values():
            if row.blocks and row.is_open and (row.party or row.site):
                grouped.setdefault((row.party, row.site), []).append(row)
        return grouped

    def findings_against(self, party: str | None, site: str | None) -> Sequence[Finding]:
        """Open findings that block, of exactly this party (None: of none) at exactly this site (None: at none)."""
        return self._blocking_findings.get((party, site), ())

    @cached_property
    def equipped_parties(self) -> frozenset[str]:
        """Parties with a machine at any site."""
        return frozenset(party for party, _ in self.equipment_by_site)


_DERIVED: Mapping[str, tuple[str, ...]] = {
    "accounts": ("party",),
    "wallet_by_party": ("wallet",),
    "documents_of": ("document",),
    "licences_by_party": ("licence",),
    "placements_by_site": ("placement",),
    "sites_by_party": ("site", "placement"),
    "meters_by_site": ("meter",),
    "equipment_by_site": ("equipment",),
    "machines_by_site": ("equipment",),
    "equipped_parties": ("equipment",),
    "_blocking_findings": ("finding",),
}
"""What follows from which registers alone."""


def _newest_first(rows: Mapping[str, E]) -> list[E]:
    return sorted(rows.values(), key=lambda row: row.entry, reverse=True)
