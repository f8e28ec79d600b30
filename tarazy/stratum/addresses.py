"""What is known of addresses: how many connections each has, and how many refused logins it was answered lately."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from tarazy.stratum.limits import Limits

BURST_SECONDS = 10.0
"""An address may use the refusals of so many seconds at once."""
LONGEST_DELAY = 20.0
MEMORY_SIZE = 100_000
"""Addresses whose refusals are remembered; then the one refused longest ago is forgotten."""


class Addresses:
    """The connections of a server by address. Times are the reactor's, in seconds."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._connections: dict[str, int] = {}
        self._answered_until: dict[str, float] = {}
        """When the refusals given so far will have been answered at the permitted rate."""

    def enter(self, address: str) -> bool:
        """One more connection; False if that is one too many. It is counted either way, until it leaves."""
        key = _one(address)
        count = self._connections.get(key, 0) + 1
        self._connections[key] = count
        return count <= self.limits.connections_per_address

    def leave(self, address: str) -> None:
        """One less."""
        key = _one(address)
        count = self._connections[key] - 1
        if count:
            self._connections[key] = count
        else:
            del self._connections[key]

    def refusal_delay(self, address: str, now: float) -> float:
        """Count a refused login: the seconds after which its answer is due (C-121)."""
        key = _one(address)
        until = max(self._answered_until.pop(key, 0.0), now - BURST_SECONDS) + 1 / self.limits.refusals_per_second
        if len(self._answered_until) >= MEMORY_SIZE:
            del self._answered_until[next(iter(self._answered_until))]
        self._answered_until[key] = min(until, now + LONGEST_DELAY)
        return max(0.0, self._answered_until[key] - now)


def _one(address: str) -> str:
    """What counts as one address: an IPv6 host has 64 bits of them to itself."""
    if ":" not in address:
        return address
    return str(IPv6Address(int(ip_address(address)) >> 64 << 64))
