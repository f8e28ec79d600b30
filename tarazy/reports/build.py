"""Build a report: its content from the database, then its files.

The two steps stand apart because the first needs a transaction and is short, while the second takes seconds and
touches no database. Reports are built by the command `tarazy report build`; the server itself builds none yet.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from tarazy.accounting.durable import sync_directory
from tarazy.accreditation.audit import AuditEvent, instant_text
from tarazy.config.law import LawBook
from tarazy.config.settings import Settings
from tarazy.reports.canonical import canonical_json, digest
from tarazy.reports.content import AccreditationReport, Pool
from tarazy.reports.gather import gather
from tarazy.reports.language import LANGUAGES
from tarazy.reports.layout import lay_out
from tarazy.reports.pdf import render_pdf

KINDS = ("accreditation",)
"""Kinds of report that can be built."""

SETTLED_SECONDS = 5
"""How long ago a report's moment must be: transactions that were under way then have ended by now."""

Progress = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""

STEPS = 2 + len(LANGUAGES)
"""Steps of a whole build: gathering, one rendering a language, writing."""


class ReportError(Exception):
    """The report cannot be built as asked. The text says why and what to do."""


def _silent(done: int, steps: int) -> None:
    pass


def build_report(
    connection: Connection,
    kind: str,
    as_of: datetime,
    directory: Path,
    settings: Settings,
    book: LawBook,
    now: datetime,
    progress: Progress = _silent,
) -> list[Path]:
    """Gather and write a report in one go; see `gather_report` and `write_report`. Raises `ReportError`."""
    report = gather_report(connection, kind, as_of, settings, book, now)
    return write_report(report, directory, progress)


def gather_report(
    connection: Connection, kind: str, as_of: datetime, settings: Settings, book: LawBook, now: datetime
) -> AccreditationReport:
    """The content of the report of `kind` at `as_of`, an aware datetime at least `SETTLED_SECONDS` before `now`.

    Raises `ReportError` for a kind that does not exist, and for a moment without a zone, in the future or too
    fresh: its report would not stay the same.
    """
    if kind not in KINDS:
        raise ReportError(f"there is no report {kind!r}; choose one of: {', '.join(KINDS)}")
    if as_of.tzinfo is None:
        raise ReportError(f"{as_of.isoformat()} has no time zone; write it like {as_of.isoformat()}+05:00")
    if as_of > now:
        raise ReportError(f"{as_of.isoformat()} lies in the future: a report states what is known already")
    if as_of > now - timedelta(seconds=SETTLED_SECONDS):
        raise ReportError(
            f"{as_of.isoformat()} is less than {SETTLED_SECONDS} seconds ago: wait a few seconds, a transaction that "
            "the report must tell of may still be under way"
        )
    accreditation = settings.accreditation
    pool = Pool(settings.pool.name, accreditation.country, accreditation.server)
    return gather(connection, as_of.astimezone(UTC), pool, book)


def write_report(report: AccreditationReport, directory: Path, progress: Progress = _silent) -> list[Path]:
    """Write the report's files into `directory`, made where missing; returns them.

    `<kind>-<as_of>.json` is the report, `.kk.pdf`, `.ru.pdf` and `.en.pdf` render it, and `.sha256` lists the
    digests of these four as `sha256sum -c` reads them. Each file appears whole or not at all, the list last.
    Writing the same report again gives the same bytes. Raises `ReportError` when the directory cannot be
    written to.
    """
    stem = f"{report.kind}-{_compact(report.as_of)}"
    content = canonical_json(report)
    contents = {f"{stem}.json": content}
    progress(1, STEPS)
    for step, lang in enumerate(LANGUAGES, 2):
        document = lay_out(report, digest(content), f"{stem}.json", lang)
        contents[f"{stem}.{lang}.pdf"] = render_pdf(document)
        progress(step, STEPS)
    sums = "".join(f"{digest(content)}  {name}\n" for name, content in contents.items())
    contents[f"{stem}.sha256"] = sums.encode()
    try:
        files = write_all(directory, contents)
    except OSError as error:
        reason = f"{error.strerror or error}"
        raise ReportError(f"{directory}: cannot write the report: {reason}; choose another directory") from None
    progress(STEPS, STEPS)
    return files


def built_event(kind: str, as_of: datetime, files: Iterable[Path]) -> AuditEvent:
    """What the audit log keeps of a report: its kind, its moment, and the SHA-256 of each file."""
    digests = {path.name: digest(path.read_bytes()) for path in files}
    return AuditEvent("report", {"report": kind, "as_of": instant_text(as_of), "files": digests})


def _compact(instant: datetime) -> str:
    """An instant in UTC for a file name: 20261122T090509Z, with microseconds where there are any."""
    utc = instant.astimezone(UTC)
    return f"{utc:%Y%m%dT%H%M%S}" + (f".{utc:%f}" if utc.microsecond else "") + "Z"


def write_all(directory: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write files by name into `directory`, made where missing; each appears whole or not at all. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        _write(directory / name, content)
    sync_directory(directory)
    return [directory / name for name in contents]


def _write(path: Path, content: bytes) -> None:
    """Put `content` at `path` in one step: readers see the old file, none, or the whole new one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
