"""How one connection behaves with its submits: floods, and nothing but invalid shares. Times are the reactor's."""

from __future__ import annotations

from enum import Enum

from tarazy.stratum.limits import Limits

FEWEST_INVALID = 5
"""Invalid shares in a row that are a habit, however long they take."""


class Step(Enum):
    """What is to be done about a connection's invalid shares."""

    NOTHING = 0
    FRESH_JOB = 1
    END = 2


class Conduct:
    """Of one connection."""

    __slots__ = ("_freshened", "_limits", "_refilled_at", "_since", "_tokens", "invalid")

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._tokens: float = limits.submit_burst
        self._refilled_at = now
        self.invalid = 0
        """Invalid shares since the last valid one, which sets it to 0."""
        self._since = now
        self._freshened = False

    def floods(self, now: float) -> bool:
        """Count a submit; True if it is one too many (C-122)."""
        self._tokens -= 1.0
        return self._tokens < 0.0 and self._still_floods(now)

    def _still_floods(self, now: float) -> bool:
        limits = self._limits
        gained = (now - self._refilled_at) * limits.submits_per_second
        self._refilled_at = now
        self._tokens = min(self._tokens + gained, limits.submit_burst)
        if self._tokens < 0.0:
            self._tokens += 1.0
            return True
        return False

    def reject(self, now: float) -> Step:
        """Count an invalid share (C-120)."""
        if not self.invalid:
            self._since = now
            self._freshened = False
        self.invalid += 1
        if self.invalid < FEWEST_INVALID:
            return Step.NOTHING
        if now - self._since >= self._limits.invalid_seconds:
            return Step.END
        if not self._freshened and now - self._since >= self._limits.fresh_job_seconds:
            self._freshened = True
            return Step.FRESH_JOB
        return Step.NOTHING
