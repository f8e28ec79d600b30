"""The compiled index answers as `decide` does, whatever the registers hold and whenever it is asked."""

from __future__ import annotations

import gc
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_network
from types import FunctionType, ModuleType

from hypothesis import given, settings
from hypothesis import strategies as st

from tarazy.accreditation.admission import Question, Reason, decide
from tarazy.accreditation.entries import Entry, Licence
from tarazy.accreditation.evidence import Agreement, EvidenceRule
from tarazy.accreditation.index import AddressMap, AdmissionIndex
from tests.accreditation.histories import (
    DEMO,
    INSTANTS,
    NETWORKS,
    PEERS,
    QUESTIONS,
    by_register,
    histories,
    registers_of,
)
from tests.accreditation.test_evidence import listed, with_lists
from tests.accreditation.world import GEO, HOME, NOW, SERVER, registers, site, world


def new_index(known: list[Entry]) -> AdmissionIndex:
    """An index with `known` installed."""
    index = AdmissionIndex(GEO, DEMO)
    index.install(index.compiled.with_registers(registers(known)))
    return index


def asked(account: str = "guest", peer: str = HOME, only: str = "") -> Question:
    """A question at the server of the small world."""
    return Question(account, "rig", peer, SERVER, only)


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
    index = AdmissionIndex(rule, DEMO)
    index.install(index.compiled.with_registers(held))
    for peer, now in [*questions, *questions[:1]]:
        assert index.decide(asked(peer=peer), now) == decide(held, asked(peer=peer), now, rule, DEMO)


@settings(max_examples=200, deadline=None)
@given(histories(), st.lists(st.tuples(QUESTIONS, INSTANTS, st.booleans()), min_size=1, max_size=12), st.data())
def test_index_equals_decide(
    history: list[Entry], questions: list[tuple[Question, datetime, bool]], data: st.DataObject
) -> None:
    """Same decision, entry by entry: back and forth in time, foreseen or not, while the registers grow."""
    known = data.draw(st.integers(0, len(history)))
    index = AdmissionIndex(GEO, DEMO)
    index.install(index.compiled.with_registers(registers_of(history[:known])))
    for question, now, foreseen in [*questions, (asked(), NOW, False)]:
        if foreseen:
            index.foresee(index.compiled.at(now))
        assert index.decide(question, now) == decide(registers_of(history[:known], now), question, now, GEO, DEMO)
        more = data.draw(st.integers(known, len(history)))
        if more > known:
            grown = index.compiled.registers.adding(by_register(history[known:more]), now, {})
            index.install(index.compiled.with_registers(grown))
            known = more
            assert index.decide(question, now) == decide(registers_of(history[:known], now), question, now, GEO, DEMO)


@given(NETWORKS, NETWORKS, st.integers(0, 2**32 - 1))
def test_address_map_finds_every_site_of_an_address(first: list[str], second: list[str], low: int) -> None:
    """Nested, equal and neighbouring networks of several sites, at and around their edges."""
    known = registers([site("one", "a", *first), site("two", "a", *second)])
    laid = AddressMap(known)
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
        assert laid.sites[laid.part(address)] == expected


def test_nobody_is_admitted_before_registers_are_installed() -> None:
    """An empty index refuses (invariant 4)."""
    decision = AdmissionIndex(GEO).decide(asked(), NOW)
    assert not decision.admitted
    assert decision.reasons[0] is Reason.UNKNOWN_ACCOUNT


def test_expiry_takes_effect_without_a_new_install() -> None:
    """What ended counts as ended at that very instant, timer or not (invariant 4)."""
    end = NOW + timedelta(seconds=5)
    known = [replace(row, valid_to=end) if isinstance(row, Licence) else row for row in world()]
    index = new_index(known)
    assert index.next_change(NOW) == end
    assert index.decide(asked(), end - timedelta(microseconds=1)).admitted
    assert index.decide(asked(), end).reasons == (Reason.LICENCE_EXPIRED,)


def test_install_replaces_all_answers() -> None:
    """Remembered decisions do not outlive the registers they were made from."""
    index = new_index(world())
    assert index.decide(asked(), NOW).admitted
    without = registers([row for row in world() if row.register != "licence"])
    index.install(index.compiled.with_registers(without))
    assert index.decide(asked(), NOW).reasons == (Reason.NO_LICENCE,)


def size_of(thing: object, seen: set[int]) -> int:
    """How many things hang together with `thing`."""
    if id(thing) in seen or isinstance(thing, type | ModuleType | FunctionType):
        return 0
    seen.add(id(thing))
    return 1 + sum(size_of(each, seen) for each in gc.get_referents(thing))


def test_questions_take_no_room() -> None:
    """Invented accounts, workers and sites, from everywhere, and every real one: nothing is kept (invariant 10)."""
    index = new_index([*world(), site("second", "guest", "2.73.0.0/24")])

    def ask(rounds: int) -> None:
        for number in range(rounds):
            peer = f"2.{72 + number % 2}.0.{number % 256}"
            index.decide(asked(f"stranger-{number}", f"8.8.{number % 256}.8"), NOW)
            index.decide(Question("guest", f"rig-{number}", peer, SERVER), NOW)
            index.decide(Question("guest", "rig", peer, SERVER, f"site-{number}", (f"{number}",)), NOW)

    ask(512)
    before = size_of(index, set())
    ask(10_000)
    assert size_of(index, set()) == before
