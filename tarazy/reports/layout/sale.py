"""The report on coins sold through exchanges licensed in the AIFC."""

from __future__ import annotations

from tarazy.reports.coins import ObligationLine, PartySales, SaleLine, SaleReport
from tarazy.reports.document import Block, Column, Document, Notice, Paragraph, Rows, Section, Table
from tarazy.reports.layout.frame import frame
from tarazy.reports.layout.statement import licence
from tarazy.reports.layout.voice import NOTHING, Voice


def lay_out_sales(report: SaleReport, digest: str, file: str, lang: str) -> Document:
    """The report as a document in `lang`."""
    voice = Voice(lang, report.names, catalogue="sale")
    whose = voice.say("all") if report.party is None else voice.party(report.party)
    percent = NOTHING if report.minimum_percent is None else f"{report.minimum_percent} %"
    facts = ((voice.say("miner"), whose), (voice.say("minimum"), percent))
    sections = (_obligations(voice, report), _sales(voice, report))
    return frame(voice, report, digest, file, facts, sections)


def _obligations(voice: Voice, report: SaleReport) -> Section:
    blocks: list[Block] = [Notice(voice.say("bases"))]
    if report.minimum_percent is None:
        blocks.append(Notice(voice.say("no_rule")))
    rows = tuple(
        (
            _miner(voice, each) if number == 0 else "",
            voice.say(f"base.{line.base}"),
            voice.bitcoin(line.amount),
            voice.bitcoin(line.through_aifc),
            _share(voice, line),
            _amount(voice, line.required),
            _amount(voice, line.missing),
        )
        for each in report.parties
        for number, line in enumerate(each.obligations)
    )
    columns = (
        Column(voice.say("miner"), 50),
        Column(voice.say("base.of"), 16),
        Column(voice.say("amount"), 18, "right"),
        Column(voice.say("through_aifc"), 19, "right"),
        Column(voice.say("share"), 13, "right"),
        Column(voice.say("required"), 18, "right"),
        Column(voice.say("missing"), 18, "right"),
    )
    table = Table(voice.say("obligations.table"), columns, rows) if rows else Paragraph(voice.say("nobody"))
    blocks += [table, Paragraph(voice.say("obligations.how"), small=True), voice.source(report.source)]
    return Section(voice.say("obligations.title"), tuple(blocks))


def _miner(voice: Voice, sales: PartySales) -> str:
    person = sales.person
    return f"{voice.party(person.party)}; {voice.say('bin')} {person.bin}; {licence(voice, person)}"


def _share(voice: Voice, line: ObligationLine) -> str:
    """In whole percent, rounded down: it never looks met where it is not."""
    return f"{line.through_aifc * 100 // line.amount} %" if line.amount else NOTHING


def _amount(voice: Voice, satoshi: int | None) -> str:
    return NOTHING if satoshi is None else voice.bitcoin(satoshi)


def _sales(voice: Voice, report: SaleReport) -> Section:
    blocks: list[Block] = [
        Notice(voice.say("no_document", miner=voice.party(each.person.party), count=each.without_document))
        for each in report.parties
        if each.without_document
    ]
    sales = [(each.person.party, sale) for each in report.parties for sale in each.sales]
    rows = Rows(sales, lambda each: _sale(voice, *each))
    columns = (
        Column(voice.say("miner"), 30),
        Column(voice.when("sold_at"), 22),
        Column(voice.say("exchange"), 24),
        Column(voice.say("exchange_licence"), 22),
        Column(voice.say("deal"), 18),
        Column(voice.say("asset"), 14),
        Column(voice.say("quantity"), 20, "right"),
        Column(voice.say("document"), 24),
    )
    blocks.append(Table(voice.say("sales.table"), columns, rows) if rows else Paragraph(voice.say("sales.none")))
    return Section(voice.say("sales.title"), tuple(blocks))


def _sale(voice: Voice, party: str, sale: SaleLine) -> tuple[str, ...]:
    return (
        voice.party(party),
        voice.at(sale.sold_at),
        sale.exchange,
        sale.exchange_licence or voice.say("not_licensed"),
        sale.deal,
        sale.asset,
        voice.bitcoin(sale.quantity),
        voice.say("document_missing") if sale.document is None else sale.document[:16] + "…",
    )
