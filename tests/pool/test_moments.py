"""Instants as commands print them: alike, in Almaty's time, with the offset."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from tarazy.accounting.energy.meter import Reading
from tarazy.accounting.energy.recording import append_readings
from tarazy.database.engine import open_engine
from tarazy.pool import moments
from tests.pool.house import House

NOON = datetime(2026, 3, 3, 7, tzinfo=UTC)


def test_an_instant_has_its_offset_once() -> None:
    """By itself, or under a heading; one of before March 2024 keeps its own there."""
    assert moments.told(NOON) == moments.plain(NOON) == "2026-03-03 12:00:00+05:00"
    assert moments.heading("since") == "since (+05:00)"
    assert moments.cell(NOON.astimezone(timezone(timedelta(hours=-8)))) == "2026-03-03 12:00:00"
    assert moments.cell(datetime(2024, 1, 1, tzinfo=UTC)) == "2024-01-01 06:00:00+06:00"
    assert (moments.cell(None), moments.plain(None), moments.plain(7)) == ("", "", "7")


def test_commands_tell_instants_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables by their heading, lines by each value, on a machine of any zone; JSON in UTC."""
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("TZ", "America/New_York")
    house = House(tmp_path / "pool")
    read_at = (datetime.now(UTC) - timedelta(minutes=5)).replace(microsecond=0)
    engine = open_engine(house.settings.database_url)
    with engine.begin() as connection:
        append_readings(connection, [Reading("demo-meter-1", read_at, 5, "ok")], read_at)
    engine.dispose()
    assert house.command("token", "create", "ministry", "--role", "inspector").exit_code == 0

    def told(*command: str) -> str:
        done = house.command(*command)
        assert done.exit_code == 0, done.output
        return done.stdout

    (token,) = json.loads(told("token", "list", "--json"))
    assert token["expires_at"].endswith("Z")
    assert "expires (+05:00)" in told("token", "list")
    assert moments.cell(datetime.fromisoformat(token["expires_at"])) in told("token", "list")
    assert moments.told(read_at) in told("meter", "list")
    rows = json.loads(told("audit", "show", "--json"))
    assert "at (+05:00)" in told("audit", "show")
    assert moments.cell(datetime.fromisoformat(rows[-1]["at"])) in told("audit", "show")
    assert "recorded (+05:00)" in told("register", "history", "party", "altyn")
    for group in ("user", "gateway", "finding", "payout", "sale"):
        assert "UTC" not in told(group, "list")
