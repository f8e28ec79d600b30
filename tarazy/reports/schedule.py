"""Which reports are due for which periods, by when, and how far each has come.

How often and by when is the law's to say, as dated rules; where a rule leaves it open, or none is entered, the
settings say it. Nothing is assumed where both are silent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, select

from tarazy.accounting.assets.issued import versions
from tarazy.config.law import (
    AccreditationReportRule,
    DistributionReportRule,
    LawBook,
    NoRuleInForceError,
    PeriodicReportRule,
    QuarterlyReportRule,
    RuleReference,
    SaleReportRule,
)
from tarazy.config.law.calendar import Period, day_start, legal_day
from tarazy.config.law.due_day import DueDay, due_day
from tarazy.config.law.rules import Frequency
from tarazy.config.law.working_days import WorkingDays
from tarazy.config.settings.reports import OF_A_QUARTER, ScheduledReport
from tarazy.reports.build import Asked
from tarazy.reports.delivery import outbox
from tarazy.reports.delivery.outbox import Delivery, DeliveryState
from tarazy.reports.tables import scheduled_report

NEAR_DAYS = 7
"""Legal days before the last one from which a report that is not done is near."""
_MORNING = timedelta(hours=6)
"""Into its day of building: by then late readings of the night have come."""
_RULES: Mapping[str, type[PeriodicReportRule]] = {
    "accreditation": AccreditationReportRule,
    "distributed": DistributionReportRule,
    "sale": SaleReportRule,
    "quarterly": QuarterlyReportRule,
}
_DAY = timedelta(days=1)


class ScheduleError(ValueError):
    """A report of the schedule that cannot be planned. The text says what to enter."""


class Standing(StrEnum):
    """How a planned report stands against its last day."""

    DONE = "done"
    """It has its receipt, or where it is delivered nowhere, it is built."""
    OPEN = "open"
    NEAR = "near"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True)
class Planned:
    """A report of a period that has ended."""

    kind: str
    period: Period
    builds_at: datetime
    """The moment that it speaks of, and from which on it is built."""
    due: DueDay | None
    """None: its last day is not known."""
    rule: RuleReference | None
    """The rule that gave the last day; None where the settings gave it."""
    deliver_to: str | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a planned report has come."""

    planned: Planned
    name: str | None
    """Of its JSON file, once it is built."""
    digest: str | None
    trouble: str | None
    tried_at: datetime | None
    delivery: Delivery | None
    """Of this period, whatever version of the report it is of; an abandoned one where there is no other."""

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        if self.planned.deliver_to is None:
            return self.name is not None
        return self.delivery is not None and self.delivery.state is DeliveryState.RECEIVED

    @property
    def state(self) -> str:
        """`not-built`, `built`, or the state of its delivery."""
        return str(self.delivery.state) if self.delivery else "built" if self.name else "not-built"

    def days_left(self, today: date) -> int | None:
        """Legal days until its last one, 0 on it; None where that is not known."""
        return None if self.planned.due is None else (self.planned.due.day - today).days

    def standing(self, today: date) -> Standing:
        """How it stands on a legal day."""
        left = self.days_left(today)
        if self.is_done:
            return Standing.DONE
        if left is None or left > NEAR_DAYS:
            return Standing.OPEN
        return Standing.NEAR if left >= 0 else Standing.OVERDUE

    def plain(self, now: datetime) -> dict[str, Any]:
        """As values for programs."""
        planned, today = self.planned, legal_day(now)
        return {
            "kind": planned.kind,
            "period": str(planned.period),
            "due": planned.due.day if planned.due else None,
            "days_left": self.days_left(today),
            "doubts": sorted(planned.due.doubts) if planned.due else [],
            "rule": planned.rule.id if planned.rule else None,
            "act": planned.rule.act if planned.rule else None,
            "confirmed": planned.rule.confirmed if planned.rule else None,
            "standing": self.standing(today),
            "state": self.state,
            "builds_at": planned.builds_at,
            "name": self.name,
            "delivery": self.delivery.number if self.delivery else None,
            "trouble": (self.delivery.trouble if self.delivery else None) or self.trouble,
        }


