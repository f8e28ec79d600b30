"""What each source says of an address, and what follows."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from tarazy.accreditation import documents
from tarazy.accreditation.admission import EntryReference, Question, Reason, decide
from tarazy.accreditation.checking import RegisterError
from tarazy.accreditation.entries import Entry, Geo, Source
from tarazy.accreditation.evidence import (
    Agreement,
    Evidence,
    EvidenceRule,
    ListMap,
    Origin,
    Verdict,
    Verdicts,
    disagreements,
    lists_in_force,
    stale,
)
from tarazy.accreditation.geo import Ranges, Reduced, parse_address, shipped
from tarazy.accreditation.geo_update import adopt_shipped, plan, record
from tarazy.accreditation.registers import append, append_all, as_of, withdraw
from tarazy.accreditation.snapshot import Registers
from tarazy.accreditation.tables import audit as audit_table
from tests.accreditation.world import GEO, HOME, NOW, SERVER, server, site, world

LISTS = ("blocks", "rir", "mmdb")
DAY = timedelta(days=1)
INSIDE, OUTSIDE, UNKNOWN = Verdict.INSIDE, Verdict.OUTSIDE, Verdict.UNKNOWN


def reduced(source: str, *networks: str, on: date = date(2026, 5, 1)) -> Reduced:
    """A list as its file would give it."""
    return Reduced(source, f"{source}.txt", "f" * 64, on, Ranges.of_networks(networks))


def listed(source: str, *networks: str, number: int = 1) -> tuple[Geo, Ranges]:
    """An entry of the register and its list, without a ledger."""
    ranges = Ranges.of_networks(networks)
    entry = Geo(
        geo=Source(source),
        country="KZ",
        file="x",
        file_digest="f" * 64,
        dated_on=date(2026, 5, 1),
        digest=ranges.digest,
        ranges=len(ranges),
        ipv4_addresses=ranges.ipv4_addresses,
        ipv6_subnets=ranges.ipv6_subnets,
        valid_from=NOW - DAY,
        entry=number,
    )
    return entry, ranges


def with_lists(entries: list[Entry], *lists: tuple[Geo, Ranges]) -> Registers:
    """Registers of `entries` and of lists."""
    versions: dict[str, dict[str, list[Entry]]] = {}
    for number, entry in enumerate([*entries, *(entry for entry, _ in lists)], start=1):
        versions.setdefault(entry.register, {}).setdefault(entry.key, []).insert(0, replace(entry, entry=number))
    return Registers(versions, NOW, {ranges.digest: ranges for _, ranges in lists})


def outcome(rule: EvidenceRule, *said: Verdict, site: Verdict = UNKNOWN) -> Origin:
    """What follows when the lists say so; one that says unknown is not there."""
    known: Verdicts = tuple((name, verdict) for name, verdict in zip(LISTS, said, strict=False) if verdict != UNKNOWN)
    return rule.weigh(known, site).origin


@given(st.lists(st.sampled_from(list(Verdict)), min_size=3, max_size=3), st.sampled_from(list(Verdict)))
def test_the_rule_for_every_combination(said: list[Verdict], claimed: Verdict) -> None:
    """By its words, whatever is said: who knows nothing has no vote, and a site alone proves nothing."""
    every = [*said, claimed]
    inside, outside = every.count(INSIDE), every.count(OUTSIDE)
    for agreement in Agreement:
        origin = outcome(EvidenceRule(agreement=agreement), *said, site=claimed)
        if set(said) == {UNKNOWN}:
            assert origin is Origin.FOREIGN
            continue
        enough = {"all": not outside, "majority": inside > outside, "any": True}[agreement]
        assert (origin is Origin.HOME) is bool(inside and enough)
        assert (origin is Origin.FOREIGN) is (inside == 0)
        assert (origin is Origin.DISPUTED) is bool(inside and not enough)


def test_stricter_rules_let_in_no_more() -> None:
    """Whom `all` lets in, `majority` does, and whom that does, `any`."""
    for said in product(Verdict, repeat=4):
        strict, middle, lax = (
            outcome(EvidenceRule(agreement=one), *said[:3], site=said[3]) is Origin.HOME for one in Agreement
        )
        assert strict <= middle <= lax


def test_a_source_that_is_not_asked_has_no_say() -> None:
    """Only the rule's sources are weighed and told."""
    rule = EvidenceRule(sources=(Source.RIR,))
    assert rule.weigh((("blocks", OUTSIDE), ("rir", INSIDE)), OUTSIDE) == Evidence(Origin.HOME, (("rir", INSIDE),))
    assert rule.weigh((("blocks", INSIDE),), INSIDE).origin is Origin.FOREIGN, "nothing of what is asked is there"


