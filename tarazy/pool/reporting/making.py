"""Making a report: gathered, issued, written, entered into the audit log with the proof of that, and signed."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from tarazy.accreditation import audit
from tarazy.accreditation.audit import AuditEvent
from tarazy.accreditation.audit_proof import ProofError, prove_row, verify_proof
from tarazy.accreditation.checkpoint import CheckpointError
from tarazy.accreditation.heads import sign_head, signing_key, verifiers
from tarazy.config.law import LawBook
from tarazy.config.settings import KeySigning, Settings
from tarazy.database.engine import reader
from tarazy.reports.build import (
    Asked,
    Progress,
    built_event,
    gather_report,
    issue_version,
    stem_of,
    write_all,
    write_report,
)
from tarazy.reports.canonical import canonical_json
from tarazy.reports.kept import Kept, KeptFault, keep_signature, signed_event
from tarazy.reports.language import LANGUAGES
from tarazy.reports.signing import SigningFault, signer_of
from tarazy.reports.signing.cms import CmsFault, Signature
from tarazy.reports.signing.pdf import sign_pdf


def make_report(
    engine: Engine,
    settings: Settings,
    law: LawBook,
    kind: str,
    as_of: datetime,
    asked: Asked,
    directory: Path,
    by: str,
    tell: Progress,
) -> list[Path]:
    """Build a report; its files, the JSON first and the proof last. Doing it twice gives the same files.

    Raises `ReportError`, `SigningError`, `OSError`.
    """
    with reader(engine).begin() as connection:
        built = gather_report(connection, kind, as_of, settings, law, datetime.now(UTC), asked)
    with engine.begin() as connection:
        issue_version(connection, built, datetime.now(UTC), by, asked.why)
    paths = write_report(built, directory, tell)
    proof = directory / f"{stem_of(built)}.audit"
    _enter(settings, engine, built_event(kind, as_of, paths), proof)
    return [*paths, proof]


def _enter(settings: Settings, engine: Engine, event: AuditEvent, file: Path) -> None:
    """Put a report into the audit log, and the proof of that into a file; one that is there and proves it stays."""
    with engine.begin() as connection:
        key = signing_key(connection, settings.audit_key_path, settings.audit.name)
        kept = audit.append(connection, [event], datetime.now(UTC))
        with suppress(OSError, UnicodeDecodeError, ProofError, CheckpointError):
            proven = verify_proof(file.read_text(encoding="utf-8"), verifiers(connection)).row
            if (proven.kind, proven.body) == (event.kind, audit.canonical(event.body)):
                return
        sign_head(connection, key, datetime.now(UTC))
        proof = canonical_json(prove_row(connection, kept.size))
    write_all(file.parent, {file.name: proof})


def sign_report(engine: Engine, settings: Settings, kept: Kept, by: str) -> Signature:
    """Sign a report as the settings say, and keep the signature. Raises `SigningFault`, `KeptFault`, `CmsFault`."""
    if settings.signing is None:
        raise SigningFault("the settings have no `signing`")
    if kept.beside(".p7s").exists():
        raise KeptFault(f"{kept.beside('.p7s').name} is there already; a report is signed once")
    if isinstance(settings.signing, KeySigning) and settings.signing.pdf:
        key = settings.signing.key_file, settings.signing.password_file
        papers = [kept.beside(f".{lang}.pdf") for lang in LANGUAGES]
        made = {f"{paper.stem}.signed.pdf": sign_pdf(paper.read_bytes(), *key) for paper in papers if paper.is_file()}
        write_all(kept.path.parent, made)
    return attach_signature(engine, kept, signer_of(settings.signing).sign(kept.content), by)


def attach_signature(engine: Engine, kept: Kept, given: bytes, by: str) -> Signature:
    """Keep a signature beside the report, and that in the audit log. Raises `KeptFault`, `CmsFault`."""
    try:
        found = keep_signature(kept, given)
    except CmsFault as error:
        raise KeptFault(f"the signature: {error}") from None
    with engine.begin() as connection:
        audit.append(connection, [signed_event(kept, found, by)], datetime.now(UTC))
    return found
