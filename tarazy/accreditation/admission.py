"""Who is let in: one pure function from registers, login and address to a decision with its reasons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from tarazy.accreditation.entries import Certificate, DocumentStatus, Entry, Finding, Licence, Party, Site, SiteStatus
from tarazy.accreditation.fields import LEGAL_ZONE
from tarazy.accreditation.geo import Geo, Origin, origin_of, parse_address, range_of
from tarazy.accreditation.snapshot import Registers
from tarazy.config.settings import DemoAddress
from tarazy.stratum.login import is_login


class Reason(StrEnum):
    """Why a miner is refused, in the order in which reasons are told."""

    BAD_NAME = "bad-name"
    UNKNOWN_ACCOUNT = "unknown-account"
    NO_LICENCE = "no-licence"
    LICENCE_NOT_BEGUN = "licence-not-begun"
    LICENCE_EXPIRED = "licence-expired"
    LICENCE_SUSPENDED = "licence-suspended"
    LICENCE_REVOKED = "licence-revoked"
    NO_CERTIFICATE = "no-certificate"
    CERTIFICATE_NOT_BEGUN = "certificate-not-begun"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_SUSPENDED = "certificate-suspended"
    CERTIFICATE_REVOKED = "certificate-revoked"
    SERVER_NOT_REGISTERED = "server-not-registered"
    SERVER_ABROAD = "server-abroad"
    FOREIGN_ADDRESS = "foreign-address"
    LOOPBACK_NOT_ALLOWED = "loopback-not-allowed"
    OTHER_SITE = "other-site"
    SITE_UNKNOWN = "site-unknown"
    SITE_NOT_ACCREDITED = "site-not-accredited"
    SITE_ABROAD = "site-abroad"
    NO_EQUIPMENT = "no-equipment"
    FINDING_BLOCKS = "finding-blocks"


_TEXTS = {
    Reason.BAD_NAME: "bad name: log in as account.worker, ASCII without /, at most 127 characters",
    Reason.UNKNOWN_ACCOUNT: "unknown account: check its spelling, or register at the pool office",
    Reason.NO_LICENCE: "no mining licence on record: bring its number to the pool office",
    Reason.LICENCE_NOT_BEGUN: "licence begins {begins}: connect again from that day",
    Reason.LICENCE_EXPIRED: "licence ended {ended}: renew it and tell the pool office",
    Reason.LICENCE_SUSPENDED: "licence is suspended: have it restored, then tell the pool office",
    Reason.LICENCE_REVOKED: "licence was revoked: obtain a new one and tell the pool office",
    Reason.NO_CERTIFICATE: "the pool has no accreditation certificate: ask the pool office",
    Reason.CERTIFICATE_NOT_BEGUN: "the pool's accreditation begins {begins}: connect again from that day",
    Reason.CERTIFICATE_EXPIRED: "the pool's accreditation ended {ended}: ask the pool office",
    Reason.CERTIFICATE_SUSPENDED: "the pool's accreditation is suspended: ask the pool office",
    Reason.CERTIFICATE_REVOKED: "the pool's accreditation was revoked: ask the pool office",
    Reason.SERVER_NOT_REGISTERED: "this server is not registered: use another server of the pool",
    Reason.SERVER_ABROAD: "this server is registered abroad: use another server of the pool",
    Reason.FOREIGN_ADDRESS: "your address is not in Kazakhstan: connect from your site, without VPN or proxy",
    Reason.LOOPBACK_NOT_ALLOWED: "loopback is in no country: connect from your site's network",
    Reason.OTHER_SITE: "your address is not in your certificate's site: connect from it, or check its name",
    Reason.SITE_UNKNOWN: "your address is in no site of yours: register its network at the pool office",
    Reason.SITE_NOT_ACCREDITED: "the site is not accredited now: ask its owner or the pool office",
    Reason.SITE_ABROAD: "the site is registered abroad: mine from a site in Kazakhstan",
    Reason.NO_EQUIPMENT: "no machine of yours is registered at this site: register it at the pool office",
    Reason.FINDING_BLOCKS: "finding against you or your site: settle it with the pool office",
}


Located: TypeAlias = tuple[str, ...] | None
"""Keys of the sites that an address counts as in; None if it is not in the one site that it must be in."""


class EntryReference(NamedTuple):
    """A version of a register's entry that a decision rested on."""

    register: str
    key: str
    entry: int


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a miner is let in, why not, and what that rests on."""

    admitted: bool
    reasons: tuple[Reason, ...]
    """Every reason against; empty when admitted."""
    text: str
    """At most 100 ASCII characters for the miner: the first reason and its cure, no personal data."""
    party: str
    """Key of the account's party, empty when the account is unknown."""
    site: str
    """Key of the site the decision speaks of, empty when none."""
    entries: tuple[EntryReference, ...]


