"""The section on the legal rules that the report rests on."""

from __future__ import annotations

from tarazy.reports.content import MissingRule, Rule, RulesSection
from tarazy.reports.document import Block, Column, Notice, Paragraph, Section, Table
from tarazy.reports.layout.voice import NOTHING, Voice


def rules(voice: Voice, section: RulesSection) -> Section:
    """Every rule applied: act, article, dates, sources, digest, and whether it is confirmed."""
    blocks: list[Block] = [Notice(missing_rule(voice, missing)) for missing in section.missing]
    if section.rules:
        columns = (
            Column(voice.say("rules.id"), 27),
            Column(voice.say("rules.act"), 32),
            Column(voice.say("rules.span"), 16),
            Column(voice.say("rules.sources"), 40),
            Column(voice.say("rules.standing"), 21),
        )
        rows = tuple(_row(voice, rule) for rule in section.rules)
        blocks.append(Paragraph(voice.say("rules.language_remark"), small=True))
        blocks.append(Table(voice.say("rules.table"), columns, rows))
    return Section(voice.say("rules.title"), tuple(blocks))


def missing_rule(voice: Voice, missing: MissingRule) -> str:
    """That no rule of a topic is entered for a day, with the nearest ones."""
    return voice.say(
        "rules.missing",
        topic=voice.word("topic", missing.topic),
        day=voice.day(missing.day),
        before=missing.before or NOTHING,
        after=missing.after or NOTHING,
    )


def _row(voice: Voice, rule: Rule) -> tuple[str, ...]:
    last = voice.say("rules.open") if rule.valid_to is None else voice.day(rule.valid_to)
    return (
        f"{voice.word('topic', rule.topic)}: {rule.id}; {voice.say('rules.digest', digest=rule.digest)}",
        voice.act(rule) if rule.note is None else f"{voice.act(rule)}. {rule.note}",
        f"{voice.day(rule.valid_from)} — {last}",
        "; ".join(rule.source),
        voice.standing(rule),
    )
