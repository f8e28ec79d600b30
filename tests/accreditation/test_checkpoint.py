"""Signed heads: the formats of C2SP, and nothing else is taken for one."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tarazy.accreditation.audit import AuditHead
from tarazy.accreditation.checkpoint import Checkpoint, CheckpointError, VerifierKey, sign, verify

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = VerifierKey("pool.example/audit", PRIVATE.public_key().public_bytes_raw())
HEAD = AuditHead(5, "ab" * 32)
AT = datetime(2026, 11, 26, 19, tzinfo=UTC)
NOTE = sign(PRIVATE, KEY.name, HEAD, AT)


def test_a_head_is_a_signed_note() -> None:
    """Origin, size, Base64 root, the instant; an empty line; a dash, the name, key id and signature."""
    origin, size, root, at, empty, signature, end = NOTE.split("\n")
    assert (origin, size, at, empty, end) == (KEY.name, "5", "at 2026-11-26T19:00:00.000000Z", "", "")
    assert base64.b64decode(root) == bytes.fromhex(HEAD.root)
    dash, name, encoded = signature.split(" ")
    raw = base64.b64decode(encoded)
    assert (dash, name, raw[:4], len(raw)) == ("\N{EM DASH}", KEY.name, KEY.id, 68)
    PRIVATE.public_key().verify(raw[4:], NOTE.partition("\n\n")[0].encode() + b"\n")


def test_keys_read_as_other_tools_write_them() -> None:
    """The verifier key in the documentation of Go's package note, whose hash must come out the same."""
    text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    assert str(VerifierKey.parse(text)) == text
    assert VerifierKey.parse(f" {KEY}\n") == KEY


def test_a_head_verifies_with_its_key() -> None:
    """Also among other keys."""
    other = VerifierKey(KEY.name, Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    assert verify(NOTE, [other, KEY]) == Checkpoint(KEY.name, HEAD, "2026-11-26T19:00:00.000000Z")
    with pytest.raises(CheckpointError, match="none of the keys"):
        verify(NOTE, [other])


def test_no_changed_byte_passes() -> None:
    """Whatever byte of a signed head is whatever other, it is none any more; Base64 has one spelling only."""
    raw = NOTE.encode()
    for place in range(len(raw)):
        for changed in {*range(256)} - {raw[place]}:
            text = bytes([*raw[:place], changed, *raw[place + 1 :]]).decode("utf-8", "replace")
            with pytest.raises(CheckpointError):
                verify(text, [KEY])


@pytest.mark.parametrize(
    "note", ["", "\n", NOTE + NOTE, NOTE * 1000, NOTE[:-1], NOTE.replace("\n", "\r\n"), "x" * 10**7]
)
def test_what_is_no_head(note: str) -> None:
    """Anything else is told to be none, at a bounded cost."""
    with pytest.raises(CheckpointError, match="not a signed head"):
        verify(note, [KEY])


def test_witnesses_may_sign_too() -> None:
    """Signatures of keys that are not ours are passed over, long ones too, but one of ours that does not fit counts."""
    text, signature = NOTE.split("\n\n")
    witnesses = [f"\N{EM DASH} witness.example/{number} {'A' * 6_000}\n" for number in range(15)]
    assert verify("\n\n".join([text, "".join([*witnesses, signature])]), [KEY]).head == HEAD
    with pytest.raises(CheckpointError, match="none of the keys"):
        verify("\n\n".join([text, "".join(witnesses)]), [KEY])
    forged = base64.b64encode(KEY.id + bytes(64)).decode()
    for lines in ((signature, f"\N{EM DASH} {KEY.name} {forged}\n"), (f"\N{EM DASH} {KEY.name} {forged}\n", signature)):
        with pytest.raises(CheckpointError, match="does not fit"):
            verify("\n\n".join([text, "".join(lines)]), [KEY])


@pytest.mark.parametrize("text", ["", "a+b+c", "n+00000000+AAAA", str(KEY).replace("pool", "pond"), "x" * 10**6])
def test_what_is_no_key(text: str) -> None:
    """Wrong form, wrong kind, another name than the hash was made with."""
    with pytest.raises(CheckpointError):
        VerifierKey.parse(text)


@pytest.mark.parametrize("name", ["", "two words", "a+b", "x" * 201, "a\0b", "a\x1bb"])
def test_names_that_cannot_stand_in_a_note(name: str) -> None:
    """No spaces and no plus."""
    with pytest.raises(CheckpointError, match="cannot name a log"):
        sign(PRIVATE, name, HEAD, AT)
