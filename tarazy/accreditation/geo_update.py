"""Another list of a source: what it would change, what speaks against it, and recording it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache

from sqlalchemy import Connection

from tarazy.accreditation import documents
from tarazy.accreditation.decisions import ADMITTED, DecisionSummary
from tarazy.accreditation.entries import Geo, Server, Site, Source
from tarazy.accreditation.evidence import EvidenceRule, ListMap, Origin, Verdict, evidence_of, lists_in_force
from tarazy.accreditation.fields import read_text
from tarazy.accreditation.geo import IPV4, Ranges, Reduced, is_loopback, parse_address, range_of, shipped
from tarazy.accreditation.registers import append, as_of
from tarazy.accreditation.snapshot import Registers

_IPV4_SHARE = 100
"""No more than one IPv4 address of so many lies in one country of Kazakhstan's size; it has one of some 1,300."""
_IPV6_SHARE = 1_000
"""The same for the /64 networks of global unicast."""
_NOT_PUBLIC = (
    *("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"),
    *("224.0.0.0/3", "::/96", "fc00::/7", "fe80::/10", "ff00::/8"),
)


@dataclass(frozen=True, slots=True)
class Moved:
    """A network or miner for which the combined evidence comes out otherwise."""

    register: str
    """`site`, `server`, or `party` for a miner admitted lately."""
    key: str
    place: str
    """Network of a site or server; the account of a miner."""
    before: Origin
    after: Origin


@dataclass(frozen=True, slots=True)
class GeoChange:
    """What recording a list would do."""

    source: str
    before: Ranges
    after: Ranges
    added: Ranges
    removed: Ranges
    moved: tuple[Moved, ...]
    objections: tuple[str, ...]
    """Why it should not be recorded; empty when nothing speaks against it."""
    known: bool
    """Whether the same list of the same day is in force already."""


def plan(
    registers: Registers, reduced: Reduced, rule: EvidenceRule, today: date, admitted: Iterable[DecisionSummary] = ()
) -> GeoChange:
    """Compare a list with the one in force. `admitted`: decisions of late, whose addresses are weighed anew."""
    lists = lists_in_force(registers, rule.country)
    known = lists.get(reduced.source)
    before = known.ranges if known else Ranges()
    ranges = {source: listed.ranges for source, listed in lists.items()}
    maps = [ListMap(one) for one in (ranges, {**ranges, reduced.source: reduced.ranges})]
    moved = (*_moved_networks(registers, rule, maps), *_moved_miners(registers, rule, maps, admitted))
    objections = [*_implausible(reduced.ranges), *_shrunk(before, reduced.ranges)]
    if known and reduced.dated_on < known.dated_on:
        objections.append(f"of {reduced.dated_on}, older than the list in force, which is of {known.dated_on}")
    if reduced.dated_on > today + timedelta(days=1):
        objections.append(f"of {reduced.dated_on}, a day that is still to come")
    added, removed = reduced.ranges - before, before - reduced.ranges
    told = (reduced.ranges.digest, reduced.dated_on)
    same = known is not None and known.entry is not None and (known.digest, known.dated_on) == told
    return GeoChange(reduced.source, before, reduced.ranges, added, removed, moved, tuple(objections), same)


def record(
    connection: Connection, reduced: Reduced, country: str, recorded_at: datetime, recorded_by: str, note: str = ""
) -> Geo:
    """Keep a list and let it hold from `recorded_at` on; raises as `registers.append` and `documents.store` do."""
    ranges = reduced.ranges
    entry = Geo(
        geo=Source(reduced.source),
        country=country,
        file=read_text(reduced.file),
        file_digest=reduced.file_digest,
        dated_on=reduced.dated_on,
        digest=documents.store(connection, ranges.content, recorded_at),
        ranges=len(ranges),
        ipv4_addresses=ranges.ipv4_addresses,
        ipv6_subnets=ranges.ipv6_subnets,
        valid_from=recorded_at,
        note=note or None,
    )
    append(connection, entry, recorded_at, recorded_by)
    return entry


def adopt_shipped(connection: Connection, country: str, recorded_at: datetime, recorded_by: str) -> Geo | None:
    """Record the shipped blocks unless blocks of the same or a later day are recorded; the entry made, if one was.

    A later release may ship others: what a server decided by is then still in the ledger.
    """
    known = as_of(connection, recorded_at).geo.get(Source.BLOCKS)
    own = shipped(country)
    if known is not None and known.dated_on >= own.dated_on:
        return None
    return record(connection, own, country, recorded_at, recorded_by)


def _implausible(ranges: Ranges) -> Iterable[str]:
    most = (IPV4[1] - IPV4[0] + 1) // _IPV4_SHARE
    if ranges.ipv4_addresses > most:
        yield f"claims {ranges.ipv4_addresses:,} IPv4 addresses for one country; more than {most:,} is not plausible"
    most = (1 << 61) // _IPV6_SHARE
    if ranges.ipv6_subnets > most:
        yield f"claims {ranges.ipv6_subnets:,} IPv6 /64 networks for one country; more than {most:,} is not plausible"
    if len(ranges & _not_public()):
        yield "claims private, local or multicast addresses, which lie in no country"


@cache
def _not_public() -> Ranges:
    return Ranges.of_networks(_NOT_PUBLIC)


def _shrunk(before: Ranges, after: Ranges) -> Iterable[str]:
    kept = before & after
    for name, had, has in (
        ("IPv4 addresses", before.ipv4_addresses, kept.ipv4_addresses),
        ("IPv6 /64 networks", before.ipv6_subnets, kept.ipv6_subnets),
    ):
        if 2 * has < had:
            yield f"keeps {has:,} of the {had:,} {name} of the list in force: more than half would be gone"


def _moved_networks(registers: Registers, rule: EvidenceRule, maps: Sequence[ListMap]) -> Iterable[Moved]:
    holders: list[Site | Server] = [*registers.sites.values(), *registers.servers.values()]
    for holder in holders:
        claimed = Verdict.INSIDE if holder.country == rule.country else Verdict.UNKNOWN
        for network in holder.networks:
            first, last = range_of(network)
            origins = [
                {rule.weigh(verdicts, claimed).origin for _, _, verdicts in one.parts(first, last)} for one in maps
            ]
            before, after = (min(each, key=_WORST.index) for each in origins)
            if before is not after and not is_loopback(first):
                yield Moved(holder.register, holder.key, network, before, after)


_WORST = (Origin.FOREIGN, Origin.DISPUTED, Origin.HOME)
"""The origin of a network is the least favourable one of its parts."""


def _moved_miners(
    registers: Registers, rule: EvidenceRule, maps: Sequence[ListMap], admitted: Iterable[DecisionSummary]
) -> Iterable[Moved]:
    for decision in admitted:
        sites = [registers.sites[key] for key in decision.sites if key in registers.sites]
        addresses = [parse_address(peer) for peer in decision.peers if decision.kind == ADMITTED]
        moves = {
            tuple(evidence_of(address, one, sites, rule).origin for one in maps)
            for address in addresses
            if address is not None
        }
        for before, after in sorted(moves):
            if before is not after:
                yield Moved("party", decision.party, decision.account, before, after)
