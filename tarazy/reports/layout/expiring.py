"""The list of what ends: when, whose, and what follows from it."""

from __future__ import annotations

from tarazy.accreditation.expiry import THRESHOLDS
from tarazy.reports.document import Block, Column, Document, Notice, Paragraph, Section, Table
from tarazy.reports.expiring import ExpiringLine, ExpiringReport
from tarazy.reports.language import has, text
from tarazy.reports.layout.frame import frame
from tarazy.reports.layout.voice import NOTHING, Voice

_SOON = THRESHOLDS[-1]
"""Days left from which an end is told apart from the others."""


def lay_out_expiring(report: ExpiringReport, digest: str, file: str, lang: str) -> Document:
    """The list as a document in `lang`."""
    voice = Voice(lang, report.names, report.sites, catalogue="expiring")
    counts = {"ahead": report.ahead_days, "count": len(report.lines)}
    facts = tuple((voice.say(name), voice.number(count)) for name, count in counts.items())
    return frame(voice, report, digest, file, facts, (_list(voice, report),))


def _list(voice: Voice, report: ExpiringReport) -> Section:
    blocks: list[Block] = []
    if soon := sum(line.days_left <= _SOON for line in report.lines):
        blocks.append(Notice(voice.say("soon", count=soon, days=_SOON)))
    rows = tuple(
        (
            voice.day(line.last_day),
            voice.number(line.days_left),
            _what(voice, line),
            voice.say("the_pool") if line.party is None else voice.party(line.party),
            NOTHING if line.site is None else voice.site(line.site),
            voice.say(f"consequence.{line.register}"),
        )
        for line in report.lines
    )
    columns = (
        Column(voice.say("last_day"), 17),
        Column(voice.say("days_left"), 11, "right"),
        Column(voice.say("what"), 36),
        Column(voice.say("whose"), 32),
        Column(voice.say("miners.centre"), 20),
        Column(voice.say("follows"), 48),
    )
    blocks.append(Table(voice.say("table"), columns, rows) if rows else Paragraph(voice.say("none")))
    blocks += [Paragraph(voice.say("how"), small=True), voice.source(report.source)]
    return Section(voice.say("section"), tuple(blocks))


def _what(voice: Voice, line: ExpiringLine) -> str:
    what = _entry(voice, line.register, line.key) + ("" if line.named is None else f" ({line.named})")
    if line.of_register is None or line.of_key is None:
        return what
    return f"{what}: {_entry(voice, line.of_register, line.of_key)}"


def _entry(voice: Voice, register: str, key: str) -> str:
    message = f"attention.what.{register}"
    return text(voice.lang, message, key=key) if has(message) else f"{register} {key}"
