"""Sections on energy and on the digital-mining fee."""

from __future__ import annotations

from collections.abc import Iterator

from tarazy.reports.content import AccreditationReport, Due, Fee, FeeLine
from tarazy.reports.document import Block, Column, Notice, Paragraph, Rows, Section, Table
from tarazy.reports.layout.law import missing_rule
from tarazy.reports.layout.voice import NOTHING, Voice


def energy(voice: Voice, report: AccreditationReport) -> Section:
    """Energy of each site and of each miner at it."""
    section = report.energy
    blocks: list[Block] = [Paragraph(voice.say("energy.none"))]
    if section.sites:
        blocks = [
            _sites(voice, report),
            _shares(voice, report),
            Paragraph(voice.say("energy.how"), small=True),
        ]
    return Section(voice.say("energy.title"), (*blocks, voice.source(section.source)))


def _sites(voice: Voice, report: AccreditationReport) -> Table:
    sites = report.energy.sites
    rows = tuple(
        (
            voice.site(site.site),
            voice.energy(site.metered_wh),
            voice.energy(site.allocated_wh),
            voice.energy(site.unallocated_wh),
            " / ".join(map(voice.number, (site.measured, site.estimated, site.missing))),
        )
        for site in sites
    )
    total = (
        voice.say("total"),
        voice.energy(sum(site.metered_wh for site in sites)),
        voice.energy(sum(site.allocated_wh for site in sites)),
        voice.energy(sum(site.unallocated_wh for site in sites)),
        "",
    )
    columns = (
        Column(voice.say("miners.centre"), 34),
        Column(voice.say("energy.metered"), 22, "right"),
        Column(voice.say("energy.allocated"), 22, "right"),
        Column(voice.say("energy.unallocated"), 26, "right"),
        Column(voice.say("energy.intervals"), 32, "right"),
    )
    return Table(voice.say("energy.sites"), columns, rows, total)


def _shares(voice: Voice, report: AccreditationReport) -> Table:
    rows = tuple(
        (
            voice.site(site.site),
            voice.party(share.party),
            voice.energy(share.energy_wh),
            NOTHING if share.submetered_wh is None else voice.energy(share.submetered_wh),
            voice.energy(share.uncertain_wh),
            voice.say("energy.no_estimate") if share.estimate_wh is None else voice.energy(share.estimate_wh),
        )
        for site in report.energy.sites
        for share in site.parties
    )
    columns = (
        Column(voice.say("miners.centre"), 24),
        Column(voice.say("miners.miner"), 36),
        Column(voice.say("energy.share"), 20, "right"),
        Column(voice.say("energy.submetered"), 20, "right"),
        Column(voice.say("energy.uncertain"), 20, "right"),
        Column(voice.say("energy.estimate"), 20, "right"),
    )
    return Table(voice.say("energy.parties"), columns, rows)


def fee(voice: Voice, report: AccreditationReport) -> Section:
    """The fee of each miner with its computation, or why none was computed."""
    section = report.fee
    blocks: list[Block] = [Paragraph(voice.say("fee.who"))]
    if section.due is not None:
        blocks.append(Paragraph(_due(voice, report, section.due)))
    if not report.period.complete:
        blocks.append(Paragraph(voice.say("fee.running")))
    blocks += [Notice(voice.say("fee.refusal", reason=reason)) for reason in _refusals(voice, section.fees)]
    blocks.append(_fees(voice, report) if section.fees else Paragraph(voice.say("fee.none")))
    if any(item.lines for item in section.fees):
        blocks += [_lines(voice, report), Paragraph(voice.say("fee.how"), small=True)]
    return Section(voice.say("fee.title"), (*blocks, voice.source(section.source)))


def _due(voice: Voice, report: AccreditationReport, due: Due) -> str:
    declare = voice.say("fee.no_declaration") if due.declare is None else voice.day(due.declare)
    return voice.say(
        "fee.due",
        declare=declare,
        pay=voice.day(due.pay),
        rule=due.rule,
        standing=_standing(voice, report, due.rule),
    )


