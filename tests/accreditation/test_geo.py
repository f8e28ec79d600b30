"""In-country evidence by address blocks, and the demo's rule for loopback."""

from importlib.resources import files
from ipaddress import ip_network

import pytest

from tarazy.accreditation.geo import Geo, Origin, load_geo, origin_of, parse_address, range_of
from tarazy.config.settings import DemoAddress
from tests.accreditation.world import GEO


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
    assert origin_of(number(address), GEO) is (Origin.HOME if inside else Origin.FOREIGN)


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
        assert GEO.covers(first)
        assert GEO.covers(last)
        assert GEO.covers((first + last) // 2)


def test_overlapping_and_nested_blocks_merge() -> None:
    """A block inside another does not end the outer one early."""
    geo = Geo("KZ", ["10.0.0.0/8", "10.1.0.0/16", "11.0.0.0/8"])
    assert geo.covers(number("10.200.0.1"))
    assert geo.covers(number("11.255.255.255"))
    assert not geo.covers(number("12.0.0.0"))


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
    assert origin_of(number(address), GEO) is Origin.LOOPBACK


def test_demo_rule_declares_loopback_networks_and_nothing_else() -> None:
    """Only the networks named are declared, each to its own country."""
    declared = (
        DemoAddress(network=ip_network("127.0.0.1/32"), country="KZ"),
        DemoAddress(network=ip_network("127.0.0.2/32"), country="RU"),
    )
    assert origin_of(number("127.0.0.1"), GEO, declared) is Origin.HOME
    assert origin_of(number("::ffff:127.0.0.1"), GEO, declared) is Origin.HOME
    assert origin_of(number("127.0.0.2"), GEO, declared) is Origin.FOREIGN
    assert origin_of(number("127.0.0.3"), GEO, declared) is Origin.LOOPBACK
    assert origin_of(number("::1"), GEO, declared) is Origin.LOOPBACK
    assert origin_of(number("8.8.8.8"), GEO, declared) is Origin.FOREIGN


def test_other_countries_have_no_blocks() -> None:
    """A country without shipped blocks is refused by name."""
    with pytest.raises(LookupError, match="RU"):
        load_geo("RU")
