"""Build a report: its content from the database, then its files.

The two steps stand apart because the first needs a transaction and is short, while the second takes seconds and
touches no database.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import file_digest, sha256
from pathlib import Path

from sqlalchemy import Connection

from tarazy.accounting.assets.issued import Issued, IssuedError, issue, versions
from tarazy.accounting.durable import sync_directory
from tarazy.accreditation.audit import AuditEvent, instant_text
from tarazy.config.law import LawBook
from tarazy.config.law.calendar import Period
from tarazy.config.settings import Settings
from tarazy.reports.canonical import canonical_parts, digest_of
from tarazy.reports.coins import DistributedRecord, RewardsReport, SaleReport, Statement
from tarazy.reports.content import Pool
from tarazy.reports.delimited import render_csv
from tarazy.reports.document import Document
from tarazy.reports.expiring import ExpiringReport
from tarazy.reports.gather import gather
from tarazy.reports.gather.distributed import gather_distributed
from tarazy.reports.gather.divided import gather_divided
from tarazy.reports.gather.expiring import gather_expiring
from tarazy.reports.gather.party_energy import gather_party_energy
from tarazy.reports.gather.quarterly import gather_quarterly
from tarazy.reports.gather.sale import gather_sales
from tarazy.reports.gather.statement import StatementError, gather_statement
from tarazy.reports.language import LANGUAGES
from tarazy.reports.layout import Report, lay_out
from tarazy.reports.party_energy import EnergyStatement
from tarazy.reports.pdf import render_pdf
from tarazy.reports.quarterly import QuarterlyReport
from tarazy.reports.webpage import render_html
from tarazy.reports.workbook import render_workbook

KINDS = ("accreditation", "statement", "sale", "distributed", "quarterly", "rewards", "energy", "expiring")
"""Kinds of report that can be built."""

RENDERINGS: Mapping[str, Callable[[Document], Iterable[bytes]]] = {
    "pdf": render_pdf,
    "xlsx": render_workbook,
    "csv": render_csv,
    "html": render_html,
}
"""Every form that a laid-out document is rendered in, part by part, by the ending of its file."""

SETTLED_SECONDS = 5
"""How long ago a report's moment must be: transactions that were under way then have ended by now."""

AHEAD_DAYS = 90
"""How far ahead the list of what ends looks, unless asked otherwise."""
_FURTHEST_DAYS = 3_660

Progress = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""

STEPS = 2 + len(LANGUAGES) * len(RENDERINGS)
"""Steps of a whole build: the document, each rendering in each language, the list of digests."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is asked of, beside its moment: a party, a period, why it corrects another, as known when."""

    party: str | None = None
    period: Period | None = None
    why: str | None = None
    known_at: datetime | None = None
    """Up to when records are taken into account; the report's moment when None."""
    ahead_days: int | None = None
    """How many days ahead the list of what ends looks; `AHEAD_DAYS` when None."""


class ReportError(Exception):
    """The report cannot be built as asked. The text says why and what to do."""


