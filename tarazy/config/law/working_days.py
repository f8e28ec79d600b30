"""Working days of Kazakhstan: Monday to Friday without public holidays, and days off that the government moved.

Public holidays come from the library `holidays`, which knows the days moved up to some year. Those of
later years are rules of the topic `moved_days_off`, which an operator enters; what a rule says of a day goes
before the library.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from tarazy.config.law.rules import Rule

if TYPE_CHECKING:
    from holidays.countries.kazakhstan import Kazakhstan

_ESTIMATED = "(estimated)"
_DAY = timedelta(days=1)


class MovedDaysOffRule(Rule):
    """Days off that were moved in a span of days, usually a year: the decree of that year."""

    topic: Literal["moved_days_off"]
    valid_to: date
    days_off: tuple[date, ...]
    """Days between Monday and Friday that nobody works on, beside the public holidays."""
    working_days: tuple[date, ...]
    """Saturdays, Sundays and holidays that are worked on instead."""

    @model_validator(mode="after")
    def _within(self) -> MovedDaysOffRule:
        for day in (*self.days_off, *self.working_days):
            if not self.in_force(day):
                raise ValueError(f"{day} lies outside valid_from and valid_to")
        if both := set(self.days_off) & set(self.working_days):
            raise ValueError(f"{min(both)} stands both in days_off and in working_days")
        return self


class Doubt(StrEnum):
    """Why a count of working days may have to be made anew."""

    ESTIMATED_HOLIDAY = "estimated_holiday"
    """A holiday by the moon lies in it whose day was only computed."""
    MOVED_DAYS_UNKNOWN = "moved_days_unknown"
    """No rule of the topic `moved_days_off` covers it."""


@cache
def _public_holidays() -> Kazakhstan:
    from holidays.countries.kazakhstan import Kazakhstan  # takes long, and few commands count days

    return Kazakhstan(language="en_US")


@cache
def _moved_known_to() -> int:
    """The last year of which the library knows the days off that were moved."""
    from holidays.countries.kazakhstan import KazakhstanStaticHolidays

    return max(KazakhstanStaticHolidays.special_public_holidays)


class WorkingDays:
    """Which days are worked on, and counting in them."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        """Of `rules` those on moved days off count; the others are passed over."""
        self._moved = [rule for rule in rules if isinstance(rule, MovedDaysOffRule)]
        self._off = frozenset(day for rule in self._moved for day in rule.days_off)
        self._on = frozenset(day for rule in self._moved for day in rule.working_days)

    def is_working(self, day: date) -> bool:
        """Whether `day` is worked on."""
        if day in self._on or day in self._off:
            return day in self._on
        return bool(_public_holidays().is_working_day(day))

    def on_or_after(self, day: date) -> date:
        """`day` where it is worked on, else the next working day."""
        while not self.is_working(day):
            day += _DAY
        return day

    def after(self, day: date, count: int) -> date:
        """The `count`-th working day after `day`, which is not counted itself; `day` for 0."""
        return self._walk(day, count, _DAY)

    def before(self, day: date, count: int) -> date:
        """The `count`-th working day before `day`, which is not counted itself; `day` for 0."""
        return self._walk(day, count, -_DAY)

    def _walk(self, day: date, count: int, step: timedelta) -> date:
        for _ in range(count):
            day += step
            while not self.is_working(day):
                day += step
        return day

    def between(self, first: date, last: date) -> int:
        """How many working days lie after `first` up to and with `last`; negative where `last` is the earlier."""
        if last < first:
            return -self.between(last, first)
        return sum(self.is_working(first + (number + 1) * _DAY) for number in range((last - first).days))

    def doubts(self, first: date, last: date) -> frozenset[Doubt]:
        """Why a count over the days from `first` to `last` may be wrong."""
        days = [first + number * _DAY for number in range((last - first).days + 1)]
        found = set()
        if any(_ESTIMATED in _public_holidays().get(day, "") for day in days if day not in self._off | self._on):
            found.add(Doubt.ESTIMATED_HOLIDAY)
        if any(day.year > _moved_known_to() and not any(rule.in_force(day) for rule in self._moved) for day in days):
            found.add(Doubt.MOVED_DAYS_UNKNOWN)
        return frozenset(found)
