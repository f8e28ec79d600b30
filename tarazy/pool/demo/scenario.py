"""Who takes part in the demo. Every party, number and document here is invented."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from io import StringIO
from typing import Any

from tarazy.config.law.calendar import legal_day
from tarazy.pool.chain.wallet import ADDRESS

POOL_ADDRESS = ADDRESS
"""Of the embedded chain's wallet."""
SERVER = "demo-server"
EKIBASTUZ, KARAGANDA = "ekibastuz-demo", "karaganda-demo"
ADDRESS_OF = {EKIBASTUZ: "127.0.0.1", KARAGANDA: "127.0.0.3"}
"""Loopback addresses that the demo's settings declare to be the sites' networks in Kazakhstan."""
FOREIGN_ADDRESS = "127.0.0.2"
"""A loopback address that the demo's settings declare to be abroad."""
WATTS_PER_HASHRATE = 10
"""A demo machine draws 10 W for each hash per second, so that a minute of a CPU shows whole kilowatt-hours."""
EXPIRES_AFTER = timedelta(seconds=25)
REGISTERED_BEFORE = timedelta(days=730)
"""How long before the first run everything was registered and issued; less than the term of a licence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoParty:
    """A party with its machine, and what the registers know of both."""

    party: str
    number: int
    """In the numbers of its licence and its machine."""
    bin: str
    name_kk: str
    name_ru: str
    name_en: str
    payout_address: str
    kind: str
    """Of its licence; empty without one."""
    site: str
    """Where its machine is registered."""
    source_address: str
    """From where its machine connects."""
    hashrate: int
    """Of its machine, in hashes per second."""

    @property
    def login(self) -> str:
        """Who its machine says it is."""
        return f"{self.party}.rig1"

    @property
    def licence(self) -> str:
        """Key of its licence."""
        return f"DEMO-{self.number:04}"


_EXPIRING = DemoParty(
    party="kokshe",
    number=4,
    bin="240440000042",
    name_kk="«Көкше Дата» ЖШС (демо)",
    name_ru="ТОО «Кокше Дата» (демо)",
    name_en="Kokshe Data LLP (demo)",
    payout_address="bcrt1qhccx63g39a8j8nlc7kln3c5k3gz0w3g5j0qsta",
    kind="II",
    site=KARAGANDA,
    source_address=ADDRESS_OF[KARAGANDA],
    hashrate=30_000,
)
PARTIES = (
    DemoParty(
        party="altyn",
        number=1,
        bin="240140000011",
        name_kk="«Алтын Майнинг» ЖШС (демо)",
        name_ru="ТОО «Алтын Майнинг» (демо)",
        name_en="Altyn Mining LLP (demo)",
        payout_address="bcrt1qm2z7278gdt6sp7gczpw3ppyjfcp2awvzz5rae2",
        kind="I",
        site=EKIBASTUZ,
        source_address=ADDRESS_OF[EKIBASTUZ],
        hashrate=90_000,
    ),
    DemoParty(
        party="dala",
        number=2,
        bin="240240000025",
        name_kk="«Дала Хэш» ЖШС (демо)",
        name_ru="ТОО «Дала Хэш» (демо)",
        name_en="Dala Hash LLP (demo)",
        payout_address="bcrt1ql9256d2s4sfc4gxzw8w4lz5grptwl39feqv2ep",
        kind="II",
        site=EKIBASTUZ,
        source_address=ADDRESS_OF[EKIBASTUZ],
        hashrate=60_000,
    ),
    DemoParty(
        party="samal",
        number=3,
        bin="240340000039",
        name_kk="«Самал Энерго» ЖШС (демо)",
        name_ru="ТОО «Самал Энерго» (демо)",
        name_en="Samal Energo LLP (demo)",
        payout_address="bcrt1qzupwzfcp7y94s42720ywl8yqj20plmfhx2nywx",
        kind="I",
        site=KARAGANDA,
        source_address=ADDRESS_OF[KARAGANDA],
        hashrate=40_000,
    ),
    _EXPIRING,
    DemoParty(
        party="alys",
        number=5,
        bin="240740000073",
        name_kk="«Алыс» ЖШС (демо)",
        name_ru="ТОО «Алыс» (демо)",
        name_en="Alys LLP (demo)",
        payout_address="bcrt1qg6lt3mnfd9suwpkjgljlgh9lc2fnk6vdwj685l",
        kind="II",
        site=KARAGANDA,
        source_address=FOREIGN_ADDRESS,
        hashrate=20_000,
    ),
    DemoParty(
        party="belgisiz",
        number=6,
        bin="240540000056",
        name_kk="«Белгісіз» ЖШС (демо)",
        name_ru="ТОО «Белгисиз» (демо)",
        name_en="Belgisiz LLP (demo)",
        payout_address="bcrt1qz7f7k8s5tc9mmkcad74uyslt7aytk0t72ug7vz",
        kind="",
        site=EKIBASTUZ,
        source_address=ADDRESS_OF[EKIBASTUZ],
        hashrate=20_000,
    ),
)
LICENSED_PARTIES = frozenset(each.party for each in PARTIES if each.kind)
STATEMENT_OF = "altyn"
"""The miner whose statement is built when the demo ends."""


@dataclass(frozen=True, slots=True)
class DemoSite:
    """A site, and who owns it; the other parties whose machines are there are placed by contract."""

    site: str
    owner: str
    name: str
    region: str
    address: str
    permitted_power_w: int


_SITES = (
    DemoSite(EKIBASTUZ, "altyn", "Екібастұз ДӨО (демо)", "Павлодар облысы", "Екібастұз, Демо көшесі 1", 5_000_000),
    DemoSite(KARAGANDA, "samal", "Қарағанды ДӨО (демо)", "Қарағанды облысы", "Қарағанды, Демо көшесі 2", 2_000_000),
)
_OWNERS = frozenset(each.owner for each in _SITES)


@dataclass(frozen=True, slots=True)
class DemoMeter:
    """A meter process of a site."""

    meter: str
    site: str
    watts: int
    source: str
    price_tiyn_per_kwh: int


METERS = (
    DemoMeter("demo-meter-1", EKIBASTUZ, 1_590_000, "grid", 1800),
    DemoMeter("demo-meter-2", KARAGANDA, 742_000, "own_renewable", 1500),
)


def demo_settings(*, peer_port: int) -> dict[str, Any]:
    """The demo's settings file as plain data."""
    return {
        "data": "data",
        "language": "ru",
        "pool": {"name": "Tarazy demo", "payout_address": POOL_ADDRESS, "fee_ppm": 10_000},
        "chain": {"kind": "embedded", "block_difficulty": 2.0**-13, "peer_port": peer_port},
        "portal": {"demo_sign_in": True},
        "stratum": {
            "listeners": [{"host": "127.0.0.1", "port": 3333}],
            "minimum_difficulty": 2.0**-16,
            "start_difficulty": 2.0**-16,
            "maximum_difficulty": 2.0**-14,
            "share_interval_seconds": 1.5,
        },
        "accreditation": {
            "server": SERVER,
            "evidence": {"maximum_age_days": {"blocks": 36_500}},
            "demo_addresses": [
                *({"network": f"{address}/32", "country": "KZ"} for address in ADDRESS_OF.values()),
                {"network": f"{FOREIGN_ADDRESS}/32", "country": "DE"},
            ],
        },
        "energy": {"poll_seconds": 1.0, "interval_seconds": 10},
        "payouts": {"wallet": "demo", "signing": "wallet", "batch_limit": 10**12, "day_limit": 10**13},
        "law": {"assumptions": ["fee-2026-ladder-continued"]},
    }