def _refusals(voice: Voice, fees: tuple[Fee, ...]) -> list[str]:
    """Why fees were not computed, each reason once."""
    missing = [missing_rule(voice, item.missing) for item in fees if item.missing is not None]
    faults = [f"{voice.party(item.party)}: {item.fault}" for item in fees if item.fault is not None]
    return list(dict.fromkeys([*missing, *faults]))


def _fees(voice: Voice, report: AccreditationReport) -> Table:
    rows = tuple(
        (
            voice.number(number),
            voice.party(item.party),
            voice.energy(item.energy_wh),
            NOTHING if item.average_price_kzt is None else voice.number(item.average_price_kzt),
            voice.say("fee.refused") if item.amount_kzt is None else voice.number(item.amount_kzt),
            "; ".join(dict.fromkeys(_standing(voice, report, line.rule) for line in item.lines)) or NOTHING,
        )
        for number, item in enumerate(report.fee.fees, 1)
    )
    columns = (
        Column(voice.say("number"), 6, "right"),
        Column(voice.say("miners.miner"), 42),
        Column(voice.say("fee.energy"), 22, "right"),
        Column(voice.say("fee.price"), 20, "right"),
        Column(voice.say("fee.amount"), 20, "right"),
        Column(voice.say("fee.certainty"), 28),
    )
    amounts = [item.amount_kzt for item in report.fee.fees if item.amount_kzt is not None]
    energy = voice.energy(sum(item.energy_wh for item in report.fee.fees))
    amount = voice.number(sum(amounts)) if len(amounts) == len(report.fee.fees) else NOTHING
    total = ("", voice.say("total"), energy, "", amount, "")
    return Table(voice.say("fee.totals"), columns, rows, total)


def _standing(voice: Voice, report: AccreditationReport, rule: str) -> str:
    return next((voice.standing(known) for known in report.rules.rules if known.id == rule), NOTHING)


def _lines(voice: Voice, report: AccreditationReport) -> Table:
    standing = {rule.id: voice.standing(rule) for rule in report.rules.rules}
    rows = Rows(
        [(item.party, line) for item in report.fee.fees for line in item.lines],
        lambda each: _line(voice, *each, standing.get(each[1].rule, NOTHING)),
    )
    columns = (
        Column(voice.say("miners.miner"), 36),
        Column(voice.say("fee.meter"), 21),
        Column(voice.say("fee.basis"), 26),
        Column(voice.say("fee.energy"), 19, "right"),
        Column(voice.say("fee.rate"), 16, "right"),
        Column(voice.say("fee.amount"), 19, "right"),
        Column(voice.say("fee.rule"), 30),
    )
    return Table(voice.say("fee.lines"), columns, rows)


def _line(voice: Voice, party: str, line: FeeLine, standing: str) -> tuple[str, ...]:
    return (
        voice.party(party),
        f"{voice.site(line.site)} / {line.meter}" if line.site else line.meter,
        "; ".join(fee_basis(voice, line)),
        voice.energy(line.energy_wh),
        *fee_rates(voice, line),
        f"{line.rule}: {standing}",
    )


def fee_basis(voice: Voice, line: FeeLine) -> Iterator[str]:
    """What a line of a fee is of: source, supply, ground of the rate."""
    yield voice.word("energy_source", line.source)
    if line.supply is not None:
        contract = line.contract and voice.say("fee.contract", number=line.contract)
        yield f"{line.supply} ({contract})" if contract else line.supply
    yield voice.word("fee_ground", line.ground)


def fee_rates(voice: Voice, line: FeeLine) -> tuple[str, str]:
    """Its rate, with that of the quantity by itself in brackets, and its amount."""
    rate = voice.number(line.rate_kzt)
    if line.split_rate_kzt != line.rate_kzt:
        rate = f"{rate} ({voice.number(line.split_rate_kzt)})"
    return rate, voice.tenge(line.amount_kzt)
