"""Which rate in tenge per kWh applies: the ladder's bands and the special cases."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal

from tarazy.config.law import LadderFeeRule

Source = Literal["grid", "bilateral", "import", "own", "own_renewable"]
"""Where a metering point's electricity comes from, in the words of the register of meters."""

Ground = Literal["flat", "average_price", "consumed", "own_generation", "own_renewable", "no_or_faulty_meter"]
"""Why a rate applies."""


def ladder_rate(rule: LadderFeeRule, value: Fraction) -> int:
    """Tenge per kWh of the band that holds `value`, which is what `rule.basis` names.

    lower_inclusive: a band begins with its whole number. upper_inclusive: it ends with it.
    """
    if value < 0:
        raise ValueError("a price or a quantity is not negative")
    ladder = rule.ladder
    if rule.bounds == "lower_inclusive":
        band, beyond = math.floor(value), value >= ladder.last_from
    else:
        band, beyond = max(math.ceil(value) - 1, 0), value > ladder.last_from
    return ladder.last_rate if beyond else ladder.first_rate - ladder.step * band


def rate_of(rule: LadderFeeRule, source: Source, metered: bool, value: Fraction) -> tuple[int, Ground]:
    """Rate and ground of one quantity taken by itself; a missing or faulty meter beats the source."""
    if not metered:
        return rule.special.no_or_faulty_meter, "no_or_faulty_meter"
    if source == "own":
        return rule.special.own_generation, "own_generation"
    if source == "own_renewable":
        return rule.special.own_renewable, "own_renewable"
    ground: Ground = "consumed" if rule.basis == "consumed_kwh" else "average_price"
    return ladder_rate(rule, value), ground
