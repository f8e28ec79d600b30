"""What the parts of gathering share: the moment, the period, and how records are cited."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from tarazy.config.law.calendar import Quarter
from tarazy.reports.content import Period, Records


def period_until(as_of: datetime) -> Period:
    """The legal quarter in which `as_of` lies, up to it; at a quarter's very end, the quarter that ended."""
    quarter = Quarter.of(as_of - datetime.resolution)
    return Period(str(quarter), quarter.start, as_of, complete=as_of == quarter.end)


def numbered(table: str, numbers: Iterable[int]) -> Records:
    """Records cited by their own numbers."""
    ranges: list[tuple[int, int]] = []
    count = 0
    for number in sorted(set(numbers)):
        count += 1
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return Records(table, count, tuple(ranges))