_Row = dict[str, Any]


def expiring_licence(now: datetime) -> _Row:
    """The licence that runs out during the run that begins `now`."""
    return {
        "licence": _EXPIRING.licence,
        "party": _EXPIRING.party,
        "kind": _EXPIRING.kind,
        "issued_on": str(_registered_on(now)),
        "status": "in_force",
        "valid_from": now.isoformat(timespec="seconds"),
        "valid_to": (now + EXPIRES_AFTER).isoformat(timespec="seconds"),
    }


def licence_table(now: datetime) -> str:
    """Only the licence that is issued anew for each run."""
    return _table([expiring_licence(now)])


def register_tables(now: datetime, meter_ports: dict[str, int]) -> dict[str, str]:
    """File name → text of the registers' CSV files, in the order in which they are imported."""
    registered = str(_registered_on(now))
    since = {"valid_from": registered, "valid_to": ""}
    issued = {"issued_on": registered, "status": "in_force", **since}
    return {
        "party.csv": _table(_parties(since)),
        "wallet.csv": _table(_wallets(since)),
        "licence.csv": _table([*_licences(issued), expiring_licence(now)]),
        "site.csv": _table(_sites(since)),
        "placement.csv": _table(_placements(since)),
        "certificate.csv": _table([{"certificate": "DEMO-POOL-1", "issued_by": "Demo authority (invented)", **issued}]),
        "server.csv": _table([_server(since)]),
        "equipment.csv": _table(_equipment(since)),
        "meter.csv": _table(_meters(since, meter_ports)),
    }


