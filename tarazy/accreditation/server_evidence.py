"""What a server of the pool can show about where it stands: one value, kept append-only, and what is wanting in it.

Which proof the authority accepts is not known (law.md 2.5). Location by IP address is an indication, never legal proof;
a private address is not even that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, insert, select

from tarazy.accreditation import audit, documents
from tarazy.accreditation.audit import AuditEvent, canonical, instant_text
from tarazy.accreditation.entries import Server
from tarazy.accreditation.evidence import INDICATION, EvidenceRule, Origin, Verdict, list_map, lists_in_force
from tarazy.accreditation.geo import Ranges, ip_of, is_loopback, parse_address
from tarazy.accreditation.snapshot import Registers
from tarazy.accreditation.tables import lock_writers, server_evidence

EVENT = "server-evidence"
WANTING = ("server-not-registered", "address-not-registered", "address-abroad", "clock-not-read", "clock-off")
"""Codes of what may be wanting."""
MOST_OFFSET_MS = 5_000
"""A clock further off than this is told: the other clocks are read to a second, over a network."""


@dataclass(frozen=True, slots=True)
class Listening:
    """A port that miners connect to."""

    host: str
    port: int
    key: str | None = None
    """SHA-256 of its certificate's SubjectPublicKeyInfo (DER), hex; None without TLS."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Another clock as it was seen from here."""

    clock: str
    """Whose it is."""
    offset_ms: int | None
    """It minus this machine's; None when it could not be read."""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """What a machine sees of itself."""

    listening: tuple[Listening, ...]
    interfaces: tuple[str, ...]
    """Addresses of its network interfaces."""
    clocks: tuple[ClockReading, ...] = ()


class Scope(StrEnum):
    """What an address can tell."""

    PUBLIC = "public"
    PRIVATE = "private"
    LOOPBACK = "loopback"


def scope_of(address: int) -> Scope:
    """Whether an address is one of the public internet, of this machine alone, or of some network in between."""
    if is_loopback(address):
        return Scope.LOOPBACK
    return Scope.PUBLIC if ip_of(address).is_global else Scope.PRIVATE


def gather(
    registers: Registers, rule: EvidenceRule, server: str, observed: Observed, taken_at: datetime
) -> dict[str, Any]:
    """The evidence as plain JSON values, without floats: the server's entry, its addresses with what each source says
    of them and of which day that is, its clock against others, its keys, the documents attached to its entry.
    """
    entry = registers.servers.get(server)
    known = Ranges.of_networks(entry.networks) if entry else Ranges()
    lists = lists_in_force(registers, rule.country)
    laid = list_map(registers, rule.country)
    claimed = Verdict.INSIDE if entry and entry.country == rule.country else Verdict.UNKNOWN
    addresses = []
    for text, seen in sorted(_seen(observed, entry).items()):
        address = parse_address(text)
        if address is None:
            continue
        scope = scope_of(address)
        told: dict[str, Any] = {"address": text, "seen": sorted(seen), "scope": scope, "registered": address in known}
        if scope is Scope.PUBLIC:
            evidence = rule.weigh(laid.verdicts(laid.number(address)), claimed)
            told |= {"origin": evidence.origin, "sources": dict(evidence.verdicts)}
        addresses.append(told)
    return {
        "format": 1,
        "server": server,
        "taken_at": instant_text(taken_at),
        "remark": INDICATION,
        "entry": _entry(entry) if entry else None,
        "addresses": addresses,
        "lists": {
            source: {"dated_on": listed.dated_on.isoformat(), "digest": listed.digest}
            for source, listed in lists.items()
        },
        "clocks": [
            {"clock": one.clock, "offset_ms": one.offset_ms, "fault": one.fault[:200]} for one in observed.clocks
        ],
        "listening": [{"host": one.host, "port": one.port, "key": one.key} for one in observed.listening],
        "documents": [
            {"document": one.document, "title": one.title, "digest": one.digest}
            for one in registers.documents_of.get((Server.register, server), [])
        ],
    }


def _entry(entry: Server) -> dict[str, Any]:
    return {
        "entry": entry.entry,
        "host": entry.host,
        "address": entry.address,
        "country": entry.country,
        "location": entry.location,
        "networks": list(entry.networks),
        "attested_by": entry.attested_by,
        "attested_on": entry.attested_on.isoformat() if entry.attested_on else None,
    }


def _seen(observed: Observed, entry: Server | None) -> dict[str, set[str]]:
    """Address → how it was seen. A port on all addresses is bound to each of the machine's."""
    found: dict[str, set[str]] = {}
    for address in observed.interfaces:
        found.setdefault(address, set()).add("interface")
    for one in observed.listening:
        for address in _bound(one.host, observed.interfaces):
            found.setdefault(address, set()).add("bound")
    if entry is not None:
        found.setdefault(entry.host, set()).add("host")
    return found


