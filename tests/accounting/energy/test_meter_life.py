"""A metering point over the years: exchanges, rollovers, gaps, late and corrected readings, to the watt-hour."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, select

from tarazy.accounting.energy.balance import recomputed
from tarazy.accounting.energy.devices import Fitting, fit
from tarazy.accounting.energy.figures import energy_by_meter, site_intervals
from tarazy.accounting.energy.meter import Meter, Reading
from tarazy.accounting.energy.recording import ReadingError, append_readings, correct
from tarazy.accounting.energy.tables import reading
from tests.accounting.energy.support import T0, derive, meter

FOREVER = T0 + timedelta(days=400)
KWH = meter(profile="register-kwh")
"""Whole kilowatt-hours; eight digits."""


def _at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def _read(minutes: float, count: int, name: str = "m1") -> Reading:
    return Reading(name, _at(minutes), count, "ok", source="file")


def _derive(connection: Connection, where: Meter, until: float, recorded: float | None = None) -> list[datetime]:
    return derive(connection, where, 900, _at(until), _at(until if recorded is None else recorded))


def _energies(connection: Connection, known_at: datetime | None = None) -> list[tuple[int, str]]:
    return [(item.energy_wh, item.quality) for item in site_intervals(connection, T0, FOREVER, known_at)]


def _sum(connection: Connection) -> int:
    return sum(item.energy_wh for item in energy_by_meter(connection, T0, FOREVER).values())


def test_transformers_multiply_exactly(sqlite_engine: Engine) -> None:
    """Counts of 1 kWh behind 100/3 and 35/1: thirds of a watt-hour are carried on, never lost."""
    fitting = Fitting("m1", _at(0), "register-kwh", None, Fraction(100, 3), Fraction(35), initial_import=0)
    with sqlite_engine.begin() as connection:
        fit(connection, fitting, "test", _at(60))
        append_readings(connection, [_read(15 * number, number) for number in range(1, 5)], _at(60))
        _derive(connection, KWH, 60)
        # 100/3 · 35 kWh = 1,166,666 2/3 Wh a count
        assert _energies(connection) == [
            (1_166_666, "measured"),
            (1_166_667, "measured"),
            (1_166_667, "measured"),
            (1_166_666, "measured"),
        ]


def test_an_exchange_with_both_counts_loses_nothing(sqlite_engine: Engine) -> None:
    """The old meter ended at 7,005, the new one began at 12 and counts tenths of a watt-hour of another size."""
    with sqlite_engine.begin() as connection:
        append_readings(connection, [_read(0, 7_000), _read(15, 7_003), _read(30, 130), _read(45, 530)], _at(45))
        exchange = Fitting("m1", _at(20), "generic-uint32-100wh", "77", initial_import=12, final_import=7_005)
        fit(connection, exchange, "test", _at(45))
        _derive(connection, KWH, 45)
        assert _energies(connection) == [(3000, "measured"), (2000 + 11_800, "measured"), (40_000, "measured")]


@pytest.mark.parametrize(
    ("final", "initial", "energy"),
    [(None, 12, 11_800), (7_005, None, 2000), (None, None, 0)],
    ids=["no final", "no initial", "neither"],
)
def test_an_exchange_without_a_count_is_missing_not_guessed(
    sqlite_engine: Engine, final: int | None, initial: int | None, energy: int
) -> None:
    """What a device could not show is counted nowhere, and its interval says missing."""
    with sqlite_engine.begin() as connection:
        append_readings(connection, [_read(0, 7_000), _read(15, 7_003), _read(30, 130), _read(45, 530)], _at(45))
        exchange = Fitting("m1", _at(20), "generic-uint32-100wh", initial_import=initial, final_import=final)
        fit(connection, exchange, "test", _at(45))
        _derive(connection, KWH, 45)
        assert _energies(connection)[1] == (energy, "missing")


def test_an_exchange_recorded_late_makes_new_versions(sqlite_engine: Engine) -> None:
    """Until it is known the register seems to go backwards; afterwards the intervals it touches are derived again."""
    with sqlite_engine.begin() as connection:
        readings = [_read(0, 7_000), _read(15, 7_003), _read(30, 7), _read(45, 9), _read(60, 10)]
        append_readings(connection, readings, _at(60))
        _derive(connection, KWH, 60, 61)
        assert _energies(connection)[1] == (0, "missing")
        fit(connection, Fitting("m1", _at(20), "register-kwh", initial_import=6, final_import=7_004), "test", _at(70))
        assert _derive(connection, KWH, 60, 70) == [_at(15)]
        assert _energies(connection)[1] == (2000, "measured")
        assert _energies(connection, _at(65))[1] == (0, "missing")


def test_a_correction_names_the_old_reading_and_both_are_known(engine: Engine) -> None:
    """A wrong count is replaced by another row; its neighbours' intervals get a new version, the others do not."""
    with engine.begin() as connection:
        append_readings(connection, [_read(15 * number, 10 * number) for number in range(9)], _at(120))
        _derive(connection, KWH, 120, 120)
        correct(connection, Reading("m1", _at(60), None, "ok", source="hand"), 45, _at(130))
        assert _derive(connection, KWH, 120, 130) == [_at(45), _at(60)]
        assert [energy for energy, _ in _energies(connection)] == [10_000] * 3 + [15_000, 5000] + [10_000] * 3
        assert [energy for energy, _ in _energies(connection, _at(125))] == [10_000] * 8
        old = connection.scalar(select(reading.c.reading).where(reading.c.register_count == 40))
        assert connection.scalar(select(reading.c.register_count).where(reading.c.corrects == old)) == 45
        assert recomputed(connection, KWH, 900, _at(125)) == []
        assert recomputed(connection, KWH, 900) == []


