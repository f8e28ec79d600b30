"""Who is let in: every rule, every reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tarazy.accreditation.admission import LONGEST_TEXT, Question, Reason, decide, text_of
from tarazy.accreditation.entries import DocumentStatus, Entry, Finding, FindingState, Licence, LicenceKind, SiteStatus
from tests.accreditation.world import (
    GEO,
    HOME,
    NOW,
    SERVER,
    admit,
    certificate,
    finding,
    licence,
    machine,
    meter,
    party,
    registers,
    server,
    site,
    world,
)

Change = Callable[[list[Entry]], Sequence[Entry]]
LATER = NOW + timedelta(days=1)


def plus(*entries: Entry) -> Change:
    """The world with more recorded."""
    return lambda before: [*before, *entries]


def without(register: str) -> Change:
    """The world without the entries of one register."""
    return lambda before: [entry for entry in before if entry.register != register]


def test_world_is_admitted_and_names_what_that_rests_on() -> None:
    """The decision names party, site and each entry needed."""
    decision = admit(world())
    assert decision.admitted
    assert (decision.reasons, decision.text) == ((), "")
    assert (decision.party, decision.site) == ("guest", "site-host")
    assert {reference.key for reference in decision.entries} == {
        *("guest", "L-2", "AC-1", SERVER, "site-host", "placement-1", "SN-1")
    }


@pytest.mark.parametrize("peer", ["2.72.0.0", "2.72.0.255", "2001:678:98::1", "::ffff:2.72.0.7"])
def test_every_network_of_the_site_admits(peer: str) -> None:
    """First and last address, IPv6 and mapped IPv4."""
    assert admit(world(), peer).admitted


@given(st.sampled_from([entry for entry in world() if entry.key != "host"]))
def test_removing_any_needed_entry_refuses(entry: Entry) -> None:
    """Nobody mines without every entry the admission rests on (invariant 4)."""
    assert not admit([other for other in world() if other != entry]).admitted


def test_own_site_needs_no_placement() -> None:
    """The holder of a site mines there without a contract with itself."""
    entries = [*world(), licence("L-1", "host"), machine("SN-9", "host", "site-host")]
    assert admit(entries, account="host").admitted


EXPECTED: list[tuple[Change, dict[str, object], tuple[Reason, ...]]] = [
    (without("licence"), {}, (Reason.NO_LICENCE,)),
    (
        lambda before: [replace(entry, valid_to=NOW) if isinstance(entry, Licence) else entry for entry in before],
        {},
        (Reason.LICENCE_EXPIRED,),
    ),
    (
        lambda before: [replace(entry, valid_from=LATER) if isinstance(entry, Licence) else entry for entry in before],
        {},
        (Reason.LICENCE_NOT_BEGUN,),
    ),
    (plus(licence("L-2", "guest", status=DocumentStatus.SUSPENDED)), {}, (Reason.LICENCE_SUSPENDED,)),
    (plus(licence("L-2", "guest", status=DocumentStatus.REVOKED)), {}, (Reason.LICENCE_REVOKED,)),
    (without("certificate"), {}, (Reason.NO_CERTIFICATE,)),
    (plus(certificate(status=DocumentStatus.SUSPENDED)), {}, (Reason.CERTIFICATE_SUSPENDED,)),
    (plus(certificate(status=DocumentStatus.REVOKED)), {}, (Reason.CERTIFICATE_REVOKED,)),
    (
        lambda before: [*without("certificate")(before), certificate(valid_to=NOW)],
        {},
        (Reason.CERTIFICATE_EXPIRED,),
    ),
    (
        lambda before: [*without("certificate")(before), certificate(valid_from=LATER)],
        {},
        (Reason.CERTIFICATE_NOT_BEGUN,),
    ),
    (without("server"), {}, (Reason.SERVER_NOT_REGISTERED,)),
    (plus(server("RU")), {}, (Reason.SERVER_ABROAD,)),
    (without("site"), {}, (Reason.SITE_UNKNOWN,)),
    (without("placement"), {}, (Reason.SITE_UNKNOWN,)),
    (
        plus(site("site-host", "host", "2.72.0.0/24", status=SiteStatus.SUSPENDED)),
        {},
        (Reason.SITE_NOT_ACCREDITED,),
    ),
    (
        plus(site("site-host", "host", "2.72.0.0/24", status=SiteStatus.WITHDRAWN)),
        {},
        (Reason.SITE_NOT_ACCREDITED,),
    ),
    (plus(site("site-host", "host", "2.72.0.0/24", country="RU")), {}, (Reason.SITE_ABROAD,)),
    (plus(site("site-host", "host", "8.8.8.0/24")), {"peer": "8.8.8.8"}, (Reason.EVIDENCE_DISAGREES,)),
    (
        plus(site("site-host", "host", "127.0.0.0/8")),
        {"peer": "127.0.0.1"},
        (Reason.LOOPBACK_NOT_ALLOWED,),
    ),
    (without("equipment"), {}, (Reason.NO_EQUIPMENT,)),
    (plus(machine("SN-1", "guest", "elsewhere")), {}, (Reason.NO_EQUIPMENT,)),
    (plus(finding("guest", None)), {}, (Reason.FINDING_BLOCKS,)),
    (plus(finding(None, "site-host")), {}, (Reason.FINDING_BLOCKS,)),
    (plus(finding("guest", "site-host"), finding("guest", None)), {}, (Reason.FINDING_BLOCKS,)),
    (plus(), {"peer": "2.73.0.1"}, (Reason.SITE_UNKNOWN,)),
    (plus(), {"only": "elsewhere"}, (Reason.CLIENT_CERTIFICATE_UNKNOWN,)),
    (plus(), {"ports": ("second",)}, (Reason.OTHER_PORT,)),
    (plus(site("second", "guest", "2.73.0.0/24")), {"only": "site-host", "ports": ("second",)}, (Reason.OTHER_PORT,)),
    (plus(), {"peer": "2.73.0.1", "ports": ("second",)}, (Reason.SITE_UNKNOWN,)),
    (plus(site("second", "guest", "2.73.0.0/24")), {"only": "second"}, (Reason.OTHER_SITE,)),
    (plus(), {"peer": "2.73.0.1", "only": "site-host"}, (Reason.OTHER_SITE,)),
    (
        plus(),
        {"peer": "no address", "only": "site-host", "ports": ("second",)},
        (Reason.FOREIGN_ADDRESS, Reason.OTHER_SITE),
    ),
    (plus(), {"peer": "8.8.8.8"}, (Reason.FOREIGN_ADDRESS, Reason.SITE_UNKNOWN)),
    (plus(), {"peer": "no address"}, (Reason.FOREIGN_ADDRESS, Reason.SITE_UNKNOWN)),
    (plus(), {"account": "stranger"}, (Reason.UNKNOWN_ACCOUNT,)),
    (plus(), {"account": ""}, (Reason.BAD_NAME, Reason.UNKNOWN_ACCOUNT)),
]


@pytest.mark.parametrize(("change", "ask", "reasons"), EXPECTED)
def test_each_shortcoming_has_its_reason(change: Change, ask: dict[str, object], reasons: tuple[Reason, ...]) -> None:
    """A refusal carries exactly the codes of what is wanting."""
    decision = admit(change(world()), **ask)  # type: ignore[arg-type]
    assert not decision.admitted
    assert decision.reasons == reasons


def test_every_reason_occurs_above() -> None:
    """No reason code is left untested."""
    assert {reason for _, _, reasons in EXPECTED for reason in reasons} == set(Reason)


@pytest.mark.parametrize(
    "row",
    [
        finding("guest", None, blocks=False),
        finding("host", None),
        finding("guest", "elsewhere"),
        replace(finding("guest", None), state=FindingState.RESOLVED),
        replace(finding("guest", None), state=FindingState.DISMISSED),
    ],
)
def test_findings_that_do_not_block(row: Finding) -> None:
    """One that the operator does not make blocking, is of others, or is settled, keeps nobody out."""
    assert admit([*world(), row]).admitted


def test_all_reasons_are_told_and_the_first_gives_the_text() -> None:
    """Whoever lacks everything learns it at once."""
    decision = admit([entry for entry in world() if entry.register == "party"], "8.8.8.8")
    assert decision.reasons == (
        Reason.NO_LICENCE,
        Reason.NO_CERTIFICATE,
        Reason.SERVER_NOT_REGISTERED,
        Reason.FOREIGN_ADDRESS,
        Reason.SITE_UNKNOWN,
        Reason.NO_EQUIPMENT,
    )
    assert decision.text.startswith("no mining licence")


def test_texts_fit_the_wire_and_name_a_cure() -> None:
    """What is wrong, a colon, what to do, and the code under which more is told."""
    for reason in Reason:
        line = text_of(reason, licence("L-2", "guest", valid_to=LATER))
        assert line.isascii()
        assert line.isprintable()
        assert len(line) <= LONGEST_TEXT
        assert line.endswith(f" [{reason}]")
        assert 0 < line.index(": ") < line.index(" [") - 10
        assert "{" not in line


def test_expiry_is_exact_and_named_by_its_last_day() -> None:
    """valid_to is the first instant refused; the text gives the last legal day in Asia/Almaty."""
    end = NOW.replace(hour=19)
    entries = [replace(entry, valid_to=end) if isinstance(entry, Licence) else entry for entry in world()]
    assert admit(entries, now=end - timedelta(microseconds=1)).admitted
    decision = admit(entries, now=end)
    assert decision.reasons == (Reason.LICENCE_EXPIRED,)
    assert "licence ended 2026-06-01:" in decision.text
    assert registers(entries).next_change(NOW) == end
    assert registers(entries).next_change(end) is None


def test_suspension_for_a_time_ends_by_itself() -> None:
    """After valid_to of a suspension the licence holds again."""
    until = NOW + timedelta(days=30)
    entries = [
        *world(),
        licence("L-2", "guest", status=DocumentStatus.SUSPENDED, valid_from=NOW, valid_to=until),
    ]
    assert admit(entries, now=NOW - timedelta(seconds=1)).admitted
    assert admit(entries, now=NOW).reasons == (Reason.LICENCE_SUSPENDED,)
    assert admit(entries, now=until).admitted


def test_another_licence_in_force_outweighs_a_revoked_one() -> None:
    """A re-issued licence counts, whatever became of the old one."""
    revoked = licence("L-0", "guest", status=DocumentStatus.REVOKED)
    assert admit([*world(), revoked]).admitted


def test_of_several_licences_the_one_in_force_speaks() -> None:
    """Whatever became of those before it, whatever is to come, in whatever order they were recorded."""
    others = [
        licence("L-0", "guest", status=DocumentStatus.REVOKED),
        licence("L-1", "guest", valid_to=NOW),
        licence("L-3", "guest", valid_from=LATER),
        licence("L-4", "guest", status=DocumentStatus.SUSPENDED),
    ]
    for entries in ([*world(), *others], [*others, *world()]):
        assert "L-2" in {reference.key for reference in admit(entries).entries}
        assert admit(entries).admitted
    assert admit([*without("licence")(world()), licence("L-9", "host")]).reasons == (Reason.NO_LICENCE,)


def test_of_licences_not_in_force_the_one_that_began_last_speaks() -> None:
    """One issued anew is suspended: that counts, also when the old one is corrected only now."""
    suspended = licence("L-2", "guest", status=DocumentStatus.SUSPENDED, valid_from=NOW, replaces="L-1")
    late = licence("L-1", "guest", status=DocumentStatus.REVOKED, valid_from=NOW - timedelta(days=9))
    assert admit([*without("licence")(world()), suspended, late]).reasons == (Reason.LICENCE_SUSPENDED,)


def test_two_parties_with_one_account() -> None:
    """The later entry holds it; the other's licence and machines are not its."""
    second = party("second", "060640000745", account="guest")
    assert admit([*world(), second]).reasons[0] is Reason.NO_LICENCE
    assert admit([second, *world()]).admitted


