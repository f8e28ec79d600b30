"""The signed heads of the audit log: one each legal day, and whenever somebody asks for one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from sqlalchemy import Connection, insert, select

from tarazy.accreditation import audit
from tarazy.accreditation.audit import AuditHead
from tarazy.accreditation.checkpoint import CheckpointError, VerifierKey, sign, verify
from tarazy.accreditation.tables import audit_head, lock_writers
from tarazy.config.law.calendar import day_start, legal_day


class SigningKeyError(Exception):
    """The key that signs heads cannot be used, and what to do."""


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
    """The key in a PEM file (PKCS #8, Ed25519), which is made, readable for its owner only, if there is none.

    Raises `SigningKeyError`.
    """
    try:
        if not path.exists():
            _make_key(path)
        private = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise SigningKeyError(f"{path}: not usable ({error}); restore it, or name another file") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise SigningKeyError(f"{path}: not an Ed25519 key; name another file, or let the server make one")
    return SigningKey(name, private)


def _make_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(0o600)
    unfinished.write_bytes(made)
    try:
        path.hardlink_to(unfinished)  # whoever comes second, keeps what is there
    except FileExistsError:
        pass
    finally:
        unfinished.unlink()


def sign_head(connection: Connection, key: SigningKey, at: datetime) -> str:
    """Sign the log as it is and keep the head; gives the signed note."""
    lock_writers(connection)
    head = audit.head(connection)
    try:
        note = sign(key.private, key.name, head, at)
    except CheckpointError as error:
        raise SigningKeyError(str(error)) from None
    row = {"size": head.size, "at": at, "verifier": str(key.verifier), "note": note}
    connection.execute(insert(audit_head), row)
    return note


def sign_daily_head(connection: Connection, key: SigningKey, now: datetime) -> str | None:
    """Sign the day's head unless this legal day has one; gives the signed note, or None."""
    newest = connection.execute(select(audit_head.c.at).order_by(audit_head.c.head.desc()).limit(1)).scalar()
    if newest is not None and newest >= day_start(legal_day(now)):
        return None
    return sign_head(connection, key, now)


def newest_head(connection: Connection) -> str | None:
    """The signed note of the head signed last."""
    return connection.execute(select(audit_head.c.note).order_by(audit_head.c.head.desc()).limit(1)).scalar()


def signed_heads(connection: Connection) -> Iterator[str]:
    """Every signed note, the earliest first."""
    query = select(audit_head.c.note).order_by(audit_head.c.head).execution_options(yield_per=1_000)
    return iter(connection.execute(query).scalars())


def verifiers(connection: Connection) -> list[VerifierKey]:
    """Every key that signed a head, in order of names; raises `CheckpointError` for what is no key."""
    told = connection.execute(select(audit_head.c.verifier).distinct().order_by(audit_head.c.verifier)).scalars()
    return [VerifierKey.parse(text) for text in told]


def verified_heads(connection: Connection, keys: Sequence[VerifierKey]) -> list[AuditHead]:
    """The heads in the database; raises `CheckpointError` for one that none of `keys` signed."""
    heads = []
    for number, note in enumerate(signed_heads(connection), start=1):
        try:
            heads.append(verify(note, keys).head)
        except CheckpointError as error:
            raise CheckpointError(f"signed head {number}: {error}") from None
    return heads