def test_a_reading_taken_away_and_put_back(sqlite_engine: Engine) -> None:
    """Withdrawn, the step passes over it; corrected once more, it counts again."""
    at = Reading("m1", _at(15), None, "ok", source="hand")
    with sqlite_engine.begin() as connection:
        append_readings(connection, [_read(0, 0), _read(15, 9), _read(30, 20)], _at(30))
        correct(connection, at, None, _at(31))
        _derive(connection, KWH, 30, 31)
        assert _energies(connection) == [(10_000, "estimated")] * 2
        correct(connection, at, 12, _at(32))
        _derive(connection, KWH, 30, 32)
        assert _energies(connection) == [(12_000, "measured"), (8000, "measured")]
        with pytest.raises(ReadingError, match="12 is what is recorded"):
            correct(connection, at, 12, _at(33))
        with pytest.raises(ReadingError, match="has no reading of import at"):
            correct(connection, Reading("m1", _at(16), None, "ok"), 5, _at(33))


def test_days_without_load_are_measured_zeros(sqlite_engine: Engine) -> None:
    """A site at rest is no fault: the register stands, and each interval says zero, measured."""
    with sqlite_engine.begin() as connection:
        append_readings(connection, [_read(15 * number, 5) for number in range(97)], _at(1440))
        _derive(connection, KWH, 1440)
        assert _energies(connection) == [(0, "measured")] * 96


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"ct_ratio": Fraction(0)}, "such as 400/5"),
        ({"vt_ratio": Fraction(10**7)}, "such as 400/5"),
        ({"initial_import": 10**8}, "runs from 0 to 99999999"),
        ({"final_import": -1}, "runs from 0"),
        ({"since": FOREVER}, "lies in the future"),
    ],
)
def test_a_device_that_cannot_be_is_refused(sqlite_engine: Engine, fault: dict[str, object], words: str) -> None:
    """Each fault is one line."""
    told: dict[str, object] = {"meter": "m1", "since": _at(0), "profile": "register-kwh", **fault}
    with sqlite_engine.begin() as connection, pytest.raises(ValueError, match=words):
        fit(connection, Fitting(**told), "test", _at(1))  # type: ignore[arg-type]


_EVENT = st.sampled_from(["read", "read", "read", "gap", "late", "wrong", "outlier", "exchange", "settle"])


@given(st.integers(0, 2**32), st.lists(_EVENT, min_size=3, max_size=40))
@settings(max_examples=25)
def _life(engine: Engine, seed: int, events: list[str]) -> None:
    with engine.connect() as connection, connection.begin() as transaction:
        _lived(connection, random.Random(seed), events)
        transaction.rollback()


def test_whatever_happens_energy_is_what_went_through_the_meter(sqlite_engine: Engine) -> None:
    """Σ intervals = what flowed, to the watt-hour, however often it was settled in between.

    Readings, gaps, readings that come late, wrong counts corrected later, single nonsense, exchanges to a device with
    another scale and transformers of thirds, rollovers of a register of eight digits.
    """
    _life(sqlite_engine)


class _Register:
    """The true register of the device that stands there."""

    def __init__(self, random: random.Random, since: datetime, ratio: Fraction) -> None:
        self.since, self.scale = since, 1000 * ratio
        self.count = random.choice([0, 99_999_990])

    def flow(self, counts: int) -> Fraction:
        self.count = (self.count + counts) % 100_000_000
        return counts * self.scale


def _lived(connection: Connection, chance: random.Random, events: list[str]) -> None:
    register = _Register(chance, T0, Fraction(1))
    minutes, flowed, late = 0, Fraction(0), []
    wrong: list[tuple[float, int]] = []
    append_readings(connection, [_read(0, register.count)], _at(0))
    for event in [*events, "read", "read"]:
        minutes += chance.choice([5, 10, 15])
        flowed += register.flow(chance.randrange(4))
        if event == "late":
            late.append(_read(minutes, register.count))
        elif event == "wrong":
            append_readings(connection, [_read(minutes, (register.count + 1) % 10**8)], _at(minutes))
            wrong.append((minutes, register.count))
        elif event == "outlier":
            nonsense = (register.count + chance.randrange(10**7, 9 * 10**7)) % 10**8
            append_readings(connection, [_read(minutes, nonsense), _read(minutes + 1, register.count)], _at(minutes))
        elif event == "exchange":
            final, ratio = register.count, Fraction(chance.choice([1, 5, 7]), 3)
            register = _Register(chance, _at(minutes), ratio)
            fitting = Fitting("m1", _at(minutes), "register-kwh", None, ratio)
            counts = {"initial_import": register.count, "final_import": final}
            fit(connection, Fitting(**{**fitting.__dict__, **counts}), "test", _at(minutes))
        elif event == "settle":
            _derive(connection, KWH, minutes)
        elif event == "read":
            append_readings(connection, [_read(minutes, register.count)], _at(minutes))
    append_readings(connection, late, _at(minutes))
    for at, count in wrong:
        correct(connection, Reading("m1", _at(at), None, "ok", source="hand"), count, _at(minutes))
    _derive(connection, KWH, minutes - minutes % 15 + 15, minutes + 15)
    assert _sum(connection) == int(flowed)
    assert recomputed(connection, KWH, 900) == []
