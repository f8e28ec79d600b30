"""What a site took in a month, from intervals and registers: also what it bought at a price that nobody entered."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from tarazy.accreditation.entries import EnergySource, Meter, Supply
from tarazy.accreditation.quotas import Unpriced
from tarazy.accreditation.registers import append_all, as_of
from tarazy.config.law.calendar import Period
from tarazy.reports.energy_use import month_use
from tests.reports.world import BEGIN, meter_hour, registers

SITE = "ekibastuz-1"
START = datetime(2026, 11, 10, tzinfo=UTC)
SUPPLY = Supply(
    supply="grid", site=SITE, source=EnergySource.GRID, priority=1, price_tiyn_per_kwh=2_500, valid_from=BEGIN
)


@pytest.mark.parametrize(
    ("supplies", "unpriced"),
    [
        ([], {}),
        ([SUPPLY], {}),
        ([replace(SUPPLY, price_tiyn_per_kwh=None)], {SITE: Unpriced(9_000, ("m-a", "m-b"))}),
        ([replace(SUPPLY, month_kwh=8)], {SITE: Unpriced(1_000, ("m-a", "m-b"))}),
    ],
    ids=["of the meter", "of the supply", "supply without", "beyond the supply"],
)
def test_energy_at_a_price_that_is_not_entered(
    sqlite_engine: Engine, supplies: list[Supply], unpriced: dict[str, Unpriced]
) -> None:
    """6 and 3 kWh through two meters; own generation needs no price."""
    source = next(row for row in registers() if isinstance(row, Meter) and row.site == SITE)
    meters = [
        replace(source, meter=key, source=kind)
        for key, kind in (("m-a", EnergySource.GRID), ("m-b", EnergySource.GRID), ("m-own", EnergySource.OWN))
    ]
    others = [row for row in registers() if not isinstance(row, Meter)]
    with sqlite_engine.begin() as connection:
        append_all(connection, [*others, *meters, *supplies], BEGIN, "operator")
        meter_hour(connection, SITE, {"m-a": 6_000, "m-b": 3_000, "m-own": 500}, {"altyn": 1}, START)
        now = START + timedelta(days=1)
        use = month_use(connection, as_of(connection, now, now), Period.parse("2026-11"), now)
    assert use.unpriced == unpriced
    assert use.energy_wh == {(SITE, "grid"): 9_000, (SITE, "own"): 500}
