"""A small world for tests: one miner who is let in, and what that takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime

from tarazy.accreditation.admission import Decision, Question, decide
from tarazy.accreditation.entries import (
    Certificate,
    DocumentStatus,
    EnergySource,
    Entry,
    Equipment,
    Finding,
    FindingKind,
    FindingState,
    Licence,
    LicenceKind,
    Meter,
    MeterStatus,
    Party,
    PartyKind,
    Placement,
    Server,
    Severity,
    Site,
    SiteStatus,
)
from tarazy.accreditation.evidence import EvidenceRule
from tarazy.accreditation.snapshot import Registers

GEO = EvidenceRule("KZ")
"""All sources must agree; only the shipped blocks and the sites are there."""
START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOME = "2.72.0.10"
"""An address in Kazakhstan and in the host's site."""
SERVER = "server-1"


def party(key: str, number: str = "240140000001", **changes: object) -> Party:
    """A party whose account is its key."""
    made = Party(
        party=key,
        bin=number,
        kind=PartyKind.LEGAL,
        account=key,
        name_kk=f"«{key}» ЖШС",
        name_ru=f"ТОО «{key}»",
        name_en=f"{key} LLP",
        valid_from=START,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def licence(number: str, owner: str, **changes: object) -> Licence:
    """A licence in force, without an end."""
    made = Licence(
        licence=number,
        party=owner,
        kind=LicenceKind.OWN_DATA_CENTRE,
        issued_on=date(2026, 1, 1),
        status=DocumentStatus.IN_FORCE,
        valid_from=START,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def site(key: str, owner: str, *networks: str, **changes: object) -> Site:
    """An accredited site in Kazakhstan."""
    made = Site(
        site=key,
        party=owner,
        name=key,
        country="KZ",
        region="Павлодар",
        address="Екібастұз",
        networks=networks,
        permitted_power_w=5_000_000,
        status=SiteStatus.ACCREDITED,
        valid_from=START,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def machine(serial: str, owner: str, where: str) -> Equipment:
    """A machine of 17.5 J/TH."""
    return Equipment(
        equipment=serial,
        model="S21",
        party=owner,
        site=where,
        nominal_hash_rate_hs=200 * 10**12,
        nominal_power_w=3_500,
        valid_from=START,
    )


def certificate(**changes: object) -> Certificate:
    """The pool's certificate."""
    made = Certificate(
        certificate="AC-1",
        issued_by="Ministry",
        issued_on=date(2026, 1, 1),
        status=DocumentStatus.IN_FORCE,
        valid_from=START,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def server(country: str = "KZ") -> Server:
    """The server that decides."""
    return Server(
        server=SERVER,
        host="10.0.0.1",
        address="Астана",
        country=country,
        location="rack 7",
        valid_from=START,
    )


def finding(party: str | None, site: str | None, *, blocks: bool = True) -> Finding:
    """An open finding about a party, a site, or a party at a site."""
    return Finding(
        finding=f"hash-rate:party:{party}:{site}",
        kind=FindingKind.HASH_RATE,
        severity=Severity.SERIOUS,
        of_register="party",
        of_key=party or "host",
        party=party,
        site=site,
        evidence={},
        state=FindingState.OPEN,
        blocks=blocks,
        valid_from=START,
    )


def meter() -> Meter:
    """The meter of the host's site."""
    return Meter(
        meter="meter-1",
        site="site-host",
        host="10.0.0.2",
        port=502,
        unit=1,
        profile="demo",
        source=EnergySource.GRID,
        price_tiyn_per_kwh=1_840,
        status=MeterStatus.OK,
        valid_from=START,
    )


def world() -> list[Entry]:
    """`guest` mines with one machine placed in the site of `host`; every entry is needed for that."""
    return [
        party("host"),
        party("guest", "180540000002"),
        licence("L-2", "guest", kind=LicenceKind.PLACED),
        certificate(),
        server(),
        site("site-host", "host", "2.72.0.0/24", "2001:678:98::/64"),
        Placement(placement="placement-1", party="guest", site="site-host", contract="14/26", valid_from=START),
        machine("SN-1", "guest", "site-host"),
    ]


def registers(entries: Iterable[Entry], valid_at: datetime = NOW) -> Registers:
    """Registers that hold `entries`, recorded in that order."""
    versions: dict[str, dict[str, list[Entry]]] = {}
    for number, entry in enumerate(entries, start=1):
        known = versions.setdefault(entry.register, {}).setdefault(entry.key, [])
        known.insert(0, replace(entry, entry=number))
    return Registers(versions, valid_at)


def admit(
    entries: Iterable[Entry],
    peer: str = HOME,
    now: datetime = NOW,
    account: str = "guest",
    only: str = "",
    ports: tuple[str, ...] = (),
) -> Decision:
    """What `decide` says of `account` at `peer`, whose certificate names the site `only`, on a port for `ports`."""
    return decide(registers(entries), Question(account, "rig-1", peer, SERVER, only, ports), now, GEO)
