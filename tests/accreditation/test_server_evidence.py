"""What a server shows about where it stands, weighed against the registers, kept, and judged."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, select, update

from tarazy.accreditation.documents import DocumentError
from tarazy.accreditation.entries import Document, Entry
from tarazy.accreditation.server_evidence import (
    ClockReading,
    Listening,
    Observed,
    Scope,
    findings,
    gather,
    keep,
    latest,
    scope_of,
)
from tarazy.accreditation.tables import audit as audit_table
from tarazy.accreditation.tables import document_content
from tests.accreditation.test_evidence import listed, with_lists
from tests.accreditation.test_geo import number
from tests.accreditation.world import GEO, NOW, SERVER, START, server

ALL = "0.0.0.0"
KEY = "a" * 64


def observed(*interfaces: str, host: str = ALL, clocks: tuple[ClockReading, ...] = ()) -> Observed:
    """A machine with these addresses and one TLS port."""
    return Observed((Listening(host, 3333, KEY),), interfaces, clocks)


def known(*networks: str, country: str = "KZ") -> list[Entry]:
    """The server with these networks."""
    return [replace(server(country), networks=networks)]


def codes(entries: list[Entry], seen: Observed) -> dict[str, bool]:
    """Finding → whether it is fine."""
    return {one.code: one.fine for one in findings(gather(with_lists(entries), GEO, SERVER, seen, NOW))}


def test_addresses_keys_and_days_stand_in_it() -> None:
    """Every address once with how it was seen, its sources with the days of their data, port and key, and no float."""
    registers = with_lists(known("2.72.9.0/24"), listed("rir", "2.72.0.0/16"))
    evidence = gather(registers, GEO, SERVER, observed("2.72.9.1", "10.1.1.1", "127.0.0.1", "2001:678:98::1"), NOW)
    by_address = {one["address"]: one for one in evidence["addresses"]}
    assert by_address["2.72.9.1"] == {
        "address": "2.72.9.1",
        "seen": ["bound", "interface"],
        "scope": "public",
        "registered": True,
        "origin": "home",
        "sources": {"blocks": "inside", "rir": "inside", "mmdb": "unknown", "site": "inside"},
    }
    assert by_address["2001:678:98::1"]["seen"] == ["interface"], "0.0.0.0 is no IPv6"
    assert by_address["2001:678:98::1"]["origin"] == "disputed"
    assert by_address["10.0.0.1"]["seen"] == ["host"], "the registered one"
    assert "sources" not in by_address["10.1.1.1"], "no list can place a private address"
    assert evidence["lists"]["rir"]["dated_on"] == "2026-05-01"
    assert evidence["listening"] == [{"host": ALL, "port": 3333, "key": KEY}]
    assert json.loads(json.dumps(evidence)) == evidence


@pytest.mark.parametrize(
    ("host", "bound"),
    [
        ("::", {"2.72.9.1", "2001:678:98::1"}),
        (ALL, {"2.72.9.1"}),
        ("2.72.9.1", {"2.72.9.1"}),
        ("localhost", {"127.0.0.1"}),
    ],
)
def test_what_a_port_is_bound_to(host: str, bound: set[str]) -> None:
    """All addresses of the family, both for ::, or the one named."""
    evidence = gather(with_lists(known()), GEO, SERVER, observed("2.72.9.1", "2001:678:98::1", host=host), NOW)
    assert {one["address"] for one in evidence["addresses"] if "bound" in one["seen"]} == bound


def test_scopes() -> None:
    """Shared, link-local and unique-local addresses are private too."""
    for text in ("10.0.0.1", "192.168.1.1", "100.64.0.1", "169.254.1.1", "fd00::1", "fe80::1"):
        assert scope_of(number(text)) is Scope.PRIVATE
    assert scope_of(number("127.0.0.1")) is scope_of(number("::1")) is Scope.LOOPBACK
    assert scope_of(number("2.72.9.1")) is scope_of(number("2001:678:98::1")) is Scope.PUBLIC


def test_a_server_at_home() -> None:
    """Nothing wanting; the paper trail is asked for, not demanded."""
    assert codes(known("2.72.9.0/24"), observed("2.72.9.1")) == {"addresses-at-home": True, "documents": True}


def test_private_addresses_are_no_evidence() -> None:
    """They prove nothing, and it is said."""
    found = findings(gather(with_lists(known("10.0.0.0/8")), GEO, SERVER, observed("10.1.1.1"), NOW))
    assert [one.code for one in found] == ["no-public-address", "documents"]
    assert "private addresses are no evidence" in found[0].text


def test_a_public_address_that_nobody_registered() -> None:
    """It is told with a cure, and so is one that the lists place elsewhere."""
    assert codes(known("2.72.9.0/24"), observed("2.72.10.1")) == {"address-not-registered": False, "documents": True}
    assert codes(known("8.8.8.0/24"), observed("8.8.8.8")) == {"address-abroad": False, "documents": True}
    assert codes([], observed("2.72.9.1")) == {"server-not-registered": False}
    for one in findings(gather(with_lists([]), GEO, SERVER, observed(), NOW)):
        assert one.cure


def test_clocks() -> None:
    """Near enough, off, and not read."""

    def one(offset: int | None) -> dict[str, bool]:
        return codes(known(), observed("10.1.1.1", clocks=(ClockReading("clock of node 1", offset, "timed out"),)))

    assert one(-5_000)["clock"]
    assert not one(5_001)["clock-off"]
    assert not one(-3_600_000)["clock-off"]
    assert not one(None)["clock-not-read"]


def test_documents_of_the_server_stand_in_it() -> None:
    """By digest, so that a changed file shows."""
    paper = Document(
        document="lease",
        of_register="server",
        of_key=SERVER,
        title="Lease",
        digest="b" * 64,
        media_type="application/pdf",
        size=1,
        valid_from=START,
    )
    evidence = gather(with_lists([*known(), paper]), GEO, SERVER, observed(), NOW)
    assert evidence["documents"] == [{"document": "lease", "title": "Lease", "digest": "b" * 64}]


def test_evidence_is_kept_and_its_digest_logged(engine: Engine) -> None:
    """The latest is given back, also of a past moment; the audit log has each digest."""
    first, second = (
        gather(with_lists(known()), GEO, SERVER, observed("2.72.9.1"), NOW + timedelta(days=day)) for day in (0, 1)
    )
    with engine.begin() as connection:
        one = keep(connection, first, NOW)
        two = keep(connection, second, NOW + timedelta(days=1))
        assert latest(connection, SERVER) == (two, second)
        assert latest(connection, SERVER, NOW + timedelta(hours=1)) == (one, first)
        assert latest(connection, SERVER, NOW) is None
        assert latest(connection, "another") is None
        rows = connection.execute(select(audit_table.c.kind, audit_table.c.body)).all()
    assert [(row.kind, json.loads(row.body)) for row in rows] == [
        ("server-evidence", {"server": SERVER, "digest": digest}) for digest in (one, two)
    ]
    with engine.begin() as connection:
        connection.execute(update(document_content).where(document_content.c.digest == two).values(content=b"{}"))
        with pytest.raises(DocumentError, match="was changed"):
            latest(connection, SERVER)
