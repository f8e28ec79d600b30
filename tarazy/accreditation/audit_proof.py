"""That one row lies in the audit log, proven apart from all others: the row, a path of hashes, a signed head.

A proof is a JSON object: `row` (the row's columns without `hashes`), `path` (RFC 6962's audit path, hex, from the leaf
up) and `note` (the signed head). The leaf's index is the row's `sequence` less one, the size of the tree the head's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, select

from tarazy.accreditation.audit import AuditRow, instant_text, read_nodes
from tarazy.accreditation.audit_export import read_row
from tarazy.accreditation.checkpoint import Checkpoint, VerifierKey, verify
from tarazy.accreditation.heads import newest_head
from tarazy.accreditation.merkle import prove_inclusion, verify_inclusion
from tarazy.accreditation.tables import audit

MAXIMUM_CHARACTERS = 8 * 2**20
"""Room for the longest row."""


class ProofError(ValueError):
    """What proves nothing, and why."""


class NotProvenError(LookupError):
    """There is no proof, or not yet, and why."""


@dataclass(frozen=True, slots=True)
class Proven:
    """A row, and the head that it lies in."""

    row: AuditRow
    head: Checkpoint


def prove_row(connection: Connection, sequence: int) -> dict[str, Any]:
    """The proof that row `sequence` lies in the newest signed head.

    Raises `NotProvenError` when it does not, and `LookupError` where the log lacks a row or hash of its own.
    """
    newest = newest_head(connection)
    if newest is None:
        raise NotProvenError("no head is signed yet; sign one with `tarazy audit head --sign`")
    size, head = newest
    if not 0 < sequence <= size:
        raise NotProvenError(
            f"row {sequence} is not among the {size} rows of the newest signed head; a running server signs a "
            "newer one soon, `tarazy audit head --sign` at once"
        )
    found = connection.execute(select(audit).where(audit.c.sequence == sequence)).first()
    if found is None:
        raise LookupError(f"row {sequence} is missing; see `tarazy audit check`")
    row = asdict(AuditRow(*found))
    del row["hashes"]
    path = prove_inclusion(lambda node: read_nodes(connection, [node])[0], sequence - 1, size)
    return {
        "row": {**row, "at": instant_text(row["at"])},
        "path": [made.hex() for made in path],
        "note": head.note,
    }


def verify_proof(text: str, keys: Sequence[VerifierKey]) -> Proven:
    """What a proof proves to whoever trusts `keys`; raises `ProofError`, and `CheckpointError` for its head."""
    try:
        told = json.loads(text)
        row = read_row({**told["row"], "hashes": ""})
        path = [bytes.fromhex(made) for made in told["path"]]
        leaf, note = row.leaf(), told["note"]
        if not isinstance(note, str):
            raise TypeError
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ProofError("not a proof made by `tarazy audit prove`") from None
    head = verify(note, keys)
    if not verify_inclusion(leaf, row.sequence - 1, head.head.size, path, bytes.fromhex(head.head.root)):
        raise ProofError(f"row {row.sequence} does not lie in the signed head of {head.head.size} rows")
    return Proven(row, head)
