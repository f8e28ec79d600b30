"""The course of a case: a pure state machine over its events, which knows what may come next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

from tarazy.accreditation.procedure.events import Content, Decided, Event, Kind, Outcome
from tarazy.config.law.calendar import ALMATY

C = TypeVar("C", bound=Content)


class Stage(StrEnum):
    """Where an application stands."""

    OPENED = "opened"
    """It is being prepared."""
    FILED = "filed"
    REGISTERED = "registered"
    COMPLETE = "complete"
    """Its documents were found complete; it is under review."""
    HEARING_CALLED = "hearing_called"
    HEARD = "heard"
    RETURNED = "returned"
    """Not considered, because documents were lacking."""
    GRANTED = "granted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    RECONSIDERED = "reconsidered"
    """To be decided anew after a complaint or claim was satisfied."""


class Appeal(StrEnum):
    """Where a complaint or claim stands."""

    NONE = "none"
    FILED = "filed"
    REGISTERED = "registered"
    FORWARDED = "forwarded"
    UNDER_REVIEW = "under_review"
    DECIDED = "decided"
    WITHDRAWN = "withdrawn"
    IN_COURT = "in_court"
    DECIDED_BY_COURT = "decided_by_court"


_DECISIONS = frozenset((Kind.HEARING_CALLED, Kind.GRANTED, Kind.REFUSED))
_NEXT: dict[Stage, frozenset[Kind]] = {
    Stage.OPENED: frozenset((Kind.FILED, Kind.WITHDRAWN)),
    Stage.FILED: frozenset((Kind.REGISTERED, Kind.WITHDRAWN)),
    Stage.REGISTERED: _DECISIONS | {Kind.DOCUMENTS_COMPLETE, Kind.DOCUMENTS_LACKING, Kind.WITHDRAWN},
    Stage.COMPLETE: _DECISIONS | {Kind.WITHDRAWN},
    Stage.HEARING_CALLED: frozenset((Kind.HEARING_HELD, Kind.GRANTED, Kind.REFUSED, Kind.WITHDRAWN)),
    Stage.HEARD: frozenset((Kind.GRANTED, Kind.REFUSED, Kind.WITHDRAWN)),
    Stage.RECONSIDERED: _DECISIONS | {Kind.WITHDRAWN},
    Stage.RETURNED: frozenset(),
    Stage.GRANTED: frozenset(),
    Stage.REFUSED: frozenset(),
    Stage.WITHDRAWN: frozenset(),
}
"""A provider need not tell that documents are complete, so a decision may follow the registration."""

_STAGE_AFTER: dict[Kind, Stage] = {
    Kind.FILED: Stage.FILED,
    Kind.REGISTERED: Stage.REGISTERED,
    Kind.DOCUMENTS_COMPLETE: Stage.COMPLETE,
    Kind.DOCUMENTS_LACKING: Stage.RETURNED,
    Kind.HEARING_CALLED: Stage.HEARING_CALLED,
    Kind.HEARING_HELD: Stage.HEARD,
    Kind.GRANTED: Stage.GRANTED,
    Kind.REFUSED: Stage.REFUSED,
    Kind.WITHDRAWN: Stage.WITHDRAWN,
}

_COMPLAIN = frozenset((Kind.COMPLAINT_FILED,))
_END = frozenset((Kind.COMPLAINT_DECIDED, Kind.COMPLAINT_WITHDRAWN))
_APPEAL_NEXT: dict[Appeal, frozenset[Kind]] = {
    Appeal.NONE: _COMPLAIN,
    Appeal.FILED: _END | {Kind.COMPLAINT_REGISTERED, Kind.COMPLAINT_FORWARDED},
    Appeal.REGISTERED: _END | {Kind.COMPLAINT_FORWARDED},
    Appeal.FORWARDED: _END | {Kind.COMPLAINT_REGISTERED},
    Appeal.UNDER_REVIEW: _END,
    Appeal.DECIDED: _COMPLAIN | {Kind.COURT_CLAIM_FILED},
    Appeal.WITHDRAWN: _COMPLAIN,
    Appeal.IN_COURT: frozenset((Kind.COURT_DECIDED,)),
    Appeal.DECIDED_BY_COURT: _COMPLAIN,
}
_APPEAL_AFTER: dict[Kind, Appeal] = {
    Kind.COMPLAINT_FILED: Appeal.FILED,
    Kind.COMPLAINT_REGISTERED: Appeal.REGISTERED,
    Kind.COMPLAINT_FORWARDED: Appeal.FORWARDED,
    Kind.COMPLAINT_DECIDED: Appeal.DECIDED,
    Kind.COMPLAINT_WITHDRAWN: Appeal.WITHDRAWN,
    Kind.COURT_CLAIM_FILED: Appeal.IN_COURT,
    Kind.COURT_DECIDED: Appeal.DECIDED_BY_COURT,
}
_OPEN_APPEALS = frozenset((Appeal.FILED, Appeal.REGISTERED, Appeal.FORWARDED, Appeal.UNDER_REVIEW, Appeal.IN_COURT))


class IllegalEventError(ValueError):
    """An event that cannot follow; the text names what can."""


@dataclass(frozen=True, slots=True)
class Course:
    """A case so far: where it stands, and the events that count, in their order, corrections in place."""

    stage: Stage = Stage.OPENED
    appeal: Appeal = Appeal.NONE
    events: tuple[Event, ...] = ()

    @property
    def open(self) -> bool:
        """Whether something is still owed by somebody."""
        return bool(_NEXT[self.stage]) or self.appeal in _OPEN_APPEALS

    @property
    def undecided(self) -> bool:
        """Whether the application still waits for a decision."""
        return bool(_NEXT[self.stage])

    @property
    def allowed(self) -> tuple[Kind, ...]:
        """What may happen next."""
        kinds = _NEXT[self.stage]
        if self.events and self.events[0].kind is Kind.FILED:
            kinds |= _APPEAL_NEXT[self.appeal]
        return tuple(kind for kind in Kind if kind in kinds)

    def first(self, *kinds: Kind) -> Event | None:
        """The first event of one of `kinds`."""
        return next((event for event in self.events if event.kind in kinds), None)

    def last(self, *kinds: Kind) -> Event | None:
        """The last event of one of `kinds`."""
        return next((event for event in reversed(self.events) if event.kind in kinds), None)

    def content(self, kind: Kind, shape: type[C]) -> C | None:
        """What the last event of `kind` says."""
        event = self.last(kind)
        return event.content if event and isinstance(event.content, shape) else None

    def then(self, event: Event) -> Course:
        """The case after `event`. Raises `IllegalEventError`."""
        if event.kind not in self.allowed:
            allowed = ", ".join(self.allowed) or "nothing: it is closed"
            stands = self.stage if self.appeal is Appeal.NONE else f"{self.stage}, complaint {self.appeal}"
            at = event.at.astimezone(ALMATY).isoformat(timespec="minutes")
            raise IllegalEventError(
                f"event {event.number} ({event.kind}) cannot follow: at {at} the case is {stands}; "
                f"may follow: {allowed}"
            )
        appeal = _APPEAL_AFTER.get(event.kind, self.appeal)
        if self.appeal is Appeal.FORWARDED and appeal is Appeal.REGISTERED:
            appeal = Appeal.UNDER_REVIEW
        stage = _STAGE_AFTER.get(event.kind, self.stage)
        if stage in (Stage.REFUSED, Stage.RETURNED) and _satisfied(event):
            stage = Stage.RECONSIDERED
        return replace(self, stage=stage, appeal=appeal, events=(*self.events, event))


def _satisfied(event: Event) -> bool:
    return isinstance(event.content, Decided) and event.content.outcome is not Outcome.DISMISSED


def follow(record: Iterable[Event]) -> Course:
    """The course of a case whose whole record is given, corrections among it. Raises `IllegalEventError`."""
    course = Course()
    for event in counting(tuple(record)):
        course = course.then(event)
    return course


def counting(record: Sequence[Event]) -> tuple[Event, ...]:
    """The events that count, as they happened: corrections in the place of what they correct, struck ones left out.

    Events of one instant stand in the order in which they were recorded.
    Raises `IllegalEventError` for a correction of what is not there or corrected already.
    """
    standing: dict[int, tuple[int, Event]] = {}
    gone: dict[int, int] = {}
    for event in record:
        if event.corrects is None:
            if event.kind is Kind.STRUCK:
                raise IllegalEventError(f"event {event.number} (struck) must name the event that did not happen")
            standing[event.number] = (event.number, event)
            continue
        if event.corrects in gone:
            later = gone[event.corrects]
            raise IllegalEventError(f"event {event.corrects} is corrected already by event {later}; correct that one")
        if event.corrects not in standing:
            raise IllegalEventError(f"there is no event {event.corrects} to correct; see `case show`")
        place, corrected = standing.pop(event.corrects)
        gone[event.corrects] = event.number
        if event.kind is Kind.STRUCK:
            continue
        if event.kind is not corrected.kind:
            raise IllegalEventError(
                f"event {event.corrects} is {corrected.kind}, its correction {event.kind}; "
                "strike it and record the other"
            )
        standing[event.number] = (place, event)
    return tuple(event for _, event in sorted(standing.values(), key=lambda item: (item[1].at, item[0])))
