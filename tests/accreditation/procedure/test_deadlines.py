"""Every term of a case, and what is told of it: the worked case of the reference among them."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarazy.accreditation.procedure.case import Case
from tarazy.accreditation.procedure.deadlines import HIGHER_BODY, Deadline, Progress, Step, deadlines
from tarazy.accreditation.procedure.events import Kind, Side
from tarazy.accreditation.procedure.warnings import (
    SEVERITIES,
    Severity,
    WarningKind,
    open_warnings,
    warnings_of,
)
from tarazy.config.law.services import Service
from tests.accreditation.procedure.world import DAYS, LAW, case, event, with_events

MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (date(2025, 6, day) for day in range(9, 14))
NEXT_MONDAY, NEXT_TUESDAY = date(2025, 6, 16), date(2025, 6, 17)
REGISTERED = ((Kind.FILED, "2025-06-09 10:00"), (Kind.REGISTERED, "2025-06-09 16:00"))
COMPLETE = (*REGISTERED, (Kind.DOCUMENTS_COMPLETE, "2025-06-11"))


def terms(shown: Case, today: date = MONDAY) -> dict[Step, Deadline]:
    """The deadlines of a case by step."""
    return {deadline.step: deadline for deadline in deadlines(shown, LAW, DAYS, today)}


def kinds(shown: Case, today: date) -> set[tuple[WarningKind, Step]]:
    """What is told of a case on a day."""
    return {(warning.kind, warning.step) for warning in warnings_of(shown, LAW, DAYS, today)}


def test_the_worked_case_of_the_reference() -> None:
    """Registered Monday; completeness by Wednesday; decision by next Monday; notice by Wednesday; hearing in 2 days."""
    found = terms(case(*COMPLETE))
    assert {step: deadline.due for step, deadline in found.items()} == {
        Step.REGISTRATION: MONDAY,
        Step.COMPLETENESS: WEDNESDAY,
        Step.REVIEW: NEXT_MONDAY,
        Step.WHOLE: NEXT_MONDAY,
        Step.HEARING_NOTICE: WEDNESDAY,
    }
    called = terms(case(*COMPLETE, (Kind.HEARING_CALLED, "2025-06-11 17:00")))
    assert called[Step.HEARING].due == FRIDAY
    assert called[Step.HEARING].who is Side.BOTH
    assert found[Step.WHOLE].rule.id == "service-secured-asset-permit-2023"
    assert not found[Step.WHOLE].rule.confirmed
    assert not found[Step.WHOLE].doubts


def test_a_lawful_hearing_that_no_longer_fits_is_told() -> None:
    """The last day for its notice is told when it is near, on it, and as too late afterwards."""
    notice = Step.HEARING_NOTICE
    waiting = case(*REGISTERED)
    assert (WarningKind.DUE_SOON, notice) in kinds(waiting, TUESDAY)
    complete = case(*COMPLETE)
    assert kinds(complete, WEDNESDAY) == {(WarningKind.DUE_TODAY, notice)}
    assert kinds(complete, THURSDAY) == {(WarningKind.HEARING_NO_LONGER_FITS, notice)}
    called = case(*COMPLETE, (Kind.HEARING_CALLED, "2025-06-11"))
    assert kinds(called, WEDNESDAY) == set()
    late = case(*COMPLETE, (Kind.HEARING_CALLED, "2025-06-12"))
    assert (WarningKind.DONE_LATE, notice) in kinds(late, THURSDAY)
    assert SEVERITIES[WarningKind.HEARING_NO_LONGER_FITS] is Severity.CRITICAL


def test_a_hearing_set_for_too_late_a_day_is_told() -> None:
    """Called on Wednesday it must be held by Friday."""
    for day, told in (("13", False), ("14", True)):
        called = with_events(
            case(*COMPLETE), [event(4, Kind.HEARING_CALLED, "2025-06-11", hearing_at=f"2025-06-{day}T10:00:00+05:00")]
        )
        assert ((WarningKind.HEARING_TOO_LATE, Step.HEARING) in kinds(called, WEDNESDAY)) is told


def test_a_refusal_without_a_hearing_is_told_for_a_complaint() -> None:
    """Also when the case is closed; after a hearing it is in order."""
    assert kinds(case(*COMPLETE, (Kind.REFUSED, "2025-06-16")), NEXT_TUESDAY) == {
        (WarningKind.REFUSED_WITHOUT_HEARING, Step.HEARING_NOTICE)
    }
    heard = ((Kind.HEARING_CALLED, "2025-06-11"), (Kind.HEARING_HELD, "2025-06-12"), (Kind.REFUSED, "2025-06-16"))
    assert kinds(case(*COMPLETE, *heard), NEXT_TUESDAY) == set()


def test_running_overdue_met_late_closed() -> None:
    """A last day counts whole: it is overdue on the next."""
    whole = terms(case(*COMPLETE))[Step.WHOLE]
    assert [whole.progress(day) for day in (MONDAY, NEXT_MONDAY, NEXT_TUESDAY)] == [
        Progress.RUNNING,
        Progress.RUNNING,
        Progress.OVERDUE,
    ]
    assert (WarningKind.DUE_TODAY, Step.WHOLE) in kinds(case(*COMPLETE), NEXT_MONDAY)
    assert (WarningKind.OVERDUE, Step.WHOLE) in kinds(case(*COMPLETE), NEXT_TUESDAY)
    granted = terms(case(*COMPLETE, (Kind.GRANTED, "2025-06-17")))
    assert granted[Step.WHOLE].progress(NEXT_TUESDAY) is Progress.LATE
    assert granted[Step.COMPLETENESS].progress(NEXT_TUESDAY) is Progress.MET
    assert granted[Step.HEARING_NOTICE].progress(NEXT_TUESDAY) is Progress.CLOSED
    withdrawn = terms(case(*COMPLETE, (Kind.WITHDRAWN, "2025-06-12")))
    assert withdrawn[Step.WHOLE].progress(NEXT_TUESDAY) is Progress.CLOSED
    assert kinds(case(*COMPLETE, (Kind.WITHDRAWN, "2025-06-12")), NEXT_TUESDAY) == set()


def test_registration_is_owed_on_the_day_of_acceptance() -> None:
    """Filed on Saturday, accepted and due on Monday."""
    filed = case((Kind.FILED, "2025-06-07 12:00"))
    assert terms(filed)[Step.REGISTRATION].due == MONDAY
    assert kinds(filed, MONDAY) == {(WarningKind.DUE_TODAY, Step.REGISTRATION)}
    assert kinds(filed, TUESDAY) == {(WarningKind.OVERDUE, Step.REGISTRATION)}
    assert terms(case()) == {}


def test_terms_of_complaints() -> None:
    """Forwarded within 3 days of receipt, decided by the provider within 5, by the quality authority within 15."""
    refused = case(*COMPLETE, (Kind.REFUSED, "2025-06-12"), (Kind.COMPLAINT_FILED, "2025-06-13"))
    assert terms(refused)[Step.COMPLAINT_FORWARDING].due == date(2025, 6, 18)
    registered = with_events(refused, [event(6, Kind.COMPLAINT_REGISTERED, "2025-06-16")])
    own = terms(registered)[Step.COMPLAINT_DECISION]
    assert (own.due, own.who) == (date(2025, 6, 23), Side.PROVIDER)
    assert (WarningKind.OVERDUE, Step.COMPLAINT_DECISION) in kinds(registered, date(2025, 6, 24))
    forwarded = with_events(registered, [event(7, Kind.COMPLAINT_FORWARDED, "2025-06-17")])
    assert Step.COMPLAINT_DECISION not in terms(forwarded), "the body has not registered it yet"
    assert terms(forwarded)[Step.COMPLAINT_FORWARDING].progress(date(2025, 6, 30)) is Progress.MET
    there = with_events(forwarded, [event(8, Kind.COMPLAINT_REGISTERED, "2025-06-18")])
    quality = terms(there)[Step.COMPLAINT_DECISION]
    assert (quality.due, quality.who) == (date(2025, 7, 10), Side.REVIEWER), "7 July is a day off"
    decided = with_events(there, [event(9, Kind.COMPLAINT_DECIDED, "2025-07-11")])
    assert terms(decided)[Step.COMPLAINT_DECISION].progress(date(2025, 7, 12)) is Progress.LATE
    second = with_events(decided, [event(10, Kind.COMPLAINT_FILED, "2025-07-14", addressed_to="higher_body")])
    assert not {Step.COMPLAINT_FORWARDING, Step.COMPLAINT_DECISION} & set(terms(second)), "those of the first are over"
    higher = with_events(second, [event(11, Kind.COMPLAINT_REGISTERED, "2025-07-15")])
    assert terms(higher)[Step.COMPLAINT_DECISION].missing == HIGHER_BODY
    withdrawn = with_events(refused, [event(6, Kind.COMPLAINT_WITHDRAWN, "2025-06-16")])
    assert terms(withdrawn)[Step.COMPLAINT_FORWARDING].progress(date(2025, 6, 30)) is Progress.CLOSED


@pytest.mark.parametrize("service", [Service.POOL_ACCREDITATION, Service.POOL_ACCREDITATION_RENEWAL])
def test_pool_accreditation_has_no_day_before_its_act_was_read(service: Service) -> None:
    """Every deadline says instead what to fill in and which act to read."""
    steps = (*COMPLETE, (Kind.HEARING_CALLED, "2025-06-11"), (Kind.COMPLAINT_FILED, "2025-06-12"))
    found = terms(case(*steps, service=service))
    assert set(found) == set(Step) - {Step.COMPLAINT_DECISION}
    assert {deadline.due for deadline in found.values()} == {None}
    assert all(deadline.missing and "142/НҚ" in deadline.unread for deadline in found.values())
    told = warnings_of(case(*steps, service=service), LAW, DAYS, date(2026, 1, 1))
    assert {warning.kind for warning in told} == {WarningKind.UNKNOWN_TERM}
    assert {warning.severity for warning in told} == {Severity.NOTE}


def test_a_case_before_the_rule_is_told_not_computed() -> None:
    """No rule in force: nothing is counted, and the operator learns what to enter."""
    old = case((Kind.FILED, "2023-06-01"))
    (told,) = warnings_of(old, LAW, DAYS, MONDAY)
    assert told.kind is WarningKind.NO_RULE
    assert told.fault
    assert "service_secured_asset_permit" in told.fault


def test_open_cases_together_the_worst_first() -> None:
    """Closed ones are left out."""
    overdue = case(*REGISTERED)
    soon = Case("b-2", overdue.service, "altyn", overdue.opened_at, "x", overdue.record[:1])
    closed = case(*COMPLETE, (Kind.REFUSED, "2025-06-16"))
    told = open_warnings([closed, soon, overdue], LAW, DAYS, NEXT_MONDAY)
    assert [warning.severity for warning in told] == sorted(
        (warning.severity for warning in told), key=list(Severity).index
    )
    assert {warning.case for warning in told} == {"b-2", "acme-1"}
    assert told[0].due == MONDAY
    assert told[0].days_left == -5
    assert all(warning.deadline and warning.deadline.step is warning.step for warning in told)
    assert not open_warnings([closed], LAW, DAYS, NEXT_TUESDAY)


@given(st.dates(date(2023, 9, 1), date(2025, 11, 20)), st.integers(0, 2))
def test_the_reference_holds_for_every_day_of_registration(day: date, check: int) -> None:
    """By walking: 5 working days in all, a notice leaves at least 3, and what is due is a working day."""
    registered = DAYS.on_or_after(day)
    complete = DAYS.after(registered, check)
    found = terms(
        case(
            (Kind.FILED, f"{registered} 09:00"),
            (Kind.REGISTERED, f"{registered} 09:30"),
            (Kind.DOCUMENTS_COMPLETE, f"{complete} 10:00"),
        )
    )
    dues = {step: deadline.due for step, deadline in found.items()}
    assert all(due and DAYS.is_working(due) for due in dues.values())
    assert DAYS.between(registered, dues[Step.WHOLE] or day) == 5
    assert DAYS.between(dues[Step.HEARING_NOTICE] or day, dues[Step.WHOLE] or day) == 3
    assert DAYS.between(complete, dues[Step.REVIEW] or day) == 3
    assert (dues[Step.REVIEW] or day) <= (dues[Step.WHOLE] or day)
