"""What the registers say that does not fit together: each kind by example, and none in a sound world."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from tarazy.accreditation.checking import field_faults
from tarazy.accreditation.consistency import bare_number, contradictions
from tarazy.accreditation.entries import (
    Document,
    DocumentStatus,
    Entry,
    FindingKind,
    LicenceKind,
    Placement,
    Severity,
    SiteStatus,
)
from tarazy.accreditation.findings import LISTED, Condition, Patience, Watch
from tarazy.config.law import load_law
from tests.accreditation.world import (
    NOW,
    START,
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

LAW = load_law(())
ENDS = datetime(2028, 12, 31, 19, tzinfo=UTC)


def sound() -> list[Entry]:
    """A world without contradictions: the host has a licence of its own, both licences end as the law has it."""
    host = licence("L-1", "host", valid_to=ENDS)
    return [host, *(replace(row, valid_to=ENDS) if row.register == "licence" else row for row in world())]


def found(*more: Entry) -> list[Condition]:
    """What is found in the sound world with `more` recorded."""
    return contradictions(registers([*sound(), *more]), LAW)


def subjects(conditions: list[Condition]) -> set[tuple[FindingKind, str, str]]:
    """Kind and subject of each."""
    return {(each.kind, each.of_register, each.of_key) for each in conditions}


def test_nothing_is_found_where_all_is_well() -> None:
    """No false alarm."""
    assert found() == []


@pytest.mark.parametrize("serial", ["SN 1", "sn-1", "SN_1", "ЅN/1", "S.N.1"])
def test_a_serial_number_written_otherwise_is_the_same_machine(serial: str) -> None:
    """Case, separators and letters of the other alphabet."""
    (condition,) = found(machine(serial, "guest", "site-host"))
    assert condition.kind is FindingKind.MACHINE_TWICE
    assert (condition.severity, condition.of_key) == (Severity.WARNING, "guest")
    assert condition.evidence == {"machines": sorted(["SN-1", serial]), "count": 2}
    assert bare_number("S21-000 1") != bare_number("S21-0002")


def test_a_machine_at_two_sites_or_of_two_parties_is_serious() -> None:
    """Also by its entry in the state register alone; both parties are told."""
    first = replace(machine("A", "host", "site-host"), register_entry="РК-77")
    second = replace(machine("B", "guest", "site-host"), register_entry="рк 77")
    conditions = found(first, second)
    assert subjects(conditions) == {(FindingKind.MACHINE_TWICE, "party", key) for key in ("host", "guest")}
    assert {condition.severity for condition in conditions} == {Severity.SERIOUS}


def test_an_import_done_twice_makes_one_finding_a_party() -> None:
    """A hundred doubled machines: bounded evidence, with the count."""
    (condition,) = found(*(machine(f"{form}{n}", "guest", "site-host") for n in range(100) for form in ("M-", "m")))
    assert condition.evidence is not None
    assert condition.evidence["count"] == 200
    assert len(condition.evidence["machines"]) == LISTED  # type: ignore[arg-type]


def test_a_licence_asks_for_its_kind_of_place() -> None:
    """Type II without a placement, type I without an own site; not for a party or licence that is gone."""
    lonely = party("lonely", "200140000009")
    second = licence("L-9", "lonely", kind=LicenceKind.PLACED, valid_to=ENDS)
    assert subjects(found(lonely, second)) == {(FindingKind.NO_PLACEMENT, "party", "lonely")}
    placed = Placement(placement="p", party="lonely", site="site-host", contract="1", valid_from=START)
    assert found(lonely, second, placed) == []
    first = replace(second, kind=LicenceKind.OWN_DATA_CENTRE)
    assert subjects(found(lonely, first, placed)) == {(FindingKind.NO_OWN_SITE, "party", "lonely")}
    assert found(lonely, first, site("own", "lonely", "5.34.0.0/24")) == []
    withdrawn = site("own", "lonely", "5.34.0.0/24", status=SiteStatus.WITHDRAWN)
    assert subjects(found(lonely, first, withdrawn)) == {(FindingKind.NO_OWN_SITE, "party", "lonely")}
    assert found(lonely, replace(first, status=DocumentStatus.REVOKED)) == []


def test_machines_need_no_more_power_than_the_site_is_permitted() -> None:
    """Nominal powers add up over parties; exactly the permitted power is fine."""
    fitting = site("site-host", "host", "2.72.0.0/24", permitted_power_w=7_000)
    assert found(fitting, machine("SN-2", "host", "site-host")) == []
    (condition,) = found(fitting, *(machine(f"SN-{n}", "host", "site-host") for n in (2, 3)))
    assert (condition.kind, condition.of_key, condition.site) == (FindingKind.SITE_POWER, "site-host", "site-host")
    assert condition.evidence == {"nominal_w": 10_500, "permitted_w": 7_000, "machines": 3}


@pytest.mark.parametrize("network", ["2.72.0.0/24", "2.72.0.128/25", "2.72.0.0/16", "2001:678:98::/48"])
def test_networks_overlap_only_within_one_owner(network: str) -> None:
    """Equal, inside, around, IPv6; both sites are told."""
    conditions = found(site("other", "guest", network))
    assert subjects(conditions) == {(FindingKind.SITE_NETWORKS, "site", key) for key in ("other", "site-host")}
    assert found(site("other", "host", network)) == []
    assert found(site("other", "guest", "2.72.1.0/24")) == []


def test_an_outer_network_is_seen_behind_an_inner_one() -> None:
    """The first of three reaches over the second to the third."""
    outer = site("outer", "guest", "2.73.0.0/16")
    inner = [site("in-1", "guest", "2.73.0.0/24"), site("in-2", "host", "2.73.9.0/24")]
    assert subjects(found(outer, *inner)) == {(FindingKind.SITE_NETWORKS, "site", key) for key in ("outer", "in-2")}


def test_terms_of_licences_are_those_of_the_law() -> None:
    """Longer than three years, suspended for a week; with the rule and whether it is confirmed."""
    long = licence("L-3", "host", valid_to=datetime(2029, 1, 2, tzinfo=UTC))
    (condition,) = found(long)
    assert (condition.kind, condition.of_key, condition.party) == (FindingKind.LICENCE_TERM, "L-3", "host")
    assert condition.evidence is not None
    assert condition.evidence["fault"] == "too-long"
    assert condition.evidence["years"] == 3
    assert condition.evidence["confirmed"] in ("yes", "no")
    week = licence("L-3", "host", status=DocumentStatus.SUSPENDED, valid_from=NOW, valid_to=NOW + timedelta(days=7))
    assert [each.evidence and each.evidence["fault"] for each in found(week)] == ["suspension"]
    assert found(replace(week, valid_to=NOW + timedelta(days=61))) == []


def test_one_number_is_one_party() -> None:
    """Both are told, by their keys; the number itself is in no evidence."""
    conditions = found(party("twin", "180540000002"))
    assert subjects(conditions) == {(FindingKind.BIN_TWICE, "party", key) for key in ("guest", "twin")}
    assert "180540000002" not in str([condition.evidence for condition in conditions])


def test_a_document_that_ended_must_be_followed() -> None:
    """Information security of a server is serious; what was followed, withdrawn, or belongs to what is gone is not."""
    ended = Document(
        document="d-1",
        of_register="server",
        of_key="server-1",
        title="Information security",
        issued_on=date(2026, 1, 1),
        digest="0" * 64,
        media_type="application/pdf",
        size=9,
        valid_from=START,
        valid_to=NOW,
    )
    (condition,) = found(ended)
    assert (condition.kind, condition.severity) == (FindingKind.DOCUMENT_EXPIRED, Severity.SERIOUS)
    assert condition.key == "document-expired:server:server-1"
    assert condition.evidence == {"titles": ["Information security"], "count": 1}
    assert found(ended, replace(ended, document="d-2", valid_from=NOW, valid_to=None)) == []
    assert found(replace(ended, valid_to=NOW + timedelta(seconds=1))) == []
    number = next(number for number, row in enumerate(sound(), start=1) if row.register == "server")
    assert found(ended, replace(server(), valid_to=NOW, corrects=number, why="taken out")) == []
    (of_guest,) = found(replace(ended, of_register="licence", of_key="L-2"))
    assert (of_guest.severity, of_guest.party) == (Severity.WARNING, "guest")


def expired(register: str, key: str, number: int = 1, title: str = "Certificate of verification") -> Document:
    """A document of an entry that ended yesterday."""
    return Document(
        document=f"old-{number}",
        of_register=register,
        of_key=key,
        title=title,
        digest="0" * 64,
        media_type="application/pdf",
        size=9,
        valid_from=START,
        valid_to=NOW - timedelta(days=1),
    )


def test_an_expired_document_concerns_whom_its_entry_does() -> None:
    """Of a machine its party at its site, of a meter its site, of a site all who mine there."""
    for register, key, whom in (
        ("equipment", "SN-1", ("guest", "site-host")),
        ("meter", "meter-1", (None, "site-host")),
        ("site", "site-host", (None, "site-host")),
        ("party", "guest", ("guest", None)),
    ):
        (condition,) = found(meter(), expired(register, key))
        assert (condition.party, condition.site) == whom


def test_no_title_and_no_subject_is_beyond_the_register() -> None:
    """The longest titles of four bytes a letter fit; a document of a finding makes no finding of a finding."""
    titles = [expired("party", "guest", number, f"{number:02}" + "\U0001f600" * 498) for number in range(30)]
    about = finding("guest", "site-host")
    conditions = found(*titles, about, expired("finding", about.finding, 99))
    assert subjects(conditions) == {(FindingKind.DOCUMENT_EXPIRED, "party", "guest")}
    held = registers([*sound(), *titles])
    (row,) = Watch(Patience(timedelta(0), timedelta(0))).look(held, conditions)
    assert list(field_faults(0, row)) == []
