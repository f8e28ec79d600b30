"""The course of a case: every way through it, and what cannot follow."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarazy.accreditation.procedure.case import Case
from tarazy.accreditation.procedure.events import CONTENTS, Event, Kind, content_of
from tarazy.accreditation.procedure.machine import Appeal, Course, IllegalEventError, Stage, follow
from tests.accreditation.procedure.world import CONTENTS as SAID
from tests.accreditation.procedure.world import case, event, with_events

STEPS = [kind for kind in Kind if kind is not Kind.STRUCK]
DAY = "2025-06-09"


def test_every_reachable_state_takes_what_it_allows_and_refuses_the_rest() -> None:
    """Exhaustive: breadth first over (stage, complaint); an error names what may follow."""
    seen: dict[tuple[Stage, Appeal], Course] = {}
    waiting = deque([Course()])
    while waiting:
        course = waiting.popleft()
        if (course.stage, course.appeal) in seen:
            continue
        seen[course.stage, course.appeal] = course
        assert course.open or not set(course.allowed) - {Kind.COMPLAINT_FILED, Kind.COURT_CLAIM_FILED}
        for kind in STEPS:
            outcomes = ("satisfied", "dismissed") if "outcome" in CONTENTS[kind][1].model_fields else (None,)
            for outcome in outcomes:
                changes: dict[str, Any] = {} if outcome is None else {"outcome": outcome}
                following = event(len(course.events) + 1, kind, DAY, **changes)
                if kind in course.allowed:
                    waiting.append(course.then(following))
                    continue
                with pytest.raises(IllegalEventError) as error:
                    course.then(following)
                assert all(allowed in str(error.value) for allowed in course.allowed)
                assert course.stage in str(error.value)
    assert {stage for stage, _ in seen} == set(Stage)
    assert {appeal for _, appeal in seen} == set(Appeal)
    undecided = {stage for stage, course in ((key[0], course) for key, course in seen.items()) if course.undecided}
    assert undecided == set(Stage) - {Stage.RETURNED, Stage.GRANTED, Stage.REFUSED, Stage.WITHDRAWN}


def test_nothing_but_filing_begins_a_case() -> None:
    """The first event is the filing, or the applicant lets it be."""
    assert Course().allowed == (Kind.FILED, Kind.WITHDRAWN)
    with pytest.raises(IllegalEventError, match=r"event 1 \(granted\) cannot follow.*may follow: filed, withdrawn"):
        follow([event(1, Kind.GRANTED, DAY)])
    with pytest.raises(IllegalEventError, match="nothing: it is closed"):
        follow([event(1, Kind.WITHDRAWN, DAY), event(2, Kind.FILED, DAY)])


def test_a_satisfied_complaint_opens_the_application_again() -> None:
    """And it can then be granted; one that was dismissed does not."""
    refused = case(
        (Kind.FILED, DAY), (Kind.REGISTERED, DAY), (Kind.REFUSED, "2025-06-16"), (Kind.COMPLAINT_FILED, "2025-06-17")
    )
    dismissed = with_events(refused, [event(5, Kind.COMPLAINT_DECIDED, "2025-06-20")])
    assert (dismissed.course.stage, dismissed.course.open) == (Stage.REFUSED, False)
    satisfied = with_events(refused, [event(5, Kind.COMPLAINT_DECIDED, "2025-06-20", outcome="satisfied")])
    assert (satisfied.course.stage, satisfied.course.open) == (Stage.RECONSIDERED, True)
    granted = with_events(satisfied, [event(6, Kind.GRANTED, "2025-06-23")])
    assert granted.course.stage is Stage.GRANTED
    court = with_events(
        dismissed, [event(6, Kind.COURT_CLAIM_FILED, "2025-06-23"), event(7, Kind.COURT_DECIDED, "2025-07-23")]
    )
    assert court.course.stage is Stage.RECONSIDERED


def test_an_event_recorded_late_takes_its_place_in_time() -> None:
    """The completeness was told of after the grant was recorded."""
    late = case((Kind.FILED, DAY), (Kind.REGISTERED, DAY), (Kind.GRANTED, "2025-06-12"))
    late = with_events(late, [event(4, Kind.DOCUMENTS_COMPLETE, "2025-06-10")])
    assert [row.number for row in late.course.events] == [1, 2, 4, 3]
    with pytest.raises(IllegalEventError, match=r"event 5 \(documents_complete\) cannot follow"):
        _ = with_events(late, [event(5, Kind.DOCUMENTS_COMPLETE, "2025-06-13")]).course


def test_corrections_stand_in_the_place_of_what_they_correct() -> None:
    """Another moment, another number; a struck event never was, and what needed it is then refused."""
    plain = case((Kind.FILED, DAY), (Kind.REGISTERED, DAY), (Kind.DOCUMENTS_COMPLETE, "2025-06-10"))
    other = with_events(plain, [event(4, Kind.REGISTERED, "2025-06-10", corrects=2, number="ЖТ-9")])
    assert [row.number for row in other.course.events] == [1, 4, 3]
    again = with_events(other, [event(5, Kind.REGISTERED, DAY, corrects=4)])
    assert [row.number for row in again.course.events] == [1, 5, 3]
    struck = with_events(plain, [event(4, Kind.STRUCK, DAY, corrects=3)])
    assert struck.course.stage is Stage.REGISTERED
    for faulty, fault in (
        (event(5, Kind.REGISTERED, DAY, corrects=2), "event 2 is corrected already by event 4; correct that one"),
        (event(5, Kind.REGISTERED, DAY, corrects=9), "there is no event 9"),
        (event(5, Kind.GRANTED, DAY, corrects=3), "event 3 is documents_complete, its correction granted"),
        (event(5, Kind.STRUCK, DAY, corrects=4), r"event 3 \(documents_complete\) cannot follow"),
        (event(5, Kind.STRUCK, DAY), "must name the event"),
    ):
        with pytest.raises(IllegalEventError, match=fault):
            _ = with_events(other, [faulty]).course


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.booleans()), max_size=25))
def test_any_walk_keeps_its_word(walk: list[tuple[Kind, bool]]) -> None:
    """Whatever is tried: what is allowed is taken and closes or goes on, the rest changes nothing; replaying agrees."""
    course = Course()
    for kind, satisfied in walk:
        fields = CONTENTS[kind][1].model_fields
        changes: dict[str, Any] = {"outcome": "satisfied" if satisfied else "dismissed"} if "outcome" in fields else {}
        following = event(len(course.events) + 1, kind, DAY, **changes)
        if kind not in course.allowed:
            with pytest.raises(IllegalEventError):
                course.then(following)
            continue
        course = course.then(following)
        assert course.undecided or course.stage in (Stage.RETURNED, Stage.GRANTED, Stage.REFUSED, Stage.WITHDRAWN)
    assert follow(course.events) == course


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind in SAID])
def test_what_an_event_says_survives_the_database(kind: Kind) -> None:
    """Read back from JSON it is the same, also a single ground."""
    said = event(1, kind, DAY)
    assert content_of(kind, said.plain["content"]) == said.content
    assert said.digest == event(1, kind, DAY).digest != event(1, kind, "2025-06-10").digest


def test_the_digest_covers_the_whole_record() -> None:
    """A note more and it is another."""
    one = case((Kind.FILED, DAY))
    noted = Case(one.key, one.service, one.party, one.opened_at, one.opened_by, (_noted(one.record[0]),))
    assert one.digest != noted.digest


def _noted(row: Event) -> Event:
    return Event(
        number=row.number, kind=row.kind, at=row.at, content=row.content, attachments=row.attachments, note="x"
    )
