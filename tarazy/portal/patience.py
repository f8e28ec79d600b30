"""How often somebody may fail, or ask, before there is a wait."""

from __future__ import annotations

from collections import OrderedDict


class Patience:
    """What is counted by whom it came from or was meant for: after many there is a wait."""

    def __init__(self, limit: int = 20, window: float = 60.0, remembered: int = 10_000) -> None:
        self._limit = limit
        self._window = window
        self._remembered = remembered
        self._since: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def add(self, key: str, now: float) -> None:
        """Another one, at `now` seconds."""
        since, count = self._since.pop(key, (now, 0))
        if now - since >= self._window:
            since, count = now, 0
        self._since[key] = (since, count + 1)
        while len(self._since) > self._remembered:
            self._since.popitem(last=False)

    def wait(self, key: str, now: float) -> float:
        """Seconds until the next may come; 0 when it may now."""
        since, count = self._since.get(key, (now, 0))
        return max(0.0, since + self._window - now) if count >= self._limit else 0.0