def test_who_disagrees_is_told() -> None:
    """Also when the rule lets it pass."""
    said = (("blocks", INSIDE), ("rir", OUTSIDE), ("mmdb", INSIDE))
    for agreement, against in ((Agreement.ALL, ("rir",)), (Agreement.MAJORITY, ("rir",))):
        evidence = EvidenceRule(agreement=agreement).weigh(said, UNKNOWN)
        assert evidence.disagrees
        assert evidence.against == against
    assert not EvidenceRule().weigh(said[:1], INSIDE).disagrees


_NETWORKS = st.lists(
    st.builds(
        lambda base, bits, six: ip_network(
            (0x2A << 120 | base << 64, 64 + bits - 8) if six else (base << 8, bits), False
        ),
        st.integers(0, 40),
        st.integers(20, 28),
        st.booleans(),
    ),
    max_size=6,
)


@given(st.fixed_dictionaries(dict.fromkeys(LISTS, _NETWORKS)), st.integers(0, 41 << 8), st.booleans())
def test_the_map_says_what_each_list_says(
    lists: dict[str, list[IPv4Network | IPv6Network]], low: int, six: bool
) -> None:
    """Against the standard library, at any address; the parts of a range say the same and leave nothing out."""
    laid = ListMap({name: Ranges.of_networks(map(str, networks)) for name, networks in lists.items()})
    address = ip_address(0x2A << 120 | low << 56) if six else ip_address(low)
    number = parse_address(str(address))
    assert number is not None
    said = dict(laid.verdicts(laid.number(number)))
    for name, networks in lists.items():
        inside = any(address in network for network in networks if network.version == address.version)
        assert said[name] is (INSIDE if inside else OUTSIDE)
    parts = list(laid.parts(number, number + 5000))
    assert (parts[0][0], parts[-1][1]) == (number, number + 5000)
    for (_, end, _), (start, _, _) in pairwise(parts):
        assert start == end + 1
    for first, last, verdicts in parts:
        assert laid.verdicts(laid.number(first)) == laid.verdicts(laid.number(last)) == verdicts


def ask(registers: Registers, peer: str = HOME, rule: EvidenceRule = GEO) -> tuple[tuple[Reason, ...], dict[str, str]]:
    """Reasons against guest at `peer`, and what the sources say."""
    decision = decide(registers, Question("guest", "rig", peer, SERVER), NOW, rule)
    return decision.reasons, {source: verdict.value for source, verdict in decision.evidence}


def test_a_decision_tells_what_each_source_said() -> None:
    """Disagreement refuses by the default rule, passes by a laxer one, and stands in the decision either way."""
    inside, outside = listed("mmdb", "2.72.0.0/16"), listed("rir", "2.73.0.0/16")
    agreed = {"blocks": "inside", "rir": "unknown", "mmdb": "inside", "site": "inside"}
    assert ask(with_lists(world(), inside)) == ((), agreed)
    disputed = with_lists(world(), inside, outside)
    assert ask(disputed) == ((Reason.EVIDENCE_DISAGREES,), {**agreed, "rir": "outside"})
    assert ask(disputed, rule=EvidenceRule(agreement=Agreement.MAJORITY)) == ((), {**agreed, "rir": "outside"})
    assert ask(disputed, "::ffff:2.72.0.10") == ask(disputed), "a mapped address is the address"
    reasons, said = ask(disputed, "8.8.8.8")
    assert Reason.FOREIGN_ADDRESS in reasons
    assert said == {"blocks": "outside", "rir": "outside", "mmdb": "outside", "site": "unknown"}


def test_ipv6_is_weighed_alike() -> None:
    """Blocks and site hold the address, the registry does not."""
    assert ask(with_lists(world()), "2001:678:98::5")[0] == ()
    registers = with_lists(world(), listed("rir", "2.72.0.0/16", "2001:678:99::/48"))
    assert ask(registers, "2001:678:98::5")[0] == (Reason.EVIDENCE_DISAGREES,)


def test_a_decision_names_the_lists_it_rested_on() -> None:
    """By entry, so that an inspector finds file and day."""
    registers = with_lists(world(), listed("rir", "2.72.0.0/16"))
    entries = decide(registers, Question("guest", "rig", HOME, SERVER), NOW, GEO).entries
    assert EntryReference("geo", "rir", registers.geo["rir"].entry) in entries


