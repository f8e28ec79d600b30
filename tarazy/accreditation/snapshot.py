"""What the registers say at one instant: pure values, made from every known version of every entry."""

from __future__ import annotations

import copy
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TypeVar, cast

from tarazy.accreditation.entries import (
    Certificate,
    Document,
    Entry,
    Equipment,
    Finding,
    Licence,
    Meter,
    Party,
    Permit,
    Placement,
    Server,
    Site,
    Wallet,
    WalletStatus,
)

E = TypeVar("E", bound=Entry)
Versions = Mapping[str, Mapping[str, Sequence[Entry]]]
"""Register → key → every known version, the highest entry first."""

_BEGINNING = datetime.min.replace(tzinfo=UTC)
_END = datetime.max.replace(tzinfo=UTC)


def standing(entries: Sequence[Entry]) -> Sequence[Entry]:
    """All versions of one entry that no other of them corrects, in the same order."""
    corrected = {entry.corrects for entry in entries} - {None}
    return [entry for entry in entries if entry.entry not in corrected] if corrected else entries


def version_at(entries: Sequence[Entry], instant: datetime) -> Entry | None:
    """The version in force at `instant` among all versions of one entry, the latest recorded first.

    It is the latest recorded one that holds then and that no other corrects. One that begins later or ends earlier,
    such as a suspension, covers another while it holds itself.
    """
    return next((entry for entry in standing(entries) if entry.holds(instant)), None)


class Registers:
    """What the registers say at `valid_at`, as far as it was known: each register a mapping in order of keys.

    Nothing changes it once it is made, so it may be handed from thread to thread.
    """

    def __init__(self, versions: Versions, valid_at: datetime) -> None:
        instants = {
            instant
            for known in versions.values()
            for entries in known.values()
            for entry in entries
            for instant in (entry.valid_from, entry.valid_to)
            if instant is not None
        }
        self._boundaries = [_BEGINNING, *sorted(instants), _END]
        self._versions = {register: dict(sorted(known.items())) for register, known in versions.items()}
        self._resolve(valid_at)

    def _resolve(self, valid_at: datetime) -> None:
        self.valid_at = valid_at
        following = bisect_right(self._boundaries, valid_at)
        self.constant_from, self.constant_until = self._boundaries[following - 1 : following + 1]
        """Between these two instants, the second not included, nothing begins or ends."""
        self.parties = self.in_force(Party)
        self.licences = self.in_force(Licence)
        self.sites = self.in_force(Site)
        self.placements = self.in_force(Placement)
        self.certificates = self.in_force(Certificate)
        self.servers = self.in_force(Server)
        self.equipment = self.in_force(Equipment)
        self.meters = self.in_force(Meter)
        self.permits = self.in_force(Permit)
        self.findings = self.in_force(Finding)

    def in_force(self, kind: type[E]) -> dict[str, E]:
        """The version of each entry of a register that is in force, by key."""
        found: dict[str, E] = {}
        for key, entries in self._versions.get(kind.register, {}).items():
            entry = version_at(entries, self.valid_at)
            if entry is not None:
                found[key] = cast(E, entry)
        return found

    def at(self, instant: datetime) -> Registers:
        """The same knowledge at another valid instant; cheap when nothing begins or ends in between."""
        if self.constant_from <= instant < self.constant_until:
            other = copy.copy(self)
            other.valid_at = instant
            return other
        other = Registers.__new__(Registers)
        other._boundaries, other._versions = self._boundaries, self._versions
        other._resolve(instant)
        return other

    def next_change(self, after: datetime) -> datetime | None:
        """The next instant at which anything begins or ends; None if nothing ever does."""
        instant = self._boundaries[bisect_right(self._boundaries, after)]
        return None if instant == _END else instant

    def versions(self, register: str) -> Mapping[str, Sequence[Entry]]:
        """Every known version of each entry of a register, the latest recorded first."""
        return self._versions.get(register, {})

    def versions_of(self, register: str, key: str) -> Sequence[Entry]:
        """Every known version of one entry, the latest recorded first."""
        return self._versions.get(register, {}).get(key, ())

    def histories(self, register: str) -> Mapping[str, Sequence[Entry]]:
        """Every known version of each entry of a register, in order of keys, the latest recorded first."""
        return self._versions.get(register, {})

    def latest(self, kind: type[E]) -> list[E]:
        """Each entry's version in force; where none is, its latest one that stands: ended, or not begun."""
        current = self.in_force(kind)
        found = []
        for key, entries in self._versions.get(kind.register, {}).items():
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
    def equipment_by_site(self) -> dict[tuple[str, str], Equipment]:
        """One machine of a party at a site, the first recorded, by (party, site)."""
        return {(row.party, row.site): row for row in _newest_first(self.equipment)}

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


def _newest_first(rows: Mapping[str, E]) -> list[E]:
    return sorted(rows.values(), key=lambda row: row.entry, reverse=True)
