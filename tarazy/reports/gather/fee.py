"""The digital-mining fee of every party for a period, or why it is not computed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

from sqlalchemy import Connection

from tarazy.accounting.fee.consumption import FeeError
from tarazy.accounting.fee.due import due_dates
from tarazy.accounting.fee.statement import FeeStatement, compute_fee
from tarazy.accreditation.entries import Supply
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law import LawBook, NoRuleInForceError
from tarazy.config.law.calendar import Quarter
from tarazy.reports.consumption import Consumed, consumption_by_party
from tarazy.reports.content import Due, Fee, FeeLine, FeeSection, Period
from tarazy.reports.gather.law import missing_rule
from tarazy.reports.gather.records import numbered


def gather_fee(
    connection: Connection, registers: Registers, book: LawBook, period: Period, known_at: datetime
) -> FeeSection:
    """The section on the fee. A rule that is not entered is stated, not raised."""
    quarter = Quarter.parse(period.quarter)
    consumed = consumption_by_party(connection, registers, period.start, period.end, known_at)
    return FeeSection(
        fees=tuple(fee_of(book, registers, period, party, used) for party, used in consumed.items()),
        due=due_of(book, quarter),
        source=(numbered("meter", (meter.entry for meter in registers.meters.values())),),
    )


def due_of(book: LawBook, quarter: Quarter) -> Due | None:
    """When the quarter's fee is due; None where no rule on it is entered."""
    try:
        dates = due_dates(book, quarter)
    except NoRuleInForceError:
        return None
    return Due(dates.declare.day if dates.declare else None, dates.pay.day, dates.rule.id)


def contracts_of(registers: Registers) -> dict[str, str | None]:
    """Number of the contract of each supply, as it was entered last."""
    histories = registers.histories(Supply.register).items()
    return {key: newest.contract for key, (newest, *_) in histories if isinstance(newest, Supply)}


def fee_of(book: LawBook, registers: Registers, period: Period, party: str, used: Consumed) -> Fee:
    """The fee of a party for what it used in `period`, or why it is not computed."""
    refused = Fee(party, used.energy_wh, None, None, None, (), None, used.fault)
    if used.fault is not None:
        return refused
    try:
        statement = compute_fee(book, Quarter.parse(period.quarter), used.items, period.start, period.end)
    except NoRuleInForceError as error:
        return replace(refused, missing=missing_rule(error))
    except FeeError as error:
        return replace(refused, fault=str(error))
    return _computed(party, statement, registers)


def _computed(party: str, statement: FeeStatement, registers: Registers) -> Fee:
    contracts = contracts_of(registers)
    return Fee(
        party=party,
        energy_wh=statement.energy_wh,
        average_price_kzt=six_places(statement.average_price_kzt),
        exact_kzt=statement.exact_kzt,
        amount_kzt=statement.total_kzt,
        lines=tuple(
            FeeLine(
                site=registers.meters[line.point].site if line.point in registers.meters else "",
                meter=line.point,
                source=line.source,
                supply=line.supply,
                contract=contracts.get(line.supply) if line.supply else None,
                ground=line.ground,
                energy_wh=line.energy_wh,
                price_tiyn_per_kwh=line.price_tiyn_per_kwh,
                rate_kzt=line.rate_kzt,
                split_rate_kzt=line.split_rate_kzt,
                amount_kzt=line.amount_kzt,
                rule=line.rule.id,
            )
            for line in statement.lines
        ),
        missing=None,
        fault=None,
    )


def six_places(price: Fraction | None) -> Decimal | None:
    """A price for people: rounded half up to six places. The exact one decides the band."""
    if price is None:
        return None
    with localcontext(prec=60):
        quotient = Decimal(price.numerator) / Decimal(price.denominator)
        return quotient.quantize(Decimal("0.000001"), rounding=ROUND_HALF_UP)
