"""Weeks of metered sites: what the pages on energy look at. Put into a pool's database beside its day."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from tarazy.accounting.energy.devices import Fitting, fit
from tarazy.accounting.energy.intervals import floor_to
from tarazy.accounting.energy.meter import Reading
from tarazy.accounting.energy.recording import append_readings
from tarazy.accounting.energy.site_days import append_allocations, append_intervals
from tarazy.accreditation.entries import (
    EnergyBy,
    EnergySource,
    Finding,
    FindingKind,
    FindingState,
    Meter,
    Quota,
    Severity,
    Supply,
)
from tarazy.accreditation.entries import MeterStatus as State
from tarazy.accreditation.registers import append_all, restate
from tarazy.config.law.calendar import legal_day
from tests.portal.pool import EKIBASTUZ, INTERVAL, KARAGANDA, RATE, SINCE, SITE_OF, Pool

DAYS = 40
SUBMETER = "dala-sub"


def registered(now: datetime) -> list[Any]:
    """Supplies, a quota that is nearly taken, a guest's sub-meter, and what is wrong with a site."""
    month = f"{legal_day(now - timedelta(days=1)):%Y-%m}"
    place: dict[str, Any] = {"site": EKIBASTUZ, "valid_from": SINCE}
    reach: dict[str, Any] = {"host": "127.0.0.1", "port": 5020, "unit": 3, "profile": "tarazy-demo"}
    about: dict[str, Any] = {"state": FindingState.OPEN, "valid_from": now - timedelta(hours=4)}
    return [
        Supply(
            supply="samruk-2026",
            source=EnergySource.BILATERAL,
            priority=1,
            price_tiyn_per_kwh=1650,
            month_kwh=400_000,
            supplier="«Самұрық-Энерго» ЖШС",
            contract="SE-7",
            contract_on=date(2024, 1, 10),
            **place,
        ),
        Supply(supply="grid", source=EnergySource.GRID, priority=2, price_tiyn_per_kwh=2210, **place),
        Quota(
            quota="q-1",
            month=month,
            energy_kwh=340_000,
            number="77",
            site=EKIBASTUZ,
            valid_from=now - timedelta(days=30),
        ),
        Meter(
            meter=SUBMETER,
            source=EnergySource.GRID,
            price_tiyn_per_kwh=1800,
            status=State.OK,
            party="dala",
            **reach,
            **place,
        ),
        Finding(
            finding=f"meter-silent:meter:{SUBMETER}",
            kind=FindingKind.METER_SILENT,
            severity=Severity.WARNING,
            of_register="meter",
            of_key=SUBMETER,
            site=EKIBASTUZ,
            evidence={"status": "silent", "since": (now - timedelta(hours=4)).isoformat()},
            **about,
        ),
        Finding(
            finding=f"energy-quota:site:{EKIBASTUZ}",
            kind=FindingKind.ENERGY_QUOTA,
            severity=Severity.WARNING,
            of_register="site",
            of_key=EKIBASTUZ,
            site=EKIBASTUZ,
            evidence={"month": month, "source": "grid", "taken_kwh": 326_400, "quota_kwh": 340_000, "percent": 96},
            **about,
        ),
    ]


def metered(pool: Pool) -> None:
    """Record `DAYS` of intervals before the pool's own day, and what the registers say of the sites."""
    now = pool.now
    with pool.engine.begin() as connection:
        append_all(connection, registered(now), now, "test")
        since = now - timedelta(days=20)
        by: dict[str, Any] = {"valid_from": since, "recorded_at": now, "recorded_by": "test"}
        restate(connection, "site", EKIBASTUZ, **by, energy_by=EnergyBy.WORK)
        fitting = Fitting("feeder-1", now - timedelta(days=9), "tarazy-demo", "A-1042", why="verification was due")
        fit(connection, fitting, "aida", now - timedelta(days=9))
        silent = [
            Reading(SUBMETER, now - timedelta(hours=4), 77_000, "ok"),
            Reading(SUBMETER, now - timedelta(minutes=1), None, "silent"),
        ]
        append_readings(connection, silent, now)
        _history(connection, floor_to(now, INTERVAL) - timedelta(seconds=95 * INTERVAL))


def _history(connection: Connection, last: datetime) -> None:
    chance = random.Random(5)
    intervals: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for back in range(DAYS * 96):
        at = last - timedelta(seconds=back * INTERVAL)
        for meter, site in (("feeder-1", EKIBASTUZ), ("feeder-2", KARAGANDA)):
            here = {party: int(rate / 1e12 * 17.5 / 4) for party, rate in RATE.items() if SITE_OF[party] == site}
            quality = "estimated" if 300 < back < 330 else "missing" if back in (500, 501) else "measured"
            energy = 0 if quality == "missing" else int(sum(here.values()) * chance.uniform(1.03, 1.08))
            common: dict[str, Any] = {
                "site": site,
                "interval_start": at,
                "version": 1,
                "seconds": INTERVAL,
                "quality": quality,
                "recorded_at": at + timedelta(minutes=20),
            }
            intervals.append({**common, "meter": meter, "party": None, "energy_wh": energy})
            own = {party: energy * estimate // sum(here.values()) for party, estimate in here.items()}
            if site == EKIBASTUZ:
                intervals.append({**common, "meter": SUBMETER, "party": "dala", "energy_wh": own["dala"]})
            for party, given in own.items():
                parts.append(
                    {**common, "party": party, "energy_wh": given, "estimate_wh": here[party], "weight": 10**6}
                )
            rest = energy - sum(own.values())
            parts.append({**common, "party": "", "energy_wh": rest, "estimate_wh": 0, "weight": 0})
    append_intervals(connection, intervals)
    append_allocations(connection, parts)
