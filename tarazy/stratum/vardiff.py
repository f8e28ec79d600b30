"""Vardiff: which difficulty a connection gets with its next job. Time is passed in."""

from __future__ import annotations

import math
from dataclasses import dataclass

RAISE_ABOVE = 1.42
LOWER_BELOW = 0.7
"""Share rates, relative to the goal, between which a difficulty is left alone: just outside 1/√2 and √2."""
SIGMAS = 3
LARGEST_RAISE = 6
LARGEST_FALL = 3
"""Most steps, each a factor of two, in one change."""
LONGEST_WINDOW = 100
"""Goals after which an uneventful window begins anew."""


@dataclass(frozen=True, slots=True)
class DifficultyRules:
    """The settings of difficulty; all difficulties are exponents."""

    minimum: int
    maximum: int
    start: int
    share_interval: float
    """Goal: seconds from one share of a connection to the next."""


@dataclass(slots=True)
class DifficultyLimits:
    """What holds for all connections: the rules, and the network's difficulty as it is now."""

    rules: DifficultyRules
    ceiling: int = 64

    def clamp(self, exponent: int, floor: int) -> int:
        """The nearest permitted exponent. On a chain easier than the floor, the floor wins (C-062)."""
        return max(floor, min(exponent, self.rules.maximum, self.ceiling))


class Vardiff:
    """The difficulty of one connection.

    `exponent` is in force: it came with the last job. `wanted` comes with the next one.
    """

    __slots__ = ("_credit", "_interval", "_limits", "_since", "_wish", "exponent", "floor", "wanted")

    def __init__(self, limits: DifficultyLimits, now: float) -> None:
        self._limits = limits
        self._interval = limits.rules.share_interval
        self.floor = limits.rules.minimum
        self._wish: int | None = None
        self.exponent = self.wanted = limits.clamp(limits.rules.start, self.floor)
        self._restart(now)

    def begin(self, last: int | None, now: float) -> None:
        """Choose where to start: at `last`, known from an earlier connection, at the wish, or as set."""
        known = [exponent for exponent in (last, self._wish) if exponent is not None]
        self.wanted = self._limits.clamp(max(known, default=self._limits.rules.start), self.floor)
        self._restart(now)

    def suggest(self, exponent: int) -> None:
        """The miner's wish: taken at the next job, and a floor until the miner falls silent."""
        self._wish = self.wanted = self._limits.clamp(exponent, self.floor)

    def raise_floor(self, exponent: int) -> bool:
        """The miner's own minimum. False, and nothing changes, if the pool does not go so high."""
        if exponent > self._limits.rules.maximum:
            return False
        self.floor = max(self.floor, exponent)
        self.wanted = max(self.wanted, self.floor)
        return True

    def take(self, now: float) -> int:
        """The exponent for a job sent now; from here on it is in force."""
        self.wanted = self._limits.clamp(self.wanted, self.floor)
        if self.wanted != self.exponent:
            self.exponent = self.wanted
            self._restart(now)
        return self.exponent

    @property
    def lowest(self) -> bool:
        """Whether it cannot come further down."""
        return self.exponent <= self.floor

    @property
    def hurried(self) -> bool:
        """Whether the change is too large to wait for the next refresh."""
        return abs(self.wanted - self.exponent) >= 2

    def share(self, exponent: int, now: float) -> None:
        """Count an accepted share, credited at 2**exponent."""
        self._credit += 1.0 if exponent == self.exponent else 2.0 ** (exponent - self.exponent)
        if self.wanted == self.exponent:
            expected = RAISE_ABOVE * max(0.0, now - self._since) / self._interval
            if self._credit > expected + SIGMAS * math.sqrt(expected) + SIGMAS:
                self._change(now)

    def check(self, now: float) -> None:
        """Look without a share, every 15 s: silence lowers too."""
        if self.wanted != self.exponent:
            return
        elapsed = (now - self._since) / self._interval
        expected = LOWER_BELOW * max(0.0, elapsed)
        if self._credit < expected - SIGMAS * math.sqrt(expected):
            self._change(now)
        elif elapsed > LONGEST_WINDOW:
            self._restart(now)

    def _change(self, now: float) -> None:
        elapsed = max(0.0, now - self._since) / self._interval
        floor = self.floor
        if not self._credit:
            steps = -LARGEST_FALL
            self._wish = None
        else:
            ratio = self._credit / elapsed if elapsed else math.inf
            nearest = LARGEST_RAISE if ratio == math.inf else round(math.log2(ratio))
            steps = max(-LARGEST_FALL, min(nearest or (1 if ratio > 1 else -1), LARGEST_RAISE))
            floor = self.floor if self._wish is None else max(floor, min(self._wish, self.exponent))
        self.wanted = self._limits.clamp(self.exponent + steps, floor)
        if self.wanted == self.exponent:
            self._restart(now)

    def _restart(self, now: float) -> None:
        self._since = now
        self._credit = 0.0
