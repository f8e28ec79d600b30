"""The distribution report: rewards of a period, whose they became, what was paid, and how to verify each round."""

from __future__ import annotations

from tarazy.reports.coins import Divided, RewardsReport
from tarazy.reports.content import Credit
from tarazy.reports.document import Block, Column, Document, Notice, Paragraph, Rows, Section, Table
from tarazy.reports.layout.frame import frame
from tarazy.reports.layout.voice import NOTHING, Voice


def lay_out_divided(report: RewardsReport, digest: str, file: str, lang: str) -> Document:
    """The report as a document in `lang`."""
    voice = Voice(lang, report.names, catalogue="rewards")
    parts = (_balance, _rounds, _distributions, _credits, _payouts, _records)
    return frame(voice, report, digest, file, (), (part(voice, report) for part in parts))


def _balance(voice: Voice, report: RewardsReport) -> Section:
    totals = report.totals
    given, taken = totals.reward + totals.reserve, totals.credited + totals.fee + totals.remainder
    rows = (
        (voice.say("balance.reward"), voice.bitcoin(totals.reward)),
        *(((voice.say("balance.reserve"), voice.bitcoin(totals.reserve)),) if totals.reserve else ()),
        (voice.say("balance.credited"), voice.bitcoin(totals.credited)),
        (voice.say("balance.fee"), voice.bitcoin(totals.fee)),
        (voice.say("balance.remainder"), voice.bitcoin(totals.remainder)),
    )
    columns = (Column(voice.say("balance.what"), 70), Column(voice.say("balance.amount"), 30, "right"))
    difference = (voice.say("balance.difference"), voice.bitcoin(given - taken))
    blocks: list[Block] = [
        Table(voice.say("balance.table"), columns, rows, difference),
        Paragraph(voice.say("rewards.exact"), small=True),
    ]
    if report.accounts:
        blocks += [_accounts(voice, report), Paragraph(voice.say("accounts.how"), small=True)]
    return Section(voice.say("balance.title"), (*blocks, voice.source(report.source)))


def _accounts(voice: Voice, report: RewardsReport) -> Table:
    rows = tuple(
        (
            voice.word("ledger_account", each.account),
            voice.bitcoin(each.opening),
            voice.bitcoin(each.closing - each.opening),
            voice.bitcoin(each.closing),
        )
        for each in report.accounts
    )
    opening, closing = (sum(getattr(each, name) for each in report.accounts) for name in ("opening", "closing"))
    columns = (
        Column(voice.say("accounts.account"), 52),
        Column(voice.say("accounts.opening"), 28, "right"),
        Column(voice.say("accounts.moved"), 28, "right"),
        Column(voice.say("accounts.closing"), 28, "right"),
    )
    total = (voice.say("total"), *map(voice.bitcoin, (opening, closing - opening, closing)))
    return Table(voice.say("accounts.table"), columns, rows, total)


def _rounds(voice: Voice, report: RewardsReport) -> Section:
    if not report.rounds:
        return Section(voice.say("rounds.title"), (Paragraph(voice.say("rewards.none_blocks")),))
    rows = Rows(
        report.rounds,
        lambda each: (
            voice.number(each.round),
            voice.number(each.height),
            each.block_hash,
            voice.at(each.found_at),
            voice.party(each.party),
            voice.word("block_state", each.state),
        ),
    )
    columns = (
        Column(voice.say("rewards.round"), 11, "right"),
        Column(voice.say("rewards.height"), 12, "right"),
        Column(voice.say("rewards.hash"), 46),
        Column(voice.when("rewards.found"), 20),
        Column(voice.say("rewards.finder"), 26),
        Column(voice.say("state"), 19),
    )
    return Section(voice.say("rounds.title"), (Table(voice.say("rounds.table"), columns, rows),))


def _span(each: Divided) -> str:
    return str(each.first_round) if each.first_round == each.last_round else f"{each.first_round}–{each.last_round}"


def _distributions(voice: Voice, report: RewardsReport) -> Section:
    if not report.distributions:
        return Section(voice.say("distributions.title"), (Paragraph(voice.say("rewards.none_distributions")),))
    with_reserve = any(each.reserve for each in report.distributions)
    rows = Rows(
        report.distributions,
        lambda each: (
            voice.number(each.distribution),
            voice.number(each.height),
            _span(each),
            each.scheme.upper(),
            *_money(voice, each.reward, each.reserve if with_reserve else None),
            *map(voice.bitcoin, (each.credited, each.fee, each.remainder)),
            voice.word("distribution_state", each.state),
        ),
    )
    totals = report.totals
    total = (
        *("", "", voice.say("total"), ""),
        *_money(voice, totals.reward, totals.reserve if with_reserve else None),
        *map(voice.bitcoin, (totals.credited, totals.fee, totals.remainder)),
        "",
    )
    reserve = (Column(voice.say("distributions.reserve"), 19, "right"),) if with_reserve else ()
    columns = (
        Column(voice.say("number"), 7, "right"),
        Column(voice.say("rewards.height"), 12, "right"),
        Column(voice.say("rewards.rounds"), 12, "right"),
        Column(voice.say("distributions.scheme"), 10),
        Column(voice.say("rewards.reward"), 20, "right"),
        *reserve,
        Column(voice.say("rewards.credits"), 19, "right"),
        Column(voice.say("rewards.fee"), 17, "right"),
        Column(voice.say("rewards.remainder"), 17, "right"),
        Column(voice.say("state"), 19),
    )
    return Section(voice.say("distributions.title"), (Table(voice.say("rewards.distributions"), columns, rows, total),))


