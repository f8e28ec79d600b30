"""Files attached to entries: each kept once, under the SHA-256 of its content, within limits of size and type."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy import Connection, insert, select

from tarazy.accreditation.problems import Problem
from tarazy.accreditation.tables import document_content, lock_writers

MAXIMUM_BYTES = 20 * 2**20

_SIGNATURES = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x30\x82", "application/pkcs7-signature"),
    (b"\x30\x80", "application/pkcs7-signature"),
)


class DocumentError(ValueError):
    """A file that is not kept, why not and what to do."""


def media_type_of(content: bytes) -> str:
    """What a file is, by how it begins; raises `DocumentError` for what is not kept."""
    for signature, media_type in _SIGNATURES:
        if content.startswith(signature):
            return media_type
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if not text or any(character < " " and character not in "\t\r\n" for character in text):
        raise DocumentError(Problem("document-kind"))
    return "text/plain"


def store(connection: Connection, content: bytes, at: datetime) -> str:
    """Keep a file and give back its SHA-256 in hex; one that is kept already stays as it is.

    Raises `DocumentError` when it is empty, too large or of a kind that is not kept.
    """
    if not content:
        raise DocumentError(Problem("document-empty"))
    if len(content) > MAXIMUM_BYTES:
        raise DocumentError(Problem("document-large", limit=MAXIMUM_BYTES // 2**20))
    media_type = media_type_of(content)
    digest = hashlib.sha256(content).hexdigest()
    lock_writers(connection)
    known = connection.execute(select(document_content.c.digest).where(document_content.c.digest == digest)).first()
    if known is None:
        row = {"digest": digest, "media_type": media_type, "content": content, "stored_at": at}
        connection.execute(insert(document_content), row)
    return digest


def load(connection: Connection, digest: str) -> bytes:
    """The file with this digest; raises LookupError when none is kept, `DocumentError` when it was changed."""
    query = select(document_content.c.content).where(document_content.c.digest == digest)
    content: bytes | None = connection.execute(query).scalar()
    if content is None:
        raise LookupError(f"no file with digest {digest} is kept")
    if hashlib.sha256(content).hexdigest() != digest:
        raise DocumentError(Problem("document-changed", digest=digest))
    return content