def _bound(host: str, interfaces: Iterable[str]) -> list[str]:
    if host == "::":
        return list(interfaces)
    if host == "0.0.0.0":  # noqa: S104 - compared, not bound
        return [address for address in interfaces if ":" not in address]
    return ["127.0.0.1" if host == "localhost" else host]


@dataclass(frozen=True, slots=True)
class ServerFinding:
    """One thing that the evidence shows: whether it is as it should be, and the cure if not."""

    code: str
    fine: bool
    text: str
    cure: str = ""


def findings(evidence: dict[str, Any]) -> list[ServerFinding]:
    """What is to be said of a server's evidence, as `gather` makes it."""
    name, entry = evidence["server"], evidence["entry"]
    if entry is None:
        cure = "register it with `tarazy register set server`, or name the registered one in accreditation.server"
        return [ServerFinding("server-not-registered", False, f"{name} is not in the register of servers", cure)]
    public = [one for one in evidence["addresses"] if one["scope"] == Scope.PUBLIC]
    return [*_address_findings(evidence, public), *_clock_findings(evidence), _papers(evidence)]


def _address_findings(evidence: dict[str, Any], public: list[dict[str, Any]]) -> Iterable[ServerFinding]:
    if not public:
        text = "it has no public address of its own; private addresses are no evidence of where it stands"
        yield ServerFinding("no-public-address", True, text)
    for one in public:
        address, seen = one["address"], " and ".join(one["seen"])
        if not one["registered"]:
            text = f"{address} ({seen}) is not in the networks that its entry names"
            cure = f"add it to the networks of server {evidence['server']} if it is the pool's, or do not bind it"
            yield ServerFinding("address-not-registered", False, text, cure)
        if one["origin"] != Origin.HOME:
            said = ", ".join(f"{source} {verdict}" for source, verdict in one["sources"].items())
            text = f"{address} ({seen}) does not count as in the country: {said}"
            cure = "update the lists with `tarazy register geo update FILE`; if they agree, the server stands elsewhere"
            yield ServerFinding("address-abroad", False, text, cure)
    if public and all(one["registered"] and one["origin"] == Origin.HOME for one in public):
        text = f"{len(public)} public addresses are registered and count as in the country; {INDICATION}"
        yield ServerFinding("addresses-at-home", True, text)


def _clock_findings(evidence: dict[str, Any]) -> Iterable[ServerFinding]:
    for one in evidence["clocks"]:
        offset = one["offset_ms"]
        if offset is None:
            cure = "see that it can be reached, or take it out of the settings"
            yield ServerFinding("clock-not-read", False, f"{one['clock']}: {one['fault']}", cure)
        elif abs(offset) > MOST_OFFSET_MS:
            text = f"{one['clock']} is {offset / 1000:+.1f} s against this machine's clock"
            yield ServerFinding("clock-off", False, text, "set the clock that is wrong (NTP)")
        else:
            yield ServerFinding("clock", True, f"{one['clock']} is {offset / 1000:+.1f} s against this machine's clock")


def _papers(evidence: dict[str, Any]) -> ServerFinding:
    count = len(evidence["documents"])
    text = f"{count} documents are attached to its entry"
    cure = (
        "" if count else f"attach lease, photos or protocols: `tarazy register attach server {evidence['server']} FILE`"
    )
    return ServerFinding("documents", True, text, cure)


def keep(connection: Connection, evidence: dict[str, Any], at: datetime) -> str:
    """Keep evidence and note its digest in the audit log; gives back the digest."""
    lock_writers(connection)
    digest = documents.store(connection, canonical(evidence).encode(), at)
    row = {"server": evidence["server"], "taken_at": at, "digest": digest}
    connection.execute(insert(server_evidence).values(row))
    audit.append(connection, [AuditEvent(EVENT, {"server": evidence["server"], "digest": digest})], at)
    return digest


def latest(connection: Connection, server: str, before: datetime | None = None) -> tuple[str, dict[str, Any]] | None:
    """Digest and content of the evidence taken last, or last before a moment; None when there is none.

    Raises `documents.DocumentError` when what is kept was changed.
    """
    table = server_evidence
    query = select(table.c.digest).where(table.c.server == server).order_by(table.c.number.desc()).limit(1)
    if before is not None:
        query = query.where(table.c.taken_at < before)
    digest = connection.execute(query).scalar()
    return None if digest is None else (digest, json.loads(documents.load(connection, digest)))
