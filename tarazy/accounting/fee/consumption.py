"""What a payer used, by metering point, source and price: the input of the fee."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from tarazy.accounting.fee.rates import Source

BOUGHT: frozenset[Source] = frozenset({"grid", "bilateral", "import"})
"""Sources whose energy has a price and enters the average."""


class FeeError(Exception):
    """The fee cannot be computed from what was given. The text says what is missing and the cure."""


@dataclass(frozen=True)
class Consumption:
    """Energy that one metering point gave the payer, all from one source at one price."""

    point: str
    source: Source
    energy_wh: int
    price_tiyn_per_kwh: int | None
    """None for own generation, which is not bought."""
    metered: bool = True
    """False for intervals without a control meter or with a faulty one."""


def average_price_kzt(consumption: Iterable[Consumption]) -> Fraction | None:
    """Average price in tenge per kWh of the energy bought, weighted by energy; None when none was bought.

    Raises `FeeError` naming the metering point whose price is missing.
    """
    energy, cost = 0, 0
    for item in consumption:
        if item.source in BOUGHT and item.energy_wh:
            if item.price_tiyn_per_kwh is None:
                raise FeeError(
                    f"no price for metering point {item.point}: enter price_tiyn_per_kwh in the register of meters"
                )
            energy += item.energy_wh
            cost += item.energy_wh * item.price_tiyn_per_kwh
    return Fraction(cost, energy * 100) if energy else None


def consumption_of(energy_wh: int, meters: Sequence[Consumption]) -> list[Consumption]:
    """The part of a payer that was allocated `energy_wh` at a site whose meters gave `meters`.

    In proportion to them, rounded so that the parts add up to `energy_wh` exactly. Raises `FeeError`
    when there is energy to divide and the meters gave none.
    """
    total = sum(item.energy_wh for item in meters)
    if energy_wh and not total:
        raise FeeError("energy was allocated at a site whose meters gave none: derive its intervals again")
    parts: list[Consumption] = []
    before, passed = 0, 0
    for item in meters:
        passed += item.energy_wh
        share = energy_wh * passed // total if total else 0
        parts.append(replace(item, energy_wh=share - before))
        before = share
    return parts
