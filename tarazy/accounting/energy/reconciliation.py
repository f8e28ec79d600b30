"""Metered energy held against work: what the best machine would have needed, and a site's drift from itself. Pure.

Hashes are an expectation: over shares of difficulty d their relative error is √Σd² / Σd, which is at most the root of
the heaviest share over all of them. The drift is a CUSUM (E. S. Page, 1954) of each day's metered over expected energy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

ERRORS = 4
"""How many standard errors the work may be less than it seems before the floor counts as broken."""
BASELINE = 21
"""Days from which a site's own ratio and its spread are taken."""
SLACK = 2.0
LIMIT = 8.0
"""In spreads of the baseline: what a day may differ before it adds up, and the sum at which drift is told."""
LEAST_SPREAD = 0.01
"""Of the ratio: weather and tuning move it by as much."""

CONFOUNDERS = ("tuning", "developer fee", "idle power", "cooling", "losses", "machines exchanged")
"""What moves the ratio while nobody takes anything."""

_MILLIJOULES_PER_WH = 3_600_000
_HASHES_PER_TERAHASH = 10**12


def relative_error(hashes: float, heaviest: float) -> float:
    """Upper bound of the relative error of `hashes` of which no share stands for more than `heaviest`."""
    return math.sqrt(heaviest / hashes) if hashes > 0 else math.inf


def least_wh(hashes: float, heaviest: float, best_mj_per_th: int) -> int:
    """Watt-hours below which no machine that exists can have done that work; 0 where the work is too little to tell."""
    certain = hashes * max(0.0, 1 - ERRORS * relative_error(hashes, heaviest)) if hashes > 0 else 0.0
    return int(certain * best_mj_per_th / (_HASHES_PER_TERAHASH * _MILLIJOULES_PER_WH))


@dataclass(frozen=True, slots=True)
class Drift:
    """How a site's ratio of metered to expected energy stands against its own baseline."""

    baseline: float
    spread: float
    """Standard deviation of the baseline's days, in units of its ratio."""
    low: float
    """Sum of what the days fell short by, in spreads; from `LIMIT` on it is drift: bypass, theft, wiring."""
    high: float
    """The same of what they had too much of: other load, mining elsewhere."""
    days: int
    """Days since the larger of the two sums left zero."""
    moved: float
    """By what part of the baseline the mean of those days differs from it."""

    @property
    def drifts(self) -> bool:
        """Whether either sum has reached the limit."""
        return max(self.low, self.high) >= LIMIT


def drift(ratios: Sequence[float]) -> Drift | None:
    """The drift at the end of `ratios`, days in order, of which the first `BASELINE` are the site's own measure.

    None where there are no more days than those, or the baseline has no energy.
    """
    own, later = ratios[:BASELINE], ratios[BASELINE:]
    baseline = sum(own) / BASELINE
    if not later or baseline <= 0:
        return None
    variance = sum((ratio / baseline - 1) ** 2 for ratio in own) / (BASELINE - 1)
    spread = max(math.sqrt(variance), LEAST_SPREAD)
    low = high = 0.0
    fell = rose = 0
    for ratio in later:
        moved = (ratio / baseline - 1) / spread
        low, high = max(0.0, low - moved - SLACK), max(0.0, high + moved - SLACK)
        fell, rose = fell + 1 if low else 0, rose + 1 if high else 0
    days = fell if low >= high else rose
    moved = sum(later[-days:]) / days / baseline - 1 if days else 0.0
    return Drift(baseline, spread, low, high, days, moved)
