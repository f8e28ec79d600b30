"""What each miner sold in a year, through which exchanges, and what it still has to sell in the AIFC."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from tarazy.accounting.assets.sales import RecordedSale, obligations, standing_sales
from tarazy.accounting.assets.values import BITCOIN
from tarazy.accounting.history import finalised
from tarazy.accreditation.entries import Party
from tarazy.accreditation.registers import as_of as registers_as_of
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law import LawBook, NoRuleInForceError, ObligatorySaleRule
from tarazy.config.law.calendar import Period
from tarazy.reports.coins import ObligationLine, PartySales, SaleLine, SaleReport
from tarazy.reports.content import Pool, RulesSection
from tarazy.reports.gather.coins import PEOPLE, days_of, names_of, people, person_of
from tarazy.reports.gather.law import missing_rule, rule_of
from tarazy.reports.gather.records import numbered
from tarazy.reports.gather.registers import audit_head
from tarazy.reports.gather.statement import StatementError

FORMAT = 2
"""Version of the report's JSON."""


def gather_sales(
    connection: Connection,
    party: str | None,
    period: Period,
    as_of: datetime,
    pool: Pool,
    book: LawBook,
    known_at: datetime | None = None,
) -> SaleReport:
    """The report on the sales of `party`, or of every party that mined or sold, in a whole calendar year.

    Raises `StatementError` for a party that nobody registered or another period.
    """
    if not period.is_year:
        raise StatementError(f"the share to be sold is of a year; {period} is none, write it like 2025")
    known_at = known_at or as_of
    known = known_at - datetime.resolution
    registered = people(registers := registers_as_of(connection, as_of, known, PEOPLE))
    if party is not None and party not in registered:
        raise StatementError(f"no party {party} is registered; see `tarazy register show party`")
    days = days_of(period, as_of)
    distributions: set[int] = set()
    sales = standing_sales(connection, days.start, days.end, known, party)
    mined: Counter[str] = Counter()
    for credit in finalised(connection, days.start, days.end, party):
        mined[credit.party] += credit.amount
        distributions.add(credit.distribution)
    sold: defaultdict[str, list[RecordedSale]] = defaultdict(list)
    for each in sales:
        sold[each.sale.party].append(each)
    rule, rules = _rule(book, period)
    wanted = {party} if party else {*mined, *sold}
    return SaleReport(
        kind="sale",
        format=FORMAT,
        as_of=as_of,
        known_at=known_at,
        days=days,
        pool=pool,
        names=names_of(row for row in registered.values() if row.party in wanted),
        party=party,
        minimum_percent=rule.minimum_percent if rule else None,
        parties=tuple(
            _party(registers, registered[key], rule, mined[key], sold[key])
            for key in sorted(wanted & registered.keys())
        ),
        rules=rules,
        audit=audit_head(connection, known_at),
        source=(
            numbered("distribution", distributions),
            numbered("asset_sale", (each.entry for each in sales)),
        ),
    )


def _rule(book: LawBook, period: Period) -> tuple[ObligatorySaleRule | None, RulesSection]:
    try:
        rule = book.rule(ObligatorySaleRule, period.last_day)
    except NoRuleInForceError as error:
        return None, RulesSection((), (missing_rule(error),))
    return rule, RulesSection((rule_of(rule),), ())


def _party(
    registers: Registers, party: Party, rule: ObligatorySaleRule | None, mined: int, sales: Sequence[RecordedSale]
) -> PartySales:
    """Only coins of the kind that the pool distributes count; sales of others are listed."""
    counted = [each.sale for each in sales if each.sale.asset == BITCOIN]
    return PartySales(
        person=person_of(registers, party),
        obligations=tuple(
            ObligationLine(each.base, each.amount, each.required, each.through_aifc, each.missing)
            for each in obligations(rule, mined, counted)
        ),
        sales=tuple(
            SaleLine(
                entry=each.entry,
                exchange=each.sale.exchange,
                exchange_licence=each.sale.exchange_licence,
                deal=each.sale.deal,
                asset=each.sale.asset,
                quantity=each.sale.quantity,
                sold_at=each.sale.sold_at,
                document=each.sale.document,
            )
            for each in sales
        ),
        without_document=sum(each.sale.document is None for each in sales),
    )
