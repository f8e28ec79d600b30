"""A head of the audit log, signed: the checkpoint of a transparency log as a signed note.

Formats of C2SP: tlog-checkpoint (origin, size, Base64 root, here one extension line with the instant) inside a
signed-note with an Ed25519 signature (RFC 8032). A verifier key reads `name+hash+key`: eight hex digits that begin the
SHA-256 of name, line feed, 0x01 and key, and the Base64 of 0x01 and key. Any tool for such logs reads both.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tarazy.accreditation.audit import AuditHead, instant_text
from tarazy.accreditation.merkle import HASH_BYTES

_ED25519 = b"\x01"
_KEY_BYTES = 32
_ID_BYTES = 4
_NAME = re.compile(r"[^\s+]{1,200}")
MAXIMUM_BYTES = 10_000
"""No checkpoint of ours comes near."""


class CheckpointError(ValueError):
    """What is no checkpoint, or none of this log and key, and why."""


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise CheckpointError(f"{text[:60]!r} is not Base64") from None


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """Whose signature counts: the log's name and its public key."""

    name: str
    key: bytes

    @property
    def id(self) -> bytes:
        """What tells keys of one name apart."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.key).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.key).decode()}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read a key as it is given away; raises `CheckpointError`."""
        name, _, rest = text.strip().partition("+")
        told, _, encoded = rest.partition("+")
        raw = _base64(encoded)
        if not _NAME.fullmatch(name) or raw[:1] != _ED25519 or len(raw) != 1 + _KEY_BYTES:
            raise CheckpointError("not a verifier key of an Ed25519 log: expected name+hash+key")
        key = cls(name, raw[1:])
        if told != key.id.hex():
            raise CheckpointError("the key does not belong to this name and hash; copy it anew")
        return key


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A head of the log of this name, at an instant."""

    origin: str
    head: AuditHead
    at: str
    """As `audit.instant_text` writes it."""

    def text(self) -> str:
        """What is signed."""
        root = base64.b64encode(bytes.fromhex(self.head.root)).decode()
        return f"{self.origin}\n{self.head.size}\n{root}\nat {self.at}\n"


def sign(key: Ed25519PrivateKey, name: str, head: AuditHead, at: datetime) -> str:
    """The signed note of a head; raises `CheckpointError` when `name` cannot name a log."""
    if not _NAME.fullmatch(name):
        raise CheckpointError(f"{name[:60]!r} cannot name a log: no spaces, no +, at most 200 characters")
    text = Checkpoint(name, head, instant_text(at)).text()
    verifier = VerifierKey(name, key.public_key().public_bytes_raw())
    signature = base64.b64encode(verifier.id + key.sign(text.encode())).decode()
    return f"{text}\n\N{EM DASH} {name} {signature}\n"


_NOTE = re.compile(  # the checkpoint, an empty line, signatures
    r"(?P<text>(?P<origin>[^\s+]{1,200})\n(?P<size>0|[1-9][0-9]{0,17})\n(?P<root>[A-Za-z0-9+/]{43}=)\n"
    r"at (?P<at>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z)\n)\n"
    r"(?P<signatures>(?:\N{EM DASH} [^\s+]{1,200} [A-Za-z0-9+/=]{1,400}\n){1,16})"
)


def verify(note: str, keys: Sequence[VerifierKey]) -> Checkpoint:
    """The checkpoint in a signed note that one of `keys` signed; raises `CheckpointError` for any other text."""
    told = _NOTE.fullmatch(note) if len(note) <= MAXIMUM_BYTES else None
    if told is None:
        raise CheckpointError("not a signed head of an audit log")
    for line in told["signatures"].splitlines():
        _, name, encoded = line.split(" ")
        signature = _base64(encoded)
        for key in keys:
            if (name, signature[:_ID_BYTES]) != (key.name, key.id) or told["origin"] != key.name:
                continue
            try:
                Ed25519PublicKey.from_public_bytes(key.key).verify(signature[_ID_BYTES:], told["text"].encode())
            except InvalidSignature:
                raise CheckpointError(f"the signature of {name} does not fit: the head was changed") from None
            root = _base64(told["root"])
            if len(root) != HASH_BYTES:
                raise CheckpointError("the root is no SHA-256")
            return Checkpoint(told["origin"], AuditHead(int(told["size"]), root.hex()), told["at"])
    raise CheckpointError("signed by none of the keys given")
