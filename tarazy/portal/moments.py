"""Of which moment something is asked for, and as it was known when: the parameters of every page that has a past."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from tarazy.accounting.energy.intervals import floor_to
from tarazy.config.law.calendar import Period, Quarter, day_start
from tarazy.portal.guard import Fault
from tarazy.reports.build import SETTLED_SECONDS, ReportError, require_moment

MOMENT = ("as_of", "known_at")
"""Of when something is asked for, and as it was known when: parameters that are instants."""
_FIRST_YEAR, _LAST_YEAR = 1900, 9000
"""Spans before and after such an instant are instants too."""
EARLIEST = date(2015, 1, 1)
"""Of before nothing is told: such a date is a mistake."""


@dataclass(frozen=True, slots=True)
class Told:
    """Up to when something is told, and as it was known when; registers are those of that moment, known likewise."""

    valid_at: datetime
    known_at: datetime

    @property
    def until(self) -> datetime:
        """Up to when the books tell: what is booked is known from then on."""
        return min(self.valid_at, self.known_at)

    def ended(self, seconds: int) -> Told:
        """The same up to the end of the last interval that had ended: of the running one nothing is told."""
        return replace(self, valid_at=floor_to(self.valid_at, seconds))


def told_of(asked: Mapping[str, str], now: datetime) -> Told:
    """The moment that is asked for; what is left out is `now`. Raises `Fault`."""
    told = Told(instant_of(asked, "as_of") or now, instant_of(asked, "known_at") or now)
    for instant in (told.valid_at, told.known_at):
        if not day_start(EARLIEST) <= instant <= now:
            raise Fault(400, "no_such_moment", f"moments from {EARLIEST} up to now are told of")
    return told


def past_of(asked: Mapping[str, str], now: datetime) -> Told | None:
    """The same; None where the present is asked for. Raises `Fault`."""
    return told_of(asked, now) if asked.keys() & set(MOMENT) else None


def instant_of(asked: Mapping[str, str], name: str) -> datetime | None:
    """A parameter that is an instant. Raises `Fault`."""
    if name not in asked:
        return None
    try:
        instant = datetime.fromisoformat(asked[name].replace(" ", "+"))
        if instant.tzinfo is not None and _FIRST_YEAR <= instant.year <= _LAST_YEAR:
            return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Fault(400, "bad_parameter", f"{name} is an instant with its zone, such as 2026-03-03T12:00:00+05:00")


_P = TypeVar("_P", Period, Quarter)


def begun(parse: Callable[[str], _P], text: str, now: datetime) -> _P:
    """The period that a text names; it has begun by `now`. Raises `Fault`."""
    try:
        period = parse(text)
        first_day = period.first_day
    except ValueError as error:
        raise Fault(400, "bad_parameter", str(error)) from None
    if first_day < EARLIEST:
        raise Fault(400, "bad_parameter", f"{period} lies too far away: periods since {EARLIEST} are told of")
    if period.start >= now:
        raise Fault(400, "bad_parameter", f"{period} has not begun then")
    return period


def settled_now() -> datetime:
    """The latest moment that a report may be of."""
    return (datetime.now(UTC) - timedelta(seconds=SETTLED_SECONDS)).replace(microsecond=0)


def report_period(name: str, as_of: datetime) -> Period:
    """The year, quarter or month that a report is asked for; it has begun. Raises `Fault`."""
    try:
        require_moment(as_of, datetime.now(UTC))
    except ReportError as error:
        raise Fault(400, "bad_parameter", str(error)) from None
    return begun(Period.parse, name, as_of)
