"""Who is let in: one pure function from registers and a question to a decision with its reasons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from tarazy.accreditation.entries import Certificate, DocumentStatus, Entry, Finding, Licence, Party, Site, SiteStatus
from tarazy.accreditation.evidence import NOWHERE, Evidence, EvidenceRule, Origin, Verdicts, evidence_of, list_map
from tarazy.accreditation.fields import LEGAL_ZONE
from tarazy.accreditation.geo import parse_address, range_of
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
    EVIDENCE_DISAGREES = "evidence-disagrees"
    LOOPBACK_NOT_ALLOWED = "loopback-not-allowed"
    CLIENT_CERTIFICATE_UNKNOWN = "client-certificate-unknown"
    OTHER_SITE = "other-site"
    OTHER_PORT = "other-port"
    SITE_UNKNOWN = "site-unknown"
    SITE_NOT_ACCREDITED = "site-not-accredited"
    SITE_ABROAD = "site-abroad"
    NO_EQUIPMENT = "no-equipment"
    FINDING_BLOCKS = "finding-blocks"


_TEXTS = {
    Reason.BAD_NAME: "bad name: log in as account.worker, ASCII, no /, at most 127 characters",
    Reason.UNKNOWN_ACCOUNT: "unknown account: check its spelling, or ask the pool office",
    Reason.NO_LICENCE: "no mining licence on record: bring its number to the pool office",
    Reason.LICENCE_NOT_BEGUN: "licence begins {begins}: connect again from that day",
    Reason.LICENCE_EXPIRED: "licence ended {ended}: renew it and tell the pool office",
    Reason.LICENCE_SUSPENDED: "licence suspended: have it restored, tell the pool office",
    Reason.LICENCE_REVOKED: "licence revoked: obtain a new one, tell the pool office",
    Reason.NO_CERTIFICATE: "the pool has no accreditation certificate: ask the pool office",
    Reason.CERTIFICATE_NOT_BEGUN: "pool's accreditation begins {begins}: connect from that day",
    Reason.CERTIFICATE_EXPIRED: "pool's accreditation ended {ended}: ask the pool office",
    Reason.CERTIFICATE_SUSPENDED: "pool's accreditation is suspended: ask the pool office",
    Reason.CERTIFICATE_REVOKED: "pool's accreditation was revoked: ask the pool office",
    Reason.SERVER_NOT_REGISTERED: "server not registered: use another server of the pool",
    Reason.SERVER_ABROAD: "server registered abroad: use another server of the pool",
    Reason.FOREIGN_ADDRESS: "address not in Kazakhstan: connect from your site, without VPN",
    Reason.EVIDENCE_DISAGREES: "unclear whether address is in Kazakhstan: ask the pool office",
    Reason.LOOPBACK_NOT_ALLOWED: "loopback is in no country: connect from your site's network",
    Reason.CLIENT_CERTIFICATE_UNKNOWN: "TLS certificate names no site: ask the pool for another",
    Reason.OTHER_SITE: "address not in your TLS certificate's site: connect from that site",
    Reason.OTHER_PORT: "this port is for other sites: ask the pool office for your port",
    Reason.SITE_UNKNOWN: "address in no site of yours: register its network at the pool",
    Reason.SITE_NOT_ACCREDITED: "site not accredited: ask its owner or the pool office",
    Reason.SITE_ABROAD: "the site is registered abroad: mine from a site in Kazakhstan",
    Reason.NO_EQUIPMENT: "no machine of yours at this site: register it at the pool office",
    Reason.FINDING_BLOCKS: "finding against you or your site: settle it with the pool office",
}
"""For the miner's log: what is wrong, a colon, what to do; the reason's code follows it."""

LONGEST_TEXT = 86
"""ASCII characters; the wire's 100 less what stands before them there."""


