"""The compiled index answers as `decide` does, whatever the registers hold and whenever it is asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from tarazy.accreditation.admission import Reason, decide
from tarazy.accreditation.entries import DocumentStatus, Entry, Licence, Placement, SiteStatus
from tarazy.accreditation.evidence import Agreement, EvidenceRule
from tarazy.accreditation.index import AdmissionIndex, CompiledRegisters, SiteMap
from tarazy.config.settings import DemoAddress
from tests.accreditation.test_evidence import listed, with_lists
from tests.accreditation.world import (
    GEO,
    HOME,
    NOW,
    SERVER,
    certificate,
    licence,
    machine,
    party,
    registers,
    server,
    site,
    world,
)

KEYS = st.sampled_from(["a", "b", "c"])
NETWORKS = st.lists(
    st.sampled_from(["2.72.0.0/16", "2.72.0.0/24", "2.72.0.128/25", "8.8.8.0/24", "127.0.0.0/30", "2001:678:98::/64"]),
    min_size=1,
    max_size=3,
    unique=True,
)
INSTANTS = st.integers(-3, 3).map(lambda days: NOW + timedelta(days=days))
PEERS = st.sampled_from(
    [
        *("2.72.0.1", "2.72.0.200", "2.72.9.9", "2.73.0.1", "8.8.8.8", "9.9.9.9", "127.0.0.1", "127.0.0.2"),
        *("::ffff:2.72.0.1", "2001:678:98::1", "::1", "nonsense"),
    ]
)
DEMO = (DemoAddress(network=ip_network("127.0.0.1/32"), country="KZ"),)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """Any entry of a small world, valid for some days around now."""
    key, other, status = draw(KEYS), draw(KEYS), draw(st.sampled_from(list(DocumentStatus)))
    entry: Entry = draw(
        st.sampled_from(
            [
                party(key, account=draw(KEYS)),
                licence(f"L-{key}", other, status=status),
                certificate(status=status),
                server(draw(st.sampled_from(["KZ", "RU"]))),
                site(key, other, *draw(NETWORKS), status=draw(st.sampled_from(list(SiteStatus)))),
                Placement(placement=key, party=other, site=draw(KEYS), contract="1", valid_from=NOW),
                machine(f"SN-{key}", other, draw(KEYS)),
            ]
        )
    )
    begin = draw(INSTANTS)
    return replace(entry, valid_from=begin, valid_to=draw(st.none() | st.just(begin + timedelta(days=2))))


def new_index(known: list[Entry]) -> AdmissionIndex:
    """An index with `known` installed."""
    index = AdmissionIndex(SERVER, GEO, DEMO)
    index.install(CompiledRegisters(registers(known)))
    return index


LISTS = st.lists(
    st.tuples(
        st.sampled_from(["blocks", "rir", "mmdb"]),
        st.lists(st.sampled_from(["2.72.0.0/16", "2.72.0.0/25", "8.8.8.0/24", "2001:678:98::/48"]), min_size=1),
        INSTANTS,
    ),
    max_size=5,
)


@settings(max_examples=100, deadline=None)
@given(LISTS, st.sampled_from(list(Agreement)), st.lists(st.tuples(PEERS, INSTANTS), min_size=1, max_size=12))
def test_index_equals_decide_whatever_the_lists(
    known: list[tuple[str, list[str], datetime]], agreement: Agreement, questions: list[tuple[str, datetime]]
) -> None:
    """Also while lists come and go with time, by every rule."""
    lists = [(*listed(source, *networks), begin) for source, networks, begin in known]
    held = with_lists(world(), *((replace(entry, valid_from=begin), ranges) for entry, ranges, begin in lists))
    rule = EvidenceRule(agreement=agreement)
    index = AdmissionIndex(SERVER, rule, DEMO)
    index.install(CompiledRegisters(held))
    for peer, now in [*questions, *questions[:1]]:
        assert index.decide("guest", "rig", peer, now) == decide(held, "guest", "rig", peer, now, SERVER, rule, DEMO)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(entries(), max_size=25),
    st.lists(
        st.tuples(KEYS | st.just("x/y"), PEERS, INSTANTS, KEYS | st.sampled_from(["", "", "site-host"])),
        min_size=1,
        max_size=12,
    ),
)
def test_index_equals_decide(known: list[Entry], questions: list[tuple[str, str, datetime, str]]) -> None:
    """Same decision, entry by entry, also when asked back and forth in time."""
    known = [*world(), *known]
    index = new_index(known)
    for account, peer, now, only in [*questions, ("guest", HOME, NOW, "")]:
        assert index.decide(account, "rig", peer, now, only) == decide(
            registers(known), account, "rig", peer, now, SERVER, GEO, DEMO, only
        )


@given(NETWORKS, NETWORKS, st.integers(0, 2**32 - 1))
def test_site_map_finds_every_site_of_an_address(first: list[str], second: list[str], low: int) -> None:
    """Nested, equal and neighbouring networks of several sites, at and around their edges."""
    known = registers([site("one", "a", *first), site("two", "a", *second)])
    sites = SiteMap(known)
    edges = [0xFFFF << 32 | low]
    for network in map(ip_network, (*first, *second)):
        offset = 0xFFFF << 32 if network.version == 4 else 0
        begin, end = offset | int(network.network_address), offset | int(network.broadcast_address)
        edges += [begin - 1, begin, end, end + 1]
    for address in edges:
        expected = tuple(
            key
            for key, networks in (("one", first), ("two", second))
            if any(
                (offset := 0xFFFF << 32 if parsed.version == 4 else 0) | int(parsed.network_address)
                <= address
                <= offset | int(parsed.broadcast_address)
                for parsed in map(ip_network, networks)
            )
        )
        assert sites.containing(address) == expected


def test_nobody_is_admitted_before_registers_are_installed() -> None:
    """An empty index refuses (invariant 4)."""
    decision = AdmissionIndex(SERVER, GEO).decide("guest", "rig", HOME, NOW)
    assert not decision.admitted
    assert decision.reasons[0] is Reason.UNKNOWN_ACCOUNT


def test_expiry_takes_effect_without_a_new_install() -> None:
    """What ended counts as ended at that very instant, timer or not (invariant 4)."""
    end = NOW + timedelta(seconds=5)
    known = [replace(row, valid_to=end) if isinstance(row, Licence) else row for row in world()]
    index = new_index(known)
    assert index.next_change(NOW) == end
    assert index.decide("guest", "rig", HOME, end - timedelta(microseconds=1)).admitted
    assert index.decide("guest", "rig", HOME, end).reasons == (Reason.LICENCE_EXPIRED,)


def test_install_replaces_all_answers() -> None:
    """Remembered decisions do not outlive the registers they were made from."""
    index = new_index(world())
    assert index.decide("guest", "rig", HOME, NOW).admitted
    index.install(CompiledRegisters(registers([row for row in world() if row.register != "licence"])))
    assert index.decide("guest", "rig", HOME, NOW).reasons == (Reason.NO_LICENCE,)


def test_invented_accounts_take_no_room() -> None:
    """Ten thousand unknown names leave one remembered decision, sites of no certificate one more (invariant 10)."""
    compiled = CompiledRegisters(registers(world()))
    index = AdmissionIndex(SERVER, GEO)
    index.install(compiled)
    for number in range(10_000):
        index.decide(f"stranger-{number}", "rig", HOME, NOW)
        index.decide("", "rig", HOME, NOW, f"site-{number}")
    assert len(compiled.decisions) == 2
