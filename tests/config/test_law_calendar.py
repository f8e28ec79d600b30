"""Legal days and quarters are Asia/Almaty, which moved from UTC+6 to UTC+5 on 2024-03-01 (invariant 9)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from tarazy.config.law.calendar import Period, Quarter, day_start, legal_day


def test_the_quarter_of_the_zone_change_is_an_hour_longer() -> None:
    """Q1 2024 begins at UTC+6 and ends at UTC+5: 91 days and one hour."""
    quarter = Quarter(2024, 1)
    assert quarter.start == datetime(2023, 12, 31, 18, tzinfo=UTC)
    assert quarter.end == datetime(2024, 3, 31, 19, tzinfo=UTC)
    assert quarter.end - quarter.start == timedelta(days=91, hours=1)


def test_quarters_meet_without_gap() -> None:
    """Each quarter ends where the next begins, across years and the zone change."""
    quarter = Quarter(2022, 1)
    for _ in range(20):
        assert quarter.end == quarter.next().start
        assert quarter.last_day + timedelta(days=1) == quarter.next().first_day
        assert Quarter.of(quarter.start) == quarter
        assert Quarter.of(quarter.end - timedelta(microseconds=1)) == quarter
        quarter = quarter.next()
    assert quarter == Quarter(2027, 1)


def test_the_legal_day_is_almatys_not_utcs() -> None:
    """19:30 UTC was the next day at UTC+6 and is at UTC+5 too; 18:30 only before the change."""
    assert legal_day(datetime(2024, 2, 10, 18, 30, tzinfo=UTC)) == date(2024, 2, 11)
    assert legal_day(datetime(2024, 4, 10, 18, 30, tzinfo=UTC)) == date(2024, 4, 10)
    assert legal_day(datetime(2024, 4, 10, 19, 30, tzinfo=UTC)) == date(2024, 4, 11)
    assert day_start(date(2024, 4, 11)) == datetime(2024, 4, 10, 19, tzinfo=UTC)
    with pytest.raises(ValueError, match="naive"):
        legal_day(datetime(2024, 1, 1))  # noqa: DTZ001


def test_days_counted_from_the_end_of_a_quarter() -> None:
    """Q4's second month after it is February of the next year."""
    assert Quarter(2023, 4).day_after(2, 25) == date(2024, 2, 25)
    assert Quarter(2023, 1).day_after(1, 20) == date(2023, 4, 20)


def test_a_quarter_is_read_and_written_the_same_way() -> None:
    """2025-Q3; anything else is refused with the form expected."""
    assert str(Quarter.parse("2025-Q3")) == "2025-Q3"
    assert Quarter.parse("2025q3") == Quarter(2025, 3)
    for text in ("2025-Q5", "Q3", "2025-07", ""):
        with pytest.raises(ValueError, match="write it like 2025-Q3"):
            Quarter.parse(text)
    with pytest.raises(ValueError, match="1 to 4"):
        Quarter(2025, 0)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026", date(2026, 1, 1), date(2026, 12, 31)),
        ("2026-Q4", date(2026, 10, 1), date(2026, 12, 31)),
        ("2024-02", date(2024, 2, 1), date(2024, 2, 29)),
    ],
)
def test_a_period_is_named_as_it_is_read(text: str, first: date, last: date) -> None:
    """A year, quarter or month; other spans by both days."""
    period = Period.parse(text)
    assert (period.first_day, period.last_day, str(period)) == (first, last, text)
    assert str(Period(first, first)) == f"{first}_{first}"


def test_a_period_is_of_legal_days() -> None:
    """It begins and ends at midnight in Almaty, an hour apart from UTC+6 before March 2024."""
    period = Period.parse("2024-Q1")
    assert (period.start, period.end) == (
        datetime(2023, 12, 31, 18, tzinfo=UTC),
        datetime(2024, 3, 31, 19, tzinfo=UTC),
    )


@pytest.mark.parametrize("text", ["2026-13", "2026-00", "2026-Q5", "26", "2026-1", "9999", "٢٠٢٦", "2026-11-01"])
def test_what_is_no_period_is_refused(text: str) -> None:
    """With the forms that are read."""
    with pytest.raises(ValueError, match="2026-Q4"):
        Period.parse(text)
