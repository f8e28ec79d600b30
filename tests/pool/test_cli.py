"""The commands: what they print, what they refuse and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from tarazy.pool.cli import main
from tests.forked import run_forked
from tests.pool.house import House, run_command


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """Settings, ledger and registers, without a running server."""
    return House(tmp_path_factory.mktemp("cli") / "pool")


def test_help_names_every_command() -> None:
    """A reader of `--help` finds the contract's commands."""
    text = run_command("--help").stdout
    for command in (
        "admission",
        "audit",
        "bench",
        "check",
        "db",
        "demo",
        "mine",
        "register",
        "report",
        "serve",
        "status",
        "verify",
    ):
        assert command in text


def test_faulty_settings_are_one_line_each(tmp_path: Path) -> None:
    """Exit code 2 with file, path inside it and cure; no traceback."""
    file = tmp_path / "tarazy.yaml"
    missing = run_command("check", "-c", str(file))
    assert (missing.exit_code, "no such file" in missing.stderr) == (2, True)
    file.write_text("data: data\nchain: {kind: embedded}\naccreditation: {server: s}\npool: {name: x, fee_ppm: many}\n")
    faulty = run_forked("tarazy", "serve", "-c", str(file))
    assert faulty.returncode == 2
    assert "pool.payout_address" in faulty.stderr
    assert "pool.fee_ppm" in faulty.stderr
    assert "Traceback" not in faulty.stderr


def test_a_pool_at_work_is_not_told_that_its_ports_are_taken(house: House) -> None:
    """By itself; another pool's server on them is told of."""
    path = house.prepared.path.with_name("other.yaml")
    path.write_text(house.prepared.path.read_text().replace("name: Tarazy demo", "name: Another"))
    house.start()
    try:
        found = json.loads(house.command("check", "--json").stdout)
        taken = json.loads(run_command("check", "--json", "-c", str(path)).stdout)
    finally:
        assert house.stop() == 0
    assert [row["fine"] for row in found if row["subject"] == "ports"] == [True]
    assert not [row for row in found if row["subject"].endswith(" port")]
    assert [row["fine"] for row in taken if row["subject"] == "portal port"] == [False]


def test_check_finds_all_well_then_wanting(house: House, tmp_path: Path) -> None:
    """Exit code 0 when fine; 1 with a cure when the database has no tables."""
    fine = house.command("check", "--json")
    assert fine.exit_code == 0, fine.stdout
    assert all(found["fine"] for found in json.loads(fine.stdout))
    other = tmp_path / "tarazy.yaml"
    other.write_text(house.prepared.path.read_text().replace("data: data", "data: elsewhere"))
    wanting = run_command("check", "-c", str(other))
    assert wanting.exit_code == 1
    assert "tarazy db upgrade" in wanting.stdout
    assert run_command("db", "upgrade", "-c", str(other)).exit_code == 0
    assert "certificate" in run_command("check", "-c", str(other)).stdout


def test_check_tells_the_terms(house: House, tmp_path: Path) -> None:
    """What is in force and what is announced is one line; a fee for nobody is found wanting."""
    raw = yaml.safe_load(house.prepared.path.read_text()) | {"data": str(house.prepared.path.parent / "data")}
    later = {"since": "2199-01-01T00:00:00+05:00", "scheme": "pplns", "window": 2, "fee_ppm": 5_000}
    file = tmp_path / "tarazy.yaml"
    for fees, fine, words in (
        (
            {},
            True,
            "PROP, fee 10000 ppm; from 2199-01-01 00:00:00+05:00 PPLNS over 2 network difficulties, fee 5000 ppm",
        ),
        ({"nobody": 0}, False, "pool.terms has a fee for nobody"),
    ):
        raw["pool"]["terms"] = [later | {"fees": fees}]
        file.write_text(yaml.safe_dump(raw))
        [found] = [
            x for x in json.loads(run_command("check", "--json", "-c", str(file)).stdout) if x["subject"] == "rewards"
        ]
        assert (found["fine"], words in found["text"]) == (fine, True)


def test_server_refuses_what_check_finds(tmp_path: Path, house: House) -> None:
    """It never upgrades by itself; it says what to run."""
    other = tmp_path / "tarazy.yaml"
    other.write_text(house.prepared.path.read_text())
    refused = run_forked("tarazy", "serve", "-c", str(other))
    assert refused.returncode == 1
    assert "tarazy db upgrade" in refused.stderr


