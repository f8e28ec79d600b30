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

_ED25519 = b"\x01"
_KEY_BYTES = 32
_ID_BYTES = 4
_NAME = re.compile(r"[^\s+\x00-\x20]{1,200}")
MAXIMUM_CHARACTERS = 150_000
"""Room for a head that sixteen have signed, by the longest signatures."""


class CheckpointError(ValueError):
    """What is no checkpoint, or none of this log and key, and why."""


def _base64(text: str) -> bytes:
    """Decode what has one spelling only: the bits that the last character does not need are zero."""
    try:
        decoded = base64.b64decode(text, validate=True)
        if base64.b64encode(decoded).decode() == text:
            return decoded
    except (binascii.Error, ValueError):
        pass
    raise CheckpointError(f"{text[:60]!r} is not Base64")


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
    r"(?P<text>(?P<origin>[^\s+\x00-\x20]{1,200})\n(?P<size>0|[1-9][0-9]{0,17})\n(?P<root>[A-Za-z0-9+/]{43}=)\n"
    r"at (?P<at>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z)\n)\n"
    r"(?P<signatures>(?:\N{EM DASH} [^\s+\x00-\x20]{1,200} [A-Za-z0-9+/=]{1,8000}\n){1,16})"
)


def verify(note: str, keys: Sequence[VerifierKey]) -> Checkpoint:
    """The checkpoint in a signed note that one of `keys` signed; raises `CheckpointError` for any other text.

    Signatures of others, such as witnesses, are passed over; one that claims to be of a key in `keys` must fit.
    """
    told = _NOTE.fullmatch(note) if len(note) <= MAXIMUM_CHARACTERS else None
    if told is None:
        raise CheckpointError("not a signed head of an audit log")
    signed = False
    for line in told["signatures"].splitlines():
        _, name, encoded = line.split(" ")
        for key in keys:
            if key.name == name == told["origin"] and _claimed(encoded) == key.id:
                _verify_signature(key, encoded, told["text"])
                signed = True
    if not signed:
        raise CheckpointError("signed by none of the keys given")
    return Checkpoint(told["origin"], AuditHead(int(told["size"]), _base64(told["root"]).hex()), told["at"])


def verify_named(name: str, note: str, keys: Sequence[VerifierKey]) -> Checkpoint:
    """As `verify`; errors begin with the name of where the note is from."""
    try:
        return verify(note, keys)
    except CheckpointError as error:
        raise CheckpointError(f"{name}: {error}") from None


def _claimed(encoded: str) -> bytes:
    """Id of the key that a signature is said to be of."""
    try:
        return base64.b64decode(encoded[:8])[:_ID_BYTES]
    except binascii.Error:
        return b""


def _verify_signature(key: VerifierKey, encoded: str, text: str) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.key).verify(_base64(encoded)[_ID_BYTES:], text.encode())
    except (InvalidSignature, CheckpointError):
        raise CheckpointError(f"the signature of {key.name} does not fit: the head was changed") from None
