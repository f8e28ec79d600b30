"""One row proven apart from the rest: the proof holds for that row, under that head, and for nothing else."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from tarazy.accreditation.audit import AuditEvent, append
from tarazy.accreditation.audit_proof import ProofError, prove_row, verify_proof
from tarazy.accreditation.checkpoint import CheckpointError, VerifierKey
from tests.accreditation.test_audit_export import KEY, fill
from tests.accreditation.world import NOW


def test_every_row_is_proven_and_no_other(engine: Engine) -> None:
    """Rows after the newest head, and rows that never were, have no proof."""
    with engine.begin() as connection, pytest.raises(LookupError, match="no head is signed yet"):
        prove_row(connection, 1)
    fill(engine)
    with engine.begin() as connection:
        append(connection, [AuditEvent("later", {})], NOW)
        for sequence in range(1, 13):
            proven = verify_proof(json.dumps(prove_row(connection, sequence)), [KEY.verifier])
            assert (proven.row.sequence, proven.head.head.size) == (sequence, 12)
        for sequence in (0, 13, 10**12):
            with pytest.raises(LookupError, match="not among the 12 rows"):
                prove_row(connection, sequence)


def test_every_changed_character_of_a_proof_breaks_it(engine: Engine) -> None:
    """Row, path and head; another spelling of the same JSON stays the same proof."""
    fill(engine)
    with engine.begin() as connection:
        proof = prove_row(connection, 6)
    text = json.dumps(proof, ensure_ascii=False, separators=(",", ":"))
    for place in range(len(text)):
        changed = text[:place] + chr(ord(text[place]) ^ (1 << place % 7)) + text[place + 1 :]
        try:
            same = json.loads(changed) == proof
        except ValueError:
            same = False
        if same or changed.upper() == text.upper():  # hex digits in capitals, tested below
            continue
        with pytest.raises((ProofError, CheckpointError)):
            verify_proof(changed, [KEY.verifier])
    for key in ("row", "path", "note"):
        with pytest.raises(ProofError, match="not a proof"):
            verify_proof(json.dumps({name: value for name, value in proof.items() if name != key}), [KEY.verifier])


@pytest.mark.parametrize("text", ["", "5", "[]", "{}", "[" * 200_000, '{"row":5,"path":[],"note":""}', "\ud800"])
def test_garbage_is_told_to_be_no_proof(text: str) -> None:
    """One line, no traceback."""
    with pytest.raises(ProofError, match="not a proof made by"):
        verify_proof(text, [KEY.verifier])


def test_a_proof_under_another_key_is_none(engine: Engine) -> None:
    """Trust begins with the key."""
    fill(engine)
    with engine.begin() as connection:
        text = json.dumps(prove_row(connection, 6))
    other = VerifierKey("tarazy", Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    with pytest.raises(CheckpointError, match="none of the keys"):
        verify_proof(text, [other])
