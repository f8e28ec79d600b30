"""The statement of energy and fee of one party for a quarter."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from tarazy.reports.content import Rule
from tarazy.reports.document import Block, Column, Document, Notice, Paragraph, Section, Table
from tarazy.reports.layout.energy import fee_basis, fee_rates
from tarazy.reports.layout.frame import frame
from tarazy.reports.layout.law import missing_rule
from tarazy.reports.layout.statement import licence
from tarazy.reports.layout.voice import NOTHING, Voice
from tarazy.reports.party_energy import EnergyStatement, Gap, SiteUse


def lay_out_party_energy(report: EnergyStatement, digest: str, file: str, lang: str) -> Document:
    """The statement as a document in `lang`."""
    voice = Voice(lang, report.names, {site.site: site.name for site in report.sites}, catalogue="energy")
    person = report.person
    facts = (
        (voice.say("miners.miner"), voice.party(person.party)),
        (voice.say("miners.bin"), person.bin),
        (voice.say("licence"), licence(voice, person)),
    )
    parts = (_summary, _sites, _drawn, _fee)
    return frame(voice, report, digest, file, facts, (part(voice, report) for part in parts))


def _summary(voice: Voice, report: EnergyStatement) -> Section:
    fee, due, price = report.fee, report.due, report.average_price_kzt
    declare = NOTHING
    if due is not None:
        declare = voice.say("fee.no_declaration") if due.declare is None else voice.day(due.declare)
    amount = voice.say("fee.refused") if fee.amount_kzt is None else voice.number(fee.amount_kzt)
    rows = (
        (voice.say("summary.energy"), voice.energy(fee.energy_wh)),
        (voice.say("summary.rest"), voice.energy(sum(site.rest_wh for site in report.sites))),
        (voice.say("summary.uncertain"), voice.energy(sum(site.uncertain_wh for site in report.sites))),
        (voice.say("fee.price"), NOTHING if price is None else voice.number(price)),
        (voice.say("summary.fee"), amount),
        (voice.say("summary.declare"), declare),
        (voice.say("summary.pay"), NOTHING if due is None else voice.day(due.pay)),
    )
    columns = (Column(voice.say("summary.what"), 70), Column(voice.say("summary.amount"), 30, "right"))
    blocks: list[Block] = [Table(voice.say("summary.table"), columns, rows), Paragraph(voice.say("fee.who"))]
    if due is not None:
        blocks.append(Paragraph(voice.say("due", rule=_rule(voice, report, due.rule)), small=True))
    if report.gaps:
        gaps = tuple((_gap(voice, report, gap), voice.say(f"cure.{gap.code}")) for gap in report.gaps)
        of_gaps = (Column(voice.say("gaps.what"), 50), Column(voice.say("gaps.cure"), 50))
        blocks += [Notice(voice.say("gaps.notice")), Table(voice.say("gaps.table"), of_gaps, gaps)]
    return Section(voice.say("summary.title"), (*blocks, voice.source(report.source)))


def _gap(voice: Voice, report: EnergyStatement, gap: Gap) -> str:
    if gap.code == "no_rule" and report.fee.missing is not None:
        return missing_rule(voice, report.fee.missing)
    of = "" if gap.of is None else voice.site(gap.of)
    return voice.say(f"gap.{gap.code}", of=of, count=gap.count or 0)


def _sites(voice: Voice, report: EnergyStatement) -> Section:
    if not report.sites:
        return Section(voice.say("sites.title"), (Paragraph(voice.say("gap.no_site", of="", count=0)),))
    rows = tuple(
        (
            _name(site),
            NOTHING if site.owner is None else voice.party(site.owner),
            voice.energy(site.metered_wh),
            voice.energy(site.allocated_wh),
            _share(voice, site),
            voice.energy(site.rest_wh),
            voice.energy(site.uncertain_wh),
            NOTHING if site.submetered_wh is None else voice.energy(site.submetered_wh),
        )
        for site in report.sites
    )
    columns = (
        Column(voice.say("miners.centre"), 24),
        Column(voice.say("miners.owner"), 30),
        Column(voice.say("energy.metered"), 20, "right"),
        Column(voice.say("energy.share"), 20, "right"),
        Column(voice.say("sites.share"), 14, "right"),
        Column(voice.say("sites.rest"), 18, "right"),
        Column(voice.say("energy.uncertain"), 19, "right"),
        Column(voice.say("energy.submetered"), 19, "right"),
    )
    total = (
        *(voice.say("total"), "", ""),
        voice.energy(sum(site.allocated_wh for site in report.sites)),
        "",
        voice.energy(sum(site.rest_wh for site in report.sites)),
        voice.energy(sum(site.uncertain_wh for site in report.sites)),
        "",
    )
    blocks: list[Block] = [Table(voice.say("sites.table"), columns, rows, total), _sharings(voice, report)]
    if any(site.meters for site in report.sites):
        blocks.append(_meters(voice, report))
    return Section(voice.say("sites.title"), (*blocks, Paragraph(voice.say("energy.how"), small=True)))


def _name(site: SiteUse) -> str:
    return site.name if site.name == site.site else f"{site.name} ({site.site})"


def _share(voice: Voice, site: SiteUse) -> str:
    """Of the site's energy, in percent."""
    if not site.metered_wh:
        return NOTHING
    share = Decimal(100 * site.allocated_wh) / site.metered_wh
    return voice.number(share.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP))


