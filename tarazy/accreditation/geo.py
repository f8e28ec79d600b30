"""In-country evidence: which addresses lie in the country's address blocks.

Addresses are numbers of 128 bits; an IPv4 address is its IPv4-mapped IPv6 address, so that `95.56.0.1` and
`::ffff:95.56.0.1` are one and the same. The shipped blocks and their origin lie in `data/`.
"""

from __future__ import annotations

import socket
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from enum import Enum
from importlib.resources import files
from ipaddress import IPv4Network, IPv6Network, ip_network

from tarazy.config.settings import DemoAddress

_MAPPED = 0xFFFF << 32
_LOOPBACK_4 = _MAPPED | 127 << 24
_LOOPBACK_6 = 1


class Origin(Enum):
    """Where an address lies, by the address blocks and the demo rule."""

    HOME = "in the country"
    FOREIGN = "not in the country's address blocks"
    LOOPBACK = "this machine, which is in no country unless a demo declares it"


def parse_address(text: str) -> int | None:
    """The number of an IPv4 or IPv6 address, without a zone or port; None when `text` is none."""
    try:
        return _MAPPED | int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big")
    except (OSError, ValueError):
        pass
    try:
        return int.from_bytes(socket.inet_pton(socket.AF_INET6, text.partition("%")[0]), "big")
    except (OSError, ValueError):
        return None


def range_of(network: IPv4Network | IPv6Network | str) -> tuple[int, int]:
    """First and last address of a network, as `parse_address` numbers them."""
    parsed = ip_network(network) if isinstance(network, str) else network
    offset = _MAPPED if isinstance(parsed, IPv4Network) else 0
    first = int(parsed.network_address)
    return offset | first, offset | int(parsed.broadcast_address)


class Geo:
    """The address blocks of one country."""

    def __init__(self, country: str, networks: Iterable[str]) -> None:
        self.country = country
        self._starts: list[int] = []
        self._ends: list[int] = []
        for first, last in sorted(map(range_of, networks)):
            if self._ends and first <= self._ends[-1] + 1:
                self._ends[-1] = max(self._ends[-1], last)
            else:
                self._starts.append(first)
                self._ends.append(last)

    def covers(self, address: int) -> bool:
        """Whether the address lies in one of the blocks."""
        index = bisect_right(self._starts, address) - 1
        return index >= 0 and address <= self._ends[index]


def load_geo(country: str = "KZ") -> Geo:
    """The shipped address blocks of `country`; raises LookupError when there are none."""
    data = files("tarazy.accreditation") / "data"
    lists = [data / f"{country.lower()}-ipv{version}.cidr" for version in (4, 6)]
    if not all(listed.is_file() for listed in lists):
        raise LookupError(f"no address blocks are shipped for {country}; only KZ is")
    return Geo(country, (line for listed in lists for line in listed.read_text("ascii").split()))


def is_loopback(address: int) -> bool:
    """Whether the address is 127.0.0.0/8 or ::1."""
    return address == _LOOPBACK_6 or address >> 24 == _LOOPBACK_4 >> 24


def origin_of(address: int, geo: Geo, demo_addresses: Sequence[DemoAddress] = ()) -> Origin:
    """Where an address lies.

    A loopback address is in no country, unless `demo_addresses` declares its network to be in one: the demo's
    explicit rule, which only a server with the embedded chain may pass here.
    """
    if not is_loopback(address):
        return Origin.HOME if geo.covers(address) else Origin.FOREIGN
    for declared in demo_addresses:
        first, last = range_of(declared.network)
        if first <= address <= last:
            return Origin.HOME if declared.country == geo.country else Origin.FOREIGN
    return Origin.LOOPBACK
