"""The PROXY protocol, versions 1 and 2: the address of the miner in front of what a proxy forwards.

Only bytes are looked at here; whether the sender may be believed is for the caller to know.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
"""The beginning of version 2."""
LONGEST_LINE = 107
"""Of version 1, with its CRLF."""
LONGEST_BODY = 4096
"""Of version 2: addresses and extensions. A proxy that forwards a whole client certificate needs more: it must not."""

_BEGIN = b"PROXY "
_LINE = re.compile(rb"(TCP4|TCP6) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})")
_PREAMBLE = len(SIGNATURE) + 4
_LOCAL, _PROXY = 0x20, 0x21
_UNSPECIFIED, _TCP4, _TCP6 = 0x00, 0x11, 0x21


class ProxyError(Exception):
    """It is no header that is taken. The text is a fixed word or two, nothing of what was sent."""


class Header(NamedTuple):
    """A whole header."""

    address: str
    """Of the miner; empty if the header says that the proxy speaks for itself, or does not know."""
    length: int
    """Bytes it takes; behind them the connection begins."""


def read_header(data: bytes) -> Header | None:
    """The header at the beginning of `data`, None while more is needed. Raises ProxyError.

    More is asked for only up to 107 bytes of version 1 and 4,112 of version 2.
    """
    if data.startswith(SIGNATURE[: len(data)]):
        return _read_version_2(data) if len(data) >= _PREAMBLE else None
    if not data.startswith(_BEGIN[: len(data)]):
        raise ProxyError("no header")
    end = data.find(b"\n", 0, LONGEST_LINE)
    if end < 0:
        if len(data) >= LONGEST_LINE:
            raise ProxyError("line too long")
        return None
    if data[end - 1 : end] != b"\r":
        raise ProxyError("line without CR")
    return Header(_read_line(data[len(_BEGIN) : end - 1]), end + 1)


def _read_line(line: bytes) -> str:
    if line == b"UNKNOWN" or line.startswith(b"UNKNOWN "):
        return ""
    parts = _LINE.fullmatch(line)
    if parts is None:
        raise ProxyError("bad line")
    kind = IPv4Address if parts[1] == b"TCP4" else IPv6Address
    try:
        source, _ = (kind(part.decode()) for part in parts.group(2, 3))
    except ValueError:
        raise ProxyError("bad address") from None
    if int(parts[4]) > 0xFFFF or int(parts[5]) > 0xFFFF:
        raise ProxyError("bad port")
    return address_text(source)


def _read_version_2(data: bytes) -> Header | None:
    command, family = data[12], data[13]
    if command not in (_LOCAL, _PROXY):
        raise ProxyError("bad version or command")
    size = int.from_bytes(data[14:16], "big")
    if size > LONGEST_BODY:
        raise ProxyError("header too long")
    body = data[_PREAMBLE : _PREAMBLE + size]
    if len(body) < size:
        return None
    if command == _LOCAL or family == _UNSPECIFIED:
        address = ""
    elif family == _TCP4 and size >= 12:
        address = address_text(IPv4Address(body[:4]))
    elif family == _TCP6 and size >= 36:
        address = address_text(IPv6Address(body[:16]))
    else:
        raise ProxyError("bad family or length")
    return Header(address, _PREAMBLE + size)


def address_text(address: IPv4Address | IPv6Address) -> str:
    """The one form of an address: IPv4 in its own also where it came inside IPv6."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)
