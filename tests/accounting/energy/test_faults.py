"""What is wrong with a meter is named, with its figures, and what is not wrong is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine

from tarazy.accounting.energy.faults import Fault, meter_faults
from tarazy.accounting.energy.meter import Reading, Status
from tarazy.accounting.energy.readings import append_readings
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
        ([], True, None, {}),
    ],
    ids=["moves", "rests", "no answer", "stuck", "exception", "refused", "backwards", "wrong scale", "never asked"],
)
def test_each_fault_has_its_name(
    sqlite_engine: Engine,
    readings: list[tuple[int, int | None, Status]],
    working: bool,
    kind: str | None,
    evidence: dict[str, int | str],
) -> None:
    """A day without load is none; a register that stands while the machines work is one."""
    where = meter()
    with sqlite_engine.begin() as connection:
        rows = [Reading("m1", T0 + timedelta(minutes=minutes), *answer) for minutes, *answer in readings]  # type: ignore[arg-type]
        append_readings(connection, rows, NOW)
        found = meter_faults(connection, [where], T0, NOW, 900, {(where.site, None)} if working else ())
    assert [fault.kind for fault in found] == ([kind] if kind else [])
    for fault in found:
        assert fault.evidence.items() >= evidence.items()


def test_a_submeter_may_stand_still_while_others_work(sqlite_engine: Engine) -> None:
    """Only work of its own party contradicts it."""
    where = replace(meter(), party="idle")
    with sqlite_engine.begin() as connection:
        append_readings(connection, [Reading("m1", T0 + timedelta(hours=hour), 5, "ok") for hour in range(3)], NOW)
        working = {(where.site, None), (where.site, "busy")}
        assert meter_faults(connection, [where], T0, T0 + timedelta(hours=2), 900, working) == []
        working |= {(where.site, "idle")}
        (fault,) = meter_faults(connection, [where], T0, T0 + timedelta(hours=2), 900, working)
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
        return meter_faults(connection, [meter(profile=profile)], T0, much_later, 900, ())
