"""Signatures of the reports in the directory: what is signed by whom, and taking one that was made elsewhere."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from math import inf
from pathlib import Path
from typing import Any

from tarazy.accreditation.audit import AuditEvent
from tarazy.portal.documents import document
from tarazy.reports.kept import Kept, KeptFault, keep_signature, read_kept, signed_event
from tarazy.reports.signing.cms import LARGEST, CmsFault, Signature, check

LARGEST_LISTED = 64 << 20
"""Bytes of a report up to which its signature is checked while somebody waits."""


def signatures(directory: Path, limit: int, offset: int, until: datetime | None = None) -> dict[str, Any]:
    """The reports of `directory`, the newest first, each with what its signature tells.

    Of an instant by the times of the files: those that were there.
    """
    last = inf if until is None else until.timestamp()
    found = []
    for path in directory.glob("*.json") if directory.is_dir() else ():
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= LARGEST_LISTED:
            made = path.stat().st_mtime
            if made <= last:
                found.append((made, path))
    items = []
    for _, path in sorted(found, reverse=True)[offset : offset + limit]:
        with suppress(KeptFault):  # another file of the directory
            items.append(_told(read_kept(path), last))
    return {"total": len(found), "items": items}


def _told(kept: Kept, last: float) -> dict[str, Any]:
    return {
        "name": kept.path.name,
        "kind": kept.kind,
        "as_of": str(kept.told.get("as_of", "")),
        "digest": kept.digest,
        "signature": _signature_of(kept, last),
    }


def _signature_of(kept: Kept, last: float) -> dict[str, Any] | None:
    path = kept.beside(".p7s")
    if not path.is_file() or path.is_symlink() or path.stat().st_mtime > last:
        return None
    with path.open("rb") as file:
        der = file.read(LARGEST + 1)
    try:
        return plain(check(der, kept.content))
    except CmsFault as fault:
        return {"standing": "broken", "fault": str(fault)}


def plain(found: Signature) -> dict[str, Any]:
    """A signature as JSON values."""
    return {
        "standing": found.standing,
        "holder": found.holder,
        "issuer": found.issuer,
        "certificate": found.fingerprint,
        "signed_at": found.signed_at,
        "algorithm": found.algorithm,
    }


@dataclass(frozen=True, slots=True)
class Added:
    """A signature that was kept beside its report."""

    told: dict[str, Any]
    event: AuditEvent
    path: Path

    def take_back(self) -> None:
        """Keep it no longer: the audit log did not take its event."""
        self.path.unlink(missing_ok=True)


def attach(directory: Path, name: str, given: bytes, by: str) -> Added:
    """Keep a signature of the report called `name`.

    Raises `Fault` where there is no such report, `KeptFault` where it is signed or none, `CmsFault`.
    """
    kept = read_kept(document(directory, name))
    found = keep_signature(kept, given)
    told = {"name": name, "digest": kept.digest, "signature": plain(found)}
    return Added(told, signed_event(kept, found, by), kept.beside(".p7s"))
