"""Every fault in a real conversation with a meter leaves a named finding, unless it is no fault, and exact energy.

Wire, reading, database, settling and findings are those of the server; the clock is the test's.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pymodbus.constants import ExcCodes
from sqlalchemy import Engine, select

from tarazy.accounting.energy.balance import recomputed, settle
from tarazy.accounting.energy.faults import FaultWatch
from tarazy.accounting.energy.figures import energy_by_party, meter_intervals
from tarazy.accounting.energy.meter import Meter as MeterPoint
from tarazy.accounting.energy.meter import Reading
from tarazy.accounting.energy.modbus import ModbusMeter
from tarazy.accounting.energy.profiles import load_modbus_profile
from tarazy.accounting.energy.tables import waiting
from tarazy.accreditation.entries import EnergySource, Finding, Meter, MeterStatus, ReadBy, Site
from tarazy.accreditation.findings import Patience, Watch, record
from tarazy.accreditation.registers import append_all, as_of
from tarazy.pool.metered import meters_of, take_readings
from tarazy.reports.reconciled import of_meter
from tests.accounting.energy.broker import Broker, Heard, hearing, publish, running_broker, told
from tests.accounting.energy.support import PROFILE, SILENCE, T0, Answer, on_asyncio, scripted_meter
from tests.reports.world import registers

SITE = "ekibastuz-1"
SINCE = T0 - timedelta(days=30)
SECONDS = 300


class Office:
    """What the office and the inspection do with the readings of one meter, minute by minute."""

    def __init__(self, engine: Engine, profile: str, read_by: ReadBy, *, works: bool = False) -> None:
        meter = Meter(
            meter="m1",
            site=SITE,
            host="127.0.0.1",
            port=502,
            unit=1,
            profile=profile,
            source=EnergySource.GRID,
            price_tiyn_per_kwh=1800,
            status=MeterStatus.OK,
            read_by=read_by,
            valid_from=SINCE,
        )
        self._engine = engine
        self._watch = Watch(Patience(timedelta(), timedelta()))
        self._faults = FaultWatch()
        self._working = {(SITE, None)} if works else set()
        entries = [replace(row, valid_from=SINCE) for row in registers() if not isinstance(row, Meter)]
        sites = [row for row in entries if isinstance(row, Site) and row.site == SITE]
        owners = [row for row in entries if getattr(row, "party", None) == sites[0].party and row.register == "party"]
        with engine.begin() as connection:
            append_all(connection, [*owners, *sites], SINCE, "test")
            append_all(connection, [meter], T0, "test")

    def look(self, readings: Iterable[Reading], minute: float) -> None:
        """Take readings, settle what has ended, and record what is found."""
        now = T0 + timedelta(minutes=minute)
        with self._engine.begin() as connection:
            known = as_of(connection, now)
            take_readings(connection, readings, known, now)
            meters = rest = meters_of(known)
            while rest:
                rest = list(
                    settle(connection, rest, SECONDS, now, lambda *_: {"a": 1 << 60}, lambda *_: 20_000, now).rest
                )
            faults = self._faults.look(connection, meters, T0, now, SECONDS, self._working)
            record(connection, self._watch.look(known, map(of_meter, faults)), known, now)

    def require(self, findings: Collection[tuple[str, str]], intervals: Sequence[tuple[int, str]]) -> None:
        """Exactly these (kind, status or what) were ever found, and these intervals are there and are the party's."""
        end = T0 + timedelta(seconds=SECONDS * len(intervals))
        with self._engine.begin() as connection:
            known = as_of(connection, T0 + timedelta(days=1))
            found: set[tuple[str, str]] = set()
            for versions in known.histories(Finding.register).values():
                for row in versions:
                    assert isinstance(row, Finding)
                    evidence: Any = row.evidence
                    found.add((str(row.kind), str(evidence.get("status") or evidence.get("what") or "")))
            stored = meter_intervals(connection, "m1", T0, T0 + timedelta(days=1))
            energy = energy_by_party(connection, T0, end)
            differing = recomputed(connection, MeterPoint("m1", SITE, "", 1, 1, _profile(known)), SECONDS)
        assert [(item.energy_wh, item.quality) for item in stored] == list(intervals)
        assert sum(item.energy_wh for item in energy.values()) == sum(energy for energy, _ in intervals)
        assert (found, differing) == (set(findings), [])


