"""`tarazy register`: single entries, their history, files, wallets and licences, as an operator uses them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from tarazy.config.law.calendar import day_start, legal_day
from tarazy.pool.cli.register import shared, wallets
from tarazy.pool.demo.scenario import EKIBASTUZ, SERVER
from tests.pool.house import House


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """The demo's registers, without a running server."""
    return House(tmp_path_factory.mktemp("register") / "pool")


def show(house: House, *arguments: str) -> Any:
    """What is in force, by the command."""
    return json.loads(house.command("register", "show", *arguments, "--json").stdout)


def history(house: House, kind: str, key: str) -> Any:
    """All versions of an entry."""
    return json.loads(house.command("register", "history", kind, key, "--json").stdout)


def test_an_entry_is_made_changed_corrected_and_withdrawn(house: House) -> None:
    """Each step adds a version; the history tells what each said, who recorded it and why."""
    columns = ("model=S21", "party=altyn", f"site={EKIBASTUZ}", "nominal_hash_rate_hs=200 TH/s", "nominal_power_w=3500")
    made = house.command("register", "set", "equipment", "SN-7", *columns, "--from", "2026-01-01")
    assert (made.exit_code, "equipment: 1 added" in made.stdout) == (0, True), made.stderr
    assert show(house, "equipment", "SN-7")[0]["nominal_hash_rate_hs"] == str(200 * 10**12)
    house.command("register", "set", "equipment", "SN-7", "nominal_power_w=3600", "--from", "2026-03-01")
    number = history(house, "equipment", "SN-7")[1]["entry"]
    wrong = house.command("register", "correct", "equipment", "SN-7", number, "nominal_power_w=3550", "--why", "act 7")
    assert wrong.exit_code == 0, wrong.stderr
    assert show(house, "equipment", "SN-7")[0]["nominal_power_w"] == "3550"
    assert show(house, "equipment", "SN-7", "--as-of", "2026-02-01T00:00:00+05:00")[0]["nominal_power_w"] == "3500"
    first, second, third = history(house, "equipment", "SN-7")
    assert (second["corrected_by"], third["columns"]["why"]) == (third["entry"], "act 7")
    assert house.command("register", "withdraw", "equipment", "SN-7", third["entry"], "--why", "no").exit_code == 0
    assert show(house, "equipment", "SN-7")[0]["nominal_power_w"] == "3500"
    shown = house.command("register", "history", "equipment", "SN-7").stdout
    assert "corrected by" in shown
    assert "withdrawal" in shown
    assert first["recorded_by"] == shared.recorder()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("set", "equipment", "SN-8", "model=S21"), 1, "column party: is empty; fill it in, such as acme"),
        (("set", "equipment", "SN-8", "colour=red"), 2, "expected COLUMN=VALUE with one of the columns model, party"),
        (("set", "equipment", "SN-8", "model=a", "model=b"), 2, "model is given twice"),
        (("set", "meter", "demo-1", "profile=none"), 1, "no meter profile none"),
        (("set", "licence", "DEMO-0001", "status=lost"), 1, "column status: expected one of: in_force"),
        (("set", "licence", "DEMO-0001", "--from", "soon"), 2, "--from: expected a day"),
        (("correct", "licence", "DEMO-0001", "99", "--why", "x"), 1, "has no entry 99"),
        (("withdraw", "licence", "DEMO-0001", "99", "--why", "x"), 1, "has no entry 99"),
        (("history", "licence", "DEMO-9"), 1, "there is no licence DEMO-9"),
        (("correct", "licence", "DEMO-0001", "1"), 2, "Missing option '--why'"),
        (("wallet", "approve", "none"), 1, "there is no wallet none"),
        (("wallet", "propose", "altyn", "altyn-2", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"), 1, "column address"),
        (("export",), 2, "name a register"),
        (("fetch", "nothing", "-o", "unwritten"), 1, "there is no document"),
        (("reissue", "DEMO-0001", "DEMO-0002"), 1, "there is a licence DEMO-0002 already"),
        (("reissue", "DEMO-9999", "DEMO-9998"), 1, "no licence DEMO-9999 is in force"),
    ],
)
def test_what_is_refused_says_what_to_do(house: House, arguments: tuple[str, ...], code: int, says: str) -> None:
    """One line and an exit code, never a traceback."""
    told = house.command("register", *arguments)
    assert (told.exit_code, says in told.stderr) == (code, True), told.stderr
    assert "Traceback" not in told.stderr