def _sharings(voice: Voice, report: EnergyStatement) -> Table:
    rows = tuple(
        (
            _name(site),
            voice.at(each.since),
            voice.say(f"by.{each.by or 'none'}"),
            NOTHING if each.part_percent is None else voice.number(each.part_percent),
            voice.say(f"rest.{each.rest or 'none'}"),
        )
        for site in report.sites
        for each in site.sharing
    )
    columns = (
        Column(voice.say("miners.centre"), 28),
        Column(voice.when("sharing.since"), 20),
        Column(voice.say("sharing.by"), 44),
        Column(voice.say("sharing.part"), 16, "right"),
        Column(voice.say("sharing.rest"), 30),
    )
    return Table(voice.say("sharing.table"), columns, rows)


def _meters(voice: Voice, report: EnergyStatement) -> Table:
    rows = tuple(
        (
            site.name,
            each.meter,
            voice.say("meters.sub" if each.submeter else "meters.main"),
            NOTHING if each.source is None else voice.word("energy_source", each.source),
            voice.say("meters.gone") if each.status is None else voice.word("meter_status", each.status),
            voice.energy(each.energy_wh),
            *map(voice.number, (each.measured, each.estimated, each.missing)),
        )
        for site in report.sites
        for each in site.meters
    )
    columns = (
        Column(voice.say("miners.centre"), 22),
        Column(voice.say("meters.meter"), 22),
        Column(voice.say("meters.kind"), 18),
        Column(voice.say("meters.source"), 24),
        Column(voice.say("status"), 24),
        Column(voice.say("fee.energy"), 20, "right"),
        Column(voice.say("meters.measured"), 15, "right"),
        Column(voice.say("meters.estimated"), 15, "right"),
        Column(voice.say("meters.missing"), 14, "right"),
    )
    return Table(voice.say("meters.table"), columns, rows)


def _drawn(voice: Voice, report: EnergyStatement) -> Section:
    if not report.drawn:
        return Section(voice.say("drawn.title"), (Paragraph(voice.say("energy.none")),))
    rows = tuple(
        (
            voice.word("energy_source", each.source),
            each.supply or NOTHING,
            each.contract or NOTHING,
            voice.energy(each.energy_wh),
            NOTHING if each.price_tiyn_per_kwh is None else voice.tenge(Decimal(each.price_tiyn_per_kwh).scaleb(-2)),
            _exact(voice, each.cost_kzt),
        )
        for each in report.drawn
    )
    columns = (
        Column(voice.say("meters.source"), 34),
        Column(voice.say("drawn.supply"), 24),
        Column(voice.say("drawn.contract"), 22),
        Column(voice.say("fee.energy"), 22, "right"),
        Column(voice.say("drawn.price"), 20, "right"),
        Column(voice.say("drawn.cost"), 24, "right"),
    )
    costs = [each.cost_kzt for each in report.drawn if each.cost_kzt is not None]
    total = (
        *(voice.say("total"), "", ""),
        voice.energy(sum(each.energy_wh for each in report.drawn)),
        "",
        _exact(voice, sum(costs, Decimal(0))) if costs else "",
    )
    table = Table(voice.say("drawn.table"), columns, rows, total)
    return Section(voice.say("drawn.title"), (table, Paragraph(voice.say("drawn.how"), small=True)))


def _exact(voice: Voice, tenge: Decimal | None) -> str:
    """Without ending zeros beyond tiyn."""
    return voice.tenge(tenge if tenge is None else Decimal(f"{tenge.normalize():f}"))


def _fee(voice: Voice, report: EnergyStatement) -> Section:
    fee = report.fee
    if not fee.lines:
        return Section(voice.say("fee.title"), (Paragraph(voice.say("fee.none" if not fee.energy_wh else "see_gaps")),))
    rows = tuple(
        (
            f"{voice.site(line.site)} / {line.meter}" if line.site else line.meter,
            "; ".join(fee_basis(voice, line)),
            voice.energy(line.energy_wh),
            *fee_rates(voice, line),
            line.rule,
        )
        for line in fee.lines
    )
    columns = (
        Column(voice.say("fee.meter"), 30),
        Column(voice.say("fee.basis"), 42),
        Column(voice.say("fee.energy"), 22, "right"),
        Column(voice.say("fee.rate"), 18, "right"),
        Column(voice.say("fee.amount"), 22, "right"),
        Column(voice.say("fee.rule"), 26),
    )
    exact = NOTHING if fee.exact_kzt is None else voice.tenge(fee.exact_kzt)
    total = (voice.say("total"), "", voice.energy(sum(line.energy_wh for line in fee.lines)), "", exact, "")
    used = dict.fromkeys(line.rule for line in fee.lines)
    return Section(
        voice.say("fee.title"),
        (
            Table(voice.say("fee.lines"), columns, rows, total),
            *(Paragraph(_rule(voice, report, rule)) for rule in used),
            Paragraph(voice.say("fee.how"), small=True),
        ),
    )


def _rule(voice: Voice, report: EnergyStatement, key: str) -> str:
    """A rule with its act, article and standing."""
    rule: Rule | None = next((each for each in report.rules.rules if each.id == key), None)
    return key if rule is None else f"{key}: {voice.act(rule)} — {voice.standing(rule)}"
