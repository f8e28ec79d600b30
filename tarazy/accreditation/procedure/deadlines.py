"""Every term that runs in a case, with its last day, who owes the step, and the rule that says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property

from tarazy.accreditation.procedure.case import Case
from tarazy.accreditation.procedure.events import Addressee, ComplaintFiled, ComplaintForwarded, Event, Kind, Side
from tarazy.accreditation.procedure.machine import Course
from tarazy.config.law import LawBook
from tarazy.config.law.rules import RuleReference
from tarazy.config.law.services import StateServiceRule
from tarazy.config.law.working_days import Doubt, WorkingDays

HIGHER_BODY = "higher_body"
"""Why there is no last day for the decision of a higher administrative body: the act names none."""

_DECIDED = (Kind.GRANTED, Kind.REFUSED)


class Step(StrEnum):
    """What must be done within a term."""

    REGISTRATION = "registration"
    COMPLETENESS = "completeness"
    REVIEW = "review"
    WHOLE = "whole"
    HEARING_NOTICE = "hearing_notice"
    HEARING = "hearing"
    COMPLAINT_FORWARDING = "complaint_forwarding"
    COMPLAINT_DECISION = "complaint_decision"


class Progress(StrEnum):
    """How a term stands on a day."""

    RUNNING = "running"
    OVERDUE = "overdue"
    MET = "met"
    LATE = "late"
    """Done, but after its last day."""
    CLOSED = "closed"
    """It need not be done any more."""
    UNKNOWN = "unknown"
    """Its last day is not known."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A term of a case. `due` is its last legal day; None where it is not known, and `missing` says why."""

    step: Step
    who: Side
    begins: date
    due: date | None
    missing: str | None
    """The field of the rule that nobody has read yet; `HIGHER_BODY` where the act leaves the term to another law."""
    unread: str
    """The act to read for it."""
    done: date | None
    closed: bool
    doubts: frozenset[Doubt]
    """Why the last day may turn out another."""
    rule: RuleReference

    def progress(self, today: date) -> Progress:
        """How it stands on the legal day `today`."""
        if self.due is None:
            return Progress.CLOSED if self.closed or self.done else Progress.UNKNOWN
        if self.done is not None:
            return Progress.MET if self.done <= self.due else Progress.LATE
        if self.closed:
            return Progress.CLOSED
        return Progress.OVERDUE if today > self.due else Progress.RUNNING


