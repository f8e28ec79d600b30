"""Metered energy held against work: what the best machine would have needed, and a site's drift from itself. Pure.

Hashes are an expectation: over shares of difficulty d their relative error is √Σd² / Σd, which is at most the root of
the heaviest share over all of them. The drift is a CUSUM (E. S. Page, 1954) of each day's metered over expected energy,
against a straight line through the days before: a season moves slowly, and the line moves with it. How steep the line
may be is bounded by what seasons are (ridge regression: A. E. Hoerl and R. W. Kennard, 1970).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

ERRORS = 4
"""How many standard errors the work may be less than it seems before the floor counts as broken."""
BASELINE = 21
"""Days, at the least, from which a site's own ratio, its slope and its spread are taken."""
RECENT = 14
"""Days at the end that are judged, where there are more than both."""
SLACK = 1.5
LIMIT = 8.0
"""In spreads of the baseline: what a day may differ before it adds up, and the sum at which drift is told."""
LEAST_SPREAD = 0.01
"""Of the ratio: weather and tuning move it by as much."""
SEASON = 0.0006
"""Of the ratio, a day: the slope, as a root mean square over the year, of a season of 5 % either way."""
_MOST_ALIKE = 0.8

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
    """What the ratio of the last day would be by the line through the baseline's days."""
    slope: float
    """Of the baseline's mean, a day."""
    spread: float
    """Standard deviation of the baseline's days about their line, in units of its mean; more where days are alike."""
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
    """The drift at the end of `ratios`, days in order, of which all but the last `RECENT` are the site's own measure.

    None where there are no more than `BASELINE` days, or the baseline has no energy.
    """
    cut = max(BASELINE, len(ratios) - RECENT)
    own, later = ratios[:cut], ratios[cut:]
    mean = sum(own) / cut
    if not later or mean <= 0:
        return None
    slope, spread = _line([ratio / mean - 1 for ratio in own])
    middle = (cut - 1) / 2
    moves = [ratio / mean - 1 - slope * (day - middle) for day, ratio in enumerate(later, cut)]
    low = high = 0.0
    fell = rose = 0
    for moved in moves:
        low, high = max(0.0, low - moved / spread - SLACK), max(0.0, high + moved / spread - SLACK)
        fell, rose = fell + 1 if low else 0, rose + 1 if high else 0
    days = fell if low >= high else rose
    moved = sum(moves[-days:]) / days if days else 0.0
    return Drift(mean * (1 + slope * (len(ratios) - 1 - middle)), slope, spread, low, high, days, moved)


def _line(own: Sequence[float]) -> tuple[float, float]:
    """Slope of a line through days whose mean is 0, and the spread about it.

    Where a day is like the one before, a run of them tells less than as many days by themselves, so the spread counts
    for more: by what the variance of a mean grows with their correlation.
    """
    count = len(own)
    middle = (count - 1) / 2
    variance = max(sum(each * each for each in own) / (count - 1), LEAST_SPREAD**2)
    along = sum((day - middle) * each for day, each in enumerate(own))
    slope = along / (count * (count * count - 1) / 12 + variance / SEASON**2)
    left = [each - slope * (day - middle) for day, each in enumerate(own)]
    squares = sum(each * each for each in left)
    alike = sum(before * after for before, after in pairwise(left)) / squares if squares else 0.0
    alike = min(max(alike, 0.0), _MOST_ALIKE)
    spread = math.sqrt(squares / (count - 2) * (1 + alike) / (1 - alike))
    return slope, max(spread, LEAST_SPREAD)