def decide(
    registers: Registers,
    account: str,
    worker: str,
    peer: str,
    now: datetime,
    server: str,
    geo: Geo,
    demo_addresses: Sequence[DemoAddress] = (),
    site: str = "",
) -> Decision:
    """Whether `account`.`worker` may mine from address `peer` on server `server` at `now` (invariant 4).

    `site`: key of the only site that counts, from the peer's certificate; empty without one.
    """
    registers = registers.at(now)
    address = parse_address(peer)
    located: list[str] = []
    origin = Origin.FOREIGN
    if address is not None:
        origin = origin_of(address, geo, demo_addresses)
        located = sorted(key for key, one in registers.sites.items() if _contains(one, address))
    named = is_login(account, worker)
    return judge(registers, account, named, at_site(located, site), origin, server, geo.country)


def at_site(located: Sequence[str], site: str) -> Located:
    """Of the sites of an address those that count when only `site` may; all of them if that is empty."""
    if not site:
        return tuple(located)
    return (site,) if site in located else None


def _contains(site: Site, address: int) -> bool:
    return any(first <= address <= last for first, last in map(range_of, site.networks))


def judge(
    registers: Registers,
    account: str,
    named: bool,
    located: Located,
    origin: Origin,
    server: str,
    country: str,
) -> Decision:
    """Decide at `registers.valid_at`, with the address already placed: in sites `located`, of `origin`."""
    case = _Case(registers.valid_at)
    if not named:
        case.refuse(Reason.BAD_NAME)
    party = registers.accounts.get(account)
    if party is None:
        case.refuse(Reason.UNKNOWN_ACCOUNT)
    else:
        case.rest_on(party)
        case.document(registers.licences_by_party.get(party.party, ()), _LICENCE_REASONS)
    case.document(registers.latest(Certificate), _CERTIFICATE_REASONS)
    own = registers.servers.get(server)
    if own is None:
        case.refuse(Reason.SERVER_NOT_REGISTERED)
    else:
        case.rest_on(own)
        if own.country != country:
            case.refuse(Reason.SERVER_ABROAD)
    if origin is Origin.FOREIGN:
        case.refuse(Reason.FOREIGN_ADDRESS)
    elif origin is Origin.LOOPBACK:
        case.refuse(Reason.LOOPBACK_NOT_ALLOWED)
    site = "" if party is None else case.place(registers, party, located, country)
    if party is not None:
        case.findings(registers.findings_against(party.party, None))
    return case.decision(party.party if party else "", site)


def judge_from_sites(registers: Registers, party: Party, sites: Sequence[str], server: str, country: str) -> Decision:
    """The decision on `party`, were it to connect from the network of `sites` (keys of sites in force)."""
    return judge(registers, party.account, True, tuple(sites), Origin.HOME, server, country)


_LICENCE_REASONS = (
    Reason.NO_LICENCE,
    Reason.LICENCE_NOT_BEGUN,
    Reason.LICENCE_EXPIRED,
    Reason.LICENCE_SUSPENDED,
    Reason.LICENCE_REVOKED,
)
_CERTIFICATE_REASONS = (
    Reason.NO_CERTIFICATE,
    Reason.CERTIFICATE_NOT_BEGUN,
    Reason.CERTIFICATE_EXPIRED,
    Reason.CERTIFICATE_SUSPENDED,
    Reason.CERTIFICATE_REVOKED,
)


