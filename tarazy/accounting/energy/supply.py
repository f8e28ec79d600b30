"""Which supply gave a site's watt-hours, and how parts are laid on other parts without losing one. Pure integers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

UNCOVERED = ""
"""The supply of what no other covers."""


@dataclass(frozen=True)
class Limit:
    """What a supply may give in a calendar month; None is without a limit."""

    supply: str
    priority: int
    month_wh: int | None


def draw(energy_wh: int, limits: Iterable[Limit], drawn: Mapping[str, int]) -> dict[str, int]:
    """Watt-hours by supply of `energy_wh` more, after `drawn` was drawn earlier in the month.

    Each supply gives what it has left, the one of the lowest priority first, among equals by key; so whatever comes
    first in the month is the first one's. What remains is `UNCOVERED`. The parts add up to `energy_wh`.
    """
    if energy_wh < 0:
        raise ValueError("energy is not negative")
    parts: dict[str, int] = {}
    for limit in sorted(limits, key=lambda each: (each.priority, each.supply)):
        left = energy_wh if limit.month_wh is None else max(limit.month_wh - drawn.get(limit.supply, 0), 0)
        part = min(energy_wh, left)
        energy_wh -= part
        if part:
            parts[limit.supply] = part
    return parts | ({UNCOVERED: energy_wh} if energy_wh else {})


def spread(rows: Sequence[int], columns: Sequence[int]) -> list[list[int]]:
    """A table of whole parts: each row adds up to its figure in `rows`, no column exceeds its figure in `columns`.

    Each row takes of what earlier ones left, in proportion. Where all rows add up to all columns, so does each column.
    Raises ValueError when the rows need more than the columns have.
    """
    left = list(columns)
    table: list[list[int]] = []
    for row in rows:
        total = sum(left)
        if not 0 <= row <= total:
            raise ValueError(f"{row} of {total} cannot be taken")
        parts: list[int] = []
        before = passed = 0
        for weight in left:
            passed += weight
            share = row * passed // total if total else 0
            parts.append(share - before)
            before = share
        left = [had - part for had, part in zip(left, parts, strict=True)]
        table.append(parts)
    return table
