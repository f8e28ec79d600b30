"""The last day for something, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from tarazy.config.law.calendar import Period
from tarazy.config.law.rules import DayAfter, Shift, WorkingDaysAfter
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


def due_day(period: Period, deadline: DayAfter | WorkingDaysAfter, shift: Shift | None, days: WorkingDays) -> DueDay:
    """When what is due after `period` is due; a term in working days never ends on a day off."""
    if isinstance(deadline, WorkingDaysAfter):
        stated = days.after(period.last_day, deadline.working_days)
        return DueDay(stated, stated, days.doubts(period.last_day, stated), False)
    stated = period.day_after(deadline.month, deadline.day)
    working = days.on_or_after(stated)
    return DueDay(stated, working, days.doubts(stated, working), shift == "next_working_day")