class _Case:
    """One decision in the making."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.reasons: list[Reason] = []
        self.entries: list[EntryReference] = []
        self.text = ""

    def refuse(self, reason: Reason, entry: Entry | None = None) -> None:
        if not self.reasons:
            begins = f"{entry.valid_from.astimezone(LEGAL_ZONE):%Y-%m-%d}" if entry else ""
            ends = entry.valid_to - timedelta(microseconds=1) if entry and entry.valid_to else None
            ended = f"{ends.astimezone(LEGAL_ZONE):%Y-%m-%d}" if ends else ""
            self.text = _TEXTS[reason].format(begins=begins, ended=ended)
        self.reasons.append(reason)

    def rest_on(self, *entries: Entry | None) -> None:
        self.entries += [EntryReference(row.register, row.key, row.entry) for row in entries if row]

    def document(self, documents: Iterable[Licence | Certificate], reasons: Sequence[Reason]) -> None:
        """Ask for one document in force among `documents`; of several the latest recorded speaks."""
        none, not_begun, expired, suspended, revoked = reasons
        newest = sorted(documents, key=lambda document: document.entry, reverse=True)
        good = [row for row in newest if row.holds(self.now) and row.status is DocumentStatus.IN_FORCE]
        chosen = next(iter(good or newest), None)
        self.rest_on(chosen)
        if good:
            return
        if chosen is None:
            self.refuse(none)
        elif self.now < chosen.valid_from:
            self.refuse(not_begun, chosen)
        elif not chosen.holds(self.now):
            self.refuse(expired, chosen)
        else:
            self.refuse(suspended if chosen.status is DocumentStatus.SUSPENDED else revoked, chosen)

    def findings(self, found: Sequence[Finding]) -> None:
        """Findings that let the party mine nowhere."""
        self.rest_on(*found)
        if found and Reason.FINDING_BLOCKS not in self.reasons:
            self.refuse(Reason.FINDING_BLOCKS)

    def place(self, registers: Registers, party: Party, located: Located, country: str) -> str:
        """Ask for a site of the party's that holds its machines; of several the one with least against it."""
        if located is None:
            self.refuse(Reason.OTHER_SITE)
            return ""
        open_to_party = [
            registers.sites[key]
            for key in located
            if registers.sites[key].party == party.party or (party.party, key) in registers.placements_by_site
        ]
        if not open_to_party:
            self.refuse(Reason.SITE_UNKNOWN)
            if party.party not in registers.equipped_parties:
                self.refuse(Reason.NO_EQUIPMENT)
            return ""
        objections = {site.site: _objections(registers, party, site, country) for site in open_to_party}
        site = min(open_to_party, key=lambda site: (len(objections[site.site]), site.site))
        for reason in objections[site.site]:
            self.refuse(reason)
        placed = None if site.party == party.party else registers.placements_by_site[party.party, site.site]
        self.rest_on(site, placed, registers.equipment_by_site.get((party.party, site.site)))
        self.rest_on(*registers.findings_against(None, site.site), *registers.findings_against(party.party, site.site))
        return site.site

    def decision(self, party: str, site: str) -> Decision:
        """The decision reached."""
        reasons = tuple(self.reasons)
        return Decision(not reasons, reasons, self.text, party, site, tuple(self.entries))


def _objections(registers: Registers, party: Party, site: Site, country: str) -> list[Reason]:
    found = {
        Reason.SITE_NOT_ACCREDITED: site.status is not SiteStatus.ACCREDITED,
        Reason.SITE_ABROAD: site.country != country,
        Reason.NO_EQUIPMENT: (party.party, site.site) not in registers.equipment_by_site,
        Reason.FINDING_BLOCKS: registers.findings_against(None, site.site)
        or registers.findings_against(party.party, site.site),
    }
    return [reason for reason, holds in found.items() if holds]
