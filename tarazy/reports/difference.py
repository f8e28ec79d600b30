"""What differs between two documents of one kind: the figures by their place, before and after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_IDENTITIES = (
    ("site", "meter", "ground"),
    ("what", "reference"),
    ("register", "key"),
    ("entry", "account"),
    ("number",),
    ("party",),
    ("distribution",),
    ("batch",),
    ("round",),
    ("entry",),
    ("account",),
    ("id",),
    ("site",),
    ("meter",),
    ("code",),
    ("since",),
    ("server",),
    ("block_hash",),
    ("reason",),
    ("table",),
    ("base",),
    ("heading",),
    ("digest",),
)
"""What tells the rows of a list apart: the first of these that all rows have and that names each of them once."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that differs; None where one document does not have it."""

    place: str
    """For example `fee.fees[altyn].amount_kzt`."""
    before: Any
    after: Any


def differences(before: Any, after: Any, place: str = "") -> Iterator[Difference]:
    """The values that differ between two documents as read from JSON, in the order of the first."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            yield from differences(before.get(name), after.get(name), f"{place}.{name}" if place else name)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _rows(before, after, place)
    elif before != after or type(before) is not type(after):
        yield Difference(place, before, after)


def _rows(before: Sequence[Any], after: Sequence[Any], place: str) -> Iterator[Difference]:
    """Rows are compared with the row of the same identity; without one, with that at the same place."""
    identity = next((each for each in _IDENTITIES if _tells_apart(before, each) and _tells_apart(after, each)), None)
    if identity is None:
        for number in range(max(len(before), len(after))):
            old = before[number] if number < len(before) else None
            new = after[number] if number < len(after) else None
            yield from differences(old, new, f"{place}[{number}]")
        return
    olds = {_key(row, identity): row for row in before}
    news = {_key(row, identity): row for row in after}
    for key in [*olds, *(key for key in news if key not in olds)]:
        yield from differences(olds.get(key), news.get(key), f"{place}[{key}]")


def _tells_apart(rows: Sequence[Any], identity: Sequence[str]) -> bool:
    if not all(
        isinstance(row, dict) and all(isinstance(row.get(name), str | int) for name in identity) for row in rows
    ):
        return False
    return len({_key(row, identity) for row in rows}) == len(rows)


def _key(row: dict[str, Any], identity: Sequence[str]) -> str:
    return " ".join(str(row[name]) for name in identity)