@pytest.mark.parametrize("kind", LicenceKind)
def test_sub_type_of_a_licence_decides_nothing(kind: LicenceKind) -> None:
    """A holder of type I may hold a data centre lawfully without owning it; see docs/architecture.md."""
    assert admit([*world(), licence("L-2", "guest", kind=kind)]).admitted
    own = [*world(), licence("L-1", "host", kind=kind), machine("SN-9", "host", "site-host")]
    assert admit(own, account="host").admitted


def test_a_port_for_some_sites_lets_in_from_these() -> None:
    """Of two sites with one network the one that the port is for counts."""
    entries = [*world(), site("a-site", "guest", "2.72.0.0/16")]
    assert admit(entries, ports=("elsewhere", "site-host")).site == "site-host"
    assert admit(entries, ports=("a-site",)).reasons == (Reason.NO_EQUIPMENT,)


def test_of_several_sites_the_one_with_least_against_it_counts() -> None:
    """Two sites share a network; the one that is accredited and holds machines admits."""
    entries = [*world(), site("a-site", "guest", "2.72.0.0/16"), meter()]
    decision = admit(entries)
    assert decision.admitted
    assert decision.site == "site-host"


def test_a_certificate_chooses_among_the_sites_of_an_address() -> None:
    """Of two sites with one network the one that the certificate names counts, even with more against it."""
    entries = [*world(), site("a-site", "guest", "2.72.0.0/16")]
    assert admit(entries, only="site-host").site == "site-host"
    decision = admit(entries, only="a-site")
    assert (decision.site, decision.reasons) == ("a-site", (Reason.NO_EQUIPMENT,))


@settings(max_examples=60)
@given(st.text(max_size=140), st.text(max_size=140), st.text(max_size=50))
def test_hostile_input_is_refused_without_error(account: str, worker: str, peer: str) -> None:
    """Whatever is sent, an answer comes (invariant 10)."""
    decision = decide(registers(world()), Question(account, worker, peer, SERVER), NOW, GEO)
    assert not decision.admitted
    assert decision.text.isascii()
    assert len(decision.text) <= LONGEST_TEXT


def test_a_refusal_tells_no_personal_data() -> None:
    """The text names neither login nor address nor BIN (invariant 12)."""
    for peer, account in ((HOME, "stranger"), ("2.73.0.1", "guest")):
        text = admit(world(), peer, account=account).text
        assert not any(word in text for word in (peer, account, "rig-1", "180540000002"))
