"""The legal calendar: days and quarters of Kazakhstan (Asia/Almaty) and the instants at which they begin.

The zone moved from UTC+6 to UTC+5 on 2024-03-01: the first quarter of 2024 is an hour longer than its days.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

ALMATY = ZoneInfo("Asia/Almaty")
"""The zone of legal days, quarters and hours (invariant 9)."""


def legal_day(instant: datetime) -> date:
    """The Kazakhstan calendar day on which `instant` (aware) falls."""
    if instant.tzinfo is None:
        raise ValueError("naive datetime: instants carry a time zone")
    return instant.astimezone(ALMATY).date()


def day_start(day: date) -> datetime:
    """The UTC instant at which the Kazakhstan calendar day `day` begins."""
    return datetime.combine(day, time(), ALMATY).astimezone(UTC)


@dataclass(frozen=True, order=True)
class Quarter:
    """A tax quarter: year and number from 1 to 4."""

    year: int
    number: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= 4:
            raise ValueError("a quarter has a number from 1 to 4")

    @classmethod
    def parse(cls, text: str) -> Quarter:
        """Read `2025-Q3`; raises `ValueError` with the expected form."""
        match = re.fullmatch(r"(\d{4})-?[Qq]([1-4])", text)
        if match is None:
            raise ValueError(f"{text!r} is not a quarter; write it like 2025-Q3")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of(cls, instant: datetime) -> Quarter:
        """The quarter in which `instant` falls by the legal calendar."""
        day = legal_day(instant)
        return cls(day.year, (day.month + 2) // 3)

    def __str__(self) -> str:
        return f"{self.year}-Q{self.number}"

    def next(self) -> Quarter:
        """The quarter after this one."""
        return Quarter(self.year, self.number + 1) if self.number < 4 else Quarter(self.year + 1, 1)

    @property
    def first_day(self) -> date:
        """First calendar day."""
        return date(self.year, 3 * self.number - 2, 1)

    @property
    def last_day(self) -> date:
        """Last calendar day."""
        return self.next().first_day - timedelta(days=1)

    @property
    def start(self) -> datetime:
        """UTC instant at which the quarter begins."""
        return day_start(self.first_day)

    @property
    def end(self) -> datetime:
        """UTC instant at which the quarter has ended: the start of the next."""
        return day_start(self.next().first_day)

    def day_after(self, month: int, day: int) -> date:
        """Day `day` of the `month`-th month after the quarter (1 is the first month after it)."""
        return Period(self.first_day, self.last_day).day_after(month, day)


@dataclass(frozen=True, order=True)
class Period:
    """Whole legal days from `first_day` to `last_day`, both included."""

    first_day: date
    last_day: date

    def __post_init__(self) -> None:
        if self.last_day < self.first_day:
            raise ValueError(f"the period ends on {self.last_day}, before it begins on {self.first_day}")

    @classmethod
    def parse(cls, text: str) -> Period:
        """Read a year, a quarter or a month: `2026`, `2026-Q4`, `2026-11`; raises `ValueError` with these forms."""
        match = re.fullmatch(r"(\d{4})(?:-(?:[Qq]([1-4])|(0[1-9]|1[0-2])))?", text, re.ASCII)
        if match is None or not 1900 <= int(match[1]) < 2200:
            raise ValueError(f"{text!r} is no period; write a year, quarter or month like 2026, 2026-Q4 or 2026-11")
        year, first, months = int(match[1]), 1, 12
        if match[2]:
            first, months = 3 * int(match[2]) - 2, 3
        elif match[3]:
            first, months = int(match[3]), 1
        after = year * 12 + first - 1 + months
        return cls(date(year, first, 1), date(after // 12, after % 12 + 1, 1) - timedelta(days=1))

    def __str__(self) -> str:
        """The year, quarter or month that it is, else both days."""
        names = f"{self.first_day:%Y}", str(Quarter.of(self.start)), f"{self.first_day:%Y-%m}"
        return next((name for name in names if Period.parse(name) == self), f"{self.first_day}_{self.last_day}")

    @property
    def is_year(self) -> bool:
        """Whether it is a whole calendar year."""
        return self == Period.parse(f"{self.first_day:%Y}")

    @property
    def is_month(self) -> bool:
        """Whether it is a whole calendar month."""
        return self == Period.parse(f"{self.first_day:%Y-%m}")

    @property
    def start(self) -> datetime:
        """UTC instant at which it begins."""
        return day_start(self.first_day)

    @property
    def end(self) -> datetime:
        """UTC instant at which it has ended."""
        return day_start(self.last_day + timedelta(days=1))

    def day_after(self, month: int, day: int) -> date:
        """Day `day` of the `month`-th month after that of its last day (1 is the first month after it)."""
        months = self.last_day.year * 12 + self.last_day.month - 1 + month
        return date(months // 12, months % 12 + 1, day)
