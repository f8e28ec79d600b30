"""A pool at work: registers, decisions, blocks, energy. Filled through the rooms' own functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, insert

from tarazy.accounting import tables
from tarazy.accounting.distribution import reconcile
from tarazy.accounting.energy.allocation import allocate
from tarazy.accounting.energy.balance import store_allocation, store_intervals
from tarazy.accounting.energy.figures import SiteInterval
from tarazy.accounting.energy.intervals import Interval
from tarazy.accounting.energy.meter import Meter as MeterPoint
from tarazy.accreditation import audit
from tarazy.accreditation.admission import Question, decide
from tarazy.accreditation.decisions import DecisionLog
from tarazy.accreditation.entries import (
    Certificate,
    DocumentStatus,
    EnergySource,
    Entry,
    Equipment,
    Licence,
    LicenceKind,
    Meter,
    MeterStatus,
    Party,
    PartyKind,
    Placement,
    Server,
    Site,
    SiteStatus,
)
from tarazy.accreditation.evidence import EvidenceRule
from tarazy.accreditation.registers import append_all
from tarazy.accreditation.registers import as_of as registers_as_of
from tarazy.config.law import LawBook, load_law
from tarazy.config.settings import AccreditationSettings, EmbeddedChainSettings, PoolSettings, Settings
from tarazy.reports.content import Pool
from tests.accounting.books import observe_block

BEGIN = datetime(2026, 9, 1, tzinfo=UTC)
"""When the registers were filled."""
MOMENT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
"""Moment of the report."""
LATER = MOMENT + timedelta(days=1)
HOME = "2.72.0.10"
ABROAD = "8.8.8.8"
REWARD = 312_500_000
GEO = EvidenceRule("KZ")

SETTINGS = Settings(
    data=Path("data"),
    pool=PoolSettings(name="«Тараз» цифрлық майнинг пулы", payout_address="bcrt1qtarazy"),
    chain=EmbeddedChainSettings(),
    accreditation=AccreditationSettings(server="astana-1"),
)


POOL = Pool("«Тараз» цифрлық майнинг пулы", "KZ", "astana-1")


def assumed_law() -> LawBook:
    """The shipped rules with the assumption on 2026."""
    return load_law(["fee-2026-ladder-continued"])


def _party(key: str, bin_: str, kk: str, ru: str, en: str, kind: PartyKind = PartyKind.LEGAL) -> Party:
    return Party(
        party=key,
        bin=bin_,
        kind=kind,
        account=key,
        name_kk=kk,
        name_ru=ru,
        name_en=en,
        valid_from=BEGIN,
    )


def licence(number: str, owner: str, kind: LicenceKind, issued_on: date, ends: datetime) -> Licence:
    """A licence in force from its issue until `ends`."""
    return Licence(
        licence=number,
        party=owner,
        kind=kind,
        issued_on=issued_on,
        status=DocumentStatus.IN_FORCE,
        valid_from=datetime.combine(issued_on, datetime.min.time(), UTC),
        valid_to=ends,
    )


def _site(key: str, owner: str, name: str, region: str, address: str, network: str) -> Site:
    return Site(
        site=key,
        party=owner,
        name=name,
        country="KZ",
        region=region,
        address=address,
        networks=(network,),
        permitted_power_w=20_000_000,
        status=SiteStatus.ACCREDITED,
        valid_from=BEGIN,
    )


def machine(serial: str, owner: str, where: str) -> Equipment:
    """A machine of 17.5 J/TH."""
    return Equipment(
        equipment=serial,
        model="S21",
        party=owner,
        site=where,
        nominal_hash_rate_hs=200 * 10**12,
        nominal_power_w=3_500,
        valid_from=BEGIN,
    )


def _meter(key: str, site: str, source: EnergySource, price: int) -> Meter:
    return Meter(
        meter=key,
        site=site,
        host="10.0.0.2",
        port=502,
        unit=1,
        profile="tarazy-demo",
        source=source,
        price_tiyn_per_kwh=price,
        status=MeterStatus.OK,
        valid_from=BEGIN,
    )


_FAR = datetime(2029, 2, 28, 19, tzinfo=UTC)


def registers() -> list[Entry]:
    """Three miners who may mine, one without a licence, one whose licence ended on 31 October."""
    return [
        Certificate(
            certificate="АП-0007",
            issued_by="Қазақстан Республикасының Жасанды интеллект және цифрлық даму министрлігі",
            issued_on=date(2026, 3, 2),
            status=DocumentStatus.IN_FORCE,
            valid_from=BEGIN,
        ),
        Server(
            server="astana-1",
            host="stratum.taraz.example",
            address="Мәңгілік Ел даңғылы, 55/22",
            country="KZ",
            location="Астана",
            valid_from=BEGIN,
        ),
        _party("altyn", "100140000003", "«Алтын Ұяшық» ЖШС", "ТОО «Алтын Ұяшық»", "Altyn Uyashyq LLP"),
        _party(
            "sary",
            "180540000002",
            "«Сарыарқа энергетикалық-есептеу кешені және өңірлік деректер орталықтары» жауапкершілігі шектеулі "
            "серіктестігі",
            "Товарищество с ограниченной ответственностью «Сарыаркинский энергетическо-вычислительный комплекс "
            "и региональные центры данных»",
            "Saryarqa Energy and Computing Complex and Regional Data Centres LLP",
        ),
        _party(
            "tau",
            "900101100004",
            "«Таулы» ЖК, Әлімжанова Ғ. Қ.",
            "ИП «Таулы», Алимжанова Г. К.",
            "IE Tauly, G. Alimzhanova",
            PartyKind.ENTREPRENEUR,
        ),
        _party("zhel", "180540000308", "«Жел Күші» ЖШС", "ТОО «Жел Күші»", "Zhel Kushi LLP"),
        _party("kok", "190651000906", "«Көк Түрік» ЖШС", "ТОО «Кок Турик»", "Kok Turik LLP"),
        licence("KZ26-0001", "altyn", LicenceKind.OWN_DATA_CENTRE, date(2026, 3, 1), _FAR),
        licence("KZ26-0002", "sary", LicenceKind.PLACED, date(2026, 3, 1), _FAR),
        licence("KZ26-0003", "tau", LicenceKind.OWN_DATA_CENTRE, date(2026, 3, 1), _FAR),
        licence(
            "KZ23-0117",
            "kok",
            LicenceKind.OWN_DATA_CENTRE,
            date(2023, 11, 1),
            datetime(2026, 10, 31, 19, tzinfo=UTC),
        ),
        _site(
            "ekibastuz-1", "altyn", "Екібастұз-1", "Павлодар облысы", "Екібастұз, Энергетиктер к., 14", "2.72.0.0/24"
        ),
        _site("temirtau", "tau", "Теміртау", "Қарағанды облысы", "Теміртау, Металлургтер даңғ., 9", "2.72.1.0/24"),
        Placement(placement="placement-1", party="sary", site="ekibastuz-1", contract="14/26", valid_from=BEGIN),
        *(machine(f"A{number}", "altyn", "ekibastuz-1") for number in range(4)),
        *(machine(f"S{number}", "sary", "ekibastuz-1") for number in range(3)),
        machine("T0", "tau", "temirtau"),
        _meter("ek-feeder-1", "ekibastuz-1", EnergySource.GRID, 1_840),
        _meter("ek-solar", "ekibastuz-1", EnergySource.OWN_RENEWABLE, 0),
        _meter("te-feeder-1", "temirtau", EnergySource.BILATERAL, 2_410),
    ]


def newcomer(number: int) -> list[Entry]:
    """One more miner who may mine from Ekibastuz, with a name as long as they come."""
    key = f"party-{number}"
    name = f"«Қазақстан ұлттық есептеу қуаттары № {number}» жауапкершілігі шектеулі серіктестігі"
    return [
        _party(key, "100140000003", name, name, name),
        licence(f"N-{number}", key, LicenceKind.PLACED, date(2026, 3, 1), _FAR),
        Placement(placement=f"p-{number}", party=key, site="ekibastuz-1", contract="14/26", valid_from=BEGIN),
        machine(f"N{number}", key, "ekibastuz-1"),
    ]


def populate(connection: Connection) -> None:
    """Everything that is known at `MOMENT`."""
    append_all(connection, registers(), BEGIN, "operator")
    knock(connection, "altyn", HOME, datetime(2026, 10, 5, 4, tzinfo=UTC))
    knock(connection, "sary", HOME, datetime(2026, 10, 5, 4, 1, tzinfo=UTC))
    knock(connection, "zhel", HOME, datetime(2026, 10, 6, 4, tzinfo=UTC))
    knock(connection, "kok", HOME, datetime(2026, 11, 1, 4, tzinfo=UTC))
    knock(connection, "stranger", ABROAD, datetime(2026, 11, 2, 4, tzinfo=UTC))
    knock(connection, "altyn", ABROAD, datetime(2026, 11, 3, 4, tzinfo=UTC))
    _blocks(connection)
    for hour in range(6):
        start = datetime(2026, 11, 10, tzinfo=UTC) + timedelta(hours=hour)
        work = {"altyn": 4 << 59, "sary": 3 << 59}
        meter_hour(connection, "ekibastuz-1", {"ek-feeder-1": 19_997, "ek-solar": 5_001}, work, start)
        meter_hour(connection, "temirtau", {"te-feeder-1": 3_600}, {"tau": 1 << 59}, start)


def knock(connection: Connection, account: str, peer: str, at: datetime, worker: str = "rig-1") -> None:
    """A miner asks to be let in, and the decision is kept."""
    known = registers_as_of(connection, at)
    decision = decide(known, Question(account, worker, peer, "astana-1"), at, GEO)
    log = DecisionLog()
    log.add(decision, account, worker, peer, at)
    audit.append(connection, log.take(at), at)


def block(connection: Connection, number: int, at: datetime, weights: Mapping[str, int]) -> str:
    """Round `number` is closed by a block; returns its hash."""
    block_hash = f"{number:064x}"
    rows = [
        {"round": number, "target": "", "subsidy": 0, "party": party, "weight": weight}
        for party, weight in weights.items()
    ]
    closed = {"closed_at": at, "block_hash": block_hash, "gateway": 1, "cut": {}, "fee_ppm": 10_000}
    connection.execute(insert(tables.round_), [{"round": number, "opened_at": BEGIN, **closed}])
    connection.execute(insert(tables.round_work), rows)
    connection.execute(
        insert(tables.block).values(
            block_hash=block_hash,
            height=899_000 + number,
            round=number,
            gateway=1,
            sequence=number * 1000,
            party=min(weights),
            worker="rig-1",
            found_at=at,
            state="submitted",
            confirmations=0,
            reward=REWARD,
            state_at=at,
        )
    )
    return block_hash


def _blocks(connection: Connection) -> None:
    """The first block matures, the second leaves the chain, the third stands and takes the second's work."""
    weights = {"altyn": 4 << 50, "sary": 3 << 50, "tau": 1 << 50}
    at = datetime(2026, 11, 4, 6, tzinfo=UTC)
    first = block(connection, 1, at, weights)
    observe(connection, {first: 1}, at + timedelta(seconds=2))
    second = block(connection, 2, at + timedelta(hours=5), weights)
    observe(connection, {first: 40, second: 1}, at + timedelta(hours=5, seconds=2))
    observe(connection, {first: 41, second: -1}, at + timedelta(hours=6))
    third = block(connection, 3, at + timedelta(days=15), weights)
    observe(connection, {first: 140, third: 1}, at + timedelta(days=15, seconds=2))


