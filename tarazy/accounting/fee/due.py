"""When the fee of a quarter is declared and paid."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from tarazy.config.law import FeeDueRule, LawBook, RuleReference
from tarazy.config.law.calendar import Quarter
from tarazy.config.law.working_days import Doubt, WorkingDays


@dataclass(frozen=True)
class DueDay:
    """The last day for something."""

    stated: date
    """As the rule counts it."""
    working_day: date
    """The first working day from `stated` on."""
    doubts: frozenset[Doubt]
    """Why `working_day` may be another."""
    moves: bool
    """Whether the rule says that the term ends on `working_day`. Where that is not known it does not: the earlier
    day is late for nobody."""

    @property
    def day(self) -> date:
        """The day that counts."""
        return self.working_day if self.moves else self.stated


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
    days = WorkingDays(law)
    moves = rule.shift_if_non_working == "next_working_day"

    def due(month: int, day: int) -> DueDay:
        stated = quarter.day_after(month, day)
        working = days.on_or_after(stated)
        return DueDay(stated, working, days.doubts(stated, working), moves)

    declare = due(rule.declare.month, rule.declare.day) if rule.declare else None
    return DueDates(declare, due(rule.pay.month, rule.pay.day), rule.shift_if_non_working, rule.reference)
