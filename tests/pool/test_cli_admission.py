"""`tarazy admission`: what an inspector asks about an instant, and what an operator asks about one login."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tarazy.accreditation import audit, registers
from tarazy.accreditation.admission import Decision, Reason, text_of
from tarazy.accreditation.decisions import DecisionLog
from tarazy.database.engine import open_engine
from tests.pool.house import House, run_command

NOON = datetime.now(UTC).replace(hour=7, minute=0, second=0, microsecond=0) - timedelta(days=200)
"""A noon in Astana, long before anybody tried to mine."""
LATELY = datetime.now(UTC) - timedelta(hours=6)
"""When some logged in; their rows were written since."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A ledger with the demo's registers; a licence was revoked ten days before noon, which became known only now."""
    house = House(tmp_path_factory.mktemp("admission") / "pool")
    engine = open_engine(house.settings.database_url)
    log = DecisionLog()
    stranger = Decision(False, (Reason.UNKNOWN_ACCOUNT,), text_of(Reason.UNKNOWN_ACCOUNT), "", "", ())
    revoked = Decision(False, (Reason.LICENCE_REVOKED,), text_of(Reason.LICENCE_REVOKED), "samal", "", ())
    admitted = Decision(True, (), "", "altyn", "ekibastuz-demo", ())
    log.add(stranger, "nobody", "rig", "127.0.0.1", LATELY)
    log.add(revoked, "samal", "rig", "127.0.0.3", LATELY + timedelta(minutes=10))
    log.add(admitted, "altyn", "rig1", "127.0.0.1", LATELY - timedelta(minutes=10))
    log.add(stranger, "[/later]", "rig", "127.0.0.1", LATELY + timedelta(hours=2))
    with engine.begin() as connection:
        stamp: dict[str, Any] = {"recorded_at": datetime.now(UTC), "recorded_by": "test"}
        since = NOON - timedelta(days=10)
        registers.revoke_licence(connection, "DEMO-0003", since=since, reason="test", **stamp)
        audit.append(connection, log.take(LATELY + timedelta(hours=3)), datetime.now(UTC))
    engine.dispose()
    return house


def asked(house: House, *arguments: str) -> Any:
    """The JSON of an answer."""
    return json.loads(house.command("admission", *arguments, "--json").stdout)


def test_a_login_is_explained(house: House) -> None:
    """Exit code, entries, evidence and what to do next, for a person and for a script."""
    fine = house.command("admission", "explain", "altyn.rig1", "127.0.0.1")
    assert (fine.exit_code, fine.stdout.splitlines()[0]) == (0, "admitted: party altyn, site ekibastuz-demo")
    for register in ("party altyn", "licence DEMO-0001", "certificate DEMO-POOL-1", "server demo-server"):
        assert f"  {register}, entry " in fine.stdout
    told = house.command("admission", "explain", "samal.rig", "127.0.0.2")
    assert told.exit_code == 1
    assert "licence-revoked: " in told.stdout
    assert "; connect from the site, without VPN or proxy" in told.stdout
    assert told.stderr.strip().endswith("[licence-revoked]")


def test_a_login_is_explained_as_of_and_as_known_at(house: House) -> None:
    """What became known later is not held against an earlier decision."""
    before = ("--as-of", (NOON - timedelta(days=11)).isoformat())
    assert asked(house, "explain", "samal.rig", "127.0.0.3", *before)["admitted"] is True
    refused = asked(house, "explain", "samal.rig", "127.0.0.3", "--as-of", NOON.isoformat())
    assert [row["reason"] for row in refused["reasons"]] == ["licence-revoked"]
    unknown = asked(house, "explain", "samal.rig", "127.0.0.3", "--known-at", NOON.isoformat())
    assert [row["reason"] for row in unknown["reasons"]][:1] == ["unknown-account"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--server", "other"), "server-not-registered"),
        (("--port-site", "karaganda-demo"), "other-port"),
        (("--certificate-site", "karaganda-demo"), "other-site"),
    ],
)
def test_the_door_counts(house: House, options: tuple[str, str], reason: str) -> None:
    """Another server, the port of another site, the TLS certificate of another site."""
    told = asked(house, "explain", "altyn.rig1", "127.0.0.1", *options)
    assert [row["reason"] for row in told["reasons"]] == [reason]


def test_an_evidence_verdict_is_told_by_its_source(house: House) -> None:
    """An address abroad."""
    told = asked(house, "explain", "altyn.rig1", "8.8.8.8")
    assert told["evidence"]["blocks"] == "outside"


