"""How commands tell people an instant: in Almaty's time, with its offset. What they print as JSON has UTC."""

from __future__ import annotations

from datetime import datetime

from tarazy.config.law.calendar import ALMATY

_OFFSET = "+05:00"
"""Of Almaty since March 2024."""


def told(instant: datetime) -> str:
    """An instant to the second, such as `2026-11-28 06:07:54+05:00`."""
    return instant.astimezone(ALMATY).isoformat(" ", "seconds")


def heading(name: str) -> str:
    """The heading of a column of instants, with the offset that they share."""
    return f"{name} ({_OFFSET})"


def cell(instant: datetime | None) -> str:
    """An instant under such a heading, nothing for none; one of another offset, from before March 2024, has its own."""
    return "" if instant is None else told(instant).removesuffix(_OFFSET)


def plain(value: object) -> str:
    """Any value on a line of its own, nothing for none."""
    if isinstance(value, datetime):
        return told(value)
    return "" if value is None else str(value)