def _money(voice: Voice, reward: int, reserve: int | None) -> tuple[str, ...]:
    return (voice.bitcoin(reward),) if reserve is None else (voice.bitcoin(reward), voice.bitcoin(reserve))


def _credits(voice: Voice, report: RewardsReport) -> Section:
    rows = Rows(
        [(each, credit) for each in report.distributions for credit in each.credits],
        lambda row: _credit(voice, *row),
    )
    columns = (
        Column(voice.say("credits.distribution"), 13, "right"),
        Column(voice.say("rewards.rounds"), 12, "right"),
        Column(voice.say("miners.miner"), 40),
        Column(voice.say("credits.weight"), 30, "right"),
        Column(voice.say("credits.total_weight"), 30, "right"),
        Column(voice.say("credits.amount"), 20, "right"),
    )
    block: Block = Table(voice.say("credits.table"), columns, rows) if rows else Paragraph(voice.say("credits.none"))
    return Section(voice.say("credits.title"), (block,))


def _credit(voice: Voice, each: Divided, credit: Credit) -> tuple[str, ...]:
    return (
        voice.number(each.distribution),
        _span(each),
        voice.party(credit.party),
        voice.number(credit.weight),
        voice.number(each.total_weight),
        voice.bitcoin(credit.amount),
    )


def _payouts(voice: Voice, report: RewardsReport) -> Section:
    if not report.batches:
        return Section(voice.say("payouts.title"), (Paragraph(voice.say("payouts.none")),))
    batches = tuple(
        (
            voice.number(each.batch),
            voice.word("batch_state", each.state),
            voice.bitcoin(each.amount),
            NOTHING if each.network_fee is None else voice.bitcoin(each.network_fee),
            each.txid or NOTHING,
            voice.at(each.confirmed_at),
            NOTHING if each.audit_row is None else voice.number(each.audit_row),
        )
        for each in report.batches
    )
    columns = (
        Column(voice.say("payouts.batch"), 9, "right"),
        Column(voice.say("state"), 18),
        Column(voice.say("payouts.amount"), 19, "right"),
        Column(voice.say("payouts.network_fee"), 19, "right"),
        Column(voice.say("payouts.transaction"), 52),
        Column(voice.when("payouts.confirmed"), 20),
        Column(voice.say("records.audit_row"), 12, "right"),
    )
    payees = tuple(
        (voice.number(each.batch), voice.party(payout.party), payout.address, voice.bitcoin(payout.amount))
        for each in report.batches
        for payout in each.payouts
    )
    of_payees = (
        Column(voice.say("payouts.batch"), 9, "right"),
        Column(voice.say("miners.miner"), 46),
        Column(voice.say("payouts.address"), 52),
        Column(voice.say("payouts.amount"), 22, "right"),
    )
    return Section(
        voice.say("payouts.title"),
        (
            Table(voice.say("payouts.batches"), columns, batches),
            Paragraph(voice.say("payouts.how"), small=True),
            Table(voice.say("payouts.payees"), of_payees, payees),
        ),
    )


def _records(voice: Voice, report: RewardsReport) -> Section:
    blocks: list[Block] = [Paragraph(voice.say("records.what"))]
    if report.unrecorded:
        rounds = ", ".join(map(voice.number, report.unrecorded))
        blocks.append(Notice(voice.say("records.missing", rounds=rounds)))
    rows = Rows(
        report.records,
        lambda each: (
            voice.number(each.round),
            voice.number(each.audit_row),
            each.share_root,
            each.sum_root,
            voice.number(each.shares),
        ),
    )
    columns = (
        Column(voice.say("rewards.round"), 11, "right"),
        Column(voice.say("records.audit_row"), 13, "right"),
        Column(voice.say("records.share_root"), 56),
        Column(voice.say("records.sum_root"), 56),
        Column(voice.say("records.shares"), 16, "right"),
    )
    if rows:
        blocks += [Table(voice.say("records.table"), columns, rows), Paragraph(voice.say("records.how"), small=True)]
    elif not report.unrecorded:
        blocks.append(Paragraph(voice.say("records.none")))
    return Section(voice.say("records.title"), tuple(blocks))
