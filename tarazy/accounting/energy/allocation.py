"""Divide a site's watt-hours of an interval among its parties. Pure integers; every part is rounded down.

Weights are sums of share weights 2^(exponent+32); a unit of weight stands for 65536/65535 hashes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

REST = ""
"""The party of what no party accounts for: cooling, losses, own use, and what rounding leaves."""

By = Literal["hashes", "work", "power", "fixed"]
"""hashes: everything in proportion to accepted work, whatever the machines; work: what accepted work takes on the
registered machines; power: the nominal power of the machines of each party that works; fixed: agreed parts."""

_MILLIJOULES_PER_JOULE = 1_000
_MILLIJOULES_PER_WH = 3_600_000
_HASHES_PER_TERAHASH = 10**12
WHOLE = 10_000
"""Everything, in the hundredths of a percent in which parts are agreed."""


@dataclass(frozen=True)
class Sharing:
    """A site's rule for the energy that no sub-meter tells."""

    by: By = "hashes"
    to_parties: bool = False
    """Whether the parties have the rest too, in proportion."""
    parts: Mapping[str, int] = field(default_factory=dict)
    """Agreed parts in hundredths of a percent of what the sub-meters leave."""
    power_w: Mapping[str, int] = field(default_factory=dict)
    """Nominal power of each party's machines."""


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


def allocate(
    energy_wh: int,
    work: Mapping[str, int],
    efficiencies: Mapping[str, int | None],
    sharing: Sharing | None = None,
    submetered: Mapping[str, int] | None = None,
    seconds: int = 900,
) -> list[Part]:
    """Split `energy_wh` of an interval among the parties, the rest to `REST`; the parts always add up to `energy_wh`.

    A party in `submetered` has what its own meters gave. Of what they leave the others have what `sharing` gives to
    `work` (party → weight), and no more than there is: where claims exceed it, all are cut in proportion.
    `efficiencies` are the parties' mJ/TH at the site; without one a party claims nothing by work.
    """
    sharing, own = sharing or Sharing(), submetered or {}
    if energy_wh < 0 or min([0, *work.values(), *own.values()]) < 0 or REST in work or REST in own:
        raise ValueError("energy and weights are not negative, and every weight has a party")
    estimates: dict[str, int | None] = {}
    for party, weight in work.items():
        efficiency = efficiencies.get(party)
        estimates[party] = None if weight and efficiency is None else estimate_wh(weight, efficiency or 0)
    given = _cut(own, energy_wh)
    left = energy_wh - sum(given.values())
    claims = {
        party: claim for party, claim in _claims(left, work, estimates, sharing, seconds).items() if party not in own
    }
    given |= _cut(claims, left, whole=sharing.by == "hashes" or sharing.to_parties)
    told = sorted({*given, *(party for party, weight in work.items() if weight)})
    parts = [Part(party, given.get(party, 0), estimates.get(party, 0), work.get(party, 0)) for party in told]
    return [Part(REST, energy_wh - sum(given.values()), 0, 0), *parts]


def _claims(
    left: int, work: Mapping[str, int], estimates: Mapping[str, int | None], sharing: Sharing, seconds: int
) -> dict[str, int]:
    """What the rule gives to each party if there is enough: Wh, or weights where everything is divided."""
    match sharing.by:
        case "hashes":
            claims = dict(work)
        case "work":
            claims = {party: estimate or 0 for party, estimate in estimates.items()}
        case "power":
            claims = {party: sharing.power_w.get(party, 0) * seconds // 3600 for party in work if work[party]}
        case "fixed":
            claims = {party: left * part // WHOLE for party, part in sharing.parts.items()}
    return {party: claim for party, claim in claims.items() if claim}


def _cut(claims: Mapping[str, int], energy_wh: int, whole: bool = False) -> dict[str, int]:
    """`claims` as they are if there is enough, otherwise, or for the `whole`, in proportion, each rounded down."""
    total = sum(claims.values())
    if total <= energy_wh and not whole:
        return dict(claims)
    return {party: energy_wh * claim // total for party, claim in claims.items()} if total else {}
