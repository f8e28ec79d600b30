"""The signed heads of the audit log: one each legal day, and whenever somebody asks for one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import OperationalError

from tarazy.accreditation import audit
from tarazy.accreditation.audit import AuditHead
from tarazy.accreditation.checkpoint import CheckpointError, VerifierKey, sign, verify
from tarazy.accreditation.tables import audit_head, lock_writers
from tarazy.config.law.calendar import day_start, legal_day


class SigningError(Exception):
    """No head can be signed, and what to do."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Who signs the heads: the name of the log, and its private key."""

    name: str
    private: Ed25519PrivateKey

    @property
    def verifier(self) -> VerifierKey:
        """What the pool gives away, so that anybody can check its heads."""
        return VerifierKey(self.name, self.private.public_key().public_bytes_raw())


def load_key(path: Path, name: str) -> SigningKey:
    """The key in a PEM file (PKCS #8, Ed25519); raises `SigningError`."""
    try:
        private = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SigningError(f"{path}: not usable ({error}); restore it, or name another file") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise SigningError(f"{path}: not an Ed25519 key; restore it, or name another file")
    return SigningKey(name, private)


def signing_key(connection: Connection, path: Path, name: str) -> SigningKey:
    """The key in a PEM file, which is made, readable for its owner only, for a log that has no head yet.

    Raises `SigningError`, also when there is no file though heads were signed: with another key, whoever knows the
    first one could verify nothing any more.
    """
    if not path.exists():
        signed = verifiers(connection)
        if signed:
            raise SigningError(
                f"{path} is missing, and heads of this log are signed with {signed[-1]}: copy that key's file here. If "
                f"it is lost, make another (openssl genpkey -algorithm ed25519 -out {path}) and publish it too"
            )
        try:
            _make_key(path)
        except OSError as error:
            raise SigningError(f"{path}: cannot be made ({error.strerror or error}); set audit.key") from None
    return load_key(path, name)


def _make_key(path: Path) -> None:
    """Whole or not at all, and on disk before anything is signed with it; whoever comes second keeps what is there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-") as unfinished:  # 0600
        unfinished.write(made)
        unfinished.flush()
        os.fsync(unfinished.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(unfinished.name)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A head as it is kept: its number, from 1 without gaps, and the signed note."""

    number: int
    note: str


def sign_head(connection: Connection, key: SigningKey, at: datetime) -> str:
    """Sign the log as it is and keep the head; gives the signed note.

    Raises `SigningError` when the log is no longer what the newest head was taken of, as far as the kept hashes tell.
    """
    lock_writers(connection)
    newest = connection.execute(select(audit_head).order_by(audit_head.c.head.desc()).limit(1)).first()
    try:
        head = audit.head(connection)
        if newest is not None:
            told = verify(newest.note, [VerifierKey.parse(newest.verifier)]).head
            if head.size < told.size or audit.head_of(connection, told.size) != told:
                raise LookupError(f"the audit log is not what signed head {newest.head} was taken of")
        note = sign(key.private, key.name, head, at)
    except (CheckpointError, LookupError) as error:
        raise SigningError(f"{error}; see `tarazy audit check`") from None
    number = newest.head + 1 if newest is not None else 1
    row = {"head": number, "size": head.size, "at": at, "verifier": str(key.verifier), "note": note}
    connection.execute(insert(audit_head), row)
    return note


def sign_due_head(connection: Connection, key: SigningKey, now: datetime, row: int = 0) -> str | None:
    """Sign a head unless this legal day has one and the newest covers `row`; gives the signed note, or None."""
    newest = connection.execute(select(audit_head).order_by(audit_head.c.head.desc()).limit(1)).first()
    if newest is not None and newest.at >= day_start(legal_day(now)) and newest.size >= row:
        return None
    return sign_head(connection, key, now)


def newest_head(connection: Connection, size: int | None = None) -> tuple[int, SignedHead] | None:
    """Rows and note of the head signed last, or of the last one of at most `size` rows."""
    query = select(audit_head.c.size, audit_head.c.head, audit_head.c.note).order_by(audit_head.c.head.desc()).limit(1)
    if size is not None:
        query = query.where(audit_head.c.size <= size)
    found = connection.execute(query).first()
    return (found.size, SignedHead(found.head, found.note)) if found else None


def signed_heads(connection: Connection, since: int = 1) -> Iterator[SignedHead]:
    """The signed notes from number `since` on, the earliest first."""
    query = select(audit_head.c.head, audit_head.c.note).where(audit_head.c.head >= since).order_by(audit_head.c.head)
    return (SignedHead(*row) for row in connection.execute(query.execution_options(yield_per=1_000)))


def verifiers(connection: Connection) -> list[VerifierKey]:
    """Every key that signed a head, in the order of their first; raises `CheckpointError` for what is no key."""
    first = func.min(audit_head.c.head)
    told = connection.execute(select(audit_head.c.verifier).group_by(audit_head.c.verifier).order_by(first)).scalars()
    return [VerifierKey.parse(text) for text in told]


def verified_heads(connection: Connection, keys: Sequence[VerifierKey]) -> list[AuditHead]:
    """The heads in the database, all of them; raises `CheckpointError` for one that none of `keys` signed."""
    heads: list[AuditHead] = []
    at = audit.exact_instant(connection, audit_head.c.at).label("at")
    columns = (audit_head.c.head, audit_head.c.size, at, audit_head.c.verifier, audit_head.c.note)
    query = select(*columns).order_by(audit_head.c.head)
    while True:
        number = len(heads) + 1
        try:
            row = connection.execute(query.where(audit_head.c.head >= number).limit(1)).first()
            if row is None:
                return heads
            if row.head != number:
                raise CheckpointError("it is missing")
            told = verify(row.note, [key for key in keys if str(key) == row.verifier])
            if (told.head.size, told.at) != (row.size, audit.instant_text(audit.read_instant(row.at))):
                raise CheckpointError("its row was changed, its note was not")
        except (CheckpointError, ValueError, TypeError, OperationalError) as error:
            said = error if isinstance(error, CheckpointError) else "it was changed: it cannot be read"
            raise CheckpointError(f"signed head {number}: {said}") from None
        heads.append(told.head)