class Question(NamedTuple):
    """Who wants to mine, from where, and at which door."""

    account: str
    worker: str
    peer: str
    """The address it comes from, as text."""
    server: str
    """Key of the server that is asked."""
    certificate_site: str = ""
    """Key of the only site that counts, from the peer's TLS certificate; empty without one."""
    port_sites: tuple[str, ...] = ()
    """Keys of the sites that the listener is for; empty where it is for all."""


class EntryReference(NamedTuple):
    """A version of a register's entry that a decision rested on."""

    register: str
    key: str
    entry: int


class Decision(NamedTuple):
    """Whether a miner is let in, why not, and what that rests on."""

    admitted: bool
    reasons: tuple[Reason, ...]
    """Every reason against; empty when admitted."""
    text: str
    """For the miner, at most `LONGEST_TEXT`: the first reason, its cure and its code, no personal data."""
    party: str
    """Key of the account's party, empty when the account is unknown."""
    site: str
    """Key of the site the decision speaks of, empty when none."""
    entries: tuple[EntryReference, ...]
    evidence: Verdicts = ()
    """What each source said of where the address lies."""


def decide(
    registers: Registers,
    question: Question,
    now: datetime,
    rule: EvidenceRule,
    demo_addresses: Sequence[DemoAddress] = (),
) -> Decision:
    """Whether who asks may mine at `now` (invariant 4)."""
    registers = registers.at(now)
    judge = Judge(registers, rule.country)
    address = parse_address(question.peer)
    if address is None:
        return judge.decide(question, judge.whereabouts((), NOWHERE))
    located = tuple(sorted(key for key, one in registers.sites.items() if _contains(one, address)))
    sites = [registers.sites[key] for key in located]
    evidence = evidence_of(address, list_map(registers, rule.country), sites, rule, demo_addresses)
    return judge.decide(question, judge.whereabouts(located, evidence))


def _contains(site: Site, address: int) -> bool:
    return any(first <= address <= last for first, last in map(range_of, site.networks))


