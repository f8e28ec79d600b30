"""What is wrong with a meter is named, with its figures, and what is not wrong is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import pytest
from sqlalchemy import Connection, Engine, event

from tarazy.accounting.energy.devices import Fitting, fit
from tarazy.accounting.energy.faults import Fault, FaultWatch
from tarazy.accounting.energy.meter import Meter, Reading, Status
from tarazy.accounting.energy.recording import append_readings, correct
from tarazy.database.engine import reader
from tests.accounting.energy.support import T0, meter

NOW = T0 + timedelta(hours=2)
MOVES = [(minutes, minutes * 10, "ok") for minutes in range(0, 121, 5)]
STANDS = [(minutes, 7, "ok") for minutes in range(0, 121, 5)]


def _iso(minutes: int) -> str:
    return (T0 + timedelta(minutes=minutes)).isoformat()


@pytest.mark.parametrize(
    ("readings", "working", "kind", "evidence"),
    [
        (MOVES, True, None, {}),
        (STANDS, False, None, {}),
        (STANDS[:6], True, "silent", {"status": "silent", "since": _iso(25)}),
        (STANDS, True, "stuck", {"since": _iso(0)}),
        ([*MOVES[:10], (60, None, "exception")], True, "silent", {"status": "exception", "since": _iso(45)}),
        ([(5, None, "refused")], True, "silent", {"status": "refused", "since": "-"}),
        ([*MOVES[:9], (42, 3, "ok"), *MOVES[9:]], True, "register", {"what": "backwards", "after": _iso(42)}),
        ([*MOVES[:9], (42, 10**12, "ok"), *MOVES[9:]], True, "register", {"what": "too_fast", "count": 1}),
        ([], True, "silent", {"status": "silent", "since": "-"}),
    ],
    ids=["moves", "rests", "no answer", "stuck", "exception", "refused", "backwards", "wrong scale", "never heard"],
)
def test_each_fault_has_its_name(
    sqlite_engine: Engine,
    readings: list[tuple[int, int | None, Status]],
    working: bool,
    kind: str | None,
    evidence: dict[str, int | str],
) -> None:
    """A day without load is none; a register that stands while the machines work is one, and one never heard of."""
    where = replace(meter(), since=T0)
    with sqlite_engine.begin() as connection:
        rows = [Reading("m1", T0 + timedelta(minutes=minutes), *answer) for minutes, *answer in readings]  # type: ignore[arg-type]
        append_readings(connection, rows, NOW)
        found = FaultWatch().look(connection, [where], T0, NOW, 900, {(where.site, None)} if working else ())
    assert [fault.kind for fault in found] == ([kind] if kind else [])
    for fault in found:
        assert fault.evidence.items() >= evidence.items()


def test_a_submeter_may_stand_still_while_others_work(sqlite_engine: Engine) -> None:
    """Only work of its own party contradicts it."""
    where = replace(meter(), party="idle")
    with sqlite_engine.begin() as connection:
        append_readings(connection, [Reading("m1", T0 + timedelta(hours=hour), 5, "ok") for hour in range(3)], NOW)
        working = {(where.site, None), (where.site, "busy")}
        assert FaultWatch().look(connection, [where], T0, T0 + timedelta(hours=2), 900, working) == []
        working |= {(where.site, "idle")}
        (fault,) = FaultWatch().look(connection, [where], T0, T0 + timedelta(hours=2), 900, working)
    assert fault.kind == "stuck"


def test_a_meter_that_the_pool_does_not_read_is_never_silent(sqlite_engine: Engine) -> None:
    """Its readings come in files, as late as they come."""
    found = _found(sqlite_engine, "register-kwh")
    assert [fault.kind for fault in found] == []
    assert [fault.kind for fault in _found(sqlite_engine, "tarazy-demo")] == ["silent"]


def _found(engine: Engine, profile: str) -> list[Fault]:
    much_later: datetime = NOW + timedelta(days=9)
    with engine.begin() as connection:
        append_readings(connection, [Reading("m1", T0, 5, "ok", source="file")], NOW)
        return FaultWatch().look(connection, [meter(profile=profile)], T0, much_later, 900, ())


@pytest.mark.parametrize("luck", range(6))
def test_a_watch_that_goes_on_tells_what_a_new_one_tells(engine: Engine, luck: int) -> None:
    """Over late, wrong, failed, withdrawn and corrected readings, exchanges, and looks that are cut short."""
    random = Random(luck)
    meters = [meter("m1"), meter("m2", "site-2"), replace(meter("m3"), pushed=True, profile="register-kwh")]
    watch, now, told = FaultWatch(), T0, 0
    counts = dict.fromkeys((each.meter for each in meters), 1000)
    for _ in range(60):
        now += timedelta(minutes=random.choice((1, 5, 5, 40)))
        with engine.begin() as connection:
            for each in meters:
                _happen(connection, random, each, counts, now)
        since, working = now - timedelta(hours=3), {("site-1", None)} if random.random() < 0.7 else set()
        if random.random() < 0.1:
            with reader(engine).begin() as connection:
                _cut_after(connection, random.randrange(4))
                with pytest.raises(ConnectionError):
                    watch.look(connection, meters, since, now, 900, working)
        with reader(engine).begin() as connection:
            found = watch.look(connection, meters, since, now, 900, working)
            assert found == FaultWatch().look(connection, meters, since, now, 900, working)
        told += len(found)
    assert told > 30


def _happen(connection: Connection, random: Random, where: Meter, counts: dict[str, int], now: datetime) -> None:
    """What comes of a meter at a moment: mostly a reading, now and then something else."""
    key, what = where.meter, random.random()
    if what < 0.15:
        return
    counts[key] += random.choice((0, 0, 0, 1, 2))
    item = Reading(key, now, counts[key], "ok")
    if what < 0.25:
        item = replace(
            item, register_count=None, status=random.choice(("silent", "exception", "garbage", "impossible"))
        )
    elif what < 0.3:
        item = replace(item, register_count=random.choice((0, 10**7)))
    elif what < 0.35:
        item = replace(item, at=now - timedelta(seconds=random.randrange(1, 9000)), source="file")
    elif what < 0.4:
        item = replace(item, quantity="export", register_count=5)
    elif what < 0.43:
        fit(connection, Fitting(key, now, where.profile, initial_import=counts[key]), "test", now)
        return
    append_readings(connection, [item], now)
    if what > 0.95:
        correct(connection, item, random.choice((None, counts[key] + 1)), now)


def _cut_after(connection: Connection, statements: int) -> None:
    """Let the database go away after so many statements."""
    left = iter(range(statements))

    @event.listens_for(connection, "before_cursor_execute")
    def fail(*_: object) -> None:
        if next(left, None) is None:
            raise ConnectionError
