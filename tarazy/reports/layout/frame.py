"""What all reports but that on accreditation have alike: cover, header and footer."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from tarazy.reports.canonical import iso
from tarazy.reports.coins import DistributedRecord, RewardsReport, SaleReport, Statement
from tarazy.reports.content import AuditHead, RulesSection
from tarazy.reports.document import Block, Document, Facts, Notice, Paragraph, Section
from tarazy.reports.expiring import ExpiringReport
from tarazy.reports.language import instant
from tarazy.reports.layout.law import rules
from tarazy.reports.layout.voice import NOTHING, Voice
from tarazy.reports.party_energy import EnergyStatement
from tarazy.reports.quarterly import QuarterlyReport

NO_RULES = RulesSection((), ())
Framed = Statement | SaleReport | DistributedRecord | QuarterlyReport | RewardsReport | EnergyStatement | ExpiringReport


def frame(
    voice: Voice,
    report: Framed,
    digest: str,
    file: str,
    facts: Iterable[tuple[str, str]],
    sections: Iterable[Section],
) -> Document:
    """The document of a report: its cover with `facts` of its own, its sections, and the rules, if any, at the end."""
    return Document(
        lang=voice.lang,
        title=voice.say("title"),
        author=report.pool.name,
        created=report.as_of,
        header=voice.say("header", pool=report.pool.name, moment=voice.instant(report.as_of)),
        footer=voice.say("footer", digest=digest),
        page=voice.say("page", page="{page}", pages="{pages}"),
        digest=digest,
        cover=tuple(_cover(voice, report, digest, file, facts)),
        sections=(*sections, *([rules(voice, report.rules)] if report.rules != NO_RULES else [])),
        check=voice.say("check", file=file),
    )


def known_facts(voice: Voice, as_of: datetime, known_at: datetime) -> Iterable[tuple[str, str]]:
    """Up to when records were taken into account, where that is later than the report's moment."""
    if known_at != as_of:
        yield voice.say("cover.known"), f"{instant(voice.lang, known_at)} · {iso(known_at)}"


def audit_text(voice: Voice, audit: AuditHead | None) -> str:
    """The head of the audit log that a report rests on."""
    return NOTHING if audit is None else voice.say("cover.audit_value", size=voice.number(audit.size), root=audit.root)


def checks(voice: Voice, file: str) -> Iterable[Block]:
    """How a reader checks the report, and what a signature beside it is worth."""
    stem = file.removesuffix(".json")
    yield Paragraph(voice.say("cover.check"))
    yield Paragraph(voice.say("cover.check_digest", file=file), small=True)
    yield Paragraph(voice.say("cover.check_files", sums=f"{stem}.sha256"), small=True)
    yield Paragraph(voice.say("cover.check_origin", proof=f"{stem}.audit", signature=f"{stem}.p7s"), small=True)
    yield Paragraph(voice.say("cover.signature"))


def _cover(
    voice: Voice,
    report: Framed,
    digest: str,
    file: str,
    facts: Iterable[tuple[str, str]],
) -> Iterable[Block]:
    yield Paragraph(voice.say("cover.what"))
    yield Notice(voice.say("cover.not_a_form"))
    if not all(rule.confirmed for rule in report.rules.rules):
        yield Notice(voice.say("cover.unconfirmed"))
    days = report.days
    if not isinstance(report, ExpiringReport) and not days.complete:
        yield Notice(voice.say("cover.running"))
    yield Facts(
        (
            (voice.say("cover.pool"), report.pool.name),
            *facts,
            (voice.say("cover.period"), f"{voice.day(days.first_day)} — {voice.day(days.last_day)}"),
            (voice.say("cover.moment"), instant(voice.lang, report.as_of)),
            (voice.say("cover.moment_utc"), iso(report.as_of)),
            *known_facts(
                voice, report.as_of, report.as_of if isinstance(report, DistributedRecord) else report.known_at
            ),
            (voice.say("cover.file"), file),
            (voice.say("cover.digest"), digest),
            (voice.say("cover.audit"), audit_text(voice, report.audit)),
        )
    )
    yield from checks(voice, file)
