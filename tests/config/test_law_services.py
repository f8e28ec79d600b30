"""State services: the shipped terms are those of the reference, and how they are counted."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tarazy.config.law import load_law
from tarazy.config.law.services import (
    SERVICES,
    DocumentRequired,
    FormKind,
    Service,
    ServiceTerms,
    StateServiceRule,
    Term,
)
from tarazy.config.law.topics import parse_rule
from tarazy.config.law.working_days import WorkingDays

LAW = load_law()
DAYS = WorkingDays(LAW)
PERMIT = LAW.rule(SERVICES[Service.SECURED_ASSET_PERMIT], date(2025, 6, 2))
ALMATY = ZoneInfo("Asia/Almaty")


def changed(**fields: Any) -> StateServiceRule:
    """The permit's rule with other fields."""
    raw = PERMIT.model_dump(mode="json", exclude_unset=True)
    rule = parse_rule({**raw, **fields}, assumed=False)
    assert isinstance(rule, StateServiceRule)
    return rule


def test_terms_of_order_130() -> None:
    """law.md 2.6: same day, 2, 3, 5; a hearing 3 before the end and within 2; complaints 3, 5, 15."""
    days = {name: getattr(PERMIT.terms, name).days for name in ServiceTerms.model_fields}
    assert days == {
        "registration": 0,
        "completeness": 2,
        "review": 3,
        "whole": 5,
        "hearing_notice": 3,
        "hearing": 2,
        "complaint_forwarding": 3,
        "complaint_by_provider": 5,
        "complaint_by_service_quality_authority": 15,
    }
    assert all(getattr(PERMIT.terms, name).unit == "working" for name in ServiceTerms.model_fields)
    assert (PERMIT.permit_years, PERMIT.shift_if_non_working, PERMIT.first_day_counted) == (3, None, "next_day")
    hours = PERMIT.hours
    assert hours
    assert (hours.opens, hours.closes) == (time(9), time(18, 30))
    assert (hours.lunch_from, hours.lunch_to) == (time(13), time(14, 30))
    assert sorted(PERMIT.grounds or ()) == [1, 2, 3, 4, 5]
    assert not PERMIT.confirmed


def test_documents_of_order_130() -> None:
    """Row 9: the application, one of nine documents, the guarantee letter for five nodes."""
    documents = {document.code: document for document in PERMIT.documents or ()}
    assert list(documents) == ["application", "basis", "node_guarantee"]
    assert len(documents["basis"].one_of or ()) == 9
    assert "5" in documents["node_guarantee"].name.ru
    plain = DocumentRequired(code="x", name=documents["basis"].name)
    assert plain.codes == {"x"}


def test_fields_of_the_forms_stand_in_the_order_of_the_reference() -> None:
    """law.md 2.6, the table of forms."""
    codes = {kind: [field.code for field in form.fields] for kind, form in (PERMIT.forms or {}).items()}
    assert codes[FormKind.APPLICATION] == [
        *("applicant_address", "applicant_bin", "applicant_telephone", "applicant_email"),
        *("authority_head", "authority_name", "application_number", "application_date", "applicant_name"),
        *("legal_basis", "platform_name", "purpose", "activity_addresses", "attachments", "truthfulness"),
        *("secrets_consent", "signatory_name", "signature"),
    ]
    header = ["authority_name_kk", "authority_name_ru", "authority_details_kk", "authority_details_ru"]
    assert codes[FormKind.GRANT] == [
        *header,
        *("document_number", "applicant_name", "application_number", "applicant_details", "issue_date"),
        *(
            "legal_basis",
            "issued_by",
            "platform_name",
            "purpose",
            "activity_addresses",
            "special_condition",
            "asset_note",
        ),
    ]
    assert codes[FormKind.REFUSAL] == [
        *header,
        *("authority_name", "application_date", "application_number", "reasons"),
        *("signatory_position", "signatory_name", "signature"),
    ]
    forms = PERMIT.forms or {}
    parts = [field.parts for form in forms.values() for field in form.fields if field.code == "activity_addresses"]
    assert [list(part or ()) for part in parts] == 2 * [
        ["postcode", "region", "city", "district", "settlement", "street", "building"]
    ]


@pytest.mark.parametrize("service", [Service.POOL_ACCREDITATION, Service.POOL_ACCREDITATION_RENEWAL])
def test_nothing_is_invented_for_pools(service: Service) -> None:
    """law.md 3, items 1 and 2: every term, hour, document, ground and form is empty, and the act to read is named."""
    rule = LAW.rule(SERVICES[service], date(2026, 11, 1))
    assert {getattr(rule.terms, name) for name in ServiceTerms.model_fields} == {None}
    assert (rule.hours, rule.documents, rule.grounds, rule.forms) == (None, None, None, None)
    assert (rule.permit_years, rule.first_day_counted, rule.shift_if_non_working) == (None, None, None)
    assert rule.unread
    assert "142/НҚ" in rule.unread
    assert rule.accepted_on(datetime(2026, 11, 2, 12, tzinfo=ALMATY), DAYS) is None
    assert rule.last_valid_day(date(2026, 11, 2)) is None


