"""What the registers say that does not fit together, at one instant. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterator
from typing import Any

from tarazy.accreditation.entries import (
    Document,
    DocumentStatus,
    Entry,
    Equipment,
    Finding,
    FindingKind,
    LicenceKind,
    Severity,
    Site,
    SiteStatus,
)
from tarazy.accreditation.evidence import EvidenceRule, disagreements
from tarazy.accreditation.findings import Condition, listed
from tarazy.accreditation.geo import range_of
from tarazy.accreditation.licence_terms import term_faults
from tarazy.accreditation.snapshot import Registers, version_at
from tarazy.config.law import LawBook
from tarazy.config.law.calendar import legal_day


def contradictions(registers: Registers, law: LawBook) -> list[Condition]:
    """Everything found in the registers at `registers.valid_at`. At most one condition of a kind for each subject."""
    return [
        *_machines_twice(registers),
        *_without_place(registers),
        *_site_power(registers),
        *_site_networks(registers),
        *_licence_terms(registers, law),
        *_bins_twice(registers),
        *_documents_expired(registers),
    ]


_LOOKALIKES = str.maketrans("АВЕКМНОРСТУХІЅЈ", "ABEKMHOPCTYXISJ")
"""Cyrillic letters that look like Latin ones."""
_SEPARATORS = re.compile(r"[\W_]+")


def bare_number(number: str) -> str:
    """A serial or register number without what people write differently: case, separators, the alphabet."""
    return _SEPARATORS.sub("", number).upper().translate(_LOOKALIKES)


def _machines_twice(registers: Registers) -> Iterator[Condition]:
    """By party: machines that stand in the register a second time, by their serial number or state register entry."""
    alike: dict[tuple[str, str], list[Equipment]] = defaultdict(list)
    for machine in registers.equipment.values():
        alike["serial", bare_number(machine.equipment)].append(machine)
        if machine.register_entry:
            alike["entry", bare_number(machine.register_entry)].append(machine)
    doubled: dict[str, dict[str, Equipment]] = defaultdict(dict)
    elsewhere: set[str] = set()
    for (_, number), machines in alike.items():
        if len(machines) < 2 or not number:
            continue
        places = {(machine.party, machine.site) for machine in machines}
        for machine in machines:
            doubled[machine.party][machine.equipment] = machine
            if len(places) > 1:
                elsewhere.add(machine.party)
    for party, found in sorted(doubled.items()):
        yield Condition(
            FindingKind.MACHINE_TWICE,
            Severity.SERIOUS if party in elsewhere else Severity.WARNING,
            *("party", party, party),
            evidence={"machines": listed(found), "count": len(found)},
        )


def _without_place(registers: Registers) -> Iterator[Condition]:
    """Parties whose licence in force asks for a site that they have not."""
    placed = {row.party for row in registers.placements.values() if row.site in registers.sites}
    owners = {row.party for row in registers.sites.values() if row.status is not SiteStatus.WITHDRAWN}
    wanted = {
        LicenceKind.PLACED: (FindingKind.NO_PLACEMENT, placed),
        LicenceKind.OWN_DATA_CENTRE: (FindingKind.NO_OWN_SITE, owners),
    }
    for number, licence in registers.licences.items():
        kind, those_who_have = wanted[licence.kind]
        party = licence.party
        if licence.status is DocumentStatus.IN_FORCE and party not in those_who_have and party in registers.parties:
            yield Condition(kind, Severity.SERIOUS, "party", party, party, evidence={"licence": number})


def _site_power(registers: Registers) -> Iterator[Condition]:
    powers: dict[str, list[int]] = defaultdict(list)
    for machine in registers.equipment.values():
        powers[machine.site].append(machine.nominal_power_w)
    for key, site in registers.sites.items():
        needed, permitted = sum(powers[key]), site.permitted_power_w
        if needed > permitted:
            evidence: dict[str, Any] = {"nominal_w": needed, "permitted_w": permitted, "machines": len(powers[key])}
            yield Condition(FindingKind.SITE_POWER, Severity.WARNING, "site", key, None, key, evidence)


def _site_networks(registers: Registers) -> Iterator[Condition]:
    """Sites with a network that lies in, or holds, one of another owner's site."""
    networks_of = ((network, site) for site in registers.sites.values() for network in site.networks)
    ranges = sorted(((*range_of(network), network, site) for network, site in networks_of), key=lambda row: row[:3])
    others: dict[str, set[str]] = defaultdict(set)
    networks: dict[str, set[str]] = defaultdict(set)
    reaching: dict[str, tuple[int, str]] = {}
    """Site → last address of its network that reaches furthest, and that network."""
    for first, last, network, site in ranges:
        reaching = {key: row for key, row in reaching.items() if row[0] >= first}
        for key, (_, around) in reaching.items():
            if registers.sites[key].party != site.party:
                others[site.site].add(key)
                others[key].add(site.site)
                networks[site.site].add(network)
                networks[key].add(around)
        reaching[site.site] = max(reaching.get(site.site, (0, "")), (last, network))
    for key in sorted(others):
        evidence: dict[str, Any] = {
            "networks": listed(networks[key]),
            "sites": listed(others[key]),
            "count": len(others[key]),
        }
        yield Condition(FindingKind.SITE_NETWORKS, Severity.SERIOUS, "site", key, None, key, evidence)


