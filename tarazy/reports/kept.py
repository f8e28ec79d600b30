"""Reports as they are kept in a directory: the document, and beside it the proof and the signature of it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from tarazy.accounting.durable import sync_directory
from tarazy.accreditation.audit import AuditEvent
from tarazy.config.law.calendar import Period
from tarazy.reports.build import KINDS, Asked
from tarazy.reports.canonical import digest
from tarazy.reports.signing.cms import Signature, check, to_der

LARGEST = 1 << 30
"""Bytes of a document that are read."""


class KeptFault(ValueError):
    """No report, or one that is kept otherwise. The text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A document as it was written."""

    path: Path
    content: bytes
    told: dict[str, Any]

    @property
    def kind(self) -> str:
        """Its kind."""
        return str(self.told["kind"])

    @property
    def digest(self) -> str:
        """SHA-256 of its bytes, in hex."""
        return digest(self.content)

    def beside(self, ending: str) -> Path:
        """The file of the same set with another ending, such as `.p7s`."""
        return self.path.with_name(self.path.name.removesuffix(".json") + ending)

    def request(self) -> tuple[str, datetime, Asked]:
        """What to build it again from: kind, moment, and what was asked. Raises `KeptFault`."""
        told = self.told
        try:
            as_of = datetime.fromisoformat(told["as_of"])
            known_at = datetime.fromisoformat(told["known_at"]) if "known_at" in told else None
            ahead_days = told.get("ahead_days")
            days = told.get("days") if ahead_days is None else None
            period = None
            if days is not None:
                period = Period(date.fromisoformat(days["first_day"]), date.fromisoformat(days["last_day"]))
            party = told["person"]["party"] if "person" in told else told.get("party")
            why = (told.get("corrects") or {}).get("why")
        except (KeyError, TypeError, ValueError, AttributeError):
            raise KeptFault(f"{self.path.name}: does not tell what it was built from") from None
        return self.kind, as_of, Asked(party, period, why, None if known_at == as_of else known_at, ahead_days)


def read_kept(path: Path) -> Kept:
    """A document from its JSON file. Raises `KeptFault`."""
    try:
        if path.suffix != ".json" or not path.is_file():
            raise KeptFault(f"{path}: expected the .json file of a report")
        if path.stat().st_size > LARGEST:
            raise KeptFault(f"{path}: too large for a report")
        content = path.read_bytes()
    except OSError as error:
        raise KeptFault(f"{path}: {error.strerror or error}") from None
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or told.get("kind") not in KINDS:
        raise KeptFault(f"{path}: not a report of {', '.join(KINDS)}")
    return Kept(path, content, told)


def keep_signature(kept: Kept, given: bytes, authorities: Sequence[x509.Certificate] = ()) -> Signature:
    """Check a signature against the document and keep it beside it as DER.

    Raises `CmsFault` when it is none of this document, `KeptFault` where there is a signature already.
    """
    der = to_der(given)
    found = check(der, kept.content, authorities)
    target = kept.beside(".p7s")
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with temporary.open("xb") as file:
            file.write(der)
            file.flush()
            os.fsync(file.fileno())
        target.hardlink_to(temporary)
        try:
            sync_directory(target.parent)
        except OSError:
            target.unlink()
            raise
    except FileExistsError:
        raise KeptFault(
            f"{target.name} is there already; a report is signed once: move it away to sign again"
        ) from None
    except OSError as error:
        raise KeptFault(f"{target}: cannot be written ({error.strerror or error})") from None
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    return found


def signed_event(kept: Kept, found: Signature, by: str) -> AuditEvent:
    """What the audit log keeps of a signature; whose it is stands in the certificate, which is named by its digest."""
    signature = digest(kept.beside(".p7s").read_bytes())
    body = {"file": kept.path.name, "document": kept.digest, "signature": signature, "by": by}
    return AuditEvent("report-signed", {**body, "certificate": found.fingerprint, "standing": found.standing})
