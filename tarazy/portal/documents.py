"""The reports that may be downloaded: plain files of one directory, by strictly checked names."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tarazy.portal.guard import Fault

LISTED = 500
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}\.(json|pdf|xlsx|csv|html|p7s|sha256|audit|txt)")

TYPES = {
    "json": "application/json",
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "p7s": "application/pkcs7-signature",
    "audit": "application/json",
    "sha256": "text/plain; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}


def _is_document(path: Path) -> bool:
    return bool(_NAME.fullmatch(path.name)) and path.is_file() and not path.is_symlink()


def documents(directory: Path, until: datetime | None = None) -> dict[str, Any]:
    """The newest documents of `directory`, which need not exist yet; those that were there at an instant."""
    found = []
    for path in directory.iterdir() if directory.is_dir() else ():
        if _is_document(path):
            facts = path.stat()
            if until is None or facts.st_mtime <= until.timestamp():
                found.append((facts.st_mtime, path.name, facts.st_size))
    items = [
        {
            "name": name,
            "bytes": size,
            "made_at": datetime.fromtimestamp(made, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        for made, name, size in sorted(found, reverse=True)
    ]
    return {"total": len(items), "items": items[:LISTED]}


def document(directory: Path, name: str) -> Path:
    """The file called `name`. Raises `Fault` unless it is a document of `directory` itself."""
    path = directory / name
    if not _NAME.fullmatch(name) or not _is_document(path):
        raise Fault(404, "no_such_report", "there is no report of this name; see /api/v1/reports")
    return path