def test_a_dry_run_shows_the_difference_and_records_nothing(house: House, tmp_path: Path) -> None:
    """Old and new, column by column; the same as JSON."""
    file = tmp_path / "site.csv"
    house.command("register", "export", "site", "-o", str(file))
    file.write_text(file.read_text().replace("5000000", "4000000"))
    before = house.command("register", "export", "site").stdout
    refused = house.command("register", "import", str(file), "--dry-run")
    assert (refused.exit_code, "column corrects" in refused.stderr) == (1, True)
    dry = house.command("register", "import", str(file), "--dry-run", "--why", "grid letter")
    assert dry.exit_code == 0, dry.stderr
    assert "nothing was recorded" in dry.stdout
    told = json.loads(house.command("register", "import", str(file), "--dry-run", "--why", "x", "--json").stdout)
    assert told["recorded"] is False
    assert told["changes"][0]["columns"] == {"permitted_power_w": ["5000000", "4000000"]}
    assert house.command("register", "export", "site").stdout == before
    done = house.command("register", "import", str(file), "--why", "grid letter")
    assert "site: 1 added, 1 there already" in done.stdout
    assert "4000000" in house.command("register", "export", "site").stdout


def test_all_registers_go_into_one_workbook_and_back(house: House, tmp_path: Path) -> None:
    """A sheet each; what is in force imports as nothing new; a history is wider."""
    path = tmp_path / "all.xlsx"
    assert house.command("register", "export", "-o", str(path)).exit_code == 0
    again = json.loads(house.command("register", "import", str(path), "--json").stdout)
    assert again["added"] == {}
    assert sum(again["unchanged"].values()) > 20
    assert house.command("register", "export", "--history", "-o", str(path)).exit_code == 0
    assert load_workbook(path)["site"].max_row > 3


def test_files_are_attached_and_come_back(house: House, tmp_path: Path) -> None:
    """Byte for byte; what is no document is refused."""
    paper = tmp_path / "lease.pdf"
    paper.write_bytes(b"%PDF-1.7 lease")
    attached = house.command(
        "register", "attach", "server", SERVER, str(paper), "--title", "Lease", "--to", "2027-01-01"
    )
    assert attached.exit_code == 0, attached.stderr
    (document,) = show(house, "document")
    assert (document["of_register"], document["of_key"], document["valid_to"]) == (
        "server",
        SERVER,
        "2027-01-01",
    )
    out = tmp_path / "out.pdf"
    assert house.command("register", "fetch", document["document"], "-o", str(out)).exit_code == 0
    assert out.read_bytes() == paper.read_bytes()
    paper.write_bytes(b"\x7fELF\0")
    refused = house.command("register", "attach", "server", SERVER, str(paper), "--title", "x")
    assert (refused.exit_code, "only PDF" in refused.stderr) == (1, True)


def test_a_version_before_the_first_needs_every_column(house: House) -> None:
    """Nothing holds then that could stay as it is: the columns are named, and the way to begin earlier."""
    early = house.command("register", "set", "party", "altyn", "note=x", "--from", "2001-01-01")
    assert early.exit_code == 1
    assert "name bin, kind, account, name_kk, name_ru, name_en too" in early.stderr
    assert "register correct party altyn NUMBER valid_from=DAY" in early.stderr


