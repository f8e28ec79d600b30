"""When the fee of a quarter is declared and paid."""

from __future__ import annotations

from dataclasses import dataclass

from tarazy.config.law import FeeDueRule, LawBook, RuleReference
from tarazy.config.law.calendar import Period, Quarter
from tarazy.config.law.due_day import DueDay, due_day
from tarazy.config.law.working_days import WorkingDays


@dataclass(frozen=True)
class DueDates:
    """`declare` is None when no declaration is due."""

    declare: DueDay | None
    pay: DueDay
    shift_if_non_working: str | None
    """None: whether a deadline on a non-working day moves is unknown."""
    rule: RuleReference


def due_dates(law: LawBook, quarter: Quarter) -> DueDates:
    """When the fee of `quarter` is due, by the rule in force on the quarter's last day.

    Raises `NoRuleInForceError`.
    """
    rule = law.rule(FeeDueRule, quarter.last_day)
    days, shift = WorkingDays(law), rule.shift_if_non_working
    period = Period(quarter.first_day, quarter.last_day)
    declare = due_day(period, rule.declare, shift, days) if rule.declare else None
    return DueDates(declare, due_day(period, rule.pay, shift, days), shift, rule.reference)
