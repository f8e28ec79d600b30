"""The report on quarterly information: what was told, who told nothing, and how it differs from the pool's records."""

from __future__ import annotations

from tarazy.reports.document import Block, Column, Document, Notice, Paragraph, Section, Table
from tarazy.reports.layout.frame import frame
from tarazy.reports.layout.voice import NOTHING, Voice
from tarazy.reports.quarterly import QuarterlyLine, QuarterlyReport


def lay_out_quarterly(report: QuarterlyReport, digest: str, file: str, lang: str) -> Document:
    """The report as a document in `lang`."""
    voice = Voice(lang, report.names, catalogue="quarterly")
    told = [line for line in report.lines if line.told is not None]
    facts = (
        (voice.say("miner"), voice.say("all") if report.party is None else voice.party(report.party)),
        (voice.say("told.count"), voice.say("told.of", told=len(told), all=len(report.lines))),
    )
    return frame(voice, report, digest, file, facts, (_told(voice, report, told), _beside(voice, report)))


def _told(voice: Voice, report: QuarterlyReport, told: list[QuarterlyLine]) -> Section:
    blocks: list[Block] = []
    if missing := [voice.party(line.person.party) for line in report.lines if line.told is None]:
        blocks.append(Notice(voice.say("missing", parties="; ".join(missing))))
    rows = tuple(
        (
            voice.number(number),
            voice.party(line.person.party),
            line.person.bin,
            voice.energy(each.energy_wh),
            voice.number(each.investment_kzt),
            voice.number(each.jobs),
            voice.number(each.machines),
            voice.kilowatts(each.power_w),
        )
        for number, line in enumerate(told, 1)
        if (each := line.told) is not None
    )
    columns = (
        Column(voice.say("number"), 5, "right"),
        Column(voice.say("miner"), 28),
        Column(voice.say("bin"), 18),
        Column(voice.say("energy"), 24, "right"),
        Column(voice.say("investment"), 22, "right"),
        Column(voice.say("jobs"), 13, "right"),
        Column(voice.say("machines"), 13, "right"),
        Column(voice.say("power"), 16, "right"),
    )
    sums = [line.told for line in told if line.told is not None]
    total = (
        "",
        voice.say("total"),
        "",
        voice.energy(sum(each.energy_wh for each in sums)),
        voice.number(sum(each.investment_kzt for each in sums)),
        voice.number(sum(each.jobs for each in sums)),
        voice.number(sum(each.machines for each in sums)),
        voice.kilowatts(sum(each.power_w for each in sums)),
    )
    blocks.append(Table(voice.say("told.table"), columns, rows, total) if rows else Paragraph(voice.say("told.none")))
    blocks += [
        Paragraph(voice.say("why", miner=voice.party(line.person.party), version=line.told.version, why=line.told.why))
        for line in told
        if line.told is not None and line.told.why is not None
    ]
    return Section(voice.say("told.title"), (*blocks, voice.source(report.source)))


def _beside(voice: Voice, report: QuarterlyReport) -> Section:
    rows = tuple(
        (
            voice.party(line.person.party),
            NOTHING if line.known.energy_wh is None else voice.energy(line.known.energy_wh),
            voice.energy(line.told.energy_wh - line.known.energy_wh)
            if line.told is not None and line.known.energy_wh is not None
            else NOTHING,
            voice.number(line.known.machines),
            NOTHING if line.told is None else voice.number(line.told.machines - line.known.machines),
            voice.kilowatts(line.known.power_w),
            NOTHING if line.told is None else voice.number(line.told.version),
            NOTHING if line.told is None else voice.at(line.told.recorded_at),
        )
        for line in report.lines
    )
    columns = (
        Column(voice.say("miner"), 40),
        Column(voice.say("known.energy"), 24, "right"),
        Column(voice.say("known.energy_difference"), 24, "right"),
        Column(voice.say("known.machines"), 18, "right"),
        Column(voice.say("known.machines_difference"), 18, "right"),
        Column(voice.say("known.power"), 20, "right"),
        Column(voice.say("version"), 12, "right"),
        Column(voice.when("submitted"), 22),
    )
    table: Block = Table(voice.say("known.table"), columns, rows) if rows else Paragraph(voice.say("nobody"))
    return Section(voice.say("known.title"), (table, Paragraph(voice.say("known.how"), small=True)))
