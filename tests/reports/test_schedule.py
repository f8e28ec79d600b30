"""What is due when: the law before the settings, working days, and how near it is."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Connection

from tarazy.config.law import DistributionReportRule, LawBook, load_law
from tarazy.config.law.calendar import Period, day_start
from tarazy.config.law.rules import DayAfter, WorkingDaysAfter
from tarazy.config.law.working_days import WorkingDays
from tarazy.config.settings import ReportSettings, ScheduledReport
from tarazy.reports.build import gather_report
from tarazy.reports.schedule import Planned, Progress, ScheduleError, Standing, plan, progress, request_of
from tests.reports import world

NOW = datetime(2026, 12, 5, tzinfo=UTC)
LAW = load_law()


def entry(kind: str = "distributed", **values: object) -> ScheduledReport:
    """An entry of the settings."""
    return ScheduledReport.model_validate({"kind": kind, "since": "2026-10-20", **values})


def law(**values: object) -> LawBook:
    """The shipped law with an operator's wording of the form's rule."""
    rules = [rule.model_copy(update=values) if isinstance(rule, DistributionReportRule) else rule for rule in LAW]
    return LawBook(rules)


def test_where_the_law_is_silent_the_settings_say_it() -> None:
    """The shipped rule leaves rhythm and last day open: without settings nothing is planned, and it is told why."""
    with pytest.raises(ScheduleError, match="stands in no rule"):
        list(plan(entry(), LAW, NOW))
    planned = list(plan(entry(every="month", deadline={"month": 1, "day": 15}), LAW, NOW))
    assert [str(each.period) for each in planned] == ["2026-10", "2026-11"]
    assert [each.due and each.due.day for each in planned] == [date(2026, 11, 15), date(2026, 12, 15)]
    assert all(each.rule is None for each in planned)
    assert planned[0].builds_at == day_start(date(2026, 11, 1)) + timedelta(hours=6)
    (first, _) = plan(entry(every="month"), LAW, NOW)
    assert first.due is None


def test_a_kind_that_no_law_speaks_of_is_planned_by_the_settings() -> None:
    """The distribution report, quarter by quarter."""
    with pytest.raises(ScheduleError, match="report rewards"):
        list(plan(entry("rewards"), LAW, NOW))
    (planned,) = plan(entry("rewards", since="2026-07-01", every="quarter"), LAW, NOW)
    assert (str(planned.period), planned.due, planned.rule) == ("2026-Q3", None, None)


def test_a_rule_goes_before_the_settings() -> None:
    """Its rhythm, its last day, its word on days off; and it is named."""
    book = law(frequency="quarter", deadline=DayAfter(month=1, day=15), shift_if_non_working="next_working_day")
    (planned,) = plan(entry(every="month", since="2026-07-01"), book, NOW)
    assert (str(planned.period), planned.due and planned.due.day) == ("2026-Q3", date(2026, 10, 15))
    assert planned.rule is not None
    assert (planned.rule.id, planned.rule.confirmed) == ("distribution-report-2026", False)


@pytest.mark.parametrize(
    ("deadline", "shift", "last"),
    [
        ({"month": 1, "day": 15}, None, date(2026, 11, 15)),
        ({"month": 1, "day": 15}, "none", date(2026, 11, 15)),
        ({"month": 1, "day": 15}, "next_working_day", date(2026, 11, 16)),
        ({"month": 3, "day": 1}, None, date(2027, 1, 1)),
        ({"working_days": 5}, None, date(2026, 11, 6)),
    ],
)
def test_the_last_day_is_counted(deadline: dict[str, int], shift: str | None, last: date) -> None:
    """October 2026 ends on a Saturday; 15 November is a Sunday. In doubt the earlier day counts."""
    assert WorkingDays(LAW).after(date(2026, 10, 31), 5) == date(2026, 11, 6)
    (first, *_) = plan(entry(every="month", deadline=deadline, shift_if_non_working=shift), LAW, NOW)
    assert first.due is not None
    assert first.due.day == last


def test_a_period_is_planned_when_its_last_day_is_over() -> None:
    """By the legal calendar: five hours before midnight of UTC; later where something is to be waited for."""
    ends = datetime(2026, 10, 31, 19, tzinfo=UTC)
    assert list(plan(entry(every="month"), LAW, ends - timedelta(seconds=1))) == []
    (planned,) = plan(entry(every="month"), LAW, ends)
    (later,) = plan(entry(every="month", after_working_days=5), LAW, ends)
    assert planned.builds_at == ends + timedelta(hours=6)
    assert later.builds_at == day_start(date(2026, 11, 6)) + timedelta(hours=6)


def test_how_a_report_stands() -> None:
    """Near from seven days before, overdue the day after; done is done."""
    (planned, _) = plan(entry(every="month", deadline={"month": 1, "day": 15}), LAW, NOW)
    row = Progress(planned, None, None, None, None, None)
    found = [row.standing(date(2026, 11, day)) for day in (7, 8, 15, 16)]
    assert found == [Standing.OPEN, Standing.NEAR, Standing.NEAR, Standing.OVERDUE]
    assert Progress(planned, "x.json", "d", None, None, None).standing(date(2026, 12, 1)) is Standing.DONE


def test_settings_that_make_no_sense_are_refused() -> None:
    """A monthly accreditation report, a kind twice, a deadline of both kinds."""
    for faulty, words in (
        ({"schedule": [{"kind": "accreditation", "since": "2026-01-01", "every": "month"}]}, "is of a quarter"),
        ({"schedule": [{"kind": "quarterly", "since": "2026-01-01", "every": "year"}]}, "is of a quarter"),
        ({"schedule": [{"kind": "sale", "since": "2026-01-01"}] * 2}, "stands there once"),
        ({"schedule": [{"kind": "sale", "since": "2026-01-01", "deadline": {"working_days": 0}}]}, "greater than"),
    ):
        with pytest.raises(ValueError, match=words):
            ReportSettings.model_validate(faulty)
    monthly = law(frequency="month").rule(DistributionReportRule, date(2026, 11, 1)).model_dump()
    rule = {**monthly, "id": "x", "topic": "accreditation_report"}
    shown = {name: rule[name] for name in ("id", "topic", "valid_from", "valid_to", "act", "article", "source")}
    more = {"confirmed": False, "frequency": "month", "deadline": None}
    from tarazy.config.law.topics import parse_rule

    book = LawBook([*LAW, parse_rule({**shown, **more}, assumed=False)])
    with pytest.raises(ScheduleError, match="month is wanted"):
        list(plan(entry("accreditation"), book, NOW))


def test_what_is_built_is_the_same_whenever_it_is_asked(connection: Connection) -> None:
    """The quarter's report speaks of its end, as known on the morning after."""
    now = datetime(2027, 1, 2, tzinfo=UTC)
    rows, faults = progress(connection, [entry("accreditation", every="quarter")], LAW, now)
    assert (len(rows), faults) == (1, [])
    as_of, asked = request_of(connection, rows[0].planned)
    built = gather_report(connection, "accreditation", as_of, world.SETTINGS, world.assumed_law(), now, asked)
    assert (built.period.quarter, built.period.complete) == ("2026-Q4", True)  # type: ignore[union-attr]
    assert as_of == Period.parse("2026-Q4").end
    planned = next(plan(entry(every="month"), LAW, now))
    assert request_of(connection, planned)[0] == planned.builds_at


def test_terms_are_read_as_a_file_states_them() -> None:
    """Both ways of counting."""
    assert entry(deadline={"working_days": 3}).deadline == WorkingDaysAfter(working_days=3)
    assert isinstance(next(iter(plan(entry(every="year", since="2025-01-01"), LAW, NOW))), Planned)