def test_the_first_address_of_a_party_counts_at_once(house: House) -> None:
    """Nobody has to approve it; the one after it waits."""
    addresses = ("bcrt1qqz7xhvxhgz9mkazdn6dz0rrv9plhvq8evdcmyy", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080")
    names = [f"name_{lang}=New" for lang in ("kk", "ru", "en")]
    made = house.command("register", "set", "party", "new", "bin=240140000011", "kind=legal", "account=new", *names)
    assert made.exit_code == 0, made.stderr
    first, second = (
        house.command("register", "wallet", "propose", "new", f"new-{number}", address)
        for number, address in enumerate(addresses, 1)
    )
    assert first.stdout == "wallet new-1 is the first of new and counts from now on\n", first.stderr
    assert "somebody else must approve it" in second.stdout
    assert [row["status"] for row in show(house, "wallet", "new-1")] == ["approved"]


def test_a_wallet_needs_somebody_else_and_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proposed by one, approved by another, counting three days later; rejected by anybody at once."""
    address = "bcrt1qqz7xhvxhgz9mkazdn6dz0rrv9plhvq8evdcmyy"
    assert house.command("register", "wallet", "propose", "altyn", "altyn-2", address).exit_code == 0
    alone = house.command("register", "wallet", "approve", "altyn-2")
    assert (alone.exit_code, "somebody else must approve it" in alone.stderr) == (1, True)
    monkeypatch.setattr(wallets, "recorder", lambda: "second")
    approved = house.command("register", "wallet", "approve", "altyn-2")
    assert (approved.exit_code, "+05:00" in approved.stdout) == (0, True)
    assert house.command("register", "wallet", "approve", "altyn-2").exit_code == 1
    begins = datetime.fromisoformat(history(house, "wallet", "altyn-2")[1]["columns"]["valid_from"])
    assert timedelta(hours=71) < begins - datetime.now(UTC) <= timedelta(hours=72)
    assert house.command("register", "wallet", "reject", "altyn-2", "--why", "fraud").exit_code == 0
    later = (begins + timedelta(days=1)).isoformat()
    assert [row["status"] for row in show(house, "wallet", "altyn-2", "--as-of", later)] == ["rejected"]


def test_licences_are_issued_anew(house: House) -> None:
    """The old number ends when the new one begins; holder and end stay. A short suspension is warned about."""
    since = legal_day(datetime.now(UTC)) - timedelta(days=100)
    done = house.command("register", "reissue", "DEMO-0001", "DEMO-0101", "--from", day_start(since).isoformat())
    assert done.exit_code == 0, done.stderr
    assert show(house, "licence", "DEMO-0001")[0]["status"] == "revoked"
    fresh = show(house, "licence", "DEMO-0101")[0]
    assert (fresh["party"], fresh["replaces"], fresh["valid_from"]) == ("altyn", "DEMO-0001", str(since))
    until = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    short = house.command("register", "suspend", "DEMO-0101", "--until", until, "--reason", "act")
    assert (short.exit_code, "+05:00" in short.stdout) == (0, True)
    assert "is suspended for other than 1 to 6 months (Law 193-VII" in short.stderr


def test_tokens_are_made_shown_once_and_revoked(house: House) -> None:
    """The text is printed once; the list tells names and roles only; the audit log knows."""
    made = house.command("token", "create", "ministry", "--role", "inspector")
    token = made.stdout.strip()
    assert (made.exit_code, token.startswith("tarazy_"), "not shown again" in made.stderr) == (0, True, True)
    listed = house.command("token", "list", "--json").stdout
    assert [row["name"] for row in json.loads(listed)] == ["ministry"]
    assert token not in listed
    assert house.command("token", "create", "ministry", "--role", "inspector").exit_code == 1
    assert house.command("token", "create", "m", "--role", "miner").exit_code == 1
    assert house.command("token", "revoke", "ministry").exit_code == 0
    assert house.command("token", "revoke", "ministry").exit_code == 1
    events = json.loads(house.command("audit", "show", "--kind", "token-revoked", "--json").stdout)
    assert events[0]["body"]["name"] == "ministry"
