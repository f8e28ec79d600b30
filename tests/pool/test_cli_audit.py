"""`tarazy audit` and `tarazy verify audit`: the log, its signed heads and its proofs, as people use them."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tarazy.accreditation import audit
from tarazy.accreditation.checkpoint import VerifierKey, verify
from tarazy.accreditation.merkle import leaf_hash, verify_inclusion
from tarazy.database.engine import open_engine
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


def test_a_row_is_proven_to_somebody_who_has_only_the_head(house: House, tmp_path: Path) -> None:
    """The proof holds everything: the row, the path, and the signed root."""
    key = VerifierKey.parse(house.command("audit", "key").stdout)
    house.command("audit", "head", "--sign")
    text = house.command("audit", "prove", "3").stdout
    proof = json.loads(text)
    row = proof["row"]
    content = {**row, "body": json.loads(row["body"])}
    told = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    head = verify(proof["note"], [key]).head
    path = [bytes.fromhex(made) for made in proof["path"]]
    assert verify_inclusion(leaf_hash(told.encode()), 2, head.size, path, bytes.fromhex(head.root))
    assert house.command("audit", "prove", "999999").exit_code == 1
    (tmp_path / "proof.json").write_text(text)
    fine = run_command("verify", "audit", str(tmp_path / "proof.json"), "--key", str(key))
    assert (fine.exit_code, fine.stdout.startswith(f"row 3 is one of the {head.size} that tarazy signed")) == (0, True)
    as_json = run_command("verify", "audit", str(tmp_path / "proof.json"), "--key", str(key), "--json")
    assert json.loads(as_json.stdout)["head"]["size"] == head.size
    (tmp_path / "proof.json").write_text(text.replace('"sequence": 3', '"sequence": 4'))
    bad = run_command("verify", "audit", str(tmp_path / "proof.json"), "--key", str(key))
    assert (bad.exit_code, "row 4 does not lie in the signed head" in bad.stderr) == (1, True)
    assert run_command("verify", "audit", str(tmp_path / "proof.json")).exit_code == 2


def test_events_are_shown_by_kind_and_party(house: House) -> None:
    """As a table and as JSON."""
    shown = json.loads(house.command("audit", "show", "--kind", "register-import", "--json").stdout)
    assert {row["kind"] for row in shown} <= {"register-import"}
    latest = json.loads(house.command("audit", "show", "--last", "2", "--json").stdout)
    assert [row["sequence"] for row in latest] == sorted(row["sequence"] for row in latest)
    assert len(latest) == 2
    assert "user-invited" in house.command("audit", "show", "--last", "3").stdout


def test_events_are_shown_as_they_stand(house: House) -> None:
    """What a stranger called himself is text, not markup for the terminal: `[/a]` would end in a traceback."""
    at = audit.instant_text(datetime.now(UTC))
    told = {"reasons": [], "count": 1, "first": at, "last": at}
    body = {"text": "no account", "worker": "[red]rig[/a]", **told}
    engine = open_engine(house.settings.database_url)
    with engine.begin() as connection:
        audit.append(connection, [audit.AuditEvent("refused", body, None, "[/a]")], datetime.now(UTC))
    engine.dispose()
    shown = house.command("audit", "show", "--kind", "refused", "--last", "1")
    assert (shown.exit_code, "[red]rig[/a]" in shown.stdout.replace("\n", "")) == (0, True), shown.stderr


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
        (body,) = ledger.execute("SELECT body FROM audit WHERE sequence = 5").fetchone()
    for broken in ("broken", b"\xff"):
        with ledger:
            ledger.execute("UPDATE audit SET body = ? WHERE sequence = 5", (broken,))
        told = house.command("audit", "check")
        assert (told.exit_code, told.stderr) == (1, "Error: audit log: row 5 was changed\n")
    with ledger:
        ledger.execute("UPDATE audit SET body = ? WHERE sequence = 5", (body,))
        ledger.execute("UPDATE audit_head SET size = 1 WHERE head = 1")
    assert "signed head 1: its row was changed" in house.command("audit", "check").stderr
    with ledger:
        (note,) = ledger.execute("SELECT note FROM audit_head WHERE head = 1").fetchone()
        ledger.execute("UPDATE audit_head SET size = ? WHERE head = 1", (int(note.split("\n")[1]),))
    assert house.command("audit", "check").exit_code == 0
    ledger.close()


def test_check_holds_the_database_against_heads_kept_elsewhere(house: House, tmp_path: Path) -> None:
    """Rows and heads cut off together are found by nobody else."""
    note = house.command("audit", "head", "--sign").stdout
    (tmp_path / "kept.txt").write_text(note)
    assert house.command("audit", "check", "--head", str(tmp_path / "kept.txt")).exit_code == 0
    longer = note.replace("\n", " \n", 1)
    (tmp_path / "other.txt").write_text(longer)
    told = house.command("audit", "check", "--head", str(tmp_path / "other.txt"))
    assert (told.exit_code, "other.txt: not a signed head" in told.stderr.replace("\n", "")) == (1, True)


def test_a_host_without_the_key_makes_none(house: House, tmp_path: Path) -> None:
    """It checks with the key that is named; to sign, it asks for the file."""
    verifier = house.command("audit", "key").stdout.strip()
    house.command("audit", "head", "--sign")
    kept = house.settings.audit_key_path.rename(tmp_path / "audit.pem")
    try:
        alone = house.command("audit", "check")
        assert (alone.exit_code, "name the log's with --key" in alone.stderr) == (2, True)
        assert house.command("audit", "check", "--key", verifier).exit_code == 0
        assert house.command("audit", "prove", "1").exit_code == 0
        for command in (["head", "--sign"], ["key"], ["export", "-o", str(tmp_path / "none")]):
            told = house.command("audit", *command)
            assert (told.exit_code, verifier in told.stderr, "Traceback" in told.stderr) == (1, True, False)
        assert not house.settings.audit_key_path.exists()
    finally:
        kept.rename(house.settings.audit_key_path)


def test_an_export_begins_where_asked(house: House, tmp_path: Path) -> None:
    """And says so; reports are in the log, with the digests of their files."""
    built = house.command("report", "build", "accreditation", "-o", str(tmp_path), "--json")
    assert built.exit_code == 0, built.stderr
    report = json.loads(built.stdout)
    (event,) = json.loads(house.command("audit", "show", "--kind", "report", "--json").stdout)
    *paths, proof = map(Path, report["paths"])
    assert proof.suffix == ".audit"
    made = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    assert (event["body"]["report"], event["body"]["files"]) == ("accreditation", made)
    told = json.loads(
        house.command("audit", "export", "-o", str(tmp_path / "a"), "--since", event["at"], "--json").stdout
    )
    assert told["rows_before"] > 0
    assert told["rows"] >= 1
    seen = run_command("verify", "audit", str(tmp_path / "a"), "--json")
    assert (seen.exit_code, json.loads(seen.stdout)["rows_before"]) == (0, told["rows_before"])
    plain = run_command("verify", "audit", str(tmp_path / "a"), "--key", told["verifier"])
    assert plain.stdout.startswith(f"rows {told['rows_before'] + 1} to {told['rows_before'] + told['rows']} are what")
    house.command("audit", "export", "-o", str(tmp_path / "b"), "--since", "now")
    assert run_command("verify", "audit", str(tmp_path / "b")).stdout.startswith("no rows after row ")


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
