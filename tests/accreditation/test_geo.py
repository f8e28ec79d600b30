"""Addresses as numbers, sets of them as ranges, and the shipped blocks."""

from __future__ import annotations

from importlib.resources import files
from ipaddress import IPv4Network, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarazy.accreditation.evidence import Origin, loopback_origin
from tarazy.accreditation.geo import Ranges, address_text, is_loopback, parse_address, range_of, shipped
from tarazy.config.settings import DemoAddress

BLOCKS = shipped().ranges


def number(text: str) -> int:
    """The address as a number; it must be one."""
    address = parse_address(text)
    assert address is not None
    return address


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("2.57.96.0", True),
        ("2.57.99.255", True),
        ("2.57.95.255", False),
        ("2.57.100.0", False),
        ("2.72.0.0", True),
        ("2.79.255.255", True),
        ("2.80.0.0", False),
        ("2001:678:98::", True),
        ("2001:678:98:ffff:ffff:ffff:ffff:ffff", True),
        ("2001:678:97:ffff:ffff:ffff:ffff:ffff", False),
        ("2001:678:99::", False),
        ("::ffff:2.57.96.1", True),
        ("::ffff:8.8.8.8", False),
        ("::2.57.96.1", False),
        ("8.8.8.8", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("255.255.255.255", False),
    ],
)
def test_samples_inside_and_outside_the_blocks(address: str, inside: bool) -> None:
    """First and last address of a block are in, their neighbours are not; mapped IPv4 counts as IPv4."""
    assert (number(address) in BLOCKS) is inside


def test_every_shipped_block_is_covered_from_first_to_last() -> None:
    """No block is lost when neighbours are merged."""
    lines = [
        line
        for version in (4, 6)
        for line in (files("tarazy.accreditation") / f"data/kz-ipv{version}.cidr").read_text().split()
    ]
    assert len(lines) == 644
    for line in lines:
        first, last = range_of(ip_network(line))
        assert first in BLOCKS
        assert last in BLOCKS
        assert (first + last) // 2 in BLOCKS
    assert BLOCKS.ipv4_addresses == sum(ip_network(line).num_addresses for line in lines if "." in line)


@st.composite
def networks(draw: st.DrawFn) -> IPv4Network | IPv6Network:
    """Networks that often touch, overlap and nest, also at both ends of the address space."""
    prefix = draw(st.sampled_from([24, 25, 26, 28, 30, 32]))
    base = draw(st.sampled_from([0, 2 << 24, (2 << 24) + 0x100, 0xFFFF_FF00])) + draw(st.integers(0, 255))
    if draw(st.booleans()):
        return ip_network((base, prefix), strict=False)
    above = draw(st.sampled_from([0, 0x2001_0678 << 96, (1 << 128) - (1 << 32)]))
    return ip_network((above | base, prefix + 96), strict=False)


@given(st.lists(networks(), max_size=8), st.lists(networks(), max_size=8))
def test_sets_of_addresses_are_what_the_standard_library_says(
    ours: list[IPv4Network | IPv6Network], theirs: list[IPv4Network | IPv6Network]
) -> None:
    """Membership, intersection, difference, counts and the text, against brute force at every edge."""
    mine, others = (Ranges.of_networks(map(str, each)) for each in (ours, theirs))

    def holds(known: list[IPv4Network | IPv6Network], address: int) -> bool:
        return any(first <= address <= last for first, last in map(range_of, known))

    edges = {edge + shift for one in (*ours, *theirs) for edge in range_of(one) for shift in (-1, 0, 1)}
    for address in edges:
        in_mine, in_others = holds(ours, address), holds(theirs, address)
        assert (address in mine) is in_mine
        assert (address in mine & others) is (in_mine and in_others)
        assert (address in mine - others) is (in_mine and not in_others)
    by_hand = {int(each) for one in ours if one.version == 4 for each in one}
    assert mine.ipv4_addresses == len(by_hand)
    assert (mine - others).ipv4_addresses + (mine & others).ipv4_addresses == mine.ipv4_addresses
    if ours:
        assert Ranges.parse(mine.content) == mine
    for (_, end), (start, _) in zip(list(mine), list(mine)[1:], strict=False):
        assert end + 1 < start, "ranges neither touch nor overlap"


@given(st.integers(0, (1 << 128) - 1) | st.integers(0xFFFF << 32, (0xFFFF << 32) | 0xFFFF_FFFF))
def test_an_address_survives_its_text(address: int) -> None:
    """Also in the mapped and the compatible part of the space."""
    assert parse_address(address_text(address)) == address


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"2.72.0.0-2.72.0.255",
        b"2.72.0.0-2.72.0.255\r\n",
        b"2.72.0.255-2.72.0.0\n",
        b"2.72.0.0/24\n",
        b"2.72.0.0-2.72.0.255\n2.72.1.0-2.72.1.255\n",
        b"2.73.0.0-2.73.0.255\n2.72.0.0-2.72.0.255\n",
        b"::ffff:2.72.0.0-2.72.0.255\n",
        "2.72.0.0–2.72.0.255\n".encode(),
    ],
)
def test_only_the_one_text_of_a_set_is_read(content: bytes) -> None:
    """Its digest names the set, so a set has one spelling."""
    with pytest.raises(ValueError):  # noqa: PT011 - whatever is wrong with it
        Ranges.parse(content)


@pytest.mark.parametrize("text", ["", "localhost", "1.2.3", "1.2.3.4:80", "1.2.3.4/8", "::g", "1.2.3.4\0", "é"])
def test_what_is_no_address_is_none(text: str) -> None:
    """Only whole addresses are read."""
    assert parse_address(text) is None


def test_zone_of_an_address_is_ignored() -> None:
    """A link-local peer carries a zone."""
    assert parse_address("fe80::1%eth0") == parse_address("fe80::1")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_in_no_country_without_the_demo_rule(address: str) -> None:
    """Loopback is never silently in the country."""
    assert is_loopback(number(address))
    assert loopback_origin(number(address), "KZ") is Origin.LOOPBACK


def test_demo_rule_declares_loopback_networks_and_nothing_else() -> None:
    """Only the networks named are declared, each to its own country."""
    declared = (
        DemoAddress(network=ip_network("127.0.0.1/32"), country="KZ"),
        DemoAddress(network=ip_network("127.0.0.2/32"), country="RU"),
    )
    assert loopback_origin(number("127.0.0.1"), "KZ", declared) is Origin.HOME
    assert loopback_origin(number("::ffff:127.0.0.1"), "KZ", declared) is Origin.HOME
    assert loopback_origin(number("127.0.0.2"), "KZ", declared) is Origin.FOREIGN
    assert loopback_origin(number("127.0.0.3"), "KZ", declared) is Origin.LOOPBACK
    assert loopback_origin(number("::1"), "KZ", declared) is Origin.LOOPBACK
    assert loopback_origin(number("8.8.8.8"), "KZ", declared) is None


def test_other_countries_have_no_blocks() -> None:
    """A country without shipped blocks is refused by name."""
    with pytest.raises(LookupError, match="RU"):
        shipped("RU")
