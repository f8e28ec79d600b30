"""The accreditation report's cover and the order of its sections."""

from __future__ import annotations

from tarazy.reports.canonical import iso
from tarazy.reports.content import AccreditationReport
from tarazy.reports.document import Block, Document, Facts, Notice, Paragraph
from tarazy.reports.language import instant
from tarazy.reports.layout.energy import energy, fee
from tarazy.reports.layout.frame import audit_text, checks, known_facts
from tarazy.reports.layout.law import rules
from tarazy.reports.layout.parties import accreditation, admission, miners
from tarazy.reports.layout.rewards import rewards
from tarazy.reports.layout.voice import NOTHING, Voice


def lay_out(report: AccreditationReport, digest: str, file: str, lang: str) -> Document:
    """The report as a document in `lang`. `digest` is that of its canonical JSON, `file` that file's name."""
    voice = Voice(lang, report.names, {site.site: site.name for site in report.miners.sites})
    sections = (accreditation, miners, admission, rewards, energy, fee)
    return Document(
        lang=lang,
        title=voice.say("title"),
        author=report.pool.name,
        created=report.as_of,
        header=voice.say("header", pool=report.pool.name, moment=voice.instant(report.as_of)),
        footer=voice.say("footer", digest=digest),
        page=voice.say("page", page="{page}", pages="{pages}"),
        digest=digest,
        cover=_cover(voice, report, digest, file),
        sections=(*(section(voice, report) for section in sections), rules(voice, report.rules)),
        check=voice.say("check", file=file),
    )


def _cover(voice: Voice, report: AccreditationReport, digest: str, file: str) -> tuple[Block, ...]:
    blocks: list[Block] = [Paragraph(voice.say("cover.what")), Notice(voice.say("cover.not_a_form"))]
    if not all(rule.confirmed for rule in report.rules.rules):
        blocks.append(Notice(voice.say("cover.unconfirmed")))
    known = "" if report.known_at == report.as_of else f" --known-at {iso(report.known_at)}"
    again = Paragraph(voice.say("cover.check_again", moment=iso(report.as_of) + known), small=True)
    *how, signature = checks(voice, file)
    return (*blocks, _facts(voice, report, digest, file), *how, again, signature)


def _facts(voice: Voice, report: AccreditationReport, digest: str, file: str) -> Facts:
    year, _, number = report.period.quarter.partition("-Q")
    period = voice.say(
        "cover.period_value",
        quarter=voice.say("cover.quarter", year=year, number=number),
        start=voice.instant(report.period.start),
        end=voice.instant(report.period.end),
    )
    certificates = ", ".join(certificate.number for certificate in report.accreditation.certificates)
    return Facts(
        (
            (voice.say("cover.for"), voice.say("cover.readers")),
            (voice.say("cover.pool"), report.pool.name),
            (voice.say("pool.certificates"), certificates or NOTHING),
            (voice.say("cover.moment"), instant(voice.lang, report.as_of)),
            (voice.say("cover.moment_utc"), iso(report.as_of)),
            *known_facts(voice, report.as_of, report.known_at),
            (voice.say("cover.period"), period),
            (voice.say("cover.file"), file),
            (voice.say("cover.digest"), digest),
            (voice.say("cover.audit"), audit_text(voice, report.audit)),
        )
    )
