"""From intervals and work to findings on energy that does not go with it."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, insert

from tarazy.accounting import tables
from tarazy.accounting.tallies import Done, add
from tarazy.accounting.worth import Worth
from tarazy.accreditation.entries import FindingKind, Severity
from tarazy.accreditation.fields import read_evidence
from tarazy.config.law.calendar import day_start
from tarazy.reports.reconciled import below_floor, drifts, site_days
from tests.reports.world import meter_hour

TODAY = date(2026, 3, 1)
NOW = day_start(TODAY)
_KWH_AT_17_5 = 3_600_000 * 10**12 * 65535 * 10 // (65536 * 175)


@pytest.mark.parametrize(("factor", "percent"), [(1.0, None), (0.9, -10), (1.2, 20)])
def test_a_site_that_leaves_its_baseline(sqlite_engine: Engine, factor: float, percent: int | None) -> None:
    """26 days of 100 kWh by work and 110 kWh metered, of which the last four are bypassed, or carry another load."""
    with sqlite_engine.begin() as connection:
        for ago in range(26, 0, -1):
            metered = int(110_000 * (factor if ago <= 4 else 1) * (1 + 0.002 * (ago % 3 - 1)))
            start = day_start(TODAY - timedelta(days=ago)) + timedelta(hours=5)
            meter_hour(connection, "s", {"m": metered}, {"a": 100 * _KWH_AT_17_5}, start)
        found = drifts(site_days(connection, TODAY, NOW))
    assert [(condition.kind, condition.severity, condition.site) for condition in found] == (
        [] if percent is None else [(FindingKind.ENERGY_DRIFT, Severity.WARNING, "s")]
    )
    for condition in found:
        evidence = condition.evidence or {}
        assert (evidence["percent"], evidence["since"], evidence["days"]) == (percent, "2026-02-25", 4)
        assert "cooling" in str(evidence["confounders"])


def test_a_day_that_cannot_be_told_is_left_out(sqlite_engine: Engine) -> None:
    """Without work nothing is expected."""
    with sqlite_engine.begin() as connection:
        meter_hour(connection, "s", {"m": 5_000}, {}, NOW - timedelta(hours=20))
        meter_hour(connection, "s", {"m": 5_000}, {"a": 4 * _KWH_AT_17_5}, NOW - timedelta(hours=40))
        (day,) = site_days(connection, TODAY, NOW)["s"]
    assert (day.metered_wh, round(day.expected_wh, -1)) == (5_000, 4_000)


def _work(connection: Connection, start: datetime, kwh: int) -> None:
    """Work of a million shares that takes so many kWh at 8.5 J/TH."""
    weight = kwh * 3_600_000 * 10**12 * 10 // 85 * 0xFFFF >> 16
    connection.execute(insert(tables.round_), [{"round": 1, "opened_at": start}])
    done = {("a", "a", "rig", "s"): Done(weight, 10**6)}
    add(connection, 1, {Worth(1, 1): {start: done}})


@pytest.mark.parametrize(("kwh", "hours", "broken"), [(100, 1, False), (102, 1, True), (102, 2, False)])
def test_no_machine_does_that_work_for_so_little(sqlite_engine: Engine, kwh: int, hours: int, broken: bool) -> None:
    """100 kWh on the meter: four errors of 0.2 % are allowed; a window with a hole in it is not judged."""
    start = NOW - timedelta(hours=5)
    with sqlite_engine.begin() as connection:
        meter_hour(connection, "s", {"m": 100_000}, {"a": 1}, start)
        _work(connection, start, kwh)
        found = below_floor(connection, start, start + timedelta(hours=hours))
    assert [condition.kind for condition in found] == ([FindingKind.ENERGY_FLOOR] if broken else [])
    for condition in found:
        evidence = condition.evidence or {}
        assert condition.severity is Severity.SERIOUS
        assert (evidence["metered_kwh"], evidence["least_kwh"]) == (100, 101)
        assert (evidence["best_mj_per_th"], evidence["best_machine"]) == (8_500, "Antminer S23 Hyd")
        assert read_evidence(evidence) == evidence


def test_the_setting_holds_instead_of_the_dated_machine(sqlite_engine: Engine) -> None:
    """At 8.5 J/TH 102 kWh of work break the floor of 100 metered; a machine of 8 J/TH could have done it."""
    start = NOW - timedelta(hours=5)
    with sqlite_engine.begin() as connection:
        meter_hour(connection, "s", {"m": 100_000}, {"a": 1}, start)
        _work(connection, start, 102)
        assert below_floor(connection, start, start + timedelta(hours=1), 8_000) == []