def _profile(known: Any) -> str:
    (meter,) = meters_of(known)
    return meter.profile


CUT, NOISE = "cut", "noise"


class _Wire:
    """Between the pool and the meter: carries, cuts, or answers with noise."""

    def __init__(self, port: int) -> None:
        self.mode = ""
        self._port = port

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        upstream, there = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            while asked := await reader.read(260):
                if self.mode == CUT:
                    break
                if self.mode == NOISE:
                    writer.write(os.urandom(300))
                    continue
                there.write(asked)
                writer.write(await upstream.read(260))
        except OSError:
            pass
        finally:
            writer.close()
            there.close()


@asynccontextmanager
async def _wired(port: int) -> AsyncIterator[tuple[_Wire, int]]:
    wire = _Wire(port)
    server = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    try:
        yield wire, server.sockets[0].getsockname()[1]
    finally:
        server.close()


def _counts(first: int, each: int, number: int = 7) -> list[Answer]:
    return [first + each * place for place in range(number)]


def _with(answers: list[Answer], *places: int, fault: Answer) -> list[Answer]:
    return [fault if place in places else answer for place, answer in enumerate(answers)]


STEADY = _counts(1000, 300)
"""300 Wh in three minutes."""
MEASURED, ESTIMATED, MISSING = (500, "measured"), (500, "estimated"), (500, "missing")
GONE = (1, 2, 3, 4)
"""Of seven answers those that make a meter silent."""
REGISTER_BACK = {("meter-register", "backwards")}

_BROKEN = _with(_counts(1000, 300, 15), *range(2, 14), fault=0)

MODBUS: dict[str, tuple[list[Answer], set[tuple[str, str]], list[tuple[int, str]]]] = {
    "exception": (_with(STEADY, *GONE, fault=ExcCodes.DEVICE_BUSY), {("meter-silent", "exception")}, [ESTIMATED] * 3),
    "silence": (_with(STEADY, *GONE, fault=SILENCE), {("meter-silent", "silent")}, [ESTIMATED] * 3),
    "cut connection": (_with(STEADY, *GONE, fault=CUT), {("meter-silent", "silent")}, [ESTIMATED] * 3),
    "garbage frames": (_with(STEADY, *GONE, fault=NOISE), {("meter-silent", "silent")}, [ESTIMATED] * 3),
    "no value": (
        _with(STEADY, *GONE, fault=[0xFFFF] * 4),
        {("meter-silent", "garbage"), ("meter-refused", "garbage")},
        [ESTIMATED] * 3,
    ),
    "wrong scale": (
        _with(STEADY, 2, fault=1_600_000_000),
        {("meter-register", "too_fast")},
        [ESTIMATED, ESTIMATED, MEASURED],
    ),
    "dips": (_with(STEADY, 2, fault=16), REGISTER_BACK, [ESTIMATED, ESTIMATED, MEASURED]),
    "leaps about": (
        [answer if answer else 10**10 * (7 - place) ** 2 for place, answer in enumerate(_BROKEN)],
        {("meter-register", "too_fast")},
        [ESTIMATED] * 8,
    ),
    "set anew": ([*STEADY[:3], *_counts(50, 300, 4)], REGISTER_BACK, [MEASURED, (200, "missing"), MEASURED]),
    "rolls over": (_counts(2**63 - 1000, 300)[:4] + _counts(200, 300, 3), set(), [MEASURED] * 3),
}


