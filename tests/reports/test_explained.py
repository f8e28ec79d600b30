"""From intervals to the fee of the quarter in which Kazakhstan changed its zone, computed by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine

from tarazy.accounting.energy.site_days import append_allocations, append_intervals
from tarazy.accreditation.entries import (
    EnergySource,
    Meter,
    MeterStatus,
    Party,
    PartyKind,
    Placement,
    Site,
    SiteStatus,
)
from tarazy.accreditation.registers import append_all, as_of
from tarazy.config.law import load_law
from tarazy.config.law.calendar import Quarter
from tarazy.reports.explained import explain_fee, sites_of

SINCE = datetime(2023, 1, 1, tzinfo=UTC)
KNOWN = datetime(2024, 8, 1, tzinfo=UTC)
FIRST, AFTER = datetime(2023, 12, 31, 16, tzinfo=UTC), datetime(2024, 3, 31, 21, tzinfo=UTC)
"""Two hours before the quarter by the zone of then, UTC+6, and two after it by the zone of since, UTC+5."""

JANUARY = (datetime(2024, 1, 6, tzinfo=UTC), datetime(2024, 1, 6, 1, tzinfo=UTC))


def _registers(connection: Connection) -> None:
    common: dict[str, Any] = {"kind": PartyKind.LEGAL, "valid_from": SINCE}
    for key, bin_ in (("altyn", "240140000011"), ("dala", "240240000025")):
        party = Party(party=key, bin=bin_, account=key, name_kk=key, name_ru=key, name_en=key, **common)
        append_all(connection, [party], SINCE, "test")
    place: dict[str, Any] = {"country": "KZ", "region": "r", "address": "a", "permitted_power_w": 10**7}
    state: dict[str, Any] = {"status": SiteStatus.ACCREDITED, "valid_from": SINCE}
    reach: dict[str, Any] = {"host": "127.0.0.1", "port": 1, "unit": 1, "profile": "register-kwh", "valid_from": SINCE}
    for site, meter in (("s", "m"), ("t", "n")):
        paid: dict[str, Any] = {"source": EnergySource.GRID, "price_tiyn_per_kwh": 1800, "status": MeterStatus.OK}
        entries = [
            Site(site=site, party="altyn", name=site, networks=("127.0.0.1/32",), **place, **state),
            Meter(meter=meter, site=site, **paid, **reach),
        ]
        for entry in entries:
            append_all(connection, [entry], SINCE, "test")
    append_all(
        connection, [Placement(placement="p", party="dala", site="s", contract="1", valid_from=SINCE)], SINCE, "test"
    )


def _hours(connection: Connection) -> None:
    """At s 1,000 Wh every hour, a quarter of it a guest's; at t 1,000 Wh in each of two hours of January."""
    count = (AFTER - FIRST) // timedelta(hours=1)
    intervals, parts = [], []
    for hour in range(count):
        start = FIRST + timedelta(hours=hour)
        here = [("s", "m"), ("t", "n")] if start in JANUARY else [("s", "m")]
        for site, meter in here:
            common = {"site": site, "interval_start": start, "version": 1, "seconds": 3600, "quality": "measured"}
            common["recorded_at"] = start + timedelta(hours=1)
            intervals.append({**common, "meter": meter, "energy_wh": 1000})
            shares = (("altyn", 750), ("dala", 250)) if site == "s" else (("altyn", 1000),)
            for party, energy in (*shares, ("", 0)):
                parts.append({**common, "party": party, "energy_wh": energy, "estimate_wh": energy, "weight": 1})
    append_intervals(connection, intervals)
    append_allocations(connection, parts)


@pytest.mark.parametrize(
    ("quarter", "owner_wh", "owner_kzt", "guest_wh", "guest_kzt"),
    [
        # 2 hours at UTC+6 before the year ends: 2 kWh, of them 1.5 and 0.5; at 18.00 the rate is 7: 10.5 and 3.5 KZT,
        # rounded half up 11 and 4.
        ("2023-Q4", 1_500, 11, 500, 4),
        # January to March are 31 + 29 + 31 = 91 days, and the clock was set back by an hour on 1 March:
        # 91 x 24 + 1 = 2,185 hours. The owner has 2,185 x 0.75 = 1,638.75 kWh and 2 of site t: 1,640.75 x 7 =
        # 11,485.25 -> 11,485 KZT; the guest 546.25 x 7 = 3,823.75 -> 3,824 KZT.
        ("2024-Q1", 1_640_750, 11_485, 546_250, 3_824),
        # 2 hours at UTC+5 after the quarter.
        ("2024-Q2", 1_500, 11, 500, 4),
    ],
)
def test_the_quarter_of_the_changed_zone(
    sqlite_engine: Engine, quarter: str, owner_wh: int, owner_kzt: int, guest_wh: int, guest_kzt: int
) -> None:
    """No hour is lost or counted twice; looking at a party's own sites alone gives the same."""
    law, period = load_law(), Quarter.parse(quarter)
    with sqlite_engine.begin() as connection:
        _registers(connection)
        _hours(connection)
        registers = as_of(connection, min(period.end, KNOWN), KNOWN)
        for party, energy, total in (("altyn", owner_wh, owner_kzt), ("dala", guest_wh, guest_kzt)):
            told = explain_fee(connection, registers, law, party, period, KNOWN)
            assert (told["energy_wh"], told["total_kzt"]) == (energy, total)
            assert told == explain_fee(connection, registers, law, party, period, KNOWN, sites_of(registers, party))
        assert (sites_of(registers, "altyn"), sites_of(registers, "dala")) == (["s", "t"], ["s"])