def observe(connection: Connection, confirmations: Mapping[str, int], at: datetime) -> None:
    """The chain tells of blocks, and the distributions follow."""
    for block_hash, count in confirmations.items():
        observe_block(connection, block_hash, count, at)
    reconcile(connection, at)


def meter_hour(
    connection: Connection,
    site: str,
    meters: Mapping[str, int],
    work: Mapping[str, int],
    start: datetime,
    recorded: datetime | None = None,
) -> None:
    """One hour of a site: what its meters gave, divided by work, recorded when the hour was over if not told."""
    recorded = recorded or start + timedelta(hours=1, seconds=30)
    for key, energy in meters.items():
        meter = MeterPoint(key, site, "10.0.0.2", 502, 1, "tarazy-demo")
        store_intervals(connection, [(meter, [Interval(start, 3600, energy, "measured")])], recorded)
    whole = SiteInterval(site, start, 3600, sum(meters.values()), "measured")
    store_allocation(connection, whole, allocate(whole.energy_wh, work, dict.fromkeys(work, 17_500)), recorded)


def happen_later(connection: Connection) -> None:
    """Much happens after `MOMENT`: corrections, revocations, reorganisations, late energy."""
    revoked = next(row for row in registers() if isinstance(row, Licence) and row.party == "altyn")
    corrected = next(row for row in registers() if isinstance(row, Site))
    later: list[Entry] = [
        replace(revoked, status=DocumentStatus.REVOKED, valid_from=BEGIN, reason="Түзету"),
        replace(corrected, name="Екібастұз-2", corrects=1, why="Түзету"),
        machine("A9", "altyn", "ekibastuz-1"),
    ]
    append_all(connection, later, LATER, "operator")
    knock(connection, "altyn", HOME, LATER)
    observe(connection, {f"{1:064x}": 300, f"{2:064x}": -1, f"{3:064x}": 161}, LATER)
    block(connection, 4, LATER, {"altyn": 1 << 50})
    start = datetime(2026, 11, 10, tzinfo=UTC)
    meter = MeterPoint("te-feeder-1", "temirtau", "10.0.0.2", 502, 1, "tarazy-demo")
    store_intervals(connection, [(meter, [Interval(start, 3600, 9_999, "estimated")])], LATER)
    whole = SiteInterval("temirtau", start, 3600, 9_999, "estimated")
    store_allocation(connection, whole, allocate(9_999, {"tau": 1}, {"tau": None}), LATER)
