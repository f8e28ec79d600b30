"""A party's statement."""

from __future__ import annotations

from tarazy.reports.coins import Person, Statement
from tarazy.reports.document import Block, Column, Document, Notice, Paragraph, Rows, Section, Table
from tarazy.reports.layout.frame import frame
from tarazy.reports.layout.voice import NOTHING, Voice

_OF_CREDITS = ("distribution", "maturity", "reversal")
"""Kinds of bookings that the table of credits tells of."""


def lay_out_statement(report: Statement, digest: str, file: str, lang: str) -> Document:
    """The statement as a document in `lang`."""
    voice = Voice(lang, report.names, catalogue="statement")
    person = report.person
    facts = (
        (voice.say("miner"), voice.party(person.party)),
        (voice.say("bin"), person.bin),
        (voice.say("licence"), licence(voice, person)),
    )
    parts = (_summary, _work, _credits, _moved, _values)
    return frame(voice, report, digest, file, facts, (part(voice, report) for part in parts))


def licence(voice: Voice, person: Person) -> str:
    """Number and day of a party's licence; a dash for none."""
    if person.licence is None or person.licence_issued_on is None:
        return NOTHING
    return voice.say("licence_value", number=person.licence, day=voice.day(person.licence_issued_on))


def _summary(voice: Voice, report: Statement) -> Section:
    totals, valuation = report.totals, report.valuation
    rows = (
        (voice.say("summary.shares"), voice.number(totals.shares)),
        (voice.say("summary.stale"), voice.number(totals.stale_shares)),
        (voice.say("summary.rounds"), voice.number(len(report.rounds))),
        (voice.say("summary.credited"), voice.bitcoin(totals.credited)),
        (voice.say("summary.fee"), voice.bitcoin(totals.fee)),
        (voice.say("summary.paid"), voice.bitcoin(totals.paid)),
        (voice.say("summary.credited_kzt"), voice.tenge(valuation.credited_kzt)),
        (voice.say("summary.paid_kzt"), voice.tenge(valuation.paid_kzt)),
    )
    columns = (Column(voice.say("summary.what"), 70), Column(voice.say("summary.amount"), 30, "right"))
    return Section(
        voice.say("summary.title"),
        (
            Table(voice.say("summary.table"), columns, rows),
            _accounts(voice, report) if report.accounts else Paragraph(voice.say("accounts.none")),
            Paragraph(voice.say("accounts.how"), small=True),
            voice.source(report.source),
        ),
    )


def _accounts(voice: Voice, report: Statement) -> Table:
    rows = tuple(
        (
            voice.word("ledger_account", each.account),
            voice.bitcoin(each.opening),
            voice.bitcoin(sum(amount for amount in each.moved.values() if amount > 0)),
            voice.bitcoin(sum(amount for amount in each.moved.values() if amount < 0)),
            voice.bitcoin(each.closing),
        )
        for each in report.accounts
    )
    columns = (
        Column(voice.say("accounts.account"), 44),
        Column(voice.say("accounts.opening"), 24, "right"),
        Column(voice.say("accounts.added"), 24, "right"),
        Column(voice.say("accounts.taken"), 24, "right"),
        Column(voice.say("accounts.closing"), 24, "right"),
    )
    return Table(voice.say("accounts.table"), columns, rows)


def _work(voice: Voice, report: Statement) -> Section:
    if not report.rounds:
        return Section(voice.say("work.title"), (Paragraph(voice.say("work.none")),))
    rows = Rows(
        report.rounds,
        lambda each: (
            voice.number(each.round),
            voice.number(each.height),
            voice.at(each.closed_at),
            voice.number(each.shares),
            voice.number(each.stale_shares),
            voice.number(each.weight),
            voice.number(each.total_weight),
        ),
    )
    totals = (voice.number(report.totals.shares), voice.number(report.totals.stale_shares))
    columns = (
        Column(voice.say("rewards.round"), 11, "right"),
        Column(voice.say("rewards.height"), 13, "right"),
        Column(voice.when("work.closed"), 24),
        Column(voice.say("work.shares"), 16, "right"),
        Column(voice.say("work.stale"), 16, "right"),
        Column(voice.say("work.weight"), 30, "right"),
        Column(voice.say("work.total_weight"), 30, "right"),
    )
    table = Table(voice.say("work.table"), columns, rows, ("", "", voice.say("total"), *totals, "", ""))
    return Section(voice.say("work.title"), (table, Paragraph(voice.say("work.how"), small=True)))