class Part(NamedTuple):
    """What one of the things that are looked at comes to."""

    reasons: tuple[Reason, ...] = ()
    """Those against."""
    text: str = ""
    """Of the first of them."""
    entries: tuple[EntryReference, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Whereabouts:
    """Addresses of which the same is known."""

    sites: tuple[str, ...]
    """Keys of the sites in whose networks they lie, sorted."""
    evidence: Evidence
    origin: Part
    """What comes of the evidence."""


class Judge:
    """Decides by the registers of one instant. What several questions have in common is looked at once.

    It keeps one part for each account, each server asked, and each site open to a party, one decision for each way in
    which a party is let in, one for all strangers from one place, and nothing that strangers can add to.
    """

    def __init__(self, registers: Registers, country: str) -> None:
        self._registers = registers
        self._country = country
        self._accounts = registers.accounts
        self._licences = registers.licences_by_party
        self._placements = registers.placements_by_site
        self._machines = registers.equipment_by_site
        self._equipped = registers.equipped_parties
        self._holders: dict[str, Part] = {}
        self._houses: dict[str, Part] = {}
        self._seats: dict[tuple[str, str], Part] = {}
        self._decisions: dict[tuple[str, Whereabouts, str, str, tuple[str, ...]], Decision] = {}

    def whereabouts(self, sites: tuple[str, ...], evidence: Evidence) -> Whereabouts:
        """Addresses in the networks of `sites` (their keys, sorted), with what is known of where they lie."""
        case = _Case(self._registers.valid_at)
        case.rest_on(*(self._registers.geo.get(source) for source, _ in evidence.verdicts))
        if evidence.origin in _ORIGIN_REASONS:
            case.refuse(_ORIGIN_REASONS[evidence.origin])
        return Whereabouts(sites, evidence, case.part())

    def decide(self, question: Question, whereabouts: Whereabouts) -> Decision:
        """The decision, with the address already located. It is known again by the object that its whereabouts is."""
        account, worker, _, server, certificate_site, port_sites = question
        if account in self._accounts:
            way = account, whereabouts, server, certificate_site, port_sites
        else:
            way = "", whereabouts, server, "", ()
        named = is_login(account, worker)
        decision = self._decisions.get(way) if named else None
        if decision is None:
            decision = self._decide(question, named, whereabouts)
            if named and (decision.admitted or not decision.party):
                self._decisions[way] = decision
        return decision

    def decide_from_sites(self, party: Party, sites: Sequence[str], server: str) -> Decision:
        """The decision on `party`, were it to connect from the network of `sites` (keys of sites in force)."""
        whereabouts = Whereabouts(tuple(sites), Evidence(Origin.HOME), Part())
        return self._decide(Question(party.account, "", "", server), True, whereabouts)

    def _decide(self, question: Question, named: bool, whereabouts: Whereabouts) -> Decision:
        party = self._accounts.get(question.account)
        parts = [_NAMED if named else _BADLY_NAMED, _STRANGER, self._house(question.server), whereabouts.origin]
        if party is None:
            return _concluded("", "", parts, whereabouts.evidence)
        parts[1] = self._holder(party)
        located = self._narrowed(whereabouts.sites, question)
        if isinstance(located, Reason):
            return _concluded(party.party, "", [*parts, _objection(located)], whereabouts.evidence)
        site, seat = self._seat(party.party, located)
        return _concluded(party.party, site, [*parts, seat], whereabouts.evidence)

    def _narrowed(self, located: tuple[str, ...], question: Question) -> tuple[str, ...] | Reason:
        """Of the sites of an address those that count at this door, or why none does."""
        only, port_sites = question.certificate_site, question.port_sites
        if only:
            if only not in self._registers.sites:
                return Reason.CLIENT_CERTIFICATE_UNKNOWN
            if only not in located:
                return Reason.OTHER_SITE
            located = (only,)
        if port_sites and located:
            located = tuple(key for key in located if key in port_sites)
            if not located:
                return Reason.OTHER_PORT
        return located

    def _holder(self, party: Party) -> Part:
        """The party of an account, and its licence."""
        held = self._holders.get(party.account)
        if held is not None:
            return held
        case = _Case(self._registers.valid_at)
        case.rest_on(party)
        case.document(self._licences.get(party.party, ()), _LICENCE_REASONS)
        case.findings(self._registers.findings_against(party.party, None))
        return self._holders.setdefault(party.account, case.part())

    def _house(self, server: str) -> Part:
        """The pool: its certificate of accreditation and the server."""
        held = self._houses.get(server)
        if held is not None:
            return held
        case = _Case(self._registers.valid_at)
        case.document(self._registers.latest(Certificate), _CERTIFICATE_REASONS)
        own = self._registers.servers.get(server)
        case.rest_on(own)
        if own is None:
            case.refuse(Reason.SERVER_NOT_REGISTERED)
        elif own.country != self._country:
            case.refuse(Reason.SERVER_ABROAD)
        return self._houses.setdefault(server, case.part())

    def _seat(self, party: str, located: tuple[str, ...]) -> tuple[str, Part]:
        """A site of the party's that holds its machines; of several the one with least against it."""
        seats = self._seats
        best, best_part = "", None
        for key in located:
            part = seats.get((party, key))
            if part is None:
                site = self._registers.sites[key]
                if site.party != party and (party, key) not in self._placements:
                    continue
                part = self._place(party, site)
            if best_part is None or (len(part.reasons), key) < (len(best_part.reasons), best):
                best, best_part = key, part
        if best_part is not None:
            return best, best_part
        return "", _NOWHERE_SEATED if party in self._equipped else _UNEQUIPPED

    def _place(self, party: str, site: Site) -> Part:
        """A site that is open to the party: what is against mining there."""
        place = party, site.site
        case = _Case(self._registers.valid_at)
        case.rest_on(site)
        if site.party != party:
            case.rest_on(self._placements[place])
        machine = self._machines.get(place)
        case.rest_on(machine)
        if site.status is not SiteStatus.ACCREDITED:
            case.refuse(Reason.SITE_NOT_ACCREDITED)
        if site.country != self._country:
            case.refuse(Reason.SITE_ABROAD)
        if machine is None:
            case.refuse(Reason.NO_EQUIPMENT)
        case.findings(self._registers.findings_against(None, site.site))
        case.findings(self._registers.findings_against(party, site.site))
        return self._seats.setdefault(place, case.part())


def _concluded(party: str, site: str, parts: Sequence[Part], evidence: Evidence) -> Decision:
    reasons: tuple[Reason, ...] = ()
    entries: tuple[EntryReference, ...] = ()
    text = ""
    for part in parts:
        if part.entries:
            entries += part.entries
        if part.reasons:
            reasons += tuple(reason for reason in part.reasons if reason not in reasons)
            text = text or part.text
    return Decision(not reasons, reasons, text, party, site, entries, evidence.verdicts)


_ORIGIN_REASONS = {
    Origin.FOREIGN: Reason.FOREIGN_ADDRESS,
    Origin.DISPUTED: Reason.EVIDENCE_DISAGREES,
    Origin.LOOPBACK: Reason.LOOPBACK_NOT_ALLOWED,
}
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


def text_of(reason: Reason, entry: Entry | None = None) -> str:
    """What a miner is told, with the days of the `entry` that it is about; at most `LONGEST_TEXT`."""
    begins = f"{entry.valid_from.astimezone(LEGAL_ZONE):%Y-%m-%d}" if entry else ""
    ends = entry.valid_to - timedelta(microseconds=1) if entry and entry.valid_to else None
    ended = f"{ends.astimezone(LEGAL_ZONE):%Y-%m-%d}" if ends else ""
    return f"{_TEXTS[reason].format(begins=begins, ended=ended)} [{reason}]"


def _objection(*reasons: Reason) -> Part:
    return Part(reasons, text_of(reasons[0]))


_NAMED = Part()
_BADLY_NAMED = _objection(Reason.BAD_NAME)
_STRANGER = _objection(Reason.UNKNOWN_ACCOUNT)
_NOWHERE_SEATED = _objection(Reason.SITE_UNKNOWN)
_UNEQUIPPED = _objection(Reason.SITE_UNKNOWN, Reason.NO_EQUIPMENT)


class _Case:
    """A part in the making."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._reasons: list[Reason] = []
        self._entries: list[EntryReference] = []
        self._text = ""

    def refuse(self, reason: Reason, entry: Entry | None = None) -> None:
        self._text = self._text or text_of(reason, entry)
        self._reasons.append(reason)

    def rest_on(self, *entries: Entry | None) -> None:
        self._entries += [EntryReference(row.register, row.key, row.entry) for row in entries if row]

    def document(self, documents: Iterable[Licence | Certificate], reasons: Sequence[Reason]) -> None:
        """Ask for one document in force among `documents`.

        Of several in force the latest recorded speaks; where none is, the one that began last, such as that which was
        issued anew for another.
        """
        none, not_begun, expired, suspended, revoked = reasons
        newest = sorted(documents, key=lambda document: document.entry, reverse=True)
        good = [row for row in newest if row.holds(self._now) and row.status is DocumentStatus.IN_FORCE]
        chosen = next(iter(good), None) or max(newest, key=lambda row: (row.valid_from, row.entry), default=None)
        self.rest_on(chosen)
        if good:
            return
        if chosen is None:
            self.refuse(none)
        elif self._now < chosen.valid_from:
            self.refuse(not_begun, chosen)
        elif not chosen.holds(self._now):
            self.refuse(expired, chosen)
        else:
            self.refuse(suspended if chosen.status is DocumentStatus.SUSPENDED else revoked, chosen)

    def findings(self, found: Sequence[Finding]) -> None:
        """Open findings that block."""
        self.rest_on(*found)
        if found:
            self.refuse(Reason.FINDING_BLOCKS)

    def part(self) -> Part:
        """What it came to."""
        return Part(tuple(self._reasons), self._text, tuple(self._entries))
