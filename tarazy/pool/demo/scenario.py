"""Who takes part in the demo. Every party, number and document here is invented."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

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
EXPIRING = "kokshe"
EXPIRES_AFTER = timedelta(seconds=25)


@dataclass(frozen=True, slots=True)
class DemoMiner:
    """A miner process: who it says it is, how fast it hashes, from where it connects."""

    login: str
    hashrate: int
    source_address: str


MINERS = (
    DemoMiner("altyn.rig1", 90_000, ADDRESS_OF[EKIBASTUZ]),
    DemoMiner("dala.rig1", 60_000, ADDRESS_OF[EKIBASTUZ]),
    DemoMiner("samal.rig1", 40_000, ADDRESS_OF[KARAGANDA]),
    DemoMiner("kokshe.rig1", 30_000, ADDRESS_OF[KARAGANDA]),
    DemoMiner("belgisiz.rig1", 20_000, ADDRESS_OF[EKIBASTUZ]),
    DemoMiner("alys.rig1", 20_000, FOREIGN_ADDRESS),
)


@dataclass(frozen=True, slots=True)
class DemoMeter:
    """A meter process of a site."""

    meter: str
    site: str
    watts: int


METERS = (
    DemoMeter("demo-meter-1", EKIBASTUZ, 1_590_000),
    DemoMeter("demo-meter-2", KARAGANDA, 742_000),
)

_PARTIES = (
    (
        "altyn",
        "240140000011",
        "«Алтын Майнинг» ЖШС (демо)",
        "ТОО «Алтын Майнинг» (демо)",
        "Altyn Mining LLP (demo)",
    ),
    ("dala", "240240000025", "«Дала Хэш» ЖШС (демо)", "ТОО «Дала Хэш» (демо)", "Dala Hash LLP (demo)"),
    (
        "samal",
        "240340000039",
        "«Самал Энерго» ЖШС (демо)",
        "ТОО «Самал Энерго» (демо)",
        "Samal Energo LLP (demo)",
    ),
    (
        "kokshe",
        "240440000042",
        "«Көкше Дата» ЖШС (демо)",
        "ТОО «Кокше Дата» (демо)",
        "Kokshe Data LLP (demo)",
    ),
    ("belgisiz", "240540000056", "«Белгісіз» ЖШС (демо)", "ТОО «Белгисиз» (демо)", "Belgisiz LLP (demo)"),
    ("alys", "240740000073", "«Алыс» ЖШС (демо)", "ТОО «Алыс» (демо)", "Alys LLP (demo)"),
)
_PAYOUT_ADDRESSES = {
    "altyn": "bcrt1qm2z7278gdt6sp7gczpw3ppyjfcp2awvzz5rae2",
    "dala": "bcrt1ql9256d2s4sfc4gxzw8w4lz5grptwl39feqv2ep",
    "samal": "bcrt1qzupwzfcp7y94s42720ywl8yqj20plmfhx2nywx",
    "kokshe": "bcrt1qhccx63g39a8j8nlc7kln3c5k3gz0w3g5j0qsta",
    "belgisiz": "bcrt1qz7f7k8s5tc9mmkcad74uyslt7aytk0t72ug7vz",
    "alys": "bcrt1qg6lt3mnfd9suwpkjgljlgh9lc2fnk6vdwj685l",
}
_LICENSED = {"altyn": "I", "dala": "II", "samal": "I", "kokshe": "II", "alys": "II"}
LICENSED_PARTIES = frozenset(_LICENSED)
STATEMENT_OF = "altyn"
"""The miner whose statement is built when the demo ends."""
_HOSTED = {"dala": EKIBASTUZ, "kokshe": KARAGANDA, "alys": KARAGANDA, "belgisiz": EKIBASTUZ}
_SITE_OF = {"altyn": EKIBASTUZ, "samal": KARAGANDA, **_HOSTED}


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


def _table(rows: list[dict[str, Any]]) -> str:
    text = StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), delimiter=";")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def expiring_licence(now: datetime) -> dict[str, Any]:
    """The licence that runs out during the run that begins `now`."""
    return {
        "licence": "DEMO-0004",
        "party": EXPIRING,
        "kind": "II",
        "issued_on": "2024-01-15",
        "status": "in_force",
        "valid_from": now.isoformat(timespec="seconds"),
        "valid_to": (now + EXPIRES_AFTER).isoformat(timespec="seconds"),
    }


def licence_table(now: datetime) -> str:
    """Only the licence that is issued anew for each run."""
    return _table([expiring_licence(now)])


def register_tables(now: datetime, meter_ports: dict[str, int]) -> dict[str, str]:
    """File name → text of the registers' CSV files, in the order in which they are imported."""
    since = {"valid_from": "2024-01-15T00:00:00+06:00", "valid_to": ""}
    parties = [
        {
            "party": party,
            "bin": number,
            "kind": "legal",
            "account": party,
            "name_kk": kk,
            "name_ru": ru,
            "name_en": en,
            **since,
        }
        for party, number, kk, ru, en in _PARTIES
    ]
    wallets = [
        {"wallet": f"{party}-1", "party": party, "address": address, "status": "approved", **since}
        for party, address in _PAYOUT_ADDRESSES.items()
    ]
    licences = [
        {
            "licence": f"DEMO-000{number}",
            "party": party,
            "kind": kind,
            "issued_on": "2024-01-15",
            "status": "in_force",
            "valid_from": "2024-01-15T00:00:00+06:00",
            "valid_to": "2027-01-15T00:00:00+05:00",
        }
        for number, (party, kind) in enumerate(_LICENSED.items(), 1)
        if party != EXPIRING
    ]
    sites = [
        {
            "site": site,
            "party": owner,
            "name": name,
            "country": "KZ",
            "region": region,
            "address": address,
            "networks": f"{ADDRESS_OF[site]}/32",
            "permitted_power_w": power,
            "status": "accredited",
            **since,
        }
        for site, owner, name, region, address, power in (
            (
                EKIBASTUZ,
                "altyn",
                "Екібастұз ДӨО (демо)",
                "Павлодар облысы",
                "Екібастұз, Демо көшесі 1",
                5_000_000,
            ),
            (
                KARAGANDA,
                "samal",
                "Қарағанды ДӨО (демо)",
                "Қарағанды облысы",
                "Қарағанды, Демо көшесі 2",
                2_000_000,
            ),
        )
    ]
    placements = [
        {
            "placement": f"demo-{party}",
            "party": party,
            "site": site,
            "contract": f"DEMO-{party.upper()}-1",
            **since,
        }
        for party, site in _HOSTED.items()
    ]
    certificate = {
        "certificate": "DEMO-POOL-1",
        "issued_by": "Demo authority (invented)",
        "issued_on": "2024-01-15",
        "status": "in_force",
        **since,
    }
    server = {
        "server": SERVER,
        "host": "127.0.0.1",
        "address": "127.0.0.1",
        "country": "KZ",
        "location": "Астана, демо машинасы",
        **since,
    }
    equipment = [
        {
            "equipment": f"DEMO-CPU-{number}",
            "model": "demo CPU",
            "party": party,
            "site": site,
            "nominal_hash_rate_hs": hash_rate,
            "nominal_power_w": WATTS_PER_HASHRATE * hash_rate,
            **since,
        }
        for number, (party, site) in enumerate(_SITE_OF.items(), 1)
        for hash_rate in [next(miner.hashrate for miner in MINERS if miner.login.startswith(party + "."))]
    ]
    meters = [
        {
            "meter": meter.meter,
            "site": meter.site,
            "host": "127.0.0.1",
            "port": meter_ports[meter.meter],
            "unit": 1,
            "profile": "tarazy-demo",
            "source": source,
            "price_tiyn_per_kwh": price,
            "status": "ok",
            **since,
        }
        for meter, source, price in zip(METERS, ("grid", "own_renewable"), (1800, 1500), strict=True)
    ]
    return {
        "party.csv": _table(parties),
        "wallet.csv": _table(wallets),
        "licence.csv": _table([*licences, expiring_licence(now)]),
        "site.csv": _table(sites),
        "placement.csv": _table(placements),
        "certificate.csv": _table([certificate]),
        "server.csv": _table([server]),
        "equipment.csv": _table(equipment),
        "meter.csv": _table(meters),
    }