def gather_report(
    connection: Connection,
    kind: str,
    as_of: datetime,
    settings: Settings,
    book: LawBook,
    now: datetime,
    asked: Asked = Asked(),
) -> Report:
    """The content of the report of `kind` at `as_of`, an aware datetime at least `SETTLED_SECONDS` before `now`.

    Raises `ReportError` for a kind that does not exist or is not asked for as it must be, and for a moment without a
    zone, in the future or too fresh: its report would not stay the same.
    """
    if kind not in KINDS:
        raise ReportError(f"there is no report {kind!r}; choose one of: {', '.join(KINDS)}")
    require_moment(as_of, now)
    known = _known_at(asked, as_of, now)
    accreditation = settings.accreditation
    pool = Pool(settings.pool.name, accreditation.country, accreditation.server)
    moment = as_of.astimezone(UTC)
    if kind == "accreditation":
        if asked != Asked(known_at=asked.known_at):
            raise ReportError(
                "the accreditation report is of the whole pool and of the quarter in which its moment lies"
            )
        return gather(connection, moment, pool, book, known)
    if kind == "expiring":
        return gather_expiring(connection, _ahead(asked), moment, pool, book, known)
    if asked.ahead_days is not None:
        raise ReportError("only the list of what ends (expiring) looks --days ahead")
    period = asked.period
    if period is None or period.start >= moment:
        begun = "" if period is None else " that has begun"
        raise ReportError(f"name a period{begun}, such as --period {as_of:%Y-%m}, or --from and --to")
    if asked.why is not None and kind != "distributed":
        raise ReportError("only the record of distributed assets has versions that --why explains")
    try:
        if kind == "quarterly":
            return gather_quarterly(connection, asked.party, period, moment, pool, known)
        if kind == "sale":
            return gather_sales(connection, asked.party, period, moment, pool, book, known)
        if kind == "statement":
            if asked.party is None:
                raise ReportError("a statement is of one party; name it with --party")
            return gather_statement(connection, asked.party, period, moment, pool, book, known)
        if kind == "energy":
            if asked.party is None:
                raise ReportError("energy and fee are of one party; name it with --party")
            return gather_party_energy(connection, asked.party, period, moment, pool, book, known)
        if asked.party is not None:
            raise ReportError(f"the report {kind} is of all parties; leave --party out")
        if kind == "rewards":
            return gather_divided(connection, period, moment, pool, known)
        if known != moment:
            raise ReportError("a version of the record of distributed assets is as of and as known at one moment")
        return gather_distributed(connection, period, moment, pool, book, asked.why)
    except StatementError as error:
        raise ReportError(str(error)) from None


def _ahead(asked: Asked) -> int:
    """How many days ahead the list of what ends is to look. Raises `ReportError`."""
    if asked != Asked(known_at=asked.known_at, ahead_days=asked.ahead_days):
        raise ReportError("the list of what ends is of the whole pool and of the --days ahead of its moment")
    days = AHEAD_DAYS if asked.ahead_days is None else asked.ahead_days
    if not 1 <= days <= _FURTHEST_DAYS:
        raise ReportError(f"the list of what ends looks 1 to {_FURTHEST_DAYS} days ahead, not {days}")
    return days


def _known_at(asked: Asked, as_of: datetime, now: datetime) -> datetime:
    """Up to when records are taken into account. Raises `ReportError`."""
    if asked.known_at is None:
        return as_of.astimezone(UTC)
    require_moment(asked.known_at, now)
    if asked.known_at < as_of:
        raise ReportError(f"as of {as_of.isoformat()} nothing was known at {asked.known_at.isoformat()}, before it")
    return asked.known_at.astimezone(UTC)


def require_moment(as_of: datetime, now: datetime) -> None:
    """Raise `ReportError` unless a report at `as_of` would stay the same."""
    if as_of.tzinfo is None:
        raise ReportError(f"{as_of.isoformat()} has no time zone; write it like {as_of.isoformat()}+05:00")
    if as_of > now:
        raise ReportError(f"{as_of.isoformat()} lies in the future: a report states what is known already")
    if as_of > now - timedelta(seconds=SETTLED_SECONDS):
        raise ReportError(
            f"{as_of.isoformat()} is less than {SETTLED_SECONDS} seconds ago: wait a few seconds, a transaction that "
            "the report must tell of may still be under way"
        )


def issue_version(
    connection: Connection, report: Report, issued_at: datetime, issued_by: str, early: str | None = None
) -> None:
    """Keep that a version of the record of distributed assets exists, before its files do; other reports have none.

    `early`: why one is issued before its period is over. Raises `ReportError` where nothing says so, and where the same
    version was issued with other content: it must not be edited.
    """
    if isinstance(report, DistributedRecord):
        period = Period(report.days.first_day, report.days.last_day)
        why = report.corrects.why if report.corrects else None
        if not (report.days.complete or early or versions(connection, period.start, period.end)):
            raise ReportError(
                f"{period} is not over, and a version that is issued stays: build it after {period.last_day}, name "
                "days that are over with --from and --to, or say with --why why it is issued before"
            )
        version = Issued(report.version, report.as_of, digest_of(canonical_parts(report)), why)
        try:
            issue(connection, period.start, period.end, version, issued_at, issued_by)
        except IssuedError as error:
            raise ReportError(str(error)) from None


