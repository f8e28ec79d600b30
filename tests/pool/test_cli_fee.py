"""`tarazy fee explain` and `tarazy energy quota`: a quarter of each period, from intervals to the fee by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import yaml

from tarazy.accreditation.entries import (
    EnergyBy,
    EnergySource,
    Entry,
    Meter,
    MeterStatus,
    Party,
    PartyKind,
    Quota,
    Site,
    SiteStatus,
    Supply,
)
from tarazy.accreditation.registers import append_all
from tarazy.config.law.calendar import day_start
from tarazy.database.engine import open_engine
from tests.pool.house import House, run_command
from tests.reports.world import meter_hour

SINCE = day_start(date(2022, 1, 1))
GRID, SOLAR, DIESEL, BROKEN = "grid", "solar", "diesel", "broken"


def _meter(key: str, source: EnergySource, price: int, since: datetime = SINCE, **changes: Any) -> Meter:
    values: dict[str, Any] = {"status": MeterStatus.OK, **changes}
    where: dict[str, Any] = {"site": "hand-site", "host": "10.0.0.2", "port": 502, "unit": 1, "profile": "tarazy-demo"}
    return Meter(meter=key, source=source, price_tiyn_per_kwh=price, valid_from=since, **where, **values)


_FULL = {"percent": 100, "level": 100}


def _supply(key: str, source: EnergySource, priority: int, last_day: date, **terms: Any) -> Supply:
    ends = day_start(last_day + timedelta(days=1))
    begins = day_start(date(2024, 7, 1))
    return Supply(
        supply=key, site="hand-site", source=source, priority=priority, valid_from=begins, valid_to=ends, **terms
    )


def _host() -> list[Entry]:
    """Another party with a site where energy is shared by a rule, and the rest is the owner's."""
    party = Party(
        party="host",
        bin="240140000215",
        kind=PartyKind.LEGAL,
        account="host",
        name_kk="Ие",
        name_ru="Хозяин",
        name_en="Host",
        valid_from=SINCE,
    )
    site = Site(
        site="host-site",
        party="host",
        name="Host",
        country="KZ",
        region="Abai",
        address="Host",
        networks=("2.72.9.0/24",),
        permitted_power_w=1_000_000,
        status=SiteStatus.ACCREDITED,
        energy_by=EnergyBy.WORK,
        valid_from=SINCE,
    )
    return [party, site, replace(_meter("host-grid", EnergySource.GRID, 2400), site="host-site")]


