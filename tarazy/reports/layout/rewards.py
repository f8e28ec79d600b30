"""The section on blocks found and rewards divided."""

from __future__ import annotations

from tarazy.reports.content import AccreditationReport, Distribution
from tarazy.reports.document import Block, Column, Paragraph, Section, Table
from tarazy.reports.layout.voice import Voice


def rewards(voice: Voice, report: AccreditationReport) -> Section:
    """Blocks found, distributions, and the sums of each miner."""
    section = report.rewards
    blocks: list[Block] = [_blocks(voice, report) if section.blocks else Paragraph(voice.say("rewards.none_blocks"))]
    if section.distributions:
        blocks += [
            _distributions(voice, report),
            Paragraph(voice.say("rewards.exact"), small=True),
            _earnings(voice, report),
        ]
    else:
        blocks.append(Paragraph(voice.say("rewards.none_distributions")))
    return Section(voice.say("rewards.title"), (*blocks, voice.source(section.source)))


def _blocks(voice: Voice, report: AccreditationReport) -> Table:
    rows = tuple(
        (
            voice.number(block.height),
            block.block_hash,
            voice.at(block.found_at),
            voice.party(block.party),
            voice.number(block.round),
            voice.word("block_state", block.state),
        )
        for block in report.rewards.blocks
    )
    columns = (
        Column(voice.say("rewards.height"), 12, "right"),
        Column(voice.say("rewards.hash"), 52),
        Column(voice.when("rewards.found"), 20),
        Column(voice.say("rewards.finder"), 28),
        Column(voice.say("rewards.round"), 11, "right"),
        Column(voice.say("state"), 19),
    )
    return Table(voice.say("rewards.blocks"), columns, rows)


def _distributions(voice: Voice, report: AccreditationReport) -> Table:
    standing = [item for item in report.rewards.distributions if item.state != "reversed"]
    rows = tuple(
        (
            voice.number(item.number),
            voice.number(item.height),
            _rounds(item),
            *_money(voice, item.reward, item.fee, item.remainder, _credited(item)),
            voice.word("distribution_state", item.state),
        )
        for item in report.rewards.distributions
    )
    totals = _money(
        voice,
        sum(item.reward for item in standing),
        sum(item.fee for item in standing),
        sum(item.remainder for item in standing),
        sum(map(_credited, standing)),
    )
    columns = (
        Column(voice.say("number"), 7, "right"),
        Column(voice.say("rewards.height"), 12, "right"),
        Column(voice.say("rewards.rounds"), 13, "right"),
        Column(voice.say("rewards.reward"), 22, "right"),
        Column(voice.say("rewards.credits"), 19, "right"),
        Column(voice.say("rewards.fee"), 18, "right"),
        Column(voice.say("rewards.remainder"), 18, "right"),
        Column(voice.say("state"), 19),
    )
    caption = voice.say("rewards.distributions")
    return Table(caption, columns, rows, ("", "", voice.say("total"), *totals, ""))


def _rounds(item: Distribution) -> str:
    one = item.first_round == item.last_round
    return str(item.first_round) if one else f"{item.first_round}–{item.last_round}"


def _credited(item: Distribution) -> int:
    return sum(credit.amount for credit in item.credits)


def _money(voice: Voice, reward: int, fee: int, remainder: int, credited: int) -> tuple[str, str, str, str]:
    return voice.bitcoin(reward), voice.bitcoin(credited), voice.bitcoin(fee), voice.bitcoin(remainder)


def _earnings(voice: Voice, report: AccreditationReport) -> Table:
    earnings = report.rewards.earnings
    rows = tuple(
        (voice.number(number), voice.party(item.party), voice.bitcoin(item.final), voice.bitcoin(item.immature))
        for number, item in enumerate(earnings, 1)
    )
    total = (
        "",
        voice.say("total"),
        voice.bitcoin(sum(item.final for item in earnings)),
        voice.bitcoin(sum(item.immature for item in earnings)),
    )
    columns = (
        Column(voice.say("number"), 6, "right"),
        Column(voice.say("miners.miner"), 60),
        Column(voice.say("rewards.final"), 30, "right"),
        Column(voice.say("rewards.immature"), 30, "right"),
    )
    return Table(voice.say("rewards.earnings"), columns, rows, total)
