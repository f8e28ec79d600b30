"""`tarazy audit` and `tarazy verify audit`: the log, its signed heads and its proofs, as people use them."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime
from pathlib import Path

import pytest

from tarazy.accreditation.audit import AuditRow
from tarazy.accreditation.checkpoint import VerifierKey, verify
from tarazy.accreditation.merkle import verify_inclusion
from tests.pool.house import House, run_command


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """Settings, ledger and registers, whose import is in the log, without a running server."""
    return House(tmp_path_factory.mktemp("audit") / "pool")


def test_heads_are_signed_shown_and_kept(house: House, tmp_path: Path) -> None:
    """None at first; one on demand; the key is made for its owner only and `check` tells it."""
    none = house.command("audit", "head")
    assert (none.exit_code, "--sign" in none.stderr) == (1, True)
    note = house.command("audit", "head", "--sign").stdout
    assert house.command("audit", "head").stdout == note
    assert json.loads(house.command("audit", "head", "--json").stdout) == {"note": note}
    key = house.command("audit", "key").stdout.strip()
    assert verify(note, [VerifierKey.parse(key)]).head.size > 0
    assert key in house.command("check").stdout.replace("\n", "")
    house.settings.audit_key_path.chmod(0o644)
    assert "can be read by others" in house.command("check").stdout
    house.settings.audit_key_path.chmod(0o600)
    (tmp_path / "head.txt").write_text(note)
    exported = house.command("audit", "export", "-o", str(tmp_path / "log"))
    assert (exported.exit_code, key in exported.stdout) == (0, True)
    told = run_command("verify", "audit", str(tmp_path / "log"), "--key", key, "--head", str(tmp_path / "head.txt"))
    assert (told.exit_code, told.stderr) == (0, "")
    assert "are what 3 signed heads of tarazy say" in told.stdout
    alone = run_command("verify", "audit", str(tmp_path / "log"))
    assert (alone.exit_code, alone.stderr.count("note:")) == (0, 2)


def test_a_changed_export_is_told_with_exit_code_1(house: House, tmp_path: Path) -> None:
    """The first bad row is named; misuse is another code."""
    house.command("audit", "export", "-o", str(tmp_path / "log"), "--json")
    path = tmp_path / "log" / "audit.jsonl"
    path.write_text(path.read_text().replace('"kind":"register-entry"', '"kind":"register-entrY"', 1))
    told = run_command("verify", "audit", str(tmp_path / "log"), "--json")
    assert told.exit_code == 1
    assert json.loads(told.stdout)["fault"] == {"sequence": 1, "problem": "row 1 was changed"}
    assert "row 1 was changed" in told.stderr
    assert run_command("verify", "audit", str(tmp_path / "log"), "--key", "x").exit_code == 2
    assert run_command("verify", "audit", str(tmp_path / "nothing")).exit_code == 2
    (tmp_path / "log" / "heads.jsonl").write_bytes(b"\xff")
    garbage = run_command("verify", "audit", str(tmp_path / "log"))
    assert (garbage.exit_code, "Traceback" in garbage.stderr) == (1, False)


def test_a_row_is_proven_to_somebody_who_has_only_the_head(house: House) -> None:
    """The proof holds everything: the row, the path, and the signed root."""
    key = VerifierKey.parse(house.command("audit", "key").stdout)
    house.command("audit", "head", "--sign")
    proof = json.loads(house.command("audit", "prove", "3").stdout)
    row = proof["row"]
    body = json.dumps(json.loads(row["body"]), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    made = AuditRow(**{**row, "at": datetime.fromisoformat(row["at"]), "body": body, "hashes": ""})
    root = bytes.fromhex(verify(proof["note"], [key]).head.root)
    path = [bytes.fromhex(text) for text in proof["path"]]
    assert verify_inclusion(made.leaf(), proof["leaf_index"], proof["tree_size"], path, root)
    assert house.command("audit", "prove", "999999").exit_code == 1


def test_events_are_shown_by_kind_and_party(house: House) -> None:
    """As a table and as JSON."""
    shown = json.loads(house.command("audit", "show", "--kind", "register-import", "--json").stdout)
    assert {row["kind"] for row in shown} <= {"register-import"}
    latest = json.loads(house.command("audit", "show", "--last", "2", "--json").stdout)
    assert [row["sequence"] for row in latest] == sorted(row["sequence"] for row in latest)
    assert len(latest) == 2
    assert "register-entry" in house.command("audit", "show", "--last", "3").stdout


def test_check_finds_what_was_changed_in_the_database(house: House) -> None:
    """In the log itself, and in a register that the log knows of."""
    house.command("audit", "head", "--sign")
    fine = house.command("audit", "check")
    assert (fine.exit_code, "as they were written" in fine.stdout) == (0, True)
    ledger = sqlite3.connect(house.settings.data / "tarazy.db")
    with ledger:
        ledger.execute("UPDATE licence SET status = 'revoked' WHERE entry = 1")
    told = house.command("audit", "check", "--json")
    assert told.exit_code == 1
    assert json.loads(told.stdout)["faults"] == ["licence, entry 1: it was changed after it was recorded"]
    with ledger:
        ledger.execute("UPDATE licence SET status = 'in_force' WHERE entry = 1")
        ledger.execute("UPDATE audit SET party = 'x' WHERE sequence = 5")
    assert "audit log: row 5 was changed" in house.command("audit", "check").stderr
    with ledger:
        ledger.execute("UPDATE audit SET party = NULL WHERE sequence = 5")
    assert house.command("audit", "check").exit_code == 0
    ledger.close()


def test_a_running_server_signs_the_head_of_the_day(house: House) -> None:
    """By itself, once; after a restart on the same day not again."""
    count = "SELECT count(*) FROM audit_head"
    with sqlite3.connect(house.settings.data / "tarazy.db") as ledger:
        ledger.execute("DELETE FROM audit_head")
    ledger.close()
    for _ in range(2):
        house.start()
        assert house.ledger(count) == [(1,)]
        assert house.stop() == 0
    assert house.ledger(count) == [(1,)]