def plan(entry: ScheduledReport, law: LawBook, now: datetime) -> Iterator[Planned]:
    """The reports of the periods that have ended by `now`, the earliest first. Raises `ScheduleError`."""
    working, today, day = WorkingDays(law), legal_day(now), entry.since
    while True:
        frequency = _frequency(entry, law, day)
        if entry.kind in OF_A_QUARTER and frequency != "quarter":
            raise ScheduleError(f"the report {entry.kind} is of a quarter, and {frequency} is wanted: nothing is built")
        period = _period(day, frequency)
        if period.last_day >= today:
            return
        after = entry.after_working_days
        builds_on = working.after(period.last_day, after) if after else period.last_day + _DAY
        due, rule = _due(entry, law, period, working)
        yield Planned(entry.kind, period, day_start(builds_on) + _MORNING, due, rule, entry.deliver_to)
        day = period.last_day + _DAY


def _rule(kind: str, law: LawBook, day: date) -> PeriodicReportRule | None:
    """The rule of the kind in force; None where there is none, or no law speaks of the kind."""
    try:
        return law.rule(_RULES[kind], day) if kind in _RULES else None
    except NoRuleInForceError:
        return None


def _frequency(entry: ScheduledReport, law: LawBook, day: date) -> Frequency:
    rule = _rule(entry.kind, law, day)
    found = (rule and rule.frequency) or entry.every
    if found is None:
        raise ScheduleError(
            f"how often the report {entry.kind} is due on {day} stands in no rule: enter it there, or set `every` in "
            "reports.schedule"
        )
    return found


def _period(day: date, frequency: Frequency) -> Period:
    names = {"month": f"{day:%Y-%m}", "quarter": f"{day.year}-Q{(day.month + 2) // 3}", "year": f"{day.year}"}
    return Period.parse(names[frequency])


def _due(
    entry: ScheduledReport, law: LawBook, period: Period, working: WorkingDays
) -> tuple[DueDay | None, RuleReference | None]:
    rule = _rule(entry.kind, law, period.last_day)
    if rule is not None and rule.deadline is not None:
        return due_day(period, rule.deadline, rule.shift_if_non_working, working), rule.reference
    if entry.deadline is None:
        return None, None
    return due_day(period, entry.deadline, entry.shift_if_non_working, working), None


def progress(
    connection: Connection, schedule: Sequence[ScheduledReport], law: LawBook, now: datetime, *, past: bool = False
) -> tuple[list[Progress], list[str]]:
    """How far the planned reports have come, the nearest last day first; and why others cannot be planned.

    Of a `past` moment by the schedule and the law of today: what was built and sent by then. Troubles are not kept.
    """
    found: list[Progress] = []
    faults: list[str] = []
    built = {(row.kind, row.start, row.end): row for row in connection.execute(select(scheduled_report))}
    for entry in schedule:
        try:
            planned = list(plan(entry, law, now))
        except ScheduleError as error:
            faults.append(str(error))
            continue
        for each in planned:
            row = built.get((each.kind, each.period.start, each.period.end))
            if past and (row is None or row.built_at is None or row.built_at > now):
                row = None
            name, digest, trouble, tried = (row.name, row.digest, row.trouble, row.tried_at) if row else (None,) * 4
            delivery = None
            if each.deliver_to is not None:
                of = each.deliver_to, each.kind, str(each.period)
                delivery = outbox.latest_of(connection, *of, now if past else None)
            found.append(Progress(each, name, digest, None if past else trouble, tried, delivery))
    return sorted(found, key=_nearest), faults


def _nearest(row: Progress) -> tuple[bool, date, str]:
    due = row.planned.due
    return due is None, due.day if due else row.planned.period.last_day, row.planned.kind


def request_of(connection: Connection, planned: Planned) -> tuple[datetime, Asked]:
    """What the report is built from: the same whenever it is asked, so that building it again changes nothing.

    Of the record of distributed assets it is the newest version that was issued, if one was.
    """
    if planned.kind == "accreditation":
        return planned.period.end, Asked(known_at=planned.builds_at)
    as_of = planned.builds_at
    if planned.kind == "distributed":
        issued = versions(connection, planned.period.start, planned.period.end)
        as_of = issued[-1].as_of if issued else as_of
    return as_of, Asked(period=planned.period)