def test_who_might_mine_at_an_instant(house: House) -> None:
    """From which site, on which machines, by which licence; and who was turned away around it, and nobody else."""
    told = asked(house, "at", NOON.isoformat())
    found = {(place["party"], place["site"]): place for place in told["places"]}
    assert {key for key, place in found.items() if place["admitted"]} == {
        ("altyn", "ekibastuz-demo"),
        ("dala", "ekibastuz-demo"),
        ("alys", "karaganda-demo"),
    }
    dala = found["dala", "ekibastuz-demo"]
    assert (dala["licence"], dala["certificate"], dala["machines"]) == ("DEMO-0002", "DEMO-POOL-1", ["DEMO-CPU-2"])
    assert found["samal", "karaganda-demo"]["reasons"] == ["licence-revoked"]
    assert found["belgisiz", "ekibastuz-demo"]["reasons"] == ["no-licence"]
    assert told["refused"] == []
    assert "nobody was turned away" in house.command("admission", "at", NOON.isoformat()).stdout
    known = asked(house, "at", NOON.isoformat(), "--known-at", NOON.isoformat())
    assert known["places"] == []


def test_who_was_turned_away_around_an_instant(house: House) -> None:
    """Within half an hour of it, and nobody else, with the reason."""
    told = asked(house, "at", LATELY.isoformat())
    assert [(row["account"], row["reasons"]) for row in told["refused"]] == [
        ("nobody", ["unknown-account"]),
        ("samal", ["licence-revoked"]),
    ]
    text = house.command("admission", "at", LATELY.isoformat()).stdout
    assert "turned away within half an hour" in text
    assert "unknown-account" in text


def test_the_log_of_a_period(house: House) -> None:
    """By party and outcome, for any time within it."""
    hour = timedelta(hours=1)
    period = ("--from", (LATELY - hour).isoformat(), "--to", (LATELY + hour).isoformat())
    rows = asked(house, "log", *period)
    assert [row["account"] for row in rows] == ["altyn", "nobody", "samal"]
    assert (rows[0]["kind"], rows[0]["sites"], rows[0]["worker"]) == ("admitted", ["ekibastuz-demo"], "rig1")
    assert [row["account"] for row in asked(house, "log", *period, "--refused")] == ["nobody", "samal"]
    assert [row["account"] for row in asked(house, "log", *period, "--party", "samal")] == ["samal"]
    assert "unknown-account" in house.command("admission", "log", *period).stdout
    late = house.command(
        "admission", "log", "--from", (LATELY + hour).isoformat(), "--to", (LATELY + 3 * hour).isoformat()
    )
    assert (late.exit_code, "[/later]" in late.stdout) == (0, True), "a name is no markup"


def test_an_instant_needs_a_zone(house: House) -> None:
    """A legal moment is not guessed."""
    told = house.command("admission", "at", "2026-03-03T12:00:00")
    assert (told.exit_code, "has no zone" in told.stderr) == (2, True)


def test_help_names_every_question() -> None:
    """`tarazy admission --help`."""
    text = run_command("admission", "--help").stdout
    assert all(command in text for command in ("explain", "at", "log"))


def test_what_is_no_address_is_told(house: House) -> None:
    """It is no foreign address."""
    told = house.command("admission", "explain", "altyn.rig1", "foo")
    assert (told.exit_code, "foo is no IP address" in told.stderr) == (2, True)


def test_what_strangers_send_is_shown_as_it_is(house: House) -> None:
    """A name that looks like the mark-up of a table is no mark-up, and hides nothing."""
    engine = open_engine(house.settings.database_url)
    log = DecisionLog()
    stranger = Decision(False, (Reason.UNKNOWN_ACCOUNT,), text_of(Reason.UNKNOWN_ACCOUNT), "", "", ())
    log.add(stranger, "[/x]", "rig", "127.0.0.1", datetime.now(UTC))
    log.add(stranger, "[b]:boom:", "rig", "127.0.0.1", datetime.now(UTC))
    with engine.begin() as connection:
        audit.append(connection, log.take(datetime.now(UTC)), datetime.now(UTC))
    engine.dispose()
    for command in (("admission", "log"), ("audit", "show")):
        told = house.command(*command)
        assert told.exit_code == 0, told.output
    shown = house.command("admission", "log").stdout
    assert "[/x]" in shown
    assert "[b]:boom:" in shown
