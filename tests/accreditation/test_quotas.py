"""Energy and power held against quotas and permitted power: warned at 80, 95 and 100 percent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tarazy.accreditation.entries import EnergySource, FindingKind, Quota, Severity
from tarazy.accreditation.fields import read_evidence
from tarazy.accreditation.quotas import Held, MonthUse, Unpriced, held_quotas, overuse, unpriced
from tarazy.accreditation.snapshot import Registers
from tests.accreditation.world import NOW, START, world

SITE = "site-host"
QUOTA = Quota(quota="q1", site=SITE, month="2026-03", energy_kwh=1_000, valid_from=START)


def _registers(*quotas: Quota) -> Registers:
    versions: dict[str, dict[str, list[object]]] = {}
    for number, entry in enumerate([*world(), *quotas], 1):
        versions.setdefault(entry.register, {})[entry.key] = [replace(entry, entry=number)]
    return Registers(versions, NOW)  # type: ignore[arg-type]


def _use(grid_wh: int, imported_wh: int = 0, peak_w: int = 0) -> MonthUse:
    return MonthUse("2026-03", {(SITE, "grid"): grid_wh, (SITE, "import"): imported_wh}, {SITE: (peak_w, NOW)})


@pytest.mark.parametrize(
    ("taken", "permitted", "level", "percent"),
    [
        (0, 1000, None, 0),
        (799, 1000, None, 79),
        (800, 1000, 80, 80),
        (949, 1000, 80, 94),
        (950, 1000, 95, 95),
        (999, 1000, 95, 99),
        (1000, 1000, 100, 100),
        (5000, 1000, 100, 500),
        (1, 0, 100, None),
        (0, 0, None, None),
    ],
)
def test_levels(taken: int, permitted: int, level: int | None, percent: int | None) -> None:
    """Exact at each boundary; where nothing is permitted anything is too much."""
    held = Held(taken, permitted)
    assert (held.level, held.percent) == (level, percent)


def test_quotas_of_a_month_add_up_and_limit_their_source() -> None:
    """Two grants of the month; one for imports; one of another month that does not count."""
    registers = _registers(
        QUOTA,
        replace(QUOTA, quota="q2", energy_kwh=500),
        replace(QUOTA, quota="q3", source=EnergySource.IMPORT, energy_kwh=10),
        replace(QUOTA, quota="q4", month="2026-04"),
    )
    assert held_quotas(registers, _use(1_200_000, 9_600)) == {
        (SITE, "grid"): Held(1_200_000, 1_500_000),
        (SITE, "import"): Held(9_600, 10_000),
    }
    (condition,) = overuse(registers, _use(1_200_000, 9_600))
    assert (condition.kind, condition.severity) == (FindingKind.ENERGY_QUOTA, Severity.WARNING)
    assert condition.evidence is not None
    assert (condition.evidence["source"], condition.evidence["percent"]) == ("import", 96)
    assert read_evidence(condition.evidence) == condition.evidence, "the register of findings takes it"
    assert condition.key == f"energy-quota:site:{SITE}"


def test_power_is_held_against_what_is_permitted() -> None:
    """Without a quota energy is held against nothing; power always is."""
    registers = _registers()
    permitted = registers.sites[SITE].permitted_power_w
    assert overuse(registers, _use(10**12, peak_w=permitted * 79 // 100)) == []
    (condition,) = overuse(registers, _use(10**12, peak_w=permitted + 1))
    assert (condition.kind, condition.severity, condition.site) == (FindingKind.DRAWN_POWER, Severity.SERIOUS, SITE)


def test_energy_without_a_price_is_told() -> None:
    """One condition a site, rounded up to a kilowatt-hour; a site that is gone, and nothing bought, say nothing."""
    bought = Unpriced(1_001, tuple(f"m{n:02}" for n in range(12)))
    use = replace(_use(10_000), unpriced={SITE: bought, "gone": bought})
    (condition,) = unpriced(_registers(), use)
    assert (condition.kind, condition.severity) == (FindingKind.UNIT_PRICE, Severity.WARNING)
    assert condition.evidence is not None
    assert (condition.evidence["energy_kwh"], condition.evidence["point_count"]) == (2, 12)
    assert condition.evidence["points"] == [f"m{n:02}" for n in range(10)]
    assert read_evidence(condition.evidence) == condition.evidence, "the register of findings takes it"
    assert unpriced(_registers(), replace(use, unpriced={SITE: Unpriced(0, ())})) == []