def _used(connection: Any, start: str, **energy_wh: int) -> None:
    """An hour from `start` (UTC), all of it the party's."""
    meter_hour(connection, "hand-site", energy_wh, {"hand": 1}, datetime.fromisoformat(start))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A party alone at its site, with meters of four kinds, and what they gave over the years."""
    house = House(tmp_path_factory.mktemp("fee") / "pool")
    engine = open_engine(house.settings.database_url)
    with engine.begin() as connection:
        entries = [
            Party(
                party="hand",
                bin="240140000203",
                kind=PartyKind.LEGAL,
                account="hand",
                name_kk="Қол",
                name_ru="Рука",
                name_en="Hand",
                valid_from=SINCE,
            ),
            Site(
                site="hand-site",
                party="hand",
                name="Hand",
                country="KZ",
                region="Abai",
                address="Hand",
                networks=("2.72.8.0/24",),
                permitted_power_w=1_000_000,
                status=SiteStatus.ACCREDITED,
                valid_from=SINCE,
            ),
            *_host(),
            _meter(GRID, EnergySource.GRID, 1040),
            _meter(GRID, EnergySource.GRID, 2400, day_start(date(2025, 6, 1))),
            _meter(SOLAR, EnergySource.OWN_RENEWABLE, 0),
            _meter(DIESEL, EnergySource.OWN, 0),
            _supply("import", EnergySource.IMPORT, 1, date(2024, 12, 31), price_tiyn_per_kwh=1200, month_kwh=100),
            _supply("kegoc", EnergySource.GRID, 2, date(2024, 9, 30), price_tiyn_per_kwh=2000),
            Quota(quota="july", site="hand-site", month="2024-07", energy_kwh=60, valid_from=datetime.now(UTC)),
            _meter(BROKEN, EnergySource.BILATERAL, 1800, status=MeterStatus.FAULTY),
        ]
        append_all(connection, entries, datetime.now(UTC), "operator")
        for start in ("2022-12-31T17:00Z", "2022-12-31T18:00Z", "2023-03-31T17:00Z"):
            _used(connection, start, grid=1_234_567, solar=50_000, diesel=7_000, broken=400)
        for start in ("2023-12-31T17:00Z", "2023-12-31T18:00Z", "2024-03-31T18:00Z", "2024-03-31T19:00Z"):
            _used(connection, start, grid=100_500)
        for start, energy in (
            ("2024-07-10T05:00Z", 80_000),
            ("2024-07-20T05:00Z", 80_000),
            ("2024-08-01T05:00Z", 50_000),
        ):
            _used(connection, start, grid=energy)
        _used(connection, "2024-10-01T05:00Z", grid=120_000)
        _used(connection, "2025-05-31T18:00Z", grid=300_000)
        _used(connection, "2025-05-31T19:00Z", grid=100_000)
        for start, energy, work in (("2025-10-01T05:00Z", 600_000, {}), ("2025-10-01T06:00Z", 400_000, {"hand": 1})):
            meter_hour(connection, "host-site", {"host-grid": energy}, work, datetime.fromisoformat(start))
        _used(connection, "2026-02-01T00:00Z", grid=500, solar=1_000)
    engine.dispose()
    return house


def _explained(house: House, quarter: str) -> Any:
    result = house.command("fee", "explain", "hand", quarter, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def _lines(told: Any, *names: str) -> Iterable[tuple[Any, ...]]:
    return [tuple(line[name] for name in ("meter", *names)) for line in told["lines"]]


def test_the_rest_of_a_site_with_a_rule_is_its_owners(house: House) -> None:
    """600 kWh of cooling and losses are the host's, 400 kWh the guest's: 1 MWh on the meter."""
    told = json.loads(house.command("fee", "explain", "host", "2025-Q4", "--json").stdout)
    assert (told["energy_wh"], told["rest_wh"]) == (600_000, 600_000)
    guest = _explained(house, "2025-Q4")
    assert (guest["energy_wh"], guest["rest_wh"]) == (400_000, 0)
    assert "600,000 Wh of it" in house.command("fee", "explain", "host", "2025-Q4").stdout


def test_the_last_quarter_of_2022(house: House) -> None:
    """Flat 1 KZT, whatever the source or the meter: 1,234.567 + 50 + 7 + 0.4 = 1,291.967 KZT → 1,292.

    The hour from 18:00 UTC, midnight in Almaty, is the next year's. Paid by the 20th, declared never.
    """
    told = _explained(house, "2022-Q4")
    assert (told["energy_wh"], told["exact_kzt"], told["total_kzt"]) == (1_291_967, "1291.967", 1292)
    assert {line["rate_kzt_per_kwh"] for line in told["lines"]} == {1}
    assert (told["due"]["declare"], told["due"]["pay"]["day"]) == (None, "2023-01-20")


def test_the_first_quarter_of_2023(house: House) -> None:
    """Two hours. Bought: 2,469.134 kWh at 10.40 and 0.8 at 18.00: (25,678.9936 + 14.4) / 2,469.934 = 10.402461….

    Band 10 to 11 → 25 − 10 = 15. Grid 2,469.134 × 15 = 37,037.01; own renewable 100 × 1; own 14 × 10 = 140;
    faulty meter 0.8 × 25 = 20. Together 37,297.01 → 37,297 KZT.
    """
    told = _explained(house, "2023-Q1")
    assert told["average_price_kzt_per_kwh"]["rounded"] == "10.402462"
    assert list(_lines(told, "energy_wh", "ground", "rate_kzt_per_kwh", "amount_kzt")) == [
        (BROKEN, 800, "no_or_faulty_meter", 25, "20.000"),
        (DIESEL, 14_000, "own_generation", 10, "140.000"),
        (GRID, 2_469_134, "average_price", 15, "37037.010"),
        (SOLAR, 100_000, "own_renewable", 1, "100.000"),
    ]
    assert (told["exact_kzt"], told["total_kzt"]) == ("37297.010", 37_297)
    assert {day: told["due"][day]["day"] for day in ("declare", "pay")} == {
        "declare": "2023-05-15",
        "pay": "2023-05-25",
    }


def test_the_quarter_of_the_change_of_offset(house: House) -> None:
    """2024-Q1 begins at 18:00 UTC and ends at 19:00 UTC: two of four hours, 201 kWh at 10.40 → 15: 3,015 KZT."""
    told = _explained(house, "2024-Q1")
    assert (told["start"], told["end"]) == ("2023-12-31T18:00:00Z", "2024-03-31T19:00:00Z")
    assert (told["energy_wh"], told["total_kzt"]) == (201_000, 3_015)
    assert [(line["act"], line["article"], line["confirmed"]) for line in told["lines"]] == [
        ("Tax Code of 25.12.2017 as amended by Law 135-VII of 11.07.2022", "606-3", False)
    ]


def test_a_quarter_in_which_the_price_changes(house: House) -> None:
    """2025-Q2: 300 kWh at 10.40 until June, 100 at 24.00 then: (3,120 + 2,400) / 400 = 13.80 → 12; 4,800 KZT."""
    told = _explained(house, "2025-Q2")
    assert told["average_price_kzt_per_kwh"] == {"exact": "69/5", "rounded": "13.800000"}
    assert list(_lines(told, "energy_wh", "price_tiyn_per_kwh")) == [(GRID, 300_000, 1040), (GRID, 100_000, 2400)]
    assert told["total_kzt"] == 4_800


def test_supplies_of_a_month_in_their_order(house: House) -> None:
    """2024-Q3: of July's 160 kWh the import gives its 100 at 12.00 and the grid 60 at 20.00; of August's 50 all.

    (150 × 12 + 60 × 20) / 210 = 14.2857… → 25 − 14 = 11; 210 × 11 = 2,310 KZT. In October the grid's contract is over:
    20 kWh are nobody's and have no price.
    """
    told = _explained(house, "2024-Q3")
    assert list(_lines(told, "source", "supply", "energy_wh", "price_tiyn_per_kwh")) == [
        (GRID, "grid", "kegoc", 60_000, 2000),
        (GRID, "import", "import", 150_000, 1200),
    ]
    assert told["total_kzt"] == 2_310
    refused = house.command("fee", "explain", "hand", "2024-Q4")
    assert (refused.exit_code, "no price for 20000 Wh of metering point grid" in refused.stderr) == (1, True)


def test_a_quota_is_held_against_its_source(house: House) -> None:
    """July 2024: 60 of 60 kWh of the grid are 100 %, exit code 1; imports have no quota; 80 kW of 1 MW were drawn."""
    result = house.command("energy", "quota", "hand-site", "--month", "2024-07", "--json")
    assert result.exit_code == 1, result.stderr
    told = json.loads(result.stdout)
    assert told["energy"] == [
        {"source": "grid", "energy_wh": 60_000, "quota": {**_FULL, "taken": 60_000, "permitted": 60_000}},
        {"source": "import", "energy_wh": 100_000, "quota": None},
    ]
    assert (told["power_w"]["taken"], told["power_w"]["percent"], told["power_w"]["level"]) == (80_000, 8, None)
    shown = house.command("energy", "quota", "hand-site", "--month", "2024-08")
    assert (shown.exit_code, "no quota entered" in shown.stdout) == (0, True)


def test_energy_is_reconciled_with_work(house: House) -> None:
    """A site without recent days has no baseline and no floor; neither is a fault."""
    told = json.loads(house.command("energy", "reconcile", "hand-site", "--json").stdout)
    assert (told["days"], told["drift"], told["floor"]) == ([], None, None)
    shown = house.command("energy", "reconcile", "hand-site")
    assert (shown.exit_code, "too few days" in shown.stdout) == (0, True)
    assert house.command("energy", "reconcile", "nowhere").exit_code == 1


def test_2026_is_assumed_or_refused(house: House) -> None:
    """0.5 kWh at 24.00 → 1 and 1 kWh own renewable → 1: 1.5 → 2 KZT, marked as assumed; without the file, refused."""
    told = _explained(house, "2026-Q1")
    assert (told["total_kzt"], {line["assumed"] for line in told["lines"]}) == (2, {True})
    assert "digital_mining_fee_due on 2026-03-31" in told["due_missing"]
    strict = yaml.safe_load(house.prepared.path.read_text(encoding="utf-8"))
    strict["law"] = {}
    path = house.prepared.path.with_name("strict.yaml")
    path.write_text(yaml.safe_dump(strict), encoding="utf-8")
    refused = run_command("fee", "explain", "hand", "2026-Q1", "-c", str(path))
    assert (refused.exit_code, "law.directory" in refused.stderr) == (1, True), refused.stderr


def test_the_derivation_in_words(house: House) -> None:
    """Act, article, mark, readings and last days stand on the screen; 25 February 2024 is a Sunday."""
    shown = house.command("fee", "explain", "hand", "2023-Q4").stdout
    assert "606-3; unconfirmed" in shown
    assert "rounding: whole_tenge_half_up_once" in shown
    assert "pay by 2024-02-25 (Sunday 2024-02-25 is no working day, 2024-02-26 is; whether it moves" in shown
    assert "fee 1,508 KZT" in shown


@pytest.mark.parametrize(
    ("party", "quarter", "fault"),
    [
        ("nobody", "2023-Q1", "there is no party nobody"),
        ("hand", "2021-Q4", "no rule in force: digital_mining_fee on 2021-10-01"),
        ("hand", "2190-Q1", "has not begun"),
    ],
)
def test_refusals_name_what_to_do(house: House, party: str, quarter: str, fault: str) -> None:
    """Exit code 1 and one line."""
    result = house.command("fee", "explain", party, quarter)
    assert (result.exit_code, fault in result.stderr) == (1, True), result.stderr


def test_folding_changes_no_byte_of_a_fee(house: House) -> None:
    """From 2022 to 2025-Q2, registers changing inside quarters, as known now and at a moment in between."""
    quarters = ["2022-Q4", "2023-Q1", "2024-Q1", "2024-Q3", "2025-Q2"]
    moments = [datetime.now(UTC).isoformat(), "2026-01-01T00:00:00Z"]
    asked: list[tuple[str, ...]] = [
        ("fee", "explain", "hand", quarter, "--json", "--known-at", moment)
        for quarter in quarters
        for moment in moments
    ]
    asked += [("energy", "quota", "hand-site", "--month", "2024-07", "--json", "--known-at", moments[0])]
    before = [(result.exit_code, result.stdout) for result in (house.command(*each) for each in asked)]
    open_quarter = house.command("energy", "fold", "2026-Q3")
    assert (open_quarter.exit_code, "say --declared once it was" in open_quarter.stderr) == (1, True)
    later = house.command("energy", "fold", "2190-Q1")
    assert (later.exit_code, "2190-Q1 has not ended" in later.stderr) == (1, True)
    folded = json.loads(house.command("energy", "fold", "2025-Q2", "--json").stdout)
    assert folded["rows"] > 20
    assert [(result.exit_code, result.stdout) for result in (house.command(*each) for each in asked)] == before
    shown = house.command("meter", "show", "grid", "--from", "2020-01-01T00:00:00Z")
    assert "its energy is folded into days" in shown.stderr
    recent = house.command("meter", "show", "grid", "--from", "2025-07-01T00:00:00Z")
    assert (recent.exit_code, "folded" in recent.stderr) == (0, False)
    again = json.loads(house.command("energy", "fold", "2025-Q2", "--json").stdout)
    assert (again["pieces"], again["rows"]) == (0, 0)
    engine = open_engine(house.settings.database_url)
    with engine.begin() as connection:
        late = Supply(
            supply="late",
            site="hand-site",
            source=EnergySource.GRID,
            priority=1,
            price_tiyn_per_kwh=1,
            valid_from=datetime(2023, 1, 1, 3, tzinfo=UTC),
        )
        append_all(connection, [late], datetime.now(UTC), "operator")
    engine.dispose()
    cut = house.command("fee", "explain", "hand", "2023-Q1")
    assert (cut.exit_code, "is folded: only the whole of it is known" in cut.stderr) == (1, True), cut.stderr