def _credits(voice: Voice, report: Statement) -> Section:
    if not report.credits:
        return Section(voice.say("credits.title"), (Paragraph(voice.say("credits.none")),))
    rows = Rows(
        report.credits,
        lambda each: (
            voice.number(each.distribution),
            voice.number(each.height),
            str(each.first_round) if each.first_round == each.last_round else f"{each.first_round}–{each.last_round}",
            voice.bitcoin(each.reward),
            voice.bitcoin(each.fee),
            voice.bitcoin(each.amount),
            voice.word("distribution_state", each.state),
            voice.at(each.reversed_at or each.final_at or each.booked_at),
        ),
    )
    columns = (
        Column(voice.say("number"), 7, "right"),
        Column(voice.say("rewards.height"), 13, "right"),
        Column(voice.say("rewards.rounds"), 13, "right"),
        Column(voice.say("rewards.reward"), 21, "right"),
        Column(voice.say("credits.fee"), 20, "right"),
        Column(voice.say("credits.amount"), 20, "right"),
        Column(voice.say("state"), 19),
        Column(voice.when("credits.since"), 24),
    )
    table = Table(voice.say("credits.table"), columns, rows)
    return Section(voice.say("credits.title"), (table, Paragraph(voice.say("credits.how"), small=True)))


def _moved(voice: Voice, report: Statement) -> Section:
    """Everything that the table of credits does not tell: payouts above all."""
    rows = tuple(
        (
            voice.number(each.entry),
            voice.at(each.at),
            voice.word("ledger_kind", each.kind),
            each.reference,
            voice.word("ledger_account", each.account),
            voice.bitcoin(each.amount),
        )
        for each in report.movements
        if each.kind not in _OF_CREDITS
    )
    columns = (
        Column(voice.say("moved.entry"), 12, "right"),
        Column(voice.when("moved.at"), 24),
        Column(voice.say("moved.kind"), 26),
        Column(voice.say("moved.reference"), 34),
        Column(voice.say("accounts.account"), 26),
        Column(voice.say("moved.amount"), 22, "right"),
    )
    block: Block = Table(voice.say("moved.table"), columns, rows) if rows else Paragraph(voice.say("moved.none"))
    return Section(voice.say("moved.title"), (block,))


def _values(voice: Voice, report: Statement) -> Section:
    valuation = report.valuation
    if not valuation.lines:
        return Section(voice.say("values.title"), (Paragraph(voice.say("values.nothing")),))
    blocks: list[Block] = []
    if absent := sorted({line.absent for line in valuation.lines if line.absent}):
        blocks += [Notice(voice.say(f"absent.{reason}")) for reason in absent]
    if valuation.moved_days_unknown:
        blocks.append(Notice(voice.say("values.moved_days")))
    rows = Rows(
        valuation.lines,
        lambda line: (
            voice.say(f"values.{line.what}", reference=line.reference),
            voice.day(line.day),
            voice.bitcoin(line.satoshi),
            voice.day(line.value_day) if line.value_kzt is not None else NOTHING,
            voice.tenge(line.value_kzt),
            voice.tenge(line.amount_kzt),
        ),
    )
    columns = (
        Column(voice.say("values.what"), 36),
        Column(voice.say("values.day"), 18),
        Column(voice.say("values.satoshi"), 22, "right"),
        Column(voice.say("values.value_day"), 20),
        Column(voice.say("values.value"), 24, "right"),
        Column(voice.say("values.amount"), 24, "right"),
    )
    blocks += [
        Table(voice.say("values.table"), columns, rows),
        Paragraph(voice.say("values.how"), small=True),
        *(
            Paragraph(voice.say("values.file", name=each.name, source=each.source, digest=each.digest), small=True)
            for each in valuation.files
        ),
    ]
    return Section(voice.say("values.title"), tuple(blocks))