def test_import_is_all_or_nothing(house: House, tmp_path: Path) -> None:
    """One bad row among good ones: place and cure are told, and nothing is recorded."""
    template = house.command("register", "export", "party").stdout.splitlines()
    good = template[1].replace("altyn", "zhana").replace("240140000011", "180540000002")
    bad = good.replace("zhana", "eski").replace("180540000002", "180540000003")
    file = tmp_path / "party.csv"
    file.write_text("\n".join([template[0], good, bad]), encoding="utf-8")
    refused = house.command("register", "import", str(file))
    assert refused.exit_code == 1
    assert "row 3" in refused.stderr
    assert "bin" in refused.stderr
    assert "zhana" not in house.command("register", "show", "party", "--json").stdout
    file.write_text("\n".join([template[0], good]), encoding="utf-8")
    assert json.loads(house.command("register", "import", str(file), "--json").stdout)["added"] == {"party": 1}
    assert "zhana" in house.command("register", "show", "party", "--json").stdout


def test_registers_can_be_described_and_exported(house: House, tmp_path: Path) -> None:
    """What is exported can be imported again, and then changes nothing."""
    columns = json.loads(run_command("register", "columns", "licence", "--json").stdout)
    assert [column["name"] for column in columns][:2] == ["licence", "party"]
    file = tmp_path / "site.csv"
    assert house.command("register", "export", "site", "-o", str(file)).exit_code == 0
    again = json.loads(house.command("register", "import", str(file), "--json").stdout)
    assert (again["added"], again["unchanged"]) == ({}, {"site": 2})


def test_what_is_shown_is_whole(house: House) -> None:
    """In a terminal of 80 columns nothing of a register is cut off."""
    licences = json.loads(house.command("register", "show", "licence", "--json").stdout)
    lines = house.command("register", "show", "licence").stdout.splitlines()
    assert "…" not in "".join(lines)
    cells = [line.split("│")[1:-1] for line in lines if "│" in line]
    columns = ["".join(part.strip() for part in column) for column in zip(*cells, strict=True)]
    assert columns[0] == "".join(row["licence"] for row in licences)


def test_a_port_belongs_to_one_part(house: House, tmp_path: Path) -> None:
    """Two parts of the server with the same port are told before one of them cannot start."""
    raw = yaml.safe_load(house.prepared.path.read_text())
    raw["metrics"]["port"] = raw["portal"]["port"]
    other = tmp_path / "tarazy.yaml"
    other.write_text(yaml.safe_dump(raw))
    checked = run_command("check", "-c", str(other))
    assert f"metrics port: 127.0.0.1:{raw['portal']['port']} is the portal port too" in checked.stdout


def test_report_is_built_twice_with_the_same_bytes(house: House, tmp_path: Path) -> None:
    """Invariant 6, through the command; a moment without a zone or in the future is refused."""
    built = house.command("report", "build", "accreditation", "-o", str(tmp_path), "--json")
    assert built.exit_code == 0, built.stderr
    answer = json.loads(built.stdout)
    before = {path: Path(path).read_bytes() for path in answer["paths"]}
    again = house.command(
        "report", "build", "accreditation", "-o", str(tmp_path), "--as-of", answer["as_of"].replace("Z", "+00:00")
    )
    assert again.stdout.split() == answer["paths"]
    assert {path: Path(path).read_bytes() for path in answer["paths"]} == before
    zoneless = house.command("report", "build", "accreditation", "--as-of", "2026-03-03T12:00:00")
    assert (zoneless.exit_code, "no zone" in zoneless.stderr) == (2, True)
    future = house.command("report", "build", "accreditation", "--as-of", "2999-01-01T00:00:00+05:00")
    assert (future.exit_code, "future" in future.stderr) == (1, True)


def test_commands_without_their_counterpart_say_so(house: House) -> None:
    """No server behind `status`, no address behind `mine`."""
    status = house.command("status")
    assert (status.exit_code, "tarazy serve" in status.stderr) == (1, True)
    assert "refused); is" in status.stderr
    mine = run_command("mine", "http://nowhere", "--user", "a.b")
    assert (mine.exit_code, "stratum+tcp" in mine.stderr) == (2, True)


def test_bench_admission_measures_logins_and_changes(tmp_path: Path) -> None:
    """Each kind of change takes effect while the reactor is watched; figures as JSON."""
    size = ["--parties", "10", "--networks", "40", "--machines", "100", "--rounds", "1"]
    done = run_forked("tarazy", "bench", "admission", *size, "--json", str(tmp_path / "figures.json"))
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert min(figures["again_us"], figures["address_us"]) > 0
    assert len(figures["changes"]) == 7
    assert all(run["effect_ms"][0] < 5_000 for run in figures["changes"])


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("tarazy sta", ["plain", "status"]),
        ("tarazy register sus", ["plain", "suspend"]),
        ("tarazy top --on", ["plain", "--once"]),
        ("tarazy status -c tar", ["file", "tar"]),
    ],
)
def test_the_shell_completes(words: str, offered: list[str]) -> None:
    """Commands, their commands, options, and files where a file is meant, as docs/operators.md says to set it up."""
    asked = {"_TARAZY_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = CliRunner(env=asked).invoke(main, [], prog_name="tarazy")
    assert done.stdout.strip().split(",") == offered
