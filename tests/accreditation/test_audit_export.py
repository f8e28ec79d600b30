"""The exported audit log proves itself: each lie in it is found and named, and garbage is told to be none."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, delete, select, update

from tarazy.accreditation.audit import AuditEvent, append, prove_row
from tarazy.accreditation.audit_export import HEADS, KEYS, ROWS, ExportError, export, verify_export
from tarazy.accreditation.checkpoint import CheckpointError, VerifierKey
from tarazy.accreditation.heads import (
    SigningKey,
    SigningKeyError,
    load_key,
    newest_head,
    sign_daily_head,
    sign_head,
    verified_heads,
)
from tarazy.accreditation.merkle import leaf_hash
from tarazy.accreditation.tables import audit, audit_head
from tests.accreditation.world import NOW

KEY = SigningKey("tarazy", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
DAY = timedelta(days=1)


def fill(engine: Engine) -> list[str]:
    """Three days of four rows each, and a head at the end of each."""
    notes = []
    for day in range(3):
        events = [AuditEvent("test", {"n": 4 * day + number, "текст": "Ә"}, f"p{number}") for number in range(4)]
        with engine.begin() as connection:
            append(connection, events, NOW + day * DAY)
            notes.append(sign_head(connection, KEY, NOW + day * DAY))
    return notes


@pytest.fixture
def exported(engine: Engine, tmp_path: Path) -> Path:
    """An export of three days."""
    fill(engine)
    with engine.begin() as connection:
        assert export(connection, tmp_path / "audit") == 12
    return tmp_path / "audit"


def test_an_honest_export_verifies(exported: Path) -> None:
    """With the key of the pool, with that in the export, and with heads kept elsewhere."""
    notes = [json.loads(line)["note"] for line in (exported / HEADS).read_text().splitlines()]
    told: list[tuple[int, int]] = []
    seen = verify_export(exported, [KEY.verifier], notes[:1], lambda done, of: told.append((done, of)))
    assert (seen.rows, len(seen.heads), seen.fault) == (12, 4, None)
    assert verify_export(exported).fault is None
    assert (exported / KEYS).read_text() == f"{KEY.verifier}\n"


def test_the_export_of_one_log_is_always_the_same(exported: Path, engine: Engine, tmp_path: Path) -> None:
    """Byte for byte."""
    with engine.begin() as connection:
        export(connection, tmp_path / "again")
    for name in (ROWS, HEADS, KEYS):
        assert (tmp_path / "again" / name).read_bytes() == (exported / name).read_bytes()


def test_every_changed_byte_of_an_export_is_found_and_named(exported: Path) -> None:
    """In rows and in heads, whichever byte: the message names the line or the row."""
    for name in (ROWS, HEADS):
        path = exported / name
        raw = path.read_bytes()
        for place in range(0, len(raw), 3):
            line = raw[:place].count(b"\n") + 1
            path.write_bytes(bytes([*raw[:place], raw[place] ^ 1, *raw[place + 1 :]]))
            try:
                fault = verify_export(exported, [KEY.verifier]).fault
                assert fault is not None, (name, place)
                said = fault.problem
                assert fault.sequence == line, (name, place, said)
            except (ExportError, CheckpointError) as error:
                said = str(error)
            assert "utf-8" in said or f"line {line}" in said or f"row {line} " in said or f"to {line} " in said, said
        path.write_bytes(raw)


def test_dropped_added_and_swapped_lines_are_found(exported: Path) -> None:
    """Rows and heads are all there, in their order."""
    path = exported / ROWS
    lines = path.read_text().splitlines(keepends=True)
    for change, says in (
        (lines[:5] + lines[6:], "row 6 is missing"),
        (lines[:-1], "rows 12 to 12 are missing at the end"),
        ([*lines[:2], lines[3], lines[2], *lines[4:]], "row 3 is missing"),
        ([*lines, lines[-1]], "row 13 is missing"),
        ([], "rows 1 to 4 are missing at the end"),
    ):
        path.write_text("".join(change))
        fault = verify_export(exported, [KEY.verifier]).fault
        assert fault is not None
        assert fault.problem == says


def test_rows_that_no_head_covers_are_told(exported: Path, engine: Engine, tmp_path: Path) -> None:
    """What was written after the last head could be anything."""
    with engine.begin() as connection:
        append(connection, [AuditEvent("later", {})], NOW + 9 * DAY)
        export(connection, tmp_path / "later")
    fault = verify_export(tmp_path / "later").fault
    assert fault is not None
    assert fault.problem == "rows 13 to 13 are covered by no signed head"


def test_a_log_written_anew_with_the_right_key_fails_the_head_kept_elsewhere(engine: Engine, tmp_path: Path) -> None:
    """Who has the key can sign another past, but not take back the head that an inspector holds."""
    kept = fill(engine)[1]
    with engine.begin() as connection:
        connection.execute(delete(audit).where(audit.c.sequence > 6))
        connection.execute(delete(audit_head).where(audit_head.c.head > 1))
        append(connection, [AuditEvent("test", {"n": n}) for n in range(6)], NOW + DAY)
        sign_head(connection, KEY, NOW + 3 * DAY)
        export(connection, tmp_path / "audit")
    assert verify_export(tmp_path / "audit", [KEY.verifier]).fault is None
    fault = verify_export(tmp_path / "audit", [KEY.verifier], [kept]).fault
    assert fault is not None
    assert fault.problem == "among rows 5 to 8 there is one that is not what the head was taken of"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (ROWS, b"\xff\xfe"),
        (ROWS, b"{}\n"),
        (ROWS, b"[1]\n"),
        (ROWS, b'{"sequence":1}'),
        (ROWS, b"[" * 3_000_000),
        (ROWS, b"\n" * 10),
        (HEADS, b'{"note":"x"}\n'),
        (HEADS, b'{"note":5}\n'),
        (HEADS, b""),
        (HEADS, b"{}\n"),
        (KEYS, b"garbage"),
        (KEYS, b""),
        (KEYS, b"\xff"),
    ],
)
def test_garbage_is_told_to_be_no_export(exported: Path, name: str, content: bytes) -> None:
    """A clear word instead of a traceback."""
    (exported / name).write_bytes(content)
    with pytest.raises((ExportError, CheckpointError)):
        verify_export(exported)


def test_missing_files_and_endless_lines(exported: Path) -> None:
    """Bounded work (invariant 10)."""
    with (exported / ROWS).open("wb") as file:
        file.truncate(2**32)
    with pytest.raises(ExportError, match="line 1: not a line of an export"):
        verify_export(exported)
    (exported / ROWS).unlink()
    with pytest.raises(ExportError, match="made by `tarazy audit export`"):
        verify_export(exported)


def test_a_head_is_signed_once_each_legal_day(engine: Engine) -> None:
    """The day begins at midnight in Almaty, 19:00 UTC; what was missed is made up for."""
    midnight = datetime(2026, 6, 1, 19, tzinfo=UTC)
    with engine.begin() as connection:
        assert newest_head(connection) is None
        assert sign_daily_head(connection, KEY, midnight - timedelta(seconds=1)) is not None
        assert sign_daily_head(connection, KEY, midnight - timedelta(seconds=1)) is None
        assert sign_daily_head(connection, KEY, midnight) == newest_head(connection)
        assert sign_daily_head(connection, KEY, midnight + timedelta(hours=23, minutes=59)) is None
        assert sign_daily_head(connection, KEY, midnight + 5 * DAY) is not None


def test_a_changed_head_in_the_database_is_named(engine: Engine) -> None:
    """By its place among the heads."""
    fill(engine)
    with engine.begin() as connection:
        assert [head.size for head in verified_heads(connection, [KEY.verifier])] == [4, 8, 12]
        note = connection.execute(select(audit_head.c.note).where(audit_head.c.head == 2)).scalar_one()
        connection.execute(update(audit_head).where(audit_head.c.head == 2).values(note=note.replace("\n8\n", "\n9\n")))
        with pytest.raises(CheckpointError, match=r"signed head 2: .*does not fit"):
            verified_heads(connection, [KEY.verifier])


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    """Where it is needed first; a file that is none says so."""
    path = tmp_path / "keys" / "audit.pem"
    made = load_key(path, "tarazy")
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_key(path, "tarazy").verifier == made.verifier
    assert VerifierKey.parse(str(made.verifier)) == made.verifier
    path.write_text("garbage")
    with pytest.raises(SigningKeyError, match="not usable"):
        load_key(path, "tarazy")


def test_a_row_is_proven_apart_from_the_rest(engine: Engine) -> None:
    """What `tarazy audit prove` prints is enough to hash the way up to the signed root."""
    fill(engine)
    with engine.begin() as connection:
        proof = prove_row(connection, 6, 12)
        with pytest.raises(LookupError):
            prove_row(connection, 13, 12)
    assert (proof["leaf_index"], proof["tree_size"], len(proof["path"])) == (5, 12, 4)
    assert leaf_hash(b"") != proof["path"][0]