def test_the_past_is_judged_by_the_lists_known_then(engine: Engine) -> None:
    """Invariants 6, 7: recorded later, or withdrawn later, a list changes nothing about before."""
    with engine.begin() as connection:
        append_all(connection, world(), NOW - 3 * DAY, "test")
        entry = record(connection, reduced("rir", "2.73.0.0/16"), "KZ", NOW - 2 * DAY, "test")

    def reasons(valid_at: timedelta, known_at: timedelta) -> tuple[Reason, ...]:
        with engine.connect() as connection:
            known = as_of(connection, NOW + valid_at, NOW + known_at)
        return decide(known, Question("guest", "rig", HOME, SERVER), NOW + valid_at, GEO).reasons

    assert reasons(-DAY, -DAY) == (Reason.EVIDENCE_DISAGREES,)
    assert reasons(-2.5 * DAY, -DAY) == (), "before the list held"
    assert reasons(-DAY, -2.5 * DAY) == (), "before it was known"
    with engine.begin() as connection:
        number = as_of(connection, NOW).geo["rir"].entry
        withdraw(connection, "geo", "rir", number, why="wrong file", recorded_at=NOW, recorded_by="test")
    assert reasons(-DAY, timedelta()) == ()
    assert reasons(-DAY, -DAY) == (Reason.EVIDENCE_DISAGREES,)
    assert entry.dated_on == date(2026, 5, 1)


def test_a_later_moment_of_the_same_knowledge_has_its_lists(engine: Engine) -> None:
    """`Registers.at` goes back and forth without the ledger."""
    with engine.begin() as connection:
        record(connection, reduced("rir", "2.73.0.0/16"), "KZ", NOW, "test")
        record(connection, reduced("rir", "2.74.0.0/16"), "KZ", NOW + DAY, "test")
        known = as_of(connection, NOW + 2 * DAY)
    for shift, network in ((0, "2.73.0.0/16"), (1, "2.74.0.0/16")):
        assert lists_in_force(known.at(NOW + shift * DAY))["rir"].ranges == Ranges.of_networks([network])
    assert "rir" not in lists_in_force(known.at(NOW - DAY))


def test_a_list_is_kept_and_noted_in_the_audit_log(engine: Engine) -> None:
    """Its content under its digest, and an event as for every entry."""
    ranges = shipped().ranges
    with engine.begin() as connection:
        made = adopt_shipped(connection, "KZ", NOW, "test")
        assert made is not None
        assert adopt_shipped(connection, "KZ", NOW + DAY, "test") is None, "once"
        assert documents.load(connection, made.digest) == ranges.content
        events = connection.execute(select(audit_table.c.kind, audit_table.c.body)).all()
    assert made.digest == ranges.digest
    assert [kind for kind, _ in events] == ["register-entry"]
    assert '"register":"geo"' in events[0].body


def test_an_entry_without_its_list_is_refused(engine: Engine) -> None:
    """No digest of nothing, no counts of another list, no list of sites."""
    entry, ranges = listed("rir", "2.72.0.0/16")

    def faults(changed: Geo) -> str:
        with pytest.raises(RegisterError) as caught, engine.begin() as connection:
            append(connection, changed, NOW, "test")
        return str(caught.value)

    assert "no list with this digest is kept" in faults(entry)
    with engine.begin() as connection:
        documents.store(connection, ranges.content, NOW)
        text = documents.store(connection, b"hello\n", NOW)
    assert "other numbers of addresses" in faults(replace(entry, ipv4_addresses=1))
    assert "no list of addresses" in faults(replace(entry, digest=text))
    assert "their own register" in faults(replace(entry, geo=Source.SITE))


def test_disagreements_of_sites_and_servers() -> None:
    """Each part of a network that is disputed, once; loopback and servers' private networks are not told."""
    entries: list[Entry] = [
        site("half", "host", "2.79.255.0/24", "2.72.0.0/24"),
        site("private", "host", "10.1.0.0/24"),
        site("abroad", "host", "2.75.0.0/24", country="RU"),
        site("demo", "host", "127.0.0.1/32"),
        replace(server(), networks=("8.8.8.0/24", "10.0.0.0/24", "2.72.9.0/24")),
    ]
    registers = with_lists(entries, listed("rir", "2.72.0.0/14", "2.79.255.0/25"))
    found = {(one.register, one.key, one.network): one for one in disagreements(registers, GEO)}
    assert set(found) == {
        ("site", "half", "2.79.255.0/24"),
        ("site", "private", "10.1.0.0/24"),
        ("site", "abroad", "2.75.0.0/24"),
        ("server", SERVER, "8.8.8.0/24"),
    }
    half = found["site", "half", "2.79.255.0/24"]
    assert (half.first, half.last) == (parse_address("2.79.255.128"), parse_address("2.79.255.255"))
    assert half.evidence.origin is Origin.DISPUTED
    assert half.evidence.against == ("rir",)
    assert found["site", "private", "10.1.0.0/24"].private
    assert found["server", SERVER, "8.8.8.0/24"].evidence.against == ("blocks", "rir")


