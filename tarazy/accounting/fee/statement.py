"""The digital-mining fee of one payer for a quarter or a part of one: pure, exact, each line with its law.

Tenge are exact decimals until the total, which is rounded once, to whole tenge, half up (invariants 8 and 9).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from tarazy.accounting.fee.consumption import Consumption, FeeError, average_price_kzt
from tarazy.accounting.fee.rates import Ground, Source, rate_of
from tarazy.config.law import DigitalMiningFeeRule, FlatFeeRule, LadderFeeRule, LawBook, RuleReference
from tarazy.config.law.calendar import Quarter, legal_day


@dataclass(frozen=True)
class FeeLine:
    """One quantity and what is charged for it.

    `ground` and `split_rate_kzt` are of the quantity by itself; `rate_kzt` is what applies to it, which is
    higher where several rates meet at one metering point.
    """

    point: str
    source: Source
    supply: str | None
    energy_wh: int
    price_tiyn_per_kwh: int | None
    ground: Ground
    rate_kzt: int
    split_rate_kzt: int
    rule: RuleReference

    @property
    def amount_kzt(self) -> Decimal:
        """Exact tenge at the rate that applies."""
        return Decimal(self.energy_wh * self.rate_kzt).scaleb(-3)

    @property
    def split_amount_kzt(self) -> Decimal:
        """Exact tenge at the quantity's own rate: printed beside, not owed."""
        return Decimal(self.energy_wh * self.split_rate_kzt).scaleb(-3)


@dataclass(frozen=True)
class FeeStatement:
    """The fee from `start` to `end` (instants), both inside `quarter`."""

    quarter: Quarter
    start: datetime
    end: datetime
    average_price_kzt: Fraction | None
    """Over everything bought, weighted by energy; None when nothing was, or when the rate is flat."""
    lines: tuple[FeeLine, ...]
    rule: DigitalMiningFeeRule
    """States the rounding and, for a ladder, its basis and bounds."""

    @property
    def partial(self) -> bool:
        """Whether the period is less than the whole quarter."""
        return (self.start, self.end) != (self.quarter.start, self.quarter.end)

    @property
    def energy_wh(self) -> int:
        """Watt-hours of all lines."""
        return sum(line.energy_wh for line in self.lines)

    @property
    def exact_kzt(self) -> Decimal:
        """The fee before rounding."""
        return sum((line.amount_kzt for line in self.lines), Decimal(0))

    @property
    def total_kzt(self) -> int:
        """The fee in whole tenge: `exact_kzt` rounded once, half up."""
        return _whole_tenge(self.exact_kzt)

    @property
    def split_total_kzt(self) -> int:
        """The same with each quantity at its own rate: printed beside, not owed."""
        return _whole_tenge(sum((line.split_amount_kzt for line in self.lines), Decimal(0)))


def compute_fee(
    law: LawBook,
    quarter: Quarter,
    consumption: Sequence[Consumption],
    start: datetime | None = None,
    end: datetime | None = None,
) -> FeeStatement:
    """The fee of one payer for `quarter`, or for the part of it from `start` to `end` (aware instants).

    `consumption` is the payer's energy of that period and nothing else; quantities of zero give no line.
    Raises `NoRuleInForceError`, and `FeeError` for a missing price, negative energy, or a period that no
    single rule covers.
    """
    start, end = start or quarter.start, end or quarter.end
    rule = _rule_of(law, start, end, quarter)
    if any(item.energy_wh < 0 for item in consumption):
        raise FeeError("negative energy: correct the readings it came from")
    used = [item for item in consumption if item.energy_wh]
    average = None if isinstance(rule, FlatFeeRule) else average_price_kzt(used)
    lines = tuple(_lines(used, _rates(rule, used, average), rule.reference))
    return FeeStatement(quarter, start, end, average, lines, rule)


def _rule_of(law: LawBook, start: datetime, end: datetime, quarter: Quarter) -> DigitalMiningFeeRule:
    if not quarter.start <= start < end <= quarter.end:
        raise FeeError(f"{start} – {end} does not lie in {quarter}: compute each quarter by itself")
    rule = law.rule(DigitalMiningFeeRule, legal_day(start))
    if not rule.in_force(legal_day(end - datetime.resolution)):
        raise FeeError(f"{rule.id} ends on {rule.valid_to}, inside the period: compute its parts one by one")
    return rule


def _rates(
    rule: DigitalMiningFeeRule, used: Sequence[Consumption], average: Fraction | None
) -> list[tuple[int, Ground]]:
    """Each quantity's own rate and its ground."""
    if isinstance(rule, FlatFeeRule):
        return [(rule.flat_rate, "flat")] * len(used)
    if not isinstance(rule, LadderFeeRule):
        raise TypeError(f"{rule.id} is neither a flat rate nor a ladder")
    consumed = Fraction(sum(item.energy_wh for item in used), 1000)
    value = consumed if rule.basis == "consumed_kwh" else average or Fraction(0)
    return [rate_of(rule, item.source, item.metered, value) for item in used]


def _lines(used: Sequence[Consumption], rates: Sequence[tuple[int, Ground]], rule: RuleReference) -> Iterator[FeeLine]:
    """Lines at the highest rate that meets at each metering point.

    A faulty meter's rate covers only the intervals affected, so it does not raise the point's others.
    """
    highest: dict[tuple[str, bool], int] = {}
    for item, (rate, _) in zip(used, rates, strict=True):
        key = (item.point, item.metered)
        highest[key] = max(rate, highest.get(key, 0))
    for item, (rate, ground) in zip(used, rates, strict=True):
        yield FeeLine(
            point=item.point,
            source=item.source,
            supply=item.supply,
            energy_wh=item.energy_wh,
            price_tiyn_per_kwh=item.price_tiyn_per_kwh,
            ground=ground,
            rate_kzt=highest[item.point, item.metered],
            split_rate_kzt=rate,
            rule=rule,
        )


def _whole_tenge(exact: Decimal) -> int:
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))
