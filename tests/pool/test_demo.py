"""The demo as a user runs it, and the wheel as a user installs it: the second run comes from the wheel."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

import tarazy
from tarazy.pool.demo.prepare import free_ports
from tarazy.pool.demo.scenario import demo_settings

CHECKOUT = Path(tarazy.__file__).parent.parent


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo directory whose settings name free ports."""
    made = tmp_path_factory.mktemp("demo")
    stratum, portal, metrics, peer = free_ports(4)
    settings = demo_settings(peer_port=peer)
    settings["stratum"]["listeners"][0]["port"] = stratum
    settings |= {"portal": {"port": portal, "demo_sign_in": True}, "metrics": {"port": metrics}}
    (made / "tarazy.yaml").write_text(yaml.safe_dump(settings))
    return made


def run_demo(directory: Path, seconds: int, environment: dict[str, str], where: Path) -> dict[str, Any]:
    """`tarazy demo --for … --summary …`; what it wrote."""
    summary = directory / "summary.json"
    command = [sys.executable, "-m", "tarazy", "demo", "--data", str(directory), "--for", str(seconds)]
    done = subprocess.run(
        [*command, "--summary", str(summary)],
        capture_output=True,
        text=True,
        timeout=seconds + 120,
        env=os.environ | environment,
        cwd=where,
    )
    logs = "\n".join(log.read_text()[-1500:] for log in (directory / "logs").glob("server*.log"))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{logs}"
    happened: dict[str, Any] = json.loads(summary.read_text())
    return happened


@pytest.fixture(scope="module")
def first_run(directory: Path) -> dict[str, Any]:
    """A run of 45 seconds."""
    return run_demo(directory, 45, {}, directory)


def test_the_main_job_is_done(first_run: dict[str, Any]) -> None:
    """Blocks, shares of three parties, exact distributions, refusals with reasons, energy."""
    assert len(first_run["blocks"]) >= 3
    assert first_run["shares"]["accepted"] >= 30
    assert sum(first_run["shares"]["by_party"].values()) == first_run["shares"]["accepted"]
    divided = first_run["distributions"]
    assert divided
    for row in divided:
        assert row["reward"] == row["fee"] + row["remainder"] + sum(row["credits"].values())
    assert {party for row in divided for party in row["credits"]} >= {"altyn", "dala", "samal"}
    assert all(first_run["energy_wh"][party] > 0 for party in ("altyn", "dala", "samal"))
    reasons = {row["party"]: set(row["reasons"]) for row in first_run["refused"]}
    assert reasons["belgisiz"] == {"no-licence"}
    assert "foreign-address" in reasons["alys"]
    assert reasons["kokshe"] == {"licence-expired"}


def test_rewards_mature_and_a_block_is_orphaned(first_run: dict[str, Any]) -> None:
    """The rest of the network buries the first blocks within the run, and takes one away."""
    states = {block["state"] for block in first_run["blocks"]}
    assert {"mature", "orphaned"} <= states
    assert any(row["state"] == "final" for row in first_run["distributions"])


def test_final_rounds_are_on_record(first_run: dict[str, Any]) -> None:
    """Within seconds, so that a run of 45 of them has rounds to verify."""
    blocks = {block["block_hash"]: block for block in first_run["blocks"]}
    ended = datetime.fromisoformat(first_run["ended_at"])
    first = next(row for row in first_run["distributions"] if row["state"] == "final")
    final_since = ended - datetime.fromisoformat(blocks[first["block_hash"]]["state_at"])
    assert first["record"] or final_since < timedelta(seconds=20)
    records = [row["record"] for row in first_run["distributions"] if row["record"]]
    assert all(len(record["sum_root"]) == len(record["share_root"]) == 64 for record in records)


def test_the_reports_open(first_run: dict[str, Any]) -> None:
    """JSON that is JSON, PDFs that are PDFs, digests that agree; what was distributed for good is valued in tenge."""
    paths = [Path(path) for path in first_run["reports"]]
    told = {each["kind"]: each for each in (json.loads(path.read_text()) for path in paths if path.suffix == ".json")}
    assert list(told) == ["accreditation", "statement", "distributed"]
    assert all(path.read_bytes().startswith(b"%PDF-") for path in paths if path.suffix == ".pdf")
    for line in (line for path in paths if path.suffix == ".sha256" for line in path.read_text().splitlines()):
        digest, name = line.split()
        assert hashlib.sha256((paths[0].parent / name).read_bytes()).hexdigest() == digest
    assert all(row["amount_kzt"] and row["wallet"] and row["licence"] for row in told["distributed"]["rows"])
    altyn = [row["quantity"] for row in told["distributed"]["rows"] if row["party"] == "altyn"]
    assert told["statement"]["totals"]["credited"] == sum(altyn) > 0


def test_a_second_run_from_the_wheel_goes_on(first_run: dict[str, Any], directory: Path, tmp_path: Path) -> None:
    """The wheel holds all its data (rules, fonts, pages, address blocks) and continues the first run's chain."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=CHECKOUT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(installed), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    elsewhere = {"PYTHONPATH": str(installed)}
    where = subprocess.run(
        [sys.executable, "-c", "import tarazy; print(tarazy.__file__)"],
        capture_output=True,
        text=True,
        env=os.environ | elsewhere,
        cwd=tmp_path,
    )
    assert where.stdout.startswith(str(installed))
    second = run_demo(directory, 15, elsewhere, tmp_path)
    highest = max(block["height"] for block in first_run["blocks"])
    assert second["blocks"]
    assert all(block["height"] > highest for block in second["blocks"])
    assert second["shares"]["accepted"] >= 5
    assert "kokshe" in {party for row in second["distributions"] for party in row["credits"]} | {
        block["party"] for block in second["blocks"]
    } | set(second["energy_wh"])
