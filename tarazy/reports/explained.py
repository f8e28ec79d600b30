"""How the fee of a party for a quarter comes about: quantities, prices, rates, acts, rounding, last days."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from tarazy.accounting.fee.consumption import FeeError
from tarazy.accounting.fee.due import due_dates
from tarazy.accounting.fee.statement import FeeLine, FeeStatement, compute_fee
from tarazy.accreditation.entries import Placement, Site
from tarazy.accreditation.fields import parts_of
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law import LawBook, NoRuleInForceError, Rule, RuleReference
from tarazy.config.law.calendar import Quarter
from tarazy.config.law.due_day import DueDay
from tarazy.reports.consumption import consumption_by_party, consumption_of
from tarazy.reports.gather.fee import six_places


def explain_fee(
    connection: Connection,
    registers: Registers,
    law: LawBook,
    party: str,
    quarter: Quarter,
    known_at: datetime,
    sites: Iterable[str] | None = None,
    until: datetime | None = None,
) -> dict[str, Any]:
    """The derivation as plain values; of a quarter that goes on, what had passed at `until`, or else at `known_at`.

    `sites`: where the party may have energy; None looks at every site. Raises `FeeError` and `NoRuleInForceError`,
    which say what to enter.
    """
    end = min(quarter.end, until or known_at)
    span = quarter.start, end, known_at
    if sites is None:
        everywhere = consumption_by_party(connection, registers, *span)
        used = [everywhere[party]] if party in everywhere else []
    else:
        used = list(consumption_of(connection, registers, party, *span, sites).values())
    for each in used:
        if each.fault:
            raise FeeError(each.fault)
    items = [item for each in used for item in each.items]
    statement = compute_fee(law, quarter, sorted(items, key=lambda item: item.point), quarter.start, end)
    rest_wh = sum(each.rest_wh for each in used)
    return {"party": party, "known_at": known_at, **_told(statement), "rest_wh": rest_wh, **_due(law, quarter)}


def sites_of(registers: Registers, party: str) -> list[str]:
    """Every site at which a party has, or ever had, machines, meters, a placement or an agreed part, in order."""
    found = set()
    for key, versions in registers.histories(Site.register).items():
        for entry in versions:
            assert isinstance(entry, Site)
            if entry.party == party or (entry.energy_parts and party in parts_of(entry.energy_parts)):
                found.add(key)
    for register in (Placement.register, "meter", "equipment"):
        for versions in registers.histories(register).values():
            found |= {entry.site for entry in versions if getattr(entry, "party", None) == party}  # type: ignore[attr-defined]
    return sorted(found)


def _told(statement: FeeStatement) -> dict[str, Any]:
    price = statement.average_price_kzt
    return {
        "quarter": str(statement.quarter),
        "start": statement.start,
        "end": statement.end,
        "partial": statement.partial,
        "energy_wh": statement.energy_wh,
        "average_price_kzt_per_kwh": None
        if price is None
        else {"exact": str(price), "rounded": str(six_places(price))},
        "rule": _reading(statement.rule),
        "lines": [_line(line) for line in statement.lines],
        "exact_kzt": str(statement.exact_kzt),
        "total_kzt": statement.total_kzt,
        "total_kzt_at_own_rates": statement.split_total_kzt,
    }


def _line(line: FeeLine) -> dict[str, Any]:
    return {
        "meter": line.point,
        "source": line.source,
        "supply": line.supply,
        "energy_wh": line.energy_wh,
        "price_tiyn_per_kwh": line.price_tiyn_per_kwh,
        "ground": line.ground,
        "own_rate_kzt_per_kwh": line.split_rate_kzt,
        "rate_kzt_per_kwh": line.rate_kzt,
        "amount_kzt": str(line.amount_kzt),
        **_act(line.rule),
    }


def _act(rule: RuleReference) -> dict[str, Any]:
    return {
        "rule": rule.id,
        "digest": rule.digest,
        "act": rule.act,
        "article": rule.article,
        "confirmed": rule.confirmed,
        "assumed": rule.assumed,
    }


def _reading(rule: Rule) -> dict[str, Any]:
    """The whole rule: also how what the act leaves open is read."""
    return {**rule.model_dump(mode="json"), "digest": rule.digest}


def _due(law: LawBook, quarter: Quarter) -> dict[str, Any]:
    try:
        dates = due_dates(law, quarter)
    except NoRuleInForceError as error:
        return {"due": None, "due_missing": str(error)}
    return {
        "due": {
            "declare": _day(dates.declare) if dates.declare else None,
            "pay": _day(dates.pay),
            "shift_if_non_working": dates.shift_if_non_working,
            **_act(dates.rule),
        },
        "due_missing": None,
    }


def _day(due: DueDay) -> dict[str, Any]:
    return {
        "day": due.day,
        "as_stated": due.stated,
        "first_working_day": due.working_day,
        "doubts": sorted(due.doubts),
    }