@pytest.mark.parametrize("fault", MODBUS)
@on_asyncio
async def test_faults_of_a_modbus_conversation(sqlite_engine: Engine, fault: str) -> None:
    """A reading each three minutes, of which some fail: found by its name, and every watt-hour is where it belongs."""
    answers, findings, intervals = MODBUS[fault]
    profile = "schneider-iem3155" if fault == "rolls over" else PROFILE
    office = Office(sqlite_engine, profile, ReadBy.POOL)
    async with scripted_meter(profile) as (server, where), _wired(where.port) as (wire, port):
        known = load_modbus_profile(profile)
        patient, hasty = (ModbusMeter(replace(where, port=port), known, seconds) for seconds in (5, 0.1))
        for place, answer in enumerate(answers):
            wire.mode = answer if answer in (CUT, NOISE) else ""
            server.answer = answer
            device = hasty if answer in (CUT, NOISE, SILENCE) else patient
            count, status = await device.read()
            device.close()
            office.look([Reading("m1", T0 + timedelta(minutes=3 * place), count, status)], 3 * place)
    office.require(findings, intervals)


@on_asyncio
async def test_a_stuck_register_while_machines_work(sqlite_engine: Engine) -> None:
    """An hour of the same count: measured zeros, and found."""
    office = Office(sqlite_engine, PROFILE, ReadBy.POOL, works=True)
    async with scripted_meter() as (server, where):
        device = ModbusMeter(where, load_modbus_profile(PROFILE), timeout_seconds=5)
        server.answer = 777
        for minute in range(0, 65, 5):
            count, status = await device.read()
            office.look([Reading("m1", T0 + timedelta(minutes=minute), count, status)], minute)
        device.close()
    office.require({("meter-stuck", "")}, [(0, "measured")] * 12)


@on_asyncio
async def test_the_pools_own_clock_is_set_back(sqlite_engine: Engine) -> None:
    """Two readings change places by their instants: the one that contradicts is passed over, and the sum is exact."""
    office = Office(sqlite_engine, PROFILE, ReadBy.POOL)
    async with scripted_meter() as (server, where):
        device = ModbusMeter(where, load_modbus_profile(PROFILE), timeout_seconds=5)
        for answer, minute in zip(STEADY, (0, 3, 6, 5, 9, 12, 15), strict=True):
            server.answer = answer
            count, status = await device.read()
            office.look([Reading("m1", T0 + timedelta(minutes=minute), count, status)], minute)
        device.close()
    office.require(REGISTER_BACK, [(900, "measured"), (400, "measured"), MEASURED])


def _message(place: int, **other: Any) -> dict[str, Any]:
    return {"n": 1000 + 300 * place, "at": (T0 + timedelta(minutes=3 * place)).isoformat(), **other}


OWN, OTHER = "site/m1/energy", "site/m2/energy"
AHEAD = (T0 + timedelta(hours=5)).isoformat()

MQTT: dict[str, tuple[dict[int, list[tuple[str, Any]]], set[tuple[str, str]], list[tuple[int, str]]]] = {
    "duplicate": ({2: [(OWN, _message(2))] * 3}, set(), [MEASURED] * 3),
    "out of order": ({1: [], 3: [(OWN, _message(3)), (OWN, _message(1))]}, set(), [MEASURED] * 3),
    "malformed": ({2: [(OWN, b"{'n': 1600}")]}, {("meter-refused", "garbage")}, [ESTIMATED, ESTIMATED, MEASURED]),
    "clock ahead": (
        {2: [(OWN, _message(2, at=AHEAD))]},
        {("meter-refused", "future")},
        [ESTIMATED, ESTIMATED, MEASURED],
    ),
    "clock of 1970": (
        {2: [(OWN, _message(2, at="1970-01-01T00:00:09Z"))]},
        {("meter-refused", "too_old")},
        [ESTIMATED, ESTIMATED, MEASURED],
    ),
    "contradicts": (
        {2: [(OWN, _message(2)), (OWN, _message(2, n=1700))]},
        {("meter-refused", "contradicts")},
        [MEASURED] * 3,
    ),
    "beyond its register": (
        {2: [(OWN, _message(2, n=10**8))]},
        {("meter-refused", "impossible")},
        [ESTIMATED, ESTIMATED, MEASURED],
    ),
    "goes backwards": ({2: [(OWN, _message(2, n=3))]}, REGISTER_BACK, [ESTIMATED, ESTIMATED, MEASURED]),
    "another's topic": ({2: [(OTHER, _message(2, n=9, meter="m1")), (OWN, _message(2))]}, set(), [MEASURED] * 3),
}


