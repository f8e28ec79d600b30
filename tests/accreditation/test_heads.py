"""Signed heads in the database: one a day, without gaps, by one key, of a log that is what it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import Engine, delete, insert, select, update

from tarazy.accreditation.audit import AuditEvent, append
from tarazy.accreditation.checkpoint import CheckpointError, VerifierKey
from tarazy.accreditation.heads import (
    SigningError,
    SigningKey,
    load_key,
    newest_head,
    sign_due_head,
    sign_head,
    signing_key,
    verified_heads,
    verifiers,
)
from tarazy.accreditation.tables import audit, audit_head
from tests.accreditation.test_audit_export import KEY, fill
from tests.accreditation.world import NOW

DAY = timedelta(days=1)


def test_a_head_is_signed_once_each_legal_day(engine: Engine) -> None:
    """The day begins at midnight in Almaty, 19:00 UTC; what was missed is made up for."""
    midnight = datetime(2026, 6, 1, 19, tzinfo=UTC)
    with engine.begin() as connection:
        assert newest_head(connection) is None
        assert sign_due_head(connection, KEY, midnight - timedelta(seconds=1)) is not None
        assert sign_due_head(connection, KEY, midnight - timedelta(seconds=1)) is None
        note = sign_due_head(connection, KEY, midnight)
        newest = newest_head(connection)
        assert newest is not None
        assert (newest[1].number, newest[1].note) == (2, note)
        assert sign_due_head(connection, KEY, midnight + timedelta(hours=23, minutes=59)) is None
        assert sign_due_head(connection, KEY, midnight + 5 * DAY) is not None


def test_a_head_is_signed_when_a_row_is_wanted(engine: Engine) -> None:
    """Once, on the day that has its head already."""
    with engine.begin() as connection:
        sign_due_head(connection, KEY, NOW)
        row = append(connection, [AuditEvent("payments", {})], NOW).size
        assert sign_due_head(connection, KEY, NOW, row - 1) is None
        assert sign_due_head(connection, KEY, NOW, row) is not None
        assert sign_due_head(connection, KEY, NOW, row) is None


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"size": 9}, "signed head 2: its row was changed"),
        ({"at": NOW}, "signed head 2: its row was changed"),
        ({"verifier": "x"}, "signed head 2: signed by none of the keys given"),
        ({"verifier": str(KEY.verifier) + " "}, "signed head 2: signed by none of the keys given"),
        ({"note": ""}, "signed head 2: not a signed head"),
        ({"head": 7}, "signed head 2: it is missing"),
    ],
)
def test_a_changed_head_is_named(engine: Engine, values: dict[str, object], says: str) -> None:
    """By its number, whichever column."""
    fill(engine)
    with engine.begin() as connection:
        assert [head.size for head in verified_heads(connection, [KEY.verifier])] == [4, 8, 12]
        connection.execute(update(audit_head).where(audit_head.c.head == 2).values(values))
        with pytest.raises(CheckpointError, match=says):
            verified_heads(connection, [KEY.verifier])


def test_every_changed_byte_of_a_head_and_a_missing_one_are_named(engine: Engine) -> None:
    """In the note, and by the gap."""
    fill(engine)
    with engine.begin() as connection:
        second = select(audit_head.c.note).where(audit_head.c.head == 2)
        note = connection.execute(second).scalar_one()
        for place in range(len(note)):
            changed = note[:place] + chr(ord(note[place]) ^ 1) + note[place + 1 :]
            connection.execute(update(audit_head).where(audit_head.c.head == 2).values(note=changed))
            with pytest.raises(CheckpointError, match="signed head 2: "):
                verified_heads(connection, [KEY.verifier])
        connection.execute(delete(audit_head).where(audit_head.c.head == 2))
        with pytest.raises(CheckpointError, match="signed head 2: it is missing"):
            verified_heads(connection, [KEY.verifier])


def test_values_that_sqlite_takes_and_nobody_wrote_are_named(sqlite_engine: Engine) -> None:
    """No traceback."""
    fill(sqlite_engine)
    for value in ("'never'", "replace(at, ' ', 'T')", "at || '0'", "x'ff'", "CAST(x'ff' AS TEXT)", "5", "''"):
        with sqlite_engine.begin() as connection:
            kept = connection.exec_driver_sql("SELECT at FROM audit_head WHERE head = 2").scalar_one()
            connection.exec_driver_sql(f"UPDATE audit_head SET at = {value} WHERE head = 2")
            with pytest.raises(CheckpointError, match="signed head 2: it was changed"):
                verified_heads(connection, [KEY.verifier])
            connection.exec_driver_sql("UPDATE audit_head SET at = ? WHERE head = 2", (kept,))


def test_no_head_is_signed_of_another_log_than_the_last(engine: Engine) -> None:
    """A log signs no two heads that do not go together (C2SP tlog-checkpoint): rewritten or cut off, it signs none."""
    fill(engine)
    with engine.begin() as connection:
        kept = connection.execute(select(audit).where(audit.c.sequence > 6)).mappings().all()
        connection.execute(delete(audit).where(audit.c.sequence > 6))
        with pytest.raises(SigningError, match="not what signed head 3 was taken of; see `tarazy audit check`"):
            sign_head(connection, KEY, NOW + 9 * DAY)
        append(connection, [AuditEvent("test", {"n": n}) for n in range(9)], NOW + 2 * DAY)
        with pytest.raises(SigningError, match="not what signed head 3 was taken of"):
            sign_head(connection, KEY, NOW + 9 * DAY)
        connection.execute(delete(audit).where(audit.c.sequence > 6))
        connection.execute(insert(audit), [dict(row) for row in kept])
        sign_head(connection, KEY, NOW + 9 * DAY)


def test_the_key_is_made_once_and_for_its_owner_only(engine: Engine, tmp_path: Path) -> None:
    """Where it is needed first; a file that is none says so."""
    path = tmp_path / "keys" / "audit.pem"
    with engine.begin() as connection:
        made = signing_key(connection, path, "tarazy")
        assert path.stat().st_mode & 0o777 == 0o600
        assert [file.name for file in path.parent.iterdir()] == ["audit.pem"]
        assert signing_key(connection, path, "tarazy").verifier == made.verifier
    assert VerifierKey.parse(str(made.verifier)) == made.verifier
    for content in (b"garbage", b"", b"\0" * 10_000, _pem(X25519PrivateKey.generate())):
        path.write_bytes(content)
        with pytest.raises(SigningError, match=r"restore it, or name another file"):
            load_key(path, "tarazy")
    with engine.begin() as connection, pytest.raises(SigningError, match="cannot be made"):
        signing_key(connection, path / "below", "tarazy")


def _pem(key: X25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_a_lost_key_is_not_replaced_without_a_word(engine: Engine, tmp_path: Path) -> None:
    """A second office without the key would sign heads that nobody can verify."""
    fill(engine)
    path = tmp_path / "audit.pem"
    with engine.begin() as connection, pytest.raises(SigningError) as told:
        signing_key(connection, path, "tarazy")
    assert str(KEY.verifier) in str(told.value)
    assert not path.exists()


def test_keys_are_listed_in_the_order_of_their_first_head(engine: Engine) -> None:
    """The newest last."""
    fill(engine)
    second = SigningKey("tarazy", Ed25519PrivateKey.generate())
    with engine.begin() as connection:
        sign_head(connection, second, NOW + 9 * DAY)
        assert verifiers(connection) == [KEY.verifier, second.verifier]
        assert len(verified_heads(connection, [KEY.verifier, second.verifier])) == 4
        with pytest.raises(CheckpointError, match="signed head 4: signed by none"):
            verified_heads(connection, [KEY.verifier])
