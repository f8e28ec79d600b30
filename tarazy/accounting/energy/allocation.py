"""Divide a site's watt-hours of an interval among its parties by accepted work. Pure integers.

Weights are sums of share weights 2^(exponent+32); a unit of weight stands for 65536/65535 hashes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

REST = ""
"""The party of what no work accounts for: the rounding remainder, or everything when nobody worked."""

_MILLIJOULES_PER_WH = 3_600_000
_HASHES_PER_TERAHASH = 10**12


@dataclass(frozen=True)
class Part:
    """One party's part of an interval: metered, and estimated from its work (None: efficiency unknown)."""

    party: str
    energy_wh: int
    estimate_wh: int | None
    weight: int


def estimate_wh(weight: int, efficiency_mj_per_th: int) -> int:
    """Watt-hours that work of `weight` takes on machines of that efficiency (mJ/TH), rounded down."""
    return weight * 65536 * efficiency_mj_per_th // (65535 * _HASHES_PER_TERAHASH * _MILLIJOULES_PER_WH)


def fleet_efficiency(machines: Iterable[tuple[int, int]]) -> int | None:
    """Efficiency in mJ/TH of machines (mJ/TH, nominal W) that run side by side; None when there are none.

    It is the total power over the total hashrate, rounded half up.
    """
    power, hashrate = 0, Fraction(0)
    for efficiency, watts in machines:
        power += watts
        hashrate += Fraction(watts, efficiency)
    return int(power / hashrate + Fraction(1, 2)) if power else None


def allocate(energy_wh: int, work: Mapping[str, int], efficiencies: Mapping[str, int | None]) -> list[Part]:
    """Split `energy_wh` by `work` (party → weight): each party's part rounded down, the rest to `REST`.

    The parts always add up to `energy_wh`. `efficiencies` are the parties' mJ/TH at the site.
    """
    if energy_wh < 0 or any(weight < 0 for weight in work.values()) or REST in work:
        raise ValueError("energy and weights are not negative, and every weight has a party")
    total = sum(work.values())
    parts: list[Part] = []
    for party, weight in sorted(work.items()):
        if weight:
            efficiency = efficiencies.get(party)
            estimate = None if efficiency is None else estimate_wh(weight, efficiency)
            parts.append(Part(party, energy_wh * weight // total, estimate, weight))
    rest = energy_wh - sum(part.energy_wh for part in parts)
    return [Part(REST, rest, 0, 0), *parts]
