"""When the fee of a quarter is declared and paid."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from tarazy.config.law import FeeDueRule, LawBook, RuleReference
from tarazy.config.law.calendar import Quarter


@dataclass(frozen=True)
class DueDates:
    """The days as the rule states them; `declare` is None when no declaration is due."""

    declare: date | None
    pay: date
    shift_if_non_working: str | None
    """None: whether a deadline on a non-working day moves is unknown, so the days are not moved."""
    rule: RuleReference


def due_dates(law: LawBook, quarter: Quarter) -> DueDates:
    """When the fee of `quarter` is due, by the rule in force on the quarter's last day.

    Raises `NoRuleInForceError`.
    """
    rule = law.rule(FeeDueRule, quarter.last_day)
    declare = quarter.day_after(rule.declare.month, rule.declare.day) if rule.declare else None
    pay = quarter.day_after(rule.pay.month, rule.pay.day)
    return DueDates(declare, pay, rule.shift_if_non_working, rule.reference)
