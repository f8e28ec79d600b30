"""In-country evidence: what each source says of an address, and what follows from all of them.

Location by IP address is an indication, never legal proof (law.md 2.5). Sources know a country by its addresses: what a
list does not name lies, as far as it can tell, elsewhere.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TypeAlias

from tarazy.accreditation.entries import Geo, Server, Site, Source
from tarazy.accreditation.geo import LAST_ADDRESS, Ranges, ip_of, is_loopback, range_of, shipped
from tarazy.accreditation.snapshot import Registers
from tarazy.config.settings import AccreditationSettings, DemoAddress

INDICATION = "location by IP address is an indication, never legal proof"


class Verdict(StrEnum):
    """What one source says of an address."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    UNKNOWN = "unknown"


class Origin(StrEnum):
    """Where an address lies, by all sources and the demo rule."""

    HOME = "home"
    FOREIGN = "foreign"
    DISPUTED = "disputed"
    """The sources disagree, and the rule does not let that pass."""
    LOOPBACK = "loopback"
    """This machine, which is in no country unless a demo declares it."""


Verdicts: TypeAlias = tuple[tuple[str, Verdict], ...]
"""Source → what it says, in the order of the sources."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of where an address lies."""

    origin: Origin
    verdicts: Verdicts = ()
    """Of every source that the rule asks; none for a loopback address."""

    @property
    def disagrees(self) -> bool:
        """Whether one source says inside and another outside."""
        said = {verdict for _, verdict in self.verdicts}
        return {Verdict.INSIDE, Verdict.OUTSIDE} <= said

    @property
    def against(self) -> tuple[str, ...]:
        """The sources whose word differs from the outcome; for a dispute those that say outside."""
        other = Verdict.OUTSIDE if self.origin in (Origin.HOME, Origin.DISPUTED) else Verdict.INSIDE
        return tuple(source for source, verdict in self.verdicts if verdict is other)


NOWHERE = Evidence(Origin.FOREIGN)
"""Of a peer whose address nobody knows."""


class Agreement(StrEnum):
    """How many of the sources that know an address must say it is inside."""

    ALL = "all"
    MAJORITY = "majority"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class EvidenceRule:
    """Which sources count for `country`, and how they are combined."""

    country: str = "KZ"
    agreement: Agreement = Agreement.ALL
    sources: tuple[Source, ...] = tuple(Source)

    @classmethod
    def of(cls, settings: AccreditationSettings) -> EvidenceRule:
        """As the settings have it."""
        chosen = settings.evidence
        return cls(settings.country, Agreement(chosen.rule), tuple(map(Source, chosen.sources)))

    def weigh(self, lists: Verdicts, site: Verdict) -> Evidence:
        """Combine what the lists say with what the register of sites says.

        A site's own word alone lets nobody in: without a list that knows the address, it is nowhere.
        """
        said = {**dict(lists), Source.SITE: site}
        verdicts = tuple((source.value, said.get(source, Verdict.UNKNOWN)) for source in self.sources)
        inside = sum(verdict is Verdict.INSIDE for _, verdict in verdicts)
        outside = sum(verdict is Verdict.OUTSIDE for _, verdict in verdicts)
        if not any(verdict is not Verdict.UNKNOWN for source, verdict in verdicts if source != Source.SITE):
            return Evidence(Origin.FOREIGN, verdicts)
        enough = {
            Agreement.ALL: inside > 0 and outside == 0,
            Agreement.MAJORITY: inside > outside,
            Agreement.ANY: inside > 0,
        }
        if enough[self.agreement]:
            return Evidence(Origin.HOME, verdicts)
        return Evidence(Origin.DISPUTED if inside else Origin.FOREIGN, verdicts)


@dataclass(frozen=True, slots=True)
class AddressList:
    """A list of the country's addresses in force, and where it is from."""

    ranges: Ranges
    dated_on: date
    digest: str
    entry: Geo | None
    """None for the shipped list, while none is recorded."""


def lists_in_force(registers: Registers, country: str = "KZ") -> dict[str, AddressList]:
    """The list of each source in force at `registers.valid_at`; the shipped one where no other is recorded."""
    found: dict[str, AddressList] = {}
    for source in Source:
        entry = registers.geo.get(source)
        if entry is not None and entry.country == country:
            found[source.value] = AddressList(registers.lists[entry.digest], entry.dated_on, entry.digest, entry)
        elif source is Source.BLOCKS:
            own = shipped(country)
            found[source.value] = AddressList(own.ranges, own.dated_on, own.ranges.digest, None)
    return found