def stem_of(report: Report) -> str:
    """The beginning of the names of a report's files."""
    about: tuple[str, ...] = ()
    match report:
        case Statement() | EnergyStatement():
            about = report.person.party, report.days.name
        case RewardsReport():
            about = (report.days.name,)
        case ExpiringReport():
            about = (f"{report.ahead_days}-days",)
        case SaleReport() | QuarterlyReport():
            about = *(() if report.party is None else (report.party,)), report.days.name
        case DistributedRecord():
            about = report.days.name, f"v{report.version}"
    known = () if isinstance(report, DistributedRecord) or report.known_at == report.as_of else (report.known_at,)
    return "-".join((report.kind, *about, _compact(report.as_of), *(f"known-{_compact(each)}" for each in known)))


def render(report: Report, form: str, lang: str) -> tuple[str, bytes]:
    """One file of those that `write_report` writes, `json` or one of `RENDERINGS`: its name and its content."""
    name, parts = render_parts(report, form, lang)
    return name, b"".join(parts)


def render_parts(report: Report, form: str, lang: str) -> tuple[str, Iterable[bytes]]:
    """The same, its content part by part."""
    stem = stem_of(report)
    if form == "json":
        return f"{stem}.json", canonical_parts(report)
    document = lay_out(report, digest_of(canonical_parts(report)), f"{stem}.json", lang)
    return f"{stem}.{lang}.{form}", RENDERINGS[form](document)


def write_report(report: Report, directory: Path, progress: Progress = lambda _done, _steps: None) -> list[Path]:
    """Write the report's files into `directory`, made where missing; returns them.

    `<stem>.json` is the report, `<stem>.<language>.<form>` renders it in each language as each of `RENDERINGS`, and
    `<stem>.sha256` lists the digests of these as `sha256sum -c` reads them.
    Each file appears whole or not at all, the list last. Writing the same report again gives the same bytes. Raises
    `ReportError` when the directory cannot be written to.
    """
    stem = stem_of(report)
    sums: dict[str, str] = {}

    def keep(name: str, parts: Iterable[bytes]) -> str:
        sums[name] = _write(directory / name, parts)
        progress(len(sums), STEPS)
        return sums[name]

    try:
        directory.mkdir(parents=True, exist_ok=True)
        content = keep(f"{stem}.json", canonical_parts(report))
        for lang in LANGUAGES:
            document = lay_out(report, content, f"{stem}.json", lang)
            for form, rendered in RENDERINGS.items():
                keep(f"{stem}.{lang}.{form}", rendered(document))
        keep(f"{stem}.sha256", [f"{digest}  {name}\n".encode() for name, digest in sums.items()])
        sync_directory(directory)
    except OSError as error:
        reason = f"{error.strerror or error}"
        raise ReportError(f"{directory}: cannot write the report: {reason}; choose another directory") from None
    return [directory / name for name in sums]


def built_event(kind: str, as_of: datetime, files: Iterable[Path]) -> AuditEvent:
    """What the audit log keeps of a report: its kind, its moment, and the SHA-256 of each file."""
    digests = {path.name: _digest(path) for path in files}
    return AuditEvent("report", {"report": kind, "as_of": instant_text(as_of), "files": digests})


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _compact(instant: datetime) -> str:
    """An instant in UTC for a file name: 20261122T090509Z, with microseconds where there are any."""
    utc = instant.astimezone(UTC)
    return f"{utc:%Y%m%dT%H%M%S}" + (f".{utc:%f}" if utc.microsecond else "") + "Z"


def write_all(directory: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write files by name into `directory`, made where missing; each appears whole or not at all. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        _write(directory / name, (content,))
    sync_directory(directory)
    return [directory / name for name in contents]


def _write(path: Path, parts: Iterable[bytes]) -> str:
    """Put `parts` at `path` in one step: readers see the old file, none, or the whole new one. Its SHA-256."""
    found = sha256()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
                found.update(part)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
        return found.hexdigest()
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
