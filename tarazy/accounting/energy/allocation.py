"""Divide a site's watt-hours of an interval among its parties by accepted work. Pure integers.

Weights are sums of share weights 2^(exponent+32); a unit of weight stands for 65536/65535 hashes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

REST = ""
"""The party of what no work accounts for: the rounding remainder, or everything when nobody worked."""

_MILLIJOULES_PER_JOULE = 1_000
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
    """Efficiency in mJ/TH of machines (nominal hashes per second, nominal W) side by side; None when there are none.

    It is the total power over the total hash rate, rounded half up.
    """
    power = hash_rate = 0
    for hashes_per_second, watts in machines:
        hash_rate += hashes_per_second
        power += watts
    scaled = power * _MILLIJOULES_PER_JOULE * _HASHES_PER_TERAHASH
    return (2 * scaled + hash_rate) // (2 * hash_rate) if hash_rate else None


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