def test_what_is_too_old_is_told() -> None:
    """By source, on the day after its age; of what is not recorded nothing is."""
    registers = with_lists(world(), listed("rir", "2.72.0.0/16"))
    ages = {"blocks": 10_000, "rir": 30, "mmdb": 60}
    assert stale(registers, GEO, ages, date(2026, 5, 31)) == []
    [old] = stale(registers, GEO, ages, date(2026, 6, 1))
    assert (old.source, old.days, old.most) == ("rir", 31, 30)
    assert stale(registers, EvidenceRule(sources=(Source.BLOCKS,)), ages, date(2026, 6, 1)) == []


ALL_BLOCKS = tuple(str(network) for network in ("2.72.0.0/13", "5.34.0.0/17", "46.36.128.0/18", "2a00:12f8::/32"))
"""Something that a country may have."""


@pytest.mark.parametrize(
    ("networks", "told"),
    [
        (("0.0.0.0/0",), "claims 4,294,967,296 IPv4 addresses"),
        (("0.0.0.0/0", "::/0"), "IPv6 /64 networks for one country"),
        (("16.0.0.0/6",), "claims 67,108,864 IPv4 addresses"),
        (("2000::/3",), "IPv6 /64 networks for one country"),
        ((*ALL_BLOCKS, "10.0.0.0/24"), "claims private, local or multicast addresses"),
        ((*ALL_BLOCKS, "fe80::/64"), "claims private, local or multicast addresses"),
        (("2.72.0.0/16",), "keeps 65,536 of the 573,440 IPv4 addresses"),
        (ALL_BLOCKS[:3], "keeps 0 of the 4,294,967,296 IPv6 /64 networks"),
    ],
)
def test_implausible_lists_meet_objections(networks: tuple[str, ...], told: str) -> None:
    """A list that claims far too much, or drops most of what was there."""
    registers = with_lists(world(), listed("rir", *ALL_BLOCKS))
    change = plan(registers, reduced("rir", *networks), GEO, NOW.date())
    assert any(told in objection for objection in change.objections), change.objections


def test_an_older_list_and_one_of_tomorrow_meet_objections() -> None:
    """Newer data is not replaced by older, nor by what cannot be yet."""
    registers = with_lists(world(), listed("rir", *ALL_BLOCKS))
    [old] = plan(registers, reduced("rir", *ALL_BLOCKS, on=date(2026, 4, 30)), GEO, NOW.date()).objections
    assert old == "of 2026-04-30, older than the list in force, which is of 2026-05-01"
    [early] = plan(registers, reduced("rir", *ALL_BLOCKS, on=date(2026, 6, 3)), GEO, NOW.date()).objections
    assert "still to come" in early


def test_the_shipped_list_meets_none() -> None:
    """As the first of a source, and in place of itself."""
    own = shipped()
    registers = with_lists(world())
    same = plan(registers, own, GEO, NOW.date())
    assert (len(same.added), len(same.removed), same.known) == (0, 0, False), "the shipped list is not in the register"
    first = plan(registers, replace(own, source="rir"), GEO, NOW.date())
    assert (first.objections, first.moved, first.added) == ((), (), own.ranges)


def test_a_plan_tells_what_changes() -> None:
    """Addresses added and removed, and the networks that would be judged otherwise."""
    entries: list[Entry] = [
        site("one", "host", "5.34.0.0/24", "2.72.0.0/24"),
        replace(server(), networks=("5.34.1.0/24",)),
    ]
    registers = with_lists(entries, listed("rir", *ALL_BLOCKS))
    change = plan(registers, reduced("rir", *ALL_BLOCKS[:1], *ALL_BLOCKS[2:], "31.31.216.0/21"), GEO, NOW.date())
    assert change.added == Ranges.of_networks(["31.31.216.0/21"])
    assert change.removed == Ranges.of_networks(["5.34.0.0/17"])
    told = {(one.register, one.key, one.place, one.before.value, one.after.value) for one in change.moved}
    assert told == {
        ("site", "one", "5.34.0.0/24", "home", "disputed"),
        ("server", SERVER, "5.34.1.0/24", "home", "disputed"),
    }
    assert not change.objections
