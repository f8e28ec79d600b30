"""The exported audit log proves itself: each lie in it is found and named, and garbage is told to be none."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, delete

from tarazy.accreditation.audit import AuditEvent, AuditHead, UnreadableRowError, append, head, rows_of
from tarazy.accreditation.audit_export import BEGIN, HEADS, KEYS, ROWS, ExportError, export, verify_export
from tarazy.accreditation.checkpoint import CheckpointError, sign
from tarazy.accreditation.heads import SigningKey, sign_head
from tarazy.accreditation.merkle import EMPTY_ROOT
from tarazy.accreditation.tables import audit, audit_head
from tests.accreditation.world import NOW

KEY = SigningKey("tarazy", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = AuditHead(8, "ab" * 32)
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
        assert export(connection, tmp_path / "audit") == (0, 12)
    return tmp_path / "audit"


def test_an_honest_export_verifies(exported: Path) -> None:
    """With the key of the pool, with that in the export, and with heads kept elsewhere."""
    notes = [json.loads(line)["note"] for line in (exported / HEADS).read_text().splitlines()]
    told: list[tuple[int, int]] = []
    seen = verify_export(exported, [KEY.verifier], {"june.txt": notes[0]}, lambda done, of: told.append((done, of)))
    assert (seen.rows, len(seen.heads), seen.fault) == (12, 4, None)
    assert verify_export(exported).fault is None
    assert (exported / KEYS).read_text() == f"{KEY.verifier}\n"


def test_the_export_of_one_log_is_always_the_same(exported: Path, engine: Engine, tmp_path: Path) -> None:
    """Byte for byte."""
    with engine.begin() as connection:
        export(connection, tmp_path / "again")
    assert {path.name for path in exported.iterdir()} == {ROWS, HEADS, BEGIN, KEYS}
    for name in (ROWS, HEADS, BEGIN, KEYS):
        assert (tmp_path / "again" / name).read_bytes() == (exported / name).read_bytes()


@pytest.mark.parametrize("name", [ROWS, HEADS, BEGIN, KEYS])
def test_every_changed_byte_of_an_export_is_found_and_named(sqlite_engine: Engine, tmp_path: Path, name: str) -> None:
    """Whichever byte of whichever file, with the pool's key or with that in the export: line or row is named."""
    fill(sqlite_engine)
    exported = tmp_path / "audit"
    with sqlite_engine.begin() as connection:
        export(connection, exported)
    path = exported / name
    raw = path.read_bytes()
    for place in range(len(raw)):
        line = raw[:place].count(b"\n") + 1
        path.write_bytes(bytes([*raw[:place], raw[place] ^ (1 << place % 8), *raw[place + 1 :]]))
        try:
            fault = verify_export(exported, [KEY.verifier] if place % 2 else []).fault
            assert fault is not None, place
            said = f"{ROWS}: {fault.problem}"
            assert fault.sequence == line, (place, said)
        except (ExportError, CheckpointError) as error:
            said = str(error)
        broken_keys = name == KEYS and said.startswith(f"{HEADS}, line 1: signed by none of the keys given")
        assert name in said or broken_keys, said
        assert name == BEGIN or broken_keys or f"line {line}" in said or f"row {line} " in said or f"to {line} " in said


def test_heads_dropped_from_an_export_are_missed(exported: Path) -> None:
    """They are numbered."""
    path = exported / HEADS
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[2])
    with pytest.raises(ExportError, match=r"heads.jsonl, line 2: not signed head 2"):
        verify_export(exported)
    path.write_text(lines[0].replace("{", '{"a":1,'))
    with pytest.raises(ExportError, match=r"heads.jsonl, line 1: not a signed head"):
        verify_export(exported)


def test_keys_in_the_export_that_nobody_published_are_told(exported: Path) -> None:
    """Also when they do not matter, because the right one is given."""
    other = SigningKey("tarazy", Ed25519PrivateKey.generate()).verifier
    (exported / KEYS).write_text(f"{KEY.verifier}\n{other}\n")
    with pytest.raises(CheckpointError, match=r"keys.txt, line 2: .* is none of the keys given"):
        verify_export(exported, [KEY.verifier])
    assert verify_export(exported, [other, KEY.verifier]).fault is None


def test_what_is_written_while_a_head_is_signed_is_left_for_the_next(engine: Engine, tmp_path: Path) -> None:
    """A running server goes on writing; an export ends where its newest head ends, and verifies."""
    fill(engine)
    with engine.begin() as connection:
        append(connection, [AuditEvent("later", {})], NOW + 9 * DAY)
        assert export(connection, tmp_path / "audit") == (0, 12)
    assert verify_export(tmp_path / "audit", [KEY.verifier]).fault is None