def _registered_on(now: datetime) -> date:
    return legal_day(now - REGISTERED_BEFORE)


def _table(rows: list[_Row]) -> str:
    text = StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), delimiter=";")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _parties(since: _Row) -> list[_Row]:
    return [
        {
            "party": each.party,
            "bin": each.bin,
            "kind": "legal",
            "account": each.party,
            "name_kk": each.name_kk,
            "name_ru": each.name_ru,
            "name_en": each.name_en,
            **since,
        }
        for each in PARTIES
    ]


def _wallets(since: _Row) -> list[_Row]:
    return [
        {
            "wallet": f"{each.party}-1",
            "party": each.party,
            "address": each.payout_address,
            "status": "approved",
            **since,
        }
        for each in PARTIES
    ]


def _licences(issued: _Row) -> list[_Row]:
    """Those that run their term by law: they say no end."""
    return [
        {"licence": each.licence, "party": each.party, "kind": each.kind, **issued}
        for each in PARTIES
        if each.kind and each is not _EXPIRING
    ]


def _sites(since: _Row) -> list[_Row]:
    return [
        {
            "site": each.site,
            "party": each.owner,
            "name": each.name,
            "country": "KZ",
            "region": each.region,
            "address": each.address,
            "networks": f"{ADDRESS_OF[each.site]}/32",
            "permitted_power_w": each.permitted_power_w,
            "status": "accredited",
            **since,
        }
        for each in _SITES
    ]


def _placements(since: _Row) -> list[_Row]:
    return [
        {
            "placement": f"demo-{each.party}",
            "party": each.party,
            "site": each.site,
            "contract": f"DEMO-{each.party.upper()}-1",
            **since,
        }
        for each in PARTIES
        if each.party not in _OWNERS
    ]


def _server(since: _Row) -> _Row:
    return {
        "server": SERVER,
        "host": "127.0.0.1",
        "address": "127.0.0.1",
        "country": "KZ",
        "location": "Астана, демо машинасы",
        **since,
    }


def _equipment(since: _Row) -> list[_Row]:
    return [
        {
            "equipment": f"DEMO-CPU-{each.number}",
            "model": "demo CPU",
            "party": each.party,
            "site": each.site,
            "nominal_hash_rate_hs": each.hashrate,
            "nominal_power_w": WATTS_PER_HASHRATE * each.hashrate,
            **since,
        }
        for each in PARTIES
    ]


def _meters(since: _Row, ports: dict[str, int]) -> list[_Row]:
    return [
        {
            "meter": each.meter,
            "site": each.site,
            "host": "127.0.0.1",
            "port": ports[each.meter],
            "unit": 1,
            "profile": "tarazy-demo",
            "source": each.source,
            "price_tiyn_per_kwh": each.price_tiyn_per_kwh,
            "status": "ok",
            **since,
        }
        for each in METERS
    ]
