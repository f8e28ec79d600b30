"""Vardiff: which difficulty a connection gets with its next job. Time is passed in."""

from __future__ import annotations

import math
from dataclasses import dataclass

RAISE_ABOVE = 1.42
LOWER_BELOW = 0.7
"""Share rates, relative to the goal, between which a difficulty is left alone: just outside 1/√2 and √2."""
SIGMAS = 3
"""Standard deviations by which the shares of a settled connection must miss the goal for a change."""
UNSETTLED_SIGMAS = 1
"""The same while its hash rate is not known yet: a wrong guess costs less than a long wait."""
BURST = 3
"""Shares too many that are never a reason to raise."""
SETTLED_SHARES = 16
"""Shares, without cause to change the difficulty, after which a hash rate counts as known."""
LARGEST_RAISE = 6
LARGEST_FALL = 3
LARGEST_SEARCH_FALL = 6
"""Most steps, each a factor of two, in one change; the last when an unsettled connection stays silent after a fall."""
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
    """What holds for all connections: the rules, the network's difficulty and the server's load as they are now."""

    rules: DifficultyRules
    ceiling: int = 64
    doublings: int = 0
    """How often the share interval is doubled, and with it every difficulty, because the server is behind."""

    def clamp(self, exponent: int, floor: int) -> int:
        """The nearest permitted exponent. On a chain easier than the floor, the floor wins (C-062)."""
        return max(floor, min(exponent, self.rules.maximum, self.ceiling))


class Vardiff:
    """The difficulty of one connection.

    `exponent` is in force: it came with the last job. `wanted` comes with the next one.
    """

    __slots__ = (
        "_added",
        "_credit",
        "_doublings",
        "_earlier",
        "_interval",
        "_limits",
        "_searched",
        "_since",
        "_wish",
        "exponent",
        "floor",
        "settled",
        "wanted",
    )

    def __init__(self, limits: DifficultyLimits, now: float) -> None:
        self._limits = limits
        self._interval = limits.rules.share_interval
        self._doublings = 0
        self._added = 0
        self.floor = limits.rules.minimum
        self._wish: int | None = None
        self.settled = False
        """Whether it changes on strong evidence only: its hash rate is known."""
        self._searched = False
        """Whether it was lowered in silence, and has been silent since."""
        self.exponent = self.wanted = limits.clamp(limits.rules.start, self.floor)
        self._restart(now)

    def begin(self, last: int | None, now: float) -> None:
        """Choose where to start: at `last`, known from an earlier connection, at the wish, or as set."""
        known = [exponent for exponent in (last, self._wish) if exponent is not None]
        self.settled = bool(known)
        self.wanted = self._limits.clamp(max(known, default=self._limits.rules.start), self.floor)
        self._restart(now)

    def suggest(self, exponent: int) -> None:
        """The miner's wish: taken at the next job, and a floor until the miner falls silent."""
        self._wish = self.wanted = self._limits.clamp(exponent, self.floor)
        self.settled = True

    def raise_floor(self, exponent: int) -> bool:
        """The miner's own minimum. False, and nothing changes, if the pool does not go so high."""
        if exponent > self._limits.rules.maximum:
            return False
        self.floor = max(self.floor, exponent)
        self.wanted = max(self.wanted, self.floor)
        return True

    def take(self, now: float) -> int:
        """The exponent for a job sent now; from here on it is in force."""
        if self._limits.doublings != self._doublings:
            self._follow_load()
            self._restart(now)
        self.wanted = self._limits.clamp(self.wanted, self.floor)
        if self.wanted != self.exponent:
            if self.settled:
                self._restart(now)
            else:
                # What was seen so far stands for as much time at the new difficulty as it would take there.
                self._earlier = math.ldexp(self._elapsed(now), self.wanted - self.exponent)
                self._since = now
            self.exponent = self.wanted
        return self.exponent

    def _follow_load(self) -> None:
        """Lengthen or shorten the goal, and with it the difficulty as far as it may go."""
        unloaded = self.wanted - self._added
        doublings = self._doublings = self._limits.doublings
        self.wanted = self._limits.clamp(unloaded + doublings, self.floor)
        self._added = max(0, min(doublings, self.wanted - unloaded))
        self._interval = math.ldexp(self._limits.rules.share_interval, doublings)

    @property
    def lasting(self) -> int:
        """The exponent without what load adds to it: where to begin another time."""
        return self.exponent - self._added

    @property
    def lowest(self) -> bool:
        """Whether it cannot come further down."""
        return self.exponent <= self.floor

    @property
    def hurried(self) -> bool:
        """Whether the change is too large, or too urgent, to wait for the next refresh."""
        steps = abs(self.wanted - self.exponent)
        return steps >= 2 or (steps == 1 and not self.settled)

    def share(self, exponent: int, now: float) -> None:
        """Count an accepted share, credited at 2**exponent."""
        self._credit += 1.0 if exponent == self.exponent else 2.0 ** (exponent - self.exponent)
        settled = self.settled
        if self.wanted == self.exponent or not settled:
            expected = RAISE_ABOVE * self._elapsed(now)
            sigmas = SIGMAS if settled else UNSETTLED_SIGMAS
            if self._credit > expected + sigmas * math.sqrt(expected) + BURST:
                self._change(now)
            elif not settled and self._credit >= SETTLED_SHARES and self.wanted == self.exponent:
                self.settled = True
                if _nearest(self._credit, self._elapsed(now)):
                    self._change(now)
                else:
                    self._restart(now)

    def check(self, now: float) -> None:
        """Look without a share, every 15 s, and until it is settled every second: silence lowers too."""
        if self.wanted != self.exponent:
            return
        elapsed = self._elapsed(now)
        expected = LOWER_BELOW * elapsed
        sigmas = SIGMAS if self.settled else UNSETTLED_SIGMAS
        if self._credit < expected - sigmas * math.sqrt(expected):
            self._change(now)
        elif elapsed > LONGEST_WINDOW:
            self._restart(now)

    def _elapsed(self, now: float) -> float:
        """The window so far, in goals."""
        return self._earlier + max(0.0, now - self._since) / self._interval

    def _change(self, now: float) -> None:
        elapsed = self._elapsed(now)
        floor = self.floor
        if not self._credit:
            steps = -LARGEST_SEARCH_FALL if self._searched and not self.settled else -LARGEST_FALL
            self._searched = True
            self._wish = None
        else:
            nearest = _nearest(self._credit, elapsed) or (1 if self._credit > elapsed else -1)
            steps = max(-LARGEST_FALL, min(nearest, LARGEST_RAISE))
            self._searched = False
            if steps >= 2:
                self.settled = False
            floor = self.floor if self._wish is None else max(floor, min(self._wish, self.exponent))
        self.wanted = self._limits.clamp(self.exponent + steps, floor)
        if self.wanted == self.exponent:
            self.settled = True
            self._restart(now)

    def _restart(self, now: float) -> None:
        self._since = now
        self._earlier = 0.0
        self._credit = 0.0


def _nearest(credit: float, elapsed: float) -> int:
    """Steps to the power of two that is nearest in ratio to what the shares seen tell; `elapsed` in goals."""
    return round(math.log2(credit / elapsed)) if elapsed else LARGEST_RAISE