def test_an_export_goes_on_where_an_earlier_one_ended(engine: Engine, tmp_path: Path) -> None:
    """It begins after the last head before the moment, and is held against it."""
    notes = fill(engine)
    with engine.begin() as connection:
        assert export(connection, tmp_path / "early", NOW - DAY) == (0, 12)
        assert export(connection, tmp_path / "new", NOW + 3 * DAY) == (12, 0)
        assert export(connection, tmp_path / "part", NOW + 2 * DAY) == (8, 4)
        before = head(connection, NOW + 2 * DAY)
    part = tmp_path / "part"
    seen = verify_export(part, [KEY.verifier], {"second": notes[1], "third": notes[2]})
    assert (seen.before, seen.rows, seen.fault) == (8, 4, None)
    assert seen.heads[0].head == before
    assert json.loads((part / ROWS).read_text().splitlines()[0])["sequence"] == 9
    assert verify_export(tmp_path / "new").fault is None
    with pytest.raises(ExportError, match="first: of 4 rows, but this export begins with row 9"):
        verify_export(part, [KEY.verifier], {"first": notes[0]})
    heads = (part / HEADS).read_text().splitlines(keepends=True)
    (part / HEADS).write_text("".join(heads[1:]))
    with pytest.raises(
        ExportError, match=r"heads.jsonl, line 1: not signed head 2 \(the first is 2, says begin.json\)"
    ):
        verify_export(part)
    begin = (part / BEGIN).read_text()
    (part / BEGIN).write_text(begin.replace('"head":2', '"head":3'))
    with pytest.raises(CheckpointError, match="not the head of the 8 rows"):
        verify_export(part)
    (part / HEADS).write_text("".join(heads))
    (part / BEGIN).write_text('{"hashes":["%s"],"head":2,"size":8}\n' % ("ab" * 32))
    fault = verify_export(part).fault
    assert fault is not None
    assert fault.problem == "the head of 8 rows is not of what this log begins with"


def test_two_heads_of_one_size_are_two_logs(exported: Path) -> None:
    """Whoever signs two pasts is found out by either head."""
    with pytest.raises(CheckpointError, match="signed by none"):
        verify_export(exported, [KEY.verifier], {"forged": sign(Ed25519PrivateKey.generate(), "tarazy", OTHER, NOW)})
    fault = verify_export(exported, [KEY.verifier], {"kept": sign(KEY.private, "tarazy", OTHER, NOW)}).fault
    assert fault is not None
    assert fault.problem == "two signed heads of 8 rows differ: two logs were told"


def test_the_head_of_no_rows_is_that_of_the_empty_tree(exported: Path) -> None:
    """A signed head of nothing that is something is a lie, too."""
    empty = sign(KEY.private, "tarazy", AuditHead(0, EMPTY_ROOT.hex()), NOW)
    assert verify_export(exported, [KEY.verifier], {"empty": empty}).fault is None
    fault = verify_export(
        exported, [KEY.verifier], {"x": sign(KEY.private, "tarazy", AuditHead(0, "ab" * 32), NOW)}
    ).fault
    assert fault is not None
    assert fault.problem == "the head of 0 rows is not of what this log begins with"


def test_dropped_added_and_swapped_lines_are_found(exported: Path) -> None:
    """Rows and heads are all there, in their order."""
    path = exported / ROWS
    lines = path.read_text().splitlines(keepends=True)
    for change, says in (
        (lines[:5] + lines[6:], "row 6 is missing"),
        (lines[:-1], "rows 12 to 12 are missing at the end"),
        ([*lines[:2], lines[3], lines[2], *lines[4:]], "row 3 is missing"),
        ([*lines, lines[-1]], "row 12 stands where row 13 belongs"),
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
        (row,) = rows_of(connection, after=12)
        sign_head(connection, KEY, NOW + 9 * DAY)
        export(connection, tmp_path / "later")
    assert row.sequence == 13
    (exported / ROWS).write_text((tmp_path / "later" / ROWS).read_text())
    fault = verify_export(exported).fault
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
    fault = verify_export(tmp_path / "audit", [KEY.verifier], {"kept": kept}).fault
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
        (BEGIN, b""),
        (BEGIN, b"{}\n"),
        (BEGIN, b'{"hashes":[],"head":1,"size":true}\n'),
        (BEGIN, b'{"hashes":[],"head":1,"size":-1}\n'),
        (BEGIN, b'{"hashes":[5],"head":1,"size":1}\n'),
        (BEGIN, b'{"hashes":["AB"],"head":1,"size":1}\n'),
        (BEGIN, b'{"hashes":[],"head":1,"size":' + b"9" * 10_000 + b"}\n"),
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
    with pytest.raises(ExportError, match="line 1: cut off, or longer than any line"):
        verify_export(exported)
    (exported / ROWS).unlink()
    with pytest.raises(ExportError, match="made by `tarazy audit export`"):
        verify_export(exported)


def test_a_row_that_cannot_be_read_ends_the_export_with_its_number(sqlite_engine: Engine, tmp_path: Path) -> None:
    """Text where an instant belongs."""
    fill(sqlite_engine)
    with sqlite_engine.begin() as connection:
        connection.exec_driver_sql("UPDATE audit SET at = 'never' WHERE sequence = 7")
        with pytest.raises(UnreadableRowError, match="row 7 was changed"):
            export(connection, tmp_path / "audit")
