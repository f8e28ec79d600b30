"""Sites simulated by the day, honest and not, against the real statistic of drift: how soon, how often wrongly.

A site's ratio of metered to expected energy is a level times a season times noise of each day. Drawn from a seed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from tarazy.accounting.energy.reconciliation import LIMIT, SLACK, drift

LOOKED_AT = 60
"""Days that the server looks back."""
YEAR = 365
NOISE = 0.02
"""Of the ratio, from day to day."""
WATCHED = 30
"""Days after something began, in which it may be told."""
HONEST = ((0.0, 0.0), (0.03, 0.0), (0.05, 0.0), (0.0, 0.5), (0.05, 0.5))
"""(season either way, how much a day is like the one before)."""
FRAUDS = (
    ("10 % bypassed", 0.9),
    ("5 % bypassed", 0.95),
    ("meter stopped 8 hours a night", 2 / 3),
    ("a tenth of the work by machines outside the meter", 1 / 1.1),
    ("other load of 20 %", 1.2),
    ("other load of 10 %", 1.1),
)
"""What happens, and what becomes of the ratio."""
SEASONS = (0.0, 0.05)


def ratios(
    chance: random.Random, days: int, season: float, alike: float, begins: int | None = None, factor: float = 1.0
) -> list[float]:
    """A site's days; from `begins` on the ratio is `factor` times what it would be."""
    phase, noise, found = chance.uniform(0, 2 * math.pi), 0.0, []
    for day in range(days):
        noise = alike * noise + chance.gauss(0, NOISE * math.sqrt(1 - alike**2))
        moved = factor if begins is not None and day >= begins else 1.0
        found.append(1.1 * moved * (1 + season * math.sin(phase + 2 * math.pi * day / YEAR)) * (1 + noise))
    return found


def _told(days: Sequence[float], watched: int) -> int | None:
    """The first day after `LOOKED_AT` at whose end drift is told."""
    for day in range(1, watched + 1):
        found = drift(days[day : day + LOOKED_AT])
        if found is not None and found.drifts:
            return day
    return None


def run_drift_bench(*, sites: int, seed: int, progress: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Parts of honest sites told in a year, and of dishonest ones by the day."""
    honest = []
    for season, alike in HONEST:
        progress(f"honest sites, season {season:.0%}, alike {alike:g}")
        chance = random.Random(seed)  # noqa: S311 - a simulation
        days = [_told(ratios(chance, LOOKED_AT + YEAR, season, alike), YEAR) for _ in range(sites)]
        told = sorted(day for day in days if day is not None)
        honest.append({"season": season, "alike": alike, "told": len(told) / sites, "days": told})
    frauds = []
    for name, factor in FRAUDS:
        for season in SEASONS:
            progress(f"{name}, season {season:.0%}")
            chance = random.Random(seed + 1)  # noqa: S311 - a simulation
            length = LOOKED_AT + WATCHED
            days = [_told(ratios(chance, length, season, 0.0, LOOKED_AT, factor), WATCHED) for _ in range(sites)]
            by_day = [sum(day is not None and day <= last for day in days) / sites for last in range(1, WATCHED + 1)]
            frauds.append({"what": name, "season": season, "told_by_day": by_day, "p95": _day_of(by_day, 0.95)})
    return {"sites": sites, "noise": NOISE, "slack": SLACK, "limit": LIMIT, "honest": honest, "frauds": frauds}


def _day_of(by_day: Sequence[float], part: float) -> int | None:
    """The first day by which `part` of the sites are told."""
    return next((day for day, told in enumerate(by_day, 1) if told >= part), None)