@dataclass(frozen=True)
class _Terms:
    """Makes the deadlines of one case."""

    rule: StateServiceRule
    days: WorkingDays
    course: Course

    @cached_property
    def _reference(self) -> RuleReference:
        return self.rule.reference

    def running(self) -> Iterator[Deadline]:
        filed, registered = self.course.first(Kind.FILED), self.course.first(Kind.REGISTERED)
        if filed is not None:
            yield self._registration(filed, registered)
        if registered is not None:
            yield from self._service(registered)
        if (complaint := self.course.last(Kind.COMPLAINT_FILED)) is not None:
            yield from self._complaint(complaint)

    def _registration(self, filed: Event, registered: Event | None) -> Deadline:
        accepted = self.rule.accepted_on(filed.at, self.days)
        step = Step.REGISTRATION
        if accepted is None:
            return self._deadline(step, Side.PROVIDER, filed.day, None, "hours", registered)
        return self._term(step, "registration", Side.PROVIDER, accepted, registered)

    def _service(self, registered: Event) -> Iterator[Deadline]:
        course = self.course
        decided = course.first(*_DECIDED)
        called, complete = course.first(Kind.HEARING_CALLED), course.first(Kind.DOCUMENTS_COMPLETE)
        lacking = course.first(Kind.DOCUMENTS_LACKING)
        checked = complete or lacking or called or decided
        yield self._term(Step.COMPLETENESS, "completeness", Side.PROVIDER, registered.day, checked)
        if complete is not None:
            yield self._term(Step.REVIEW, "review", Side.PROVIDER, complete.day, decided)
        whole = self._term(Step.WHOLE, "whole", Side.PROVIDER, registered.day, decided or lacking)
        yield whole
        yield self._hearing_notice(whole, called)
        if (latest := course.last(Kind.HEARING_CALLED)) is not None:
            held = self._since(latest).first(Kind.HEARING_HELD)
            yield self._term(Step.HEARING, "hearing", Side.BOTH, latest.day, held)

    def _since(self, event: Event) -> Course:
        events = self.course.events
        return Course(events=events[events.index(event) :])

    def _hearing_notice(self, whole: Deadline, called: Event | None) -> Deadline:
        """The last day on which a hearing can lawfully be called, before a refusal; a grant needs none."""
        term, step = self.rule.terms.hearing_notice, Step.HEARING_NOTICE
        if term is None or whole.due is None:
            missing = "terms.whole" if whole.due is None else "terms.hearing_notice"
            return self._deadline(step, Side.PROVIDER, whole.begins, None, missing, called)
        due = self.rule.latest_day_before(term, whole.due, self.days)
        return self._deadline(step, Side.PROVIDER, whole.begins, due, None, called, until=whole.due)

    def _complaint(self, complaint: Event) -> Iterator[Deadline]:
        course = self._since(complaint)
        forwarded = course.first(Kind.COMPLAINT_FORWARDED)
        decided = course.first(Kind.COMPLAINT_DECIDED)
        ended = course.first(Kind.COMPLAINT_WITHDRAWN) is not None
        filed_with = complaint.content.addressed_to if isinstance(complaint.content, ComplaintFiled) else None
        if filed_with is Addressee.PROVIDER:
            yield self._term(
                Step.COMPLAINT_FORWARDING,
                "complaint_forwarding",
                Side.PROVIDER,
                complaint.day,
                forwarded or decided,
                closed=ended,
            )
        body = forwarded.content.to if forwarded and isinstance(forwarded.content, ComplaintForwarded) else filed_with
        registered = course.last(Kind.COMPLAINT_REGISTERED)
        if registered is None or (forwarded is not None and registered.at < forwarded.at):
            return
        step = Step.COMPLAINT_DECISION
        if body is Addressee.HIGHER_BODY:
            yield self._deadline(step, Side.REVIEWER, registered.day, None, HIGHER_BODY, decided, closed=ended)
            return
        name = f"complaint_by_{body}"
        side = Side.PROVIDER if body is Addressee.PROVIDER else Side.REVIEWER
        yield self._term(step, name, side, registered.day, decided, closed=ended)

    def _term(
        self, step: Step, name: str, who: Side, begins: date, done: Event | None, closed: bool = False
    ) -> Deadline:
        term = getattr(self.rule.terms, name)
        if term is None:
            return self._deadline(step, who, begins, None, f"terms.{name}", done, closed)
        return self._deadline(step, who, begins, self.rule.last_day(term, begins, self.days), None, done, closed)

    def _deadline(
        self,
        step: Step,
        who: Side,
        begins: date,
        due: date | None,
        missing: str | None,
        done: Event | None,
        closed: bool = False,
        until: date | None = None,
    ) -> Deadline:
        """`until` is a later day that `due` was counted back from."""
        doubts: frozenset[Doubt] = frozenset() if due is None else self.days.doubts(begins, until or due)
        over = closed or not (self.course.undecided or step.startswith("complaint"))
        return Deadline(
            step=step,
            who=who,
            begins=begins,
            due=due,
            missing=missing,
            unread=self.rule.unread or self.rule.act,
            done=done.day if done else None,
            closed=over,
            doubts=doubts,
            rule=self._reference,
        )


def deadlines(case: Case, book: LawBook, days: WorkingDays, today: date) -> tuple[Deadline, ...]:
    """Every term that has begun in `case`, in the order of the procedure.

    The rule is that of the day of filing, so a later rule does not move a term that runs. Raises `NoRuleInForceError`.
    """
    return tuple(_Terms(case.rule(book, today), days, case.course).running())
