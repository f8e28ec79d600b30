"""Findings in a whole server: found, told, blocking where the operator says so, gone by themselves."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tarazy.config.law.calendar import Period, legal_day
from tarazy.database.engine import open_engine
from tarazy.pool.demo.scenario import EKIBASTUZ
from tests.pool.house import Client, House, wait_until
from tests.reports.world import meter_hour

KEY = "machine-twice:party:altyn"


@pytest.fixture
def strict(build_house: Callable[..., House]) -> Iterator[House]:
    """A house where machines registered twice let nobody mine."""
    house = build_house()
    raw = yaml.safe_load(house.prepared.path.read_text())
    raw["accreditation"]["findings"] = {"blocking": ["machine-twice"], "patience_seconds": 1}
    house.prepared.path.write_text(yaml.safe_dump(raw))
    now = datetime.now(UTC)
    month = Period.parse(f"{legal_day(now):%Y-%m}")
    quota = ("quota", "q", f"site={EKIBASTUZ}", f"month={month}", "energy_kwh=100")
    assert house.command("register", "set", *quota).exit_code == 0
    engine = open_engine(house.settings.database_url)
    with engine.begin() as connection:
        meter_hour(
            connection,
            EKIBASTUZ,
            {"demo-meter-1": 96_000},
            {"altyn": 1},
            max(month.start, now - timedelta(hours=1)),
            now,
        )
    engine.dispose()
    house.start()
    yield house
    assert house.stop() == 0


def said(house: House, *arguments: str, code: int = 0) -> Any:
    """What a command prints as JSON."""
    result = house.command(*arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_a_blocking_finding_ends_connections_and_its_end_lets_in_again(strict: House, tmp_path: Path) -> None:
    """From a doubled machine to a refusal with its reason, the metrics and the page; then all is well again."""
    altyn, other = Client(strict.stratum_port), Client(strict.stratum_port)
    assert altyn.login("altyn.rig")["result"] is True
    table = tmp_path / "equipment.csv"
    assert strict.command("register", "export", "equipment", "-o", str(table)).exit_code == 0
    header, *rows = table.read_text("utf-8-sig").splitlines()
    row = dict(zip(header.split(";"), next(row for row in rows if ";altyn;" in row).split(";"), strict=True))
    twin = {**row, "equipment": row["equipment"] + "-", "valid_from": "2026-01-01"}
    table.write_text(f"{header}\n{';'.join(twin.values())}\n")
    assert strict.command("register", "import", str(table)).exit_code == 0

    def found() -> Any:
        return [row for row in said(strict, "finding", "list") if row["finding"] == KEY]

    (row,) = wait_until(found)
    (quota,) = wait_until(lambda: said(strict, "finding", "list", "--kind", "energy-quota"))
    assert (quota["severity"], quota["evidence"]["taken_kwh"]) == ("warning", 96)
    assert "took 96 % of its quota" in quota["text"]
    recorded = time.monotonic()
    assert (row["blocks"], row["state"], row["evidence"]["count"]) == (True, "open", 2)
    altyn.socket.settimeout(5)
    while altyn.read() is not None:
        pass
    assert time.monotonic() - recorded < 1.5, "a change takes hold within a second"
    assert "[finding-blocks]" in other.login("altyn.rig")["error"][1]
    wait_until(lambda: 'tarazy_findings{kind="machine-twice"} 1.0' in strict.metrics())
    shown = wait_until(lambda: [each for each in strict.api("attention")["items"] if each["key"] == KEY])
    assert shown[0]["blocks"] is True

    assert said(strict, "finding", "take", KEY, "--owner", "aida")["owner"] == "aida"
    assert "[finding-blocks]" in Client(strict.stratum_port).login("altyn.rig")["error"][1]
    assert strict.command("finding", "dismiss", KEY, "--why", "two boards in one case").exit_code == 0
    wait_until(lambda: Client(strict.stratum_port).login("altyn.rig")["result"] is True)
    (entry,) = (row["entry"] for row in said(strict, "register", "history", "equipment", twin["equipment"]))
    assert (
        strict.command(
            "register", "withdraw", "equipment", twin["equipment"], str(entry), "--why", "entered twice"
        ).exit_code
        == 0
    )
    wait_until(lambda: said(strict, "finding", "show", KEY)[-1]["state"] == "resolved")
    states = [row["state"] for row in said(strict, "finding", "show", KEY)]
    assert states == ["open", "acknowledged", "dismissed", "resolved"]
    assert "by itself" in strict.command("finding", "show", KEY).stdout
    assert strict.command("audit", "check").exit_code == 0


def test_what_ends_soon_is_told_once(build_house: Callable[..., House]) -> None:
    """In the log, the audit log, the metrics and on the command line."""
    house = build_house()
    ended = house.command("register", "expiring", "--json")
    assert ended.exit_code == 0
    house.start()
    expected = len(json.loads(ended.stdout))
    assert expected > 0, "the demo has a licence that ends"

    def warned() -> int:
        return len(house.ledger("SELECT body FROM audit WHERE kind = 'expiry-warning'"))

    wait_until(lambda: warned() == expected)
    assert house.stop() == 0
    house.start()

    def counted() -> bool:
        with suppress(OSError):
            return f'tarazy_expiring{{within_days="90"}} {expected}.0' in house.metrics()
        return False

    wait_until(counted)
    assert house.stop() == 0
    assert warned() == expected
    assert house.command("finding", "show", "nothing").exit_code == 1