@pytest.mark.parametrize("fault", MQTT)
@on_asyncio
async def test_faults_of_an_mqtt_conversation(sqlite_engine: Engine, tmp_path: Path, fault: str) -> None:
    """A message each three minutes, of which one is other than it should be."""
    faults, findings, intervals = MQTT[fault]
    office = Office(sqlite_engine, "register-kwh" if fault == "beyond its register" else "register-wh", ReadBy.MQTT)
    scale = 1000 if fault == "beyond its register" else 1
    with running_broker(tmp_path) as broker:
        async with hearing(told(broker.port), "m1") as heard:
            for place in range(7):
                messages = faults.get(place, [(OWN, _message(place))])
                await _told(broker, heard, office, 3 * place, messages)
    office.require(findings, [(energy * scale, quality) for energy, quality in intervals])


async def _told(broker: Broker, heard: Heard, office: Office, minute: int, messages: Sequence[tuple[str, Any]]) -> None:
    """Publish, wait until the last message of the meter was heard, and look."""
    heard.now = T0 + timedelta(minutes=minute)
    heard.readings.clear()
    for topic, message in messages:
        await publish(broker, topic, message)
    while len(heard.readings) < sum(topic == OWN for topic, _ in messages):
        await asyncio.sleep(0.005)
    office.look(heard.readings, minute)


def test_a_clock_that_is_a_little_ahead(engine: Engine) -> None:
    """What it gives waits in the database, whatever becomes of the office, and counts once when its instant comes."""
    office = Office(engine, "register-wh", ReadBy.MQTT)
    for place in range(7):
        readings = [Reading("m1", T0 + timedelta(minutes=3 * place + 2), 1000 + 300 * place, "ok", source="mqtt")]
        office.look(readings * 2, 3 * place)
    office.require(set(), [(300, "missing"), MEASURED, MEASURED])
    with engine.begin() as connection:
        assert connection.scalars(select(waiting.c.at)).all() == [T0 + timedelta(minutes=20)] * 2


@on_asyncio
async def test_a_message_that_the_broker_kept_is_of_unknown_age(sqlite_engine: Engine, tmp_path: Path) -> None:
    """Without an instant in it, it would put an old count at a new time; what comes afterwards counts."""
    office = Office(sqlite_engine, "register-wh", ReadBy.MQTT)
    with running_broker(tmp_path) as broker:
        await publish(broker, OWN, b"400", retain=True)
        async with hearing(told(broker.port, {}), "m1") as heard:
            while not heard.readings:
                await asyncio.sleep(0.005)
            office.look(heard.readings, 0)
            for place in range(1, 7):
                await _told(broker, heard, office, 3 * place, [(OWN, b"%d" % (1000 + 300 * place))])
    office.require({("meter-refused", "stale"), ("meter-silent", "stale")}, [(200, "missing"), MEASURED, MEASURED])


@on_asyncio
async def test_a_broker_that_is_away(sqlite_engine: Engine, tmp_path: Path) -> None:
    """The meter is told as silent; afterwards its register makes up for what nobody heard."""
    office = Office(sqlite_engine, "register-wh", ReadBy.MQTT)
    with running_broker(tmp_path) as broker:
        async with hearing(told(broker.port), "m1") as heard:
            await _told(broker, heard, office, 0, [(OWN, _message(0))])
            broker.stop()
            await heard.connected(False)
            for place in GONE:
                office.look([], 3 * place)
            broker.start()
            await heard.connected()
            for place in (5, 6):
                await _told(broker, heard, office, 3 * place, [(OWN, _message(place))])
    office.require({("meter-silent", "silent")}, [ESTIMATED] * 3)
