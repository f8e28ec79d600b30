"""The PROXY header, byte by byte."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarazy.stratum.proxy import LONGEST_BODY, SIGNATURE, Header, ProxyError, read_header

PORTS = st.integers(0, 0xFFFF)
FOUR, SIX = st.integers(0, 2**32 - 1).map(IPv4Address), st.integers(0, 2**128 - 1).map(IPv6Address)
REST = b'{"id":1}\n'


def version_2(command: int, family: int, body: bytes) -> bytes:
    """A header of version 2."""
    return SIGNATURE + bytes([command, family]) + len(body).to_bytes(2, "big") + body


def plain(address: IPv4Address | IPv6Address) -> str:
    """IPv4 inside IPv6 is IPv4."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


@st.composite
def headers(draw: st.DrawFn) -> tuple[bytes, str]:
    """A good header, and the address it states."""
    source, target = draw(st.tuples(FOUR, FOUR) | st.tuples(SIX, SIX))
    ports = draw(PORTS), draw(PORTS)
    four = isinstance(source, IPv4Address)
    if draw(st.booleans()):
        kind = "TCP4" if four else "TCP6"
        return f"PROXY {kind} {source} {target} {ports[0]} {ports[1]}\r\n".encode(), plain(source)
    body = source.packed + target.packed + b"".join(port.to_bytes(2, "big") for port in ports)
    extensions = draw(st.binary(max_size=200))
    command = draw(st.sampled_from([0x21, 0x21, 0x20]))
    header = version_2(command, 0x11 if four else 0x21, body + extensions)
    return header, plain(source) if command == 0x21 else ""


@given(headers())
def test_a_header_may_be_split_anywhere(made: tuple[bytes, str]) -> None:
    """C-117: every beginning asks for more, the whole is read, and what follows is left alone."""
    data, address = made
    assert all(read_header(data[:length]) is None for length in range(len(data)))
    assert read_header(data) == read_header(data + REST) == Header(address, len(data))


@pytest.mark.parametrize(
    ("data", "address"),
    [
        (b"PROXY UNKNOWN\r\n", ""),
        (b"PROXY UNKNOWN ffff:f... anything 1 2\r\n", ""),
        (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255"),
        (b"PROXY TCP6 " + b"ffff:" * 7 + b"ffff " + b"ffff:" * 7 + b"ffff 65535 65535\r\n", "ffff:" * 7 + "ffff"),
        (b"PROXY TCP6 ::ffff:1.2.3.4 ::1 1 2\r\n", "1.2.3.4"),
        (version_2(0x20, 0x00, b""), ""),
        (version_2(0x20, 0x11, b"x" * 12), ""),
        (version_2(0x21, 0x00, b""), ""),
        (version_2(0x21, 0x00, b"x" * LONGEST_BODY), ""),
        (version_2(0x21, 0x11, bytes([1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0, 2]) + b"\x04\x00\x02ab"), "1.2.3.4"),
        (version_2(0x21, 0x21, b"\x00" * 10 + b"\xff\xff\x01\x02\x03\x04" + b"\x00" * 20), "1.2.3.4"),
    ],
)
def test_odd_forms_that_are_right(data: bytes, address: str) -> None:
    """C-117: UNKNOWN and LOCAL tell none, extensions are skipped, the longest line is taken."""
    assert read_header(data + REST) == Header(address, len(data))


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"{", "no header"),
        (b"GET / HTTP/1.1\r\n", "no header"),
        (b"\x16\x03\x01", "no header"),
        (b"PROXY\tTCP4", "no header"),
        (SIGNATURE[:-1] + b"x", "no header"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", "line without CR"),
        (b"PROXY " + b"x" * 101, "line too long"),
        (b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n", "line too long"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", "bad line"),
        (b"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n", "bad line"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", "bad line"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", "bad line"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n", "bad line"),
        (b"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n", "bad line"),
        (b"PROXY UNKNOWNX\r\n", "bad line"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n", "bad port"),
        (b"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", "bad address"),
        (b"PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n", "bad address"),
        (b"PROXY TCP4 ::1 ::1 1 2\r\n", "bad address"),
        (b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", "bad address"),
        (version_2(0x22, 0x11, b"x" * 12), "bad version or command"),
        (version_2(0x11, 0x11, b"x" * 12), "bad version or command"),
        (version_2(0x21, 0x11, b"x" * 11), "bad family or length"),
        (version_2(0x21, 0x21, b"x" * 35), "bad family or length"),
        (version_2(0x21, 0x12, b"x" * 12), "bad family or length"),
        (version_2(0x21, 0x31, b"x" * 216), "bad family or length"),
        (version_2(0x21, 0x11, b"x" * (LONGEST_BODY + 1))[:16], "header too long"),
    ],
)
def test_what_is_no_header_is_refused_as_soon_as_that_is_clear(data: bytes, fault: str) -> None:
    """C-117: by a fixed word, and without waiting for bytes that would not mend it."""
    with pytest.raises(ProxyError) as refused:
        read_header(data)
    assert str(refused.value) == fault


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda tail: b"PROXY " + tail))
def test_any_bytes(data: bytes) -> None:
    """C-117, C-123: an answer comes, and never a request for more than the longest header."""
    try:
        header = read_header(data)
    except ProxyError:
        return
    if header is None:
        assert len(data) < 107 or data.startswith(SIGNATURE)
    else:
        assert 0 < header.length <= len(data)


@given(st.binary(max_size=5000))
def test_version_2_asks_for_a_bounded_number_of_bytes(tail: bytes) -> None:
    """C-117: 4,112 bytes at most."""
    try:
        more = read_header(SIGNATURE + tail) is None
    except ProxyError:
        return
    assert not more or len(SIGNATURE + tail) < 16 + LONGEST_BODY