class ListMap:
    """The whole address space cut where any list begins or ends: one search finds what all of them say."""

    def __init__(self, lists: Mapping[str, Ranges]) -> None:
        changes: dict[int, int] = {0: 0}
        for place, ranges in enumerate(lists.values()):
            for first, last in ranges:
                changes[first] = changes.get(first, 0) ^ 1 << place
                if last < LAST_ADDRESS:
                    changes[last + 1] = changes.get(last + 1, 0) ^ 1 << place
        self._starts = sorted(changes)
        self._said: list[int] = []
        inside = 0
        for start in self._starts:
            inside ^= changes[start]
            self._said.append(inside)
        self._words = [
            tuple((name, Verdict.INSIDE if said >> place & 1 else Verdict.OUTSIDE) for place, name in enumerate(lists))
            for said in range(1 << len(lists))
        ]

    def number(self, address: int) -> int:
        """A number that stands for what the lists say of an address, the same for the same verdicts."""
        return self._said[bisect_right(self._starts, address) - 1]

    def verdicts(self, number: int) -> Verdicts:
        """What a number stands for."""
        return self._words[number]

    def parts(self, first: int, last: int) -> Iterator[tuple[int, int, Verdicts]]:
        """The parts of a range, each with first and last address and what the lists say of it."""
        index = bisect_right(self._starts, first) - 1
        while index < len(self._starts) and self._starts[index] <= last:
            end = self._starts[index + 1] - 1 if index + 1 < len(self._starts) else LAST_ADDRESS
            yield max(first, self._starts[index]), min(last, end), self._words[self._said[index]]
            index += 1


def list_map(registers: Registers, country: str = "KZ") -> ListMap:
    """The map of the lists in force."""
    return ListMap({source: listed.ranges for source, listed in lists_in_force(registers, country).items()})


def site_verdict(sites: Sequence[Site], country: str) -> Verdict:
    """What the register says of an address in the networks of `sites`; of one abroad it does not speak here."""
    home = bool(sites) and all(site.country == country for site in sites)
    return Verdict.INSIDE if home else Verdict.UNKNOWN


def loopback_origin(address: int, country: str, demo_addresses: Sequence[DemoAddress] = ()) -> Origin | None:
    """Where a loopback address lies; None for any other.

    It is in no country, unless `demo_addresses` declares its network to be in one: the demo's explicit rule, which only
    a server with the embedded chain may pass here.
    """
    if not is_loopback(address):
        return None
    for declared in demo_addresses:
        first, last = range_of(declared.network)
        if first <= address <= last:
            return Origin.HOME if declared.country == country else Origin.FOREIGN
    return Origin.LOOPBACK


def evidence_of(
    address: int,
    lists: ListMap,
    sites: Sequence[Site],
    rule: EvidenceRule,
    demo_addresses: Sequence[DemoAddress] = (),
) -> Evidence:
    """What is known of an address that lies in the networks of `sites`."""
    origin = loopback_origin(address, rule.country, demo_addresses)
    if origin is not None:
        return Evidence(origin)
    return rule.weigh(lists.verdicts(lists.number(address)), site_verdict(sites, rule.country))


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Addresses of a registered network that the sources do not agree on."""

    register: str
    """`site` or `server`."""
    key: str
    entry: int
    network: str
    first: int
    last: int
    """Of the part of the network concerned, as `geo.parse_address` numbers addresses."""
    evidence: Evidence
    private: bool
    """They are no public addresses: no list can place them."""


def disagreements(registers: Registers, rule: EvidenceRule) -> list[Disagreement]:
    """Where the registers and the other sources differ on the networks of sites and of the pool's servers.

    For a server its own entry speaks in the place of a site. Loopback networks are left out, and so are servers'
    private ones, which are no evidence of anything.
    """
    lists = list_map(registers, rule.country)
    found: list[Disagreement] = []
    holders: list[Site | Server] = [*registers.sites.values(), *registers.servers.values()]
    for holder in holders:
        claimed = Verdict.INSIDE if holder.country == rule.country else Verdict.OUTSIDE
        for network in holder.networks:
            whole = range_of(network)
            private = not ip_of(whole[0]).is_global
            if is_loopback(whole[0]) or (private and isinstance(holder, Server)):
                continue
            for first, last, verdicts in lists.parts(*whole):
                evidence = rule.weigh(verdicts, claimed)
                said = {verdict for _, verdict in evidence.verdicts} | {claimed}
                if {Verdict.INSIDE, Verdict.OUTSIDE} <= said:
                    place = (holder.register, holder.key, holder.entry, network)
                    found.append(Disagreement(*place, first, last, evidence, private))
    return found


@dataclass(frozen=True, slots=True)
class Stale:
    """A source whose data is older than it should be."""

    source: str
    dated_on: date
    days: int
    """Its age."""
    most: int
    """The age it should not pass."""


def stale(registers: Registers, rule: EvidenceRule, maximum_age_days: Mapping[str, int], today: date) -> list[Stale]:
    """The lists of the rule's sources that are too old on `today`. One that was never recorded is not missed."""
    found = []
    for source, listed in lists_in_force(registers, rule.country).items():
        days, most = (today - listed.dated_on).days, maximum_age_days[source]
        if source in rule.sources and days > most:
            found.append(Stale(source, listed.dated_on, days, most))
    return found
