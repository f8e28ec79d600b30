"""The best machine of a day: dated, never worse than one that came before, below its nameplate."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tarazy.accounting.energy.best_machine import best_machine


@pytest.mark.parametrize(
    ("day", "machine", "least"),
    [
        (date(2023, 9, 21), "Antminer S19 XP Hyd", 18_200),
        (date(2023, 9, 22), "Antminer S21 Hyd", 12_000),
        (date(2025, 4, 30), "Antminer S21 Hyd", 12_000),
        (date(2025, 5, 1), "Antminer S23 Hyd", 8_500),
        (date(2026, 11, 26), "Antminer S23 Hyd", 8_500),
    ],
)
def test_the_machine_of_a_day(day: date, machine: str, least: int) -> None:
    """From the day on which it could exist, not before; nothing shipped is confirmed by a maker's sheet."""
    best = best_machine(day)
    assert (best.machine, best.mj_per_th, best.confirmed) == (machine, least, False)
    assert best.since is not None
    assert best.since <= day
    assert best.source


def test_a_floor_never_rises_again() -> None:
    """What could be had once can be had later."""
    days = [date(2022, 1, 1) + timedelta(days=30 * n) for n in range(80)]
    floors = [best_machine(day).mj_per_th for day in days]
    assert floors == sorted(floors, reverse=True)


def test_the_setting_holds_for_every_day() -> None:
    """And says that it is one."""
    best = best_machine(date(2022, 1, 1), 7_000)
    assert (best.mj_per_th, best.since, best.source) == (7_000, None, "setting best_machine_mj_per_th")