@pytest.mark.parametrize(
    ("filed", "accepted"),
    [
        ("2025-06-09T10:00+05:00", date(2025, 6, 9)),
        ("2025-06-09T13:30+05:00", date(2025, 6, 9)),  # lunch
        ("2025-06-09T08:59+05:00", date(2025, 6, 9)),  # before opening
        ("2025-06-09T18:29:59+05:00", date(2025, 6, 9)),
        ("2025-06-09T18:30+05:00", date(2025, 6, 10)),  # after hours
        ("2025-06-05T19:00+05:00", date(2025, 6, 9)),  # Friday is a holiday
        ("2025-06-07T12:00+05:00", date(2025, 6, 9)),  # Saturday
        ("2025-01-05T12:00+05:00", date(2025, 1, 5)),  # a Sunday worked on
        ("2024-02-29T12:30+00:00", date(2024, 3, 1)),  # 18:30 by UTC+6, after hours
        ("2024-03-01T13:29+00:00", date(2024, 3, 1)),  # 18:29 by UTC+5
        ("2024-03-01T13:30+00:00", date(2024, 3, 4)),
    ],
)
def test_acceptance_by_almatys_hours(filed: str, accepted: date) -> None:
    """Out of hours the next working day; the clock of Almaty moved on 2024-03-01."""
    assert PERMIT.accepted_on(datetime.fromisoformat(filed), DAYS) == accepted


def test_filing_before_opening_is_data() -> None:
    """The other reading."""
    hours = {**PERMIT.model_dump(mode="json")["hours"], "filed_before_opening": "next_working_day"}
    early = datetime(2025, 6, 9, 8, 59, tzinfo=ALMATY)
    assert changed(hours=hours).accepted_on(early, DAYS) == date(2025, 6, 10)


@given(st.datetimes(datetime(2023, 9, 1), datetime(2025, 12, 1)))  # noqa: DTZ001 - Almaty's clock
def test_acceptance_is_the_first_open_day(moment: datetime) -> None:
    """Never before filing, always a working day, and no working day with open hours lies between."""
    filed = moment.replace(tzinfo=ALMATY)
    accepted = PERMIT.accepted_on(filed, DAYS)
    assert accepted
    assert DAYS.is_working(accepted)
    day = filed.date()
    open_today = DAYS.is_working(day) and filed.time() < time(18, 30)
    between = [day + timedelta(number) for number in range(0 if open_today else 1, (accepted - day).days)]
    assert not any(DAYS.is_working(other) for other in between)
    assert (accepted == day) is open_today


def test_readings_of_a_term() -> None:
    """Which day counts first, calendar days, and whether the end moves: all data."""
    monday, friday = date(2025, 6, 9), date(2025, 6, 13)
    two, same, seven = Term(days=2, unit="working"), Term(days=0, unit="working"), Term(days=8, unit="calendar")
    assert PERMIT.last_day(two, friday, DAYS) == date(2025, 6, 17)
    assert PERMIT.last_day(same, monday, DAYS) == monday
    first = changed(first_day_counted="same_day")
    assert first.last_day(two, friday, DAYS) == date(2025, 6, 16)
    assert first.last_day(two, date(2025, 6, 14), DAYS) == date(2025, 6, 17)
    assert first.last_day(same, monday, DAYS) == monday
    assert PERMIT.last_day(seven, friday, DAYS) == date(2025, 6, 21), "unknown: the earlier day"
    moved = changed(shift_if_non_working="next_working_day")
    assert moved.last_day(seven, friday, DAYS) == date(2025, 6, 23)
    assert PERMIT.latest_day_before(Term(days=3, unit="calendar"), friday, DAYS) == date(2025, 6, 10)


def test_three_years_end_on_the_eve_of_the_anniversary() -> None:
    """Also where the anniversary does not exist."""
    assert PERMIT.last_valid_day(date(2025, 6, 12)) == date(2028, 6, 11)
    assert PERMIT.last_valid_day(date(2024, 2, 29)) == date(2027, 2, 27)
    assert changed(permit_years=4).last_valid_day(date(2024, 2, 29)) == date(2028, 2, 28)


def test_terms_without_a_first_day_are_refused() -> None:
    """Who enters terms must say how they are counted."""
    with pytest.raises(ValidationError, match="first_day_counted: terms are given"):
        changed(first_day_counted=None)
