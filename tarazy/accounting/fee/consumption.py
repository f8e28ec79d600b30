"""What a payer used, by metering point, source and price: the input of the fee."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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
    supply: str | None = None
    """Who gave it, where the site's supplies are registered."""


def average_price_kzt(consumption: Iterable[Consumption]) -> Fraction | None:
    """Average price in tenge per kWh of the energy bought, weighted by energy; None when none was bought.

    Raises `FeeError` naming the metering point whose price is missing.
    """
    energy, cost = 0, 0
    for item in consumption:
        if item.source in BOUGHT and item.energy_wh:
            if item.price_tiyn_per_kwh is None:
                who = f" from supply {item.supply}" if item.supply else ""
                raise FeeError(
                    f"no price for {item.energy_wh} Wh of metering point {item.point}{who}: enter "
                    "price_tiyn_per_kwh in the register of supplies, or a supply that covers the energy"
                )
            energy += item.energy_wh
            cost += item.energy_wh * item.price_tiyn_per_kwh
    return Fraction(cost, energy * 100) if energy else None