def _licence_terms(registers: Registers, law: LawBook) -> Iterator[Condition]:
    for number, licence in registers.licences.items():
        for fault, rule in term_faults(licence, law):
            evidence: dict[str, Any] = {
                "fault": str(fault),
                "issued_on": licence.issued_on.isoformat(),
                "begins_on": legal_day(licence.valid_from).isoformat(),
                "ends_at": licence.valid_to.isoformat() if licence.valid_to else "",
                "years": rule.term_years,
                "months_minimum": rule.suspension_months_minimum,
                "months_maximum": rule.suspension_months_maximum,
                "rule": f"{rule.act}, {rule.article}",
                "confirmed": "yes" if rule.confirmed else "no",
            }
            yield Condition(
                *(FindingKind.LICENCE_TERM, Severity.WARNING, "licence", number),
                party=licence.party,
                evidence=evidence,
            )


def _bins_twice(registers: Registers) -> Iterator[Condition]:
    """The number itself stays out of the evidence."""
    holders: dict[str, list[str]] = defaultdict(list)
    for key, entry in registers.parties.items():
        holders[entry.bin].append(key)
    for parties in holders.values():
        for party in parties if len(parties) > 1 else ():
            others = [other for other in parties if other != party]
            evidence: dict[str, Any] = {"parties": listed(others), "count": len(others)}
            yield Condition(FindingKind.BIN_TWICE, Severity.SERIOUS, "party", party, party, evidence=evidence)


def _documents_expired(registers: Registers) -> Iterator[Condition]:
    """Entries in force with a document that ended and that none of the same title follows."""
    ended: dict[tuple[str, str], dict[str, Document]] = defaultdict(dict)
    held: set[Hashable] = set()
    for document in registers.latest(Document):
        subject = (document.of_register, document.of_key)
        if document.holds(registers.valid_at):
            held.add((subject, document.title))
        elif document.valid_to is not None and document.valid_to <= registers.valid_at:
            ended[subject][document.title] = document
    for (register, key), documents in sorted(ended.items()):
        titles = [title for title in documents if ((register, key), title) not in held]
        entry = version_at(registers.versions_of(register, key), registers.valid_at)
        if titles and entry is not None and register != Finding.register:
            yield Condition(
                FindingKind.DOCUMENT_EXPIRED,
                Severity.SERIOUS if register == "server" else Severity.WARNING,
                register,
                key,
                *concerned(entry),
                evidence={"titles": listed(titles), "count": len(titles)},
            )


def disputed_networks(registers: Registers, rule: EvidenceRule) -> list[Condition]:
    """Sites and servers with networks of which sources differ on where they lie."""
    disputed: dict[tuple[str, str], set[str]] = defaultdict(set)
    for found in disagreements(registers, rule):
        disputed[found.register, found.key].add(found.network)
    return [
        Condition(
            *(FindingKind.EVIDENCE_DISAGREES, Severity.WARNING, register, key),
            site=key if register == Site.register else None,
            evidence={"networks": listed(networks), "count": len(networks)},
        )
        for (register, key), networks in sorted(disputed.items())
    ]


def concerned(entry: Entry) -> tuple[str | None, str | None]:
    """The party, the site, or the party at the site that an entry is about; of a site itself never its owner alone."""
    party = None if isinstance(entry, Site) else getattr(entry, "party", None)
    return party, getattr(entry, "site", None)
