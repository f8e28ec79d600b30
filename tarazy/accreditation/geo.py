"""Addresses as numbers and ranges of them, and the shipped blocks of the country.

Addresses are numbers of 128 bits; an IPv4 address is its IPv4-mapped IPv6 address, so that `95.56.0.1` and
`::ffff:95.56.0.1` are one and the same. The shipped blocks and their origin lie in `data/`.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property
from importlib.resources import files
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from socket import AF_INET, AF_INET6, inet_pton

_MAPPED = 0xFFFF << 32
_MAPPED_BYTES = b"\xff\xff"
LOOPBACK = ((1, 1), (_MAPPED | 127 << 24, (_MAPPED | 128 << 24) - 1))
"""First and last number of ::1 and of 127.0.0.0/8."""
LAST_ADDRESS = (1 << 128) - 1
IPV4 = (_MAPPED, _MAPPED | 0xFFFF_FFFF)
"""First and last number of the IPv4 addresses."""
SHIPPED_ON = date(2025, 9, 4)
"""State of the shipped blocks."""


def parse_address(text: str) -> int | None:
    """The number of an IPv4 or IPv6 address, without a zone or port; None when `text` is none."""
    try:
        return int.from_bytes(_MAPPED_BYTES + inet_pton(AF_INET, text))
    except (OSError, ValueError):
        pass
    try:
        return int.from_bytes(inet_pton(AF_INET6, text.partition("%")[0]))
    except (OSError, ValueError):
        return None


def address_text(address: int) -> str:
    """An address as people write it; the inverse of `parse_address`."""
    return str(IPv4Address(address & 0xFFFF_FFFF) if address >> 32 == 0xFFFF else IPv6Address(address))


def ip_of(address: int) -> IPv4Address | IPv6Address:
    """An address as the standard library's value."""
    return IPv4Address(address & 0xFFFF_FFFF) if address >> 32 == 0xFFFF else IPv6Address(address)


def range_of(network: IPv4Network | IPv6Network | str) -> tuple[int, int]:
    """First and last address of a network, as `parse_address` numbers them."""
    parsed = ip_network(network) if isinstance(network, str) else network
    offset = _MAPPED if isinstance(parsed, IPv4Network) else 0
    first = int(parsed.network_address)
    return offset | first, offset | int(parsed.broadcast_address)


def is_loopback(address: int) -> bool:
    """Whether the address is 127.0.0.0/8 or ::1."""
    return any(first <= address <= last for first, last in LOOPBACK)


class Ranges:
    """A set of addresses, as ranges in order that neither touch nor overlap. Nothing changes it once it is made."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for first, last in sorted(ranges):
            if self._ends and first <= self._ends[-1] + 1:
                self._ends[-1] = max(self._ends[-1], last)
            else:
                self._starts.append(first)
                self._ends.append(last)

    @classmethod
    def of_networks(cls, networks: Iterable[str]) -> Ranges:
        """Of CIDR blocks; raises ValueError for what is none."""
        return cls(map(range_of, networks))

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._ends, strict=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and (self._starts, self._ends) == (other._starts, other._ends)

    __hash__ = None  # type: ignore[assignment]

    def __contains__(self, address: int) -> bool:
        index = bisect_right(self._starts, address) - 1
        return index >= 0 and address <= self._ends[index]

    def __and__(self, other: Ranges) -> Ranges:
        """The addresses in both."""
        return Ranges(self._common(other))

    def __sub__(self, other: Ranges) -> Ranges:
        """The addresses of this set that are not in the other."""
        gaps = zip((-1, *other._ends), (*other._starts, LAST_ADDRESS + 1), strict=True)
        return self & Ranges((after + 1, before - 1) for after, before in gaps if after + 1 < before)

    def _common(self, other: Ranges) -> Iterator[tuple[int, int]]:
        mine = theirs = 0
        while mine < len(self) and theirs < len(other):
            first = max(self._starts[mine], other._starts[theirs])
            last = min(self._ends[mine], other._ends[theirs])
            if first <= last:
                yield first, last
            if self._ends[mine] <= other._ends[theirs]:
                mine += 1
            else:
                theirs += 1

    @cached_property
    def ipv4_addresses(self) -> int:
        """How many IPv4 addresses are in it."""
        return sum(last - first + 1 for first, last in self._common(Ranges([IPV4])))

    @cached_property
    def ipv6_subnets(self) -> int:
        """How many /64 networks its IPv6 addresses make up."""
        return (sum(last - first + 1 for first, last in self) - self.ipv4_addresses) >> 64

    @cached_property
    def content(self) -> bytes:
        """The one text that says what is in it: `first-last` a line, in order. Raises ValueError when empty."""
        if not self._starts:
            raise ValueError("no address is in it")
        return "".join(f"{address_text(first)}-{address_text(last)}\n" for first, last in self).encode("ascii")

    @classmethod
    def parse(cls, content: bytes) -> Ranges:
        """From `content`; raises ValueError for anything that is not word for word what that gives."""
        ranges = []
        for number, line in enumerate(content.decode("ascii").splitlines(), 1):
            begin, _, end = line.partition("-")
            first, last = parse_address(begin), parse_address(end)
            if first is None or last is None or first > last:
                raise ValueError(f"line {number}: expected first-last, two addresses in order")
            ranges.append((first, last))
        parsed = cls(ranges)
        if parsed.content != content:
            raise ValueError("ranges are not in their order and form")
        return parsed

    @cached_property
    def digest(self) -> str:
        """SHA-256 of `content`, hex."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class Reduced:
    """What is left of a source's file: the addresses that it says lie in the country."""

    source: str
    file: str
    """Name of the file."""
    file_digest: str
    """SHA-256 of the file, hex."""
    dated_on: date
    """The day whose state the file tells, by its own word or that of who brought it."""
    ranges: Ranges


@cache
def shipped(country: str = "KZ") -> Reduced:
    """The shipped address blocks of `country`; raises LookupError when there are none."""
    data = files("tarazy.accreditation") / "data"
    lists = [data / f"{country.lower()}-ipv{version}.cidr" for version in (4, 6)]
    if not all(listed.is_file() for listed in lists):
        raise LookupError(f"no address blocks are shipped for {country}; only KZ is")
    content = b"".join(listed.read_bytes() for listed in lists)
    ranges = Ranges.of_networks(content.decode("ascii").split())
    names = " ".join(listed.name for listed in lists)
    return Reduced("blocks", names, hashlib.sha256(content).hexdigest(), SHIPPED_ON, ranges)
