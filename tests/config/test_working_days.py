"""Working days of Kazakhstan, against a calendar written out by hand and a day-by-day count."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarazy.config.law import LawError, load_law
from tarazy.config.law.working_days import Doubt, WorkingDays

OFF_2025 = {
    *(date(2025, 1, day) for day in (1, 2, 3, 7)),
    date(2025, 3, 10),
    *(date(2025, 3, day) for day in (21, 24, 25)),
    date(2025, 5, 1),
    date(2025, 5, 7),
    date(2025, 5, 9),
    date(2025, 6, 6),
    date(2025, 7, 7),
    date(2025, 9, 1),
    date(2025, 10, 27),
    date(2025, 12, 16),
}
"""Days off of 2025 between Monday and Friday: holidays, those moved off a weekend, 3 January for 5 January."""
WORKED_2025 = {date(2025, 1, 5)}

MOVED = """
- id: moved-2026
  topic: moved_days_off
  valid_from: 2026-01-01
  valid_to: 2026-12-31
  act: "A decree invented for a test"
  article: null
  source: ["invented"]
  confirmed: no
  days_off: [2026-03-16]
  working_days: [2026-03-14, 2026-05-27]
"""

days_2025 = st.dates(date(2025, 1, 1), date(2025, 11, 15))


def by_hand(day: date) -> bool:
    """Whether a day of 2025 is worked on."""
    return day in WORKED_2025 or (day.weekday() < 5 and day not in OFF_2025)


def test_the_whole_of_2025() -> None:
    """Every single day."""
    days = WorkingDays()
    year = [date(2025, 1, 1) + timedelta(number) for number in range(365)]
    assert [day for day in year if days.is_working(day) is not by_hand(day)] == []


@given(days_2025, st.integers(0, 25))
def test_counting_is_a_walk_day_by_day(start: date, count: int) -> None:
    """The n-th working day after a day is the first by which n were worked; counting back returns."""
    found = WorkingDays().after(start, count)
    walk, left = start, count
    while left:
        walk += timedelta(1)
        left -= by_hand(walk)
    assert found == walk
    assert WorkingDays().between(start, found) == count
    assert WorkingDays().between(found, start) == -count
    if by_hand(start):
        assert WorkingDays().before(found, count) == start


@given(st.dates(date(2025, 2, 15), date(2025, 12, 31)), st.integers(0, 25))
def test_counting_back_is_a_walk_day_by_day(end: date, count: int) -> None:
    """The n-th working day before a day."""
    walk, left = end, count
    while left:
        walk -= timedelta(1)
        left -= by_hand(walk)
    assert WorkingDays().before(end, count) == walk


@given(days_2025)
def test_on_or_after_is_the_nearest(day: date) -> None:
    """A working day is itself."""
    walk = day
    while not by_hand(walk):
        walk += timedelta(1)
    assert WorkingDays().on_or_after(day) == walk


def test_an_operators_days_go_before_the_library(tmp_path: Path) -> None:
    """A decree is data: a Monday off, a Saturday and even a holiday worked on."""
    (tmp_path / "moved.yaml").write_text(MOVED)
    plain, moved = WorkingDays(load_law()), WorkingDays(load_law(directory=tmp_path))
    for day in (date(2026, 3, 16), date(2026, 3, 14), date(2026, 5, 27)):
        assert moved.is_working(day) is not plain.is_working(day)
    assert moved.after(date(2026, 3, 13), 1) == date(2026, 3, 14)
    assert moved.after(date(2026, 3, 13), 2) == date(2026, 3, 17)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("[2026-03-16]", "[2027-03-16]", "2027-03-16 lies outside"),
        ("[2026-03-16]", "[2026-03-14]", "stands both"),
        ("valid_to: 2026-12-31", "valid_to: null", "valid_to"),
    ],
)
def test_a_faulty_decree_is_told(tmp_path: Path, old: str, new: str, fault: str) -> None:
    """File, rule and fault."""
    (tmp_path / "moved.yaml").write_text(MOVED.replace(old, new))
    with pytest.raises(LawError, match=fault):
        load_law(directory=tmp_path)


def test_what_is_not_known_is_told(tmp_path: Path) -> None:
    """A holiday by the moon, and a year whose moved days nobody entered; a rule takes the doubt away."""
    assert WorkingDays().doubts(date(2025, 1, 1), date(2025, 12, 31)) == frozenset()
    assert WorkingDays().doubts(date(2026, 3, 2), date(2026, 3, 9)) == {Doubt.MOVED_DAYS_UNKNOWN}
    assert WorkingDays().doubts(date(2026, 5, 25), date(2026, 5, 29)) == set(Doubt)
    (tmp_path / "moved.yaml").write_text(MOVED)
    known = WorkingDays(load_law(directory=tmp_path))
    assert known.doubts(date(2026, 3, 2), date(2026, 3, 9)) == frozenset()
    assert known.doubts(date(2026, 5, 25), date(2026, 5, 29)) == frozenset(), "27 May was decided on"
    assert known.doubts(date(2026, 12, 30), date(2027, 1, 4)) == {Doubt.MOVED_DAYS_UNKNOWN}
