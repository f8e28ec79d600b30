"""What the operator should know of the cases today: terms that end, ended or cannot be kept. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from tarazy.accreditation.procedure.case import Case
from tarazy.accreditation.procedure.deadlines import Deadline, Progress, Step, deadlines
from tarazy.accreditation.procedure.events import HearingCalled, Kind, Side
from tarazy.accreditation.procedure.machine import Stage
from tarazy.config.law import LawBook, NoRuleInForceError
from tarazy.config.law.calendar import legal_day
from tarazy.config.law.services import Service
from tarazy.config.law.working_days import WorkingDays

SOON = 1
"""A term ends soon when at most so many working days are left."""

_BEFORE_HEARING = (Stage.REGISTERED, Stage.COMPLETE)
_HEARING = (Step.HEARING, Step.WHOLE)


class Severity(StrEnum):
    """How much it matters, the most first."""

    CRITICAL = "critical"
    WARNING = "warning"
    NOTE = "note"


class WarningKind(StrEnum):
    """What there is to know of a term."""

    OVERDUE = "overdue"
    DUE_TODAY = "due_today"
    DUE_SOON = "due_soon"
    HEARING_NO_LONGER_FITS = "hearing_no_longer_fits"
    """A refusal could not be preceded by a lawful hearing any more."""
    HEARING_TOO_LATE = "hearing_too_late"
    """The hearing is called for a day after its term or after that of the whole service."""
    REFUSED_WITHOUT_HEARING = "refused_without_hearing"
    DONE_LATE = "done_late"
    UNKNOWN_TERM = "unknown_term"
    NO_RULE = "no_rule"
    """No rule of the service is in force on the day of filing: nothing can be counted."""


SEVERITIES: dict[WarningKind, Severity] = {
    WarningKind.OVERDUE: Severity.CRITICAL,
    WarningKind.DUE_TODAY: Severity.WARNING,
    WarningKind.DUE_SOON: Severity.WARNING,
    WarningKind.HEARING_NO_LONGER_FITS: Severity.CRITICAL,
    WarningKind.HEARING_TOO_LATE: Severity.CRITICAL,
    WarningKind.REFUSED_WITHOUT_HEARING: Severity.WARNING,
    WarningKind.DONE_LATE: Severity.NOTE,
    WarningKind.UNKNOWN_TERM: Severity.NOTE,
    WarningKind.NO_RULE: Severity.CRITICAL,
}


@dataclass(frozen=True, slots=True)
class CaseWarning:
    """One thing to know. `due` is the last day concerned; `days_left` counts working days to it, negative after it."""

    case: str
    service: Service
    kind: WarningKind
    step: Step
    who: Side
    due: date | None
    days_left: int | None
    deadline: Deadline | None
    """The term it is about, with its rule; None where no rule is in force."""
    fault: str | None = None
    """What to enter where no rule is in force, in English."""

    @property
    def severity(self) -> Severity:
        """How much it matters."""
        return SEVERITIES[self.kind]


def warnings_of(case: Case, book: LawBook, days: WorkingDays, today: date) -> list[CaseWarning]:
    """What there is to know of one case on the legal day `today`, also of one that is closed."""
    try:
        terms = deadlines(case, book, days, today)
    except NoRuleInForceError as error:
        step, who = Step.REGISTRATION, Side.PROVIDER
        return [CaseWarning(case.key, case.service, WarningKind.NO_RULE, step, who, None, None, None, str(error))]
    found = [(deadline, kind) for deadline in terms if (kind := _of_term(deadline, case, days, today)) is not None]
    found += _of_hearing(case, terms)
    return [
        CaseWarning(
            case=case.key,
            service=case.service,
            kind=kind,
            step=deadline.step,
            who=deadline.who,
            due=deadline.due,
            days_left=None if deadline.due is None else days.between(today, deadline.due),
            deadline=deadline,
        )
        for deadline, kind in found
    ]


def open_warnings(cases: Iterable[Case], book: LawBook, days: WorkingDays, today: date) -> list[CaseWarning]:
    """What there is to know of all open cases, the most severe first, then the nearest last day."""
    found = [warning for case in cases if case.course.open for warning in warnings_of(case, book, days, today)]
    order = list(Severity)
    return sorted(found, key=lambda item: (order.index(item.severity), item.due or date.max, item.case, item.step))


def _of_term(deadline: Deadline, case: Case, days: WorkingDays, today: date) -> WarningKind | None:
    progress = deadline.progress(today)
    if progress is Progress.UNKNOWN:
        return WarningKind.UNKNOWN_TERM
    if deadline.step is Step.HEARING_NOTICE and case.course.stage not in _BEFORE_HEARING:
        return WarningKind.DONE_LATE if progress is Progress.LATE else None
    if progress is Progress.LATE:
        return WarningKind.DONE_LATE
    if progress is Progress.OVERDUE:
        return WarningKind.HEARING_NO_LONGER_FITS if deadline.step is Step.HEARING_NOTICE else WarningKind.OVERDUE
    if progress is not Progress.RUNNING or deadline.due is None:
        return None
    if deadline.due == today:
        return WarningKind.DUE_TODAY
    return WarningKind.DUE_SOON if days.between(today, deadline.due) <= SOON else None


def _of_hearing(case: Case, terms: Iterable[Deadline]) -> Iterator[tuple[Deadline, WarningKind]]:
    by_step = {deadline.step: deadline for deadline in terms}
    course = case.course
    notice = by_step.get(Step.HEARING_NOTICE)
    if notice and notice.due and course.last(Kind.REFUSED) and not course.first(Kind.HEARING_HELD):
        yield notice, WarningKind.REFUSED_WITHOUT_HEARING
    called, hearing, whole = course.content(Kind.HEARING_CALLED, HearingCalled), *map(by_step.get, _HEARING)
    if called is None or course.stage is not Stage.HEARING_CALLED:
        return
    day = legal_day(called.hearing_at)
    for deadline in (hearing, whole):
        if deadline and deadline.due and day > deadline.due:
            yield deadline, WarningKind.HEARING_TOO_LATE
            return
