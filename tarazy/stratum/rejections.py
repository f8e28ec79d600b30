"""Rejected shares by name and reason, counted until somebody takes the counts away."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from tarazy.stratum.login import split_login

LIMIT = 20_000
"""So many names and reasons are told apart at a time; the rest is counted without the names."""


class Rejected(NamedTuple):
    """Whose shares were rejected, and why."""

    party: str
    account: str
    worker: str
    site: str
    reason: str

    def unnamed(self) -> Rejected:
        """The same of a name that is not told apart."""
        return self._replace(account="", worker="")


class Rejections:
    """How many shares were rejected since the last `take`."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._counts: Counter[tuple[str, str, str, str]] = Counter()

    def count(self, party: str, login: str, site: str, reason: str) -> None:
        """Count one of an admitted name."""
        key = party, login, site, reason
        if len(self._counts) >= self._limit and key not in self._counts:
            key = party, "", site, reason
        self._counts[key] += 1

    def take(self) -> dict[Rejected, int]:
        """The counts, which begin anew."""
        counts, self._counts = self._counts, Counter()
        return {
            Rejected(party, *(split_login(login) if login else ("", "")), site, reason): shares
            for (party, login, site, reason), shares in counts.items()
        }
