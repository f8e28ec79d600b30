"""Energy and power held against what a site may take in a month. Pure; the accounts give theirs as plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tarazy.accreditation.entries import FindingKind, Quota, Severity
from tarazy.accreditation.findings import Condition
from tarazy.accreditation.snapshot import Registers

LEVELS = {80: Severity.INFO, 95: Severity.WARNING, 100: Severity.SERIOUS}
"""Percent of what is permitted at which is warned, and how much that matters."""
_POINTS_TOLD = 10


@dataclass(frozen=True, slots=True)
class Unpriced:
    """Energy that a site bought in a month at a price that is not entered."""

    energy_wh: int
    points: tuple[str, ...]
    """The metering points that measured it."""


@dataclass(frozen=True, slots=True)
class MonthUse:
    """What the sites took in a calendar month, as far as it has passed."""

    month: str
    energy_wh: Mapping[tuple[str, str], int]
    """By site and source."""
    peaks: Mapping[str, tuple[int, datetime]]
    """Site → highest mean power of an interval in watts, and when that began."""
    unpriced: Mapping[str, Unpriced] = field(default_factory=dict)
    """Sites that bought energy of which no price is entered."""


@dataclass(frozen=True, slots=True)
class Held:
    """What was taken of what is permitted, both in Wh or both in W."""

    taken: int
    permitted: int

    @property
    def percent(self) -> int | None:
        """Rounded down; None where nothing is permitted."""
        return self.taken * 100 // self.permitted if self.permitted else None

    @property
    def level(self) -> int | None:
        """The highest of `LEVELS` that is reached."""
        reached = [level for level in LEVELS if self.taken and self.taken * 100 >= level * self.permitted]
        return max(reached, default=None)


def held_quotas(registers: Registers, use: MonthUse) -> dict[tuple[str, str], Held]:
    """(site, source) → energy against the quotas of the month; only where there are any."""
    granted: Counter[tuple[str, str]] = Counter()
    for quota in registers.latest(Quota):
        if quota.month == use.month:
            granted[quota.site, quota.source.value] += quota.energy_kwh * 1000
    return {place: Held(use.energy_wh.get(place, 0), energy_wh) for place, energy_wh in sorted(granted.items())}


def held_power(registers: Registers, use: MonthUse) -> dict[str, Held]:
    """Site → highest power of the month against what it is permitted."""
    sites = registers.sites
    return {key: Held(peak, sites[key].permitted_power_w) for key, (peak, _) in use.peaks.items() if key in sites}


def overuse(registers: Registers, use: MonthUse) -> list[Condition]:
    """Sites that near what they may take, or took more: one condition of a kind for each."""
    found: list[Condition] = []
    worst: dict[str, tuple[str, Held]] = {}
    for (site, source), held in held_quotas(registers, use).items():
        if site in registers.sites and (site not in worst or _rank(held) > _rank(worst[site][1])):
            worst[site] = source, held
    for site, (source, held) in worst.items():
        taken_kwh, quota_kwh = held.taken // 1000, held.permitted // 1000
        energy = {"month": use.month, "source": source, "taken_kwh": taken_kwh, "quota_kwh": quota_kwh}
        found += _conditions(FindingKind.ENERGY_QUOTA, site, held, energy)
    for site, held in held_power(registers, use).items():
        at = use.peaks[site][1].isoformat()
        power = {"month": use.month, "at": at, "peak_w": held.taken, "permitted_w": held.permitted}
        found += _conditions(FindingKind.DRAWN_POWER, site, held, power)
    return found


def unpriced(registers: Registers, use: MonthUse) -> list[Condition]:
    """Sites that bought energy without a price in the month: their fee cannot be told."""
    return [
        Condition(
            FindingKind.UNIT_PRICE,
            Severity.WARNING,
            "site",
            site,
            None,
            site,
            {
                "month": use.month,
                "energy_kwh": -(-bought.energy_wh // 1000),
                "points": list(bought.points[:_POINTS_TOLD]),
                "point_count": len(bought.points),
            },
        )
        for site, bought in sorted(use.unpriced.items())
        if site in registers.sites and bought.energy_wh
    ]


def _rank(held: Held) -> tuple[int, int]:
    return held.level or 0, held.percent or 0


def _conditions(kind: FindingKind, site: str, held: Held, evidence: Mapping[str, Any]) -> Iterable[Condition]:
    if held.level is not None:
        told = {**evidence, "percent": held.percent if held.percent is not None else 100}
        yield Condition(kind, LEVELS[held.level], "site", site, None, site, told)
