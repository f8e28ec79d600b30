"""Load: how much longer shares must be apart for the server to keep up. Time is passed in.

A server that is behind drops no share: it asks for fewer, each worth more, so that nobody's credit changes.
"""

from __future__ import annotations

BEHIND = 0.5
"""Seconds behind, on average, from which on the share interval doubles."""
CALM = 0.1
"""Seconds behind below which a server has room again."""
SHARE_OF_NEWEST = 0.1
"""Of the average; so it reaches back over about ten seconds, and one long turn is no load."""
LONGEST_LATENESS = 2.0
"""Seconds that one observation counts at most: a machine that stood still for a while was not overloaded."""
SETTLING_SECONDS = 45.0
"""A doubling reaches every connection with its next job; its effect is not judged earlier."""
CALM_SECONDS = 600.0
"""How long a server must have had room before one doubling is taken back."""
MOST_DOUBLINGS = 4


class Load:
    """Decides how often the share interval is doubled."""

    __slots__ = ("_calm_since", "_changed_at", "_mean", "doublings")

    def __init__(self) -> None:
        self.doublings = 0
        self._mean = 0.0
        self._changed_at: float | None = None
        self._calm_since: float | None = None

    def observe(self, behind: float, now: float) -> bool:
        """Told every second or so how many seconds the server is behind. True if `doublings` changed."""
        self._mean += (min(behind, LONGEST_LATENESS) - self._mean) * SHARE_OF_NEWEST
        if self._mean >= CALM:
            self._calm_since = None
        elif self._calm_since is None:
            self._calm_since = now
        settling = self._changed_at is not None and now - self._changed_at < SETTLING_SECONDS
        if self._mean > BEHIND and self.doublings < MOST_DOUBLINGS and not settling:
            self.doublings += 1
        elif self.doublings and self._calm_since is not None and now - self._calm_since >= CALM_SECONDS:
            self.doublings -= 1
            self._calm_since = now
        else:
            return False
        self._changed_at = now
        return True
