"""Readings pushed by a site's agent: each row by itself, the same again changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_twisted
from sqlalchemy import select

from tarazy.accounting.energy.asic import Claim
from tarazy.accounting.energy.claims import last_claim
from tarazy.accounting.energy.tables import due, reading
from tarazy.accreditation.entries import EnergySource, Meter, MeterStatus, ReadBy
from tarazy.accreditation.registers import append_all, as_of
from tarazy.pool.metered import meters_of
from tarazy.portal.guard import MAXIMUM_PUSH
from tarazy.portal.readings import MAXIMUM_ROWS
from tarazy.portal.rights import Role
from tarazy.portal.tokens import create_token
from tests.portal.conftest import Running
from tests.portal.pool import EKIBASTUZ, KARAGANDA, SINCE
from tests.portal.shapes import faults
from tests.portal.test_registers import ask

PATH = "/api/v1/readings"


def behind_agent(key: str, site: str, read_by: ReadBy = ReadBy.AGENT) -> Meter:
    """A meter of the register."""
    return Meter(
        meter=key,
        site=site,
        host="10.0.0.2",
        port=502,
        unit=1,
        profile="abb-b23",
        source=EnergySource.GRID,
        price_tiyn_per_kwh=1800,
        status=MeterStatus.OK,
        read_by=read_by,
        valid_from=SINCE,
    )


@pytest.fixture
def token(own: Running) -> str:
    """Of the agent of a site with the meters b-1 and b-2; b-3 is the pool's to read, b-4 another site's."""
    now = datetime.now(UTC)
    meters = [behind_agent("b-1", EKIBASTUZ), behind_agent("b-2", EKIBASTUZ)]
    meters += [behind_agent("b-3", EKIBASTUZ, ReadBy.POOL), behind_agent("b-4", KARAGANDA)]
    with own.pool.engine.begin() as connection:
        append_all(connection, meters, SINCE, "test")
        text = create_token(connection, "a", Role.AGENT, None, now, now + timedelta(days=1), "test", EKIBASTUZ)
    pytest_twisted.blockon(own.portal.read_holders())
    return text


def row(meter: str, at: datetime, count: object = 1, **more: Any) -> dict[str, Any]:
    """A reading as JSON."""
    return {"meter": meter, "at": at.isoformat(), "count": count, **more}


def kept(own: Running) -> list[tuple[Any, ...]]:
    """What was pushed, as it is in the database."""
    columns = (reading.c.meter, reading.c.quantity, reading.c.register_count, reading.c.status)
    taken = reading.c.status.in_(("ok", "silent"))
    query = select(*columns).where(reading.c.source == "agent", taken).order_by(reading.c.reading)
    with own.pool.engine.begin() as connection:
        return [tuple(found) for found in connection.execute(query)]


def test_the_pool_asks_no_meter_behind_an_agent(own: Running, token: str) -> None:
    """Of the meters of the register it reads only its own."""
    now = datetime.now(UTC)
    with own.pool.engine.begin() as connection:
        registers = as_of(connection, now)
    assert {meter.meter for meter in meters_of(registers, ReadBy.POOL)} == {"feeder-1", "feeder-2", "b-3"}
    assert {meter.meter for meter in meters_of(registers)} >= {"b-1", "b-2", "b-3", "b-4"}


@pytest_twisted.ensureDeferred
async def test_pushed_readings_are_recorded_once(own: Running, token: str) -> None:
    """Counts and silences; whatever is sent again is there already, and the intervals are due."""
    at = datetime.now(UTC) - timedelta(minutes=5)
    rows = [row("b-1", at, 10), row("b-1", at, 4, quantity="export"), row("b-2", at, None, status="silent")]
    code, told = await ask(own, "POST", PATH, token, json={"readings": rows})
    assert (code, told) == (200, {"recorded": 3, "repeated": 0, "refused": []})
    again = [*rows, row("b-1", at + timedelta(minutes=1), 11), rows[2]]
    _, told = await ask(own, "POST", PATH, token, json={"readings": again})
    assert told == {"recorded": 1, "repeated": 4, "refused": []}
    assert kept(own) == [
        ("b-1", "import", 10, "ok"),
        ("b-1", "export", 4, "ok"),
        ("b-2", "import", None, "silent"),
        ("b-1", "import", 11, "ok"),
    ]
    with own.pool.engine.begin() as connection:
        assert set(connection.scalars(select(due.c.meter))) == {"b-1"}
    _, told = await ask(own, "POST", PATH, token, json={"readings": [row("b-1", at, 99), rows[1]]})
    assert (told["repeated"], [fault["code"] for fault in told["refused"]]) == (1, ["contradicts"])
    assert (await ask(own, "GET", "/api/v1/me", token))[1]["site"] == EKIBASTUZ


@pytest_twisted.ensureDeferred
async def test_each_unfit_row_is_told_and_the_others_are_recorded(own: Running, token: str) -> None:
    """A row that cannot be taken says why; it costs no other row its place."""
    now = datetime.now(UTC)
    at = now - timedelta(minutes=5)
    unfit: list[tuple[str, Any]] = [
        ("unknown_meter", row("b-9", at)),
        ("unknown_meter", row("b-4", at)),
        ("not_behind_agent", row("b-3", at)),
        ("future", row("b-1", now + timedelta(hours=1))),
        ("too_old", row("b-1", datetime(1970, 1, 1, tzinfo=UTC))),
        ("impossible", row("b-1", at, -1)),
        ("contradicts", row("b-2", at, 7)),
        ("malformed", row("b-1", at, 1, quantity={})),
        ("malformed", row("b\0", at)),
        *(("malformed", {"meter": "b-1", "at": text, "count": 1}) for text in (5, "", "2026-03-01T00:00:00")),
        ("malformed", {"meter": "b-1", "at": "0001-01-01T00:00:00+05:00", "count": 1}),
    ]
    shapes: list[Any] = [None, [], {}, {"meter": "b-1"}, row("b-1", at, None), row("b-1", at, 1, x=1)]
    shapes += [row("b-1", at, count) for count in (True, 1.5, "1", 2**63, 2**70)]
    statuses: list[Any] = ["withdrawn", [], "silent"]
    shapes += [row("b-1", at, 1, status=status) for status in statuses]
    unfit += [("malformed", shape) for shape in shapes]
    rows = [row("b-2", at, 6), *(bad for _, bad in unfit), row("b-1", at, 5)]
    code, told = await ask(own, "POST", PATH, token, json={"readings": rows})
    assert code == 200
    assert [(fault["row"], fault["code"]) for fault in told["refused"]] == [
        (number, code) for number, (code, _) in enumerate(unfit, 1)
    ]
    document = await own.json("/api/v1/openapi.json")
    assert faults(told, {"$ref": "#/components/schemas/Pushed"}, document) == []
    assert kept(own) == [("b-2", "import", 6, "ok"), ("b-1", "import", 5, "ok")]
    await ask(own, "POST", PATH, token, json={"readings": rows})
    with own.pool.engine.begin() as connection:
        failed = select(reading.c.meter, reading.c.status).where(reading.c.status.not_in(("ok", "silent")))
        told = sorted(map(tuple, connection.execute(failed)))
    assert told == [("b-1", "future"), ("b-1", "impossible"), ("b-1", "too_old"), ("b-2", "contradicts")]


@pytest_twisted.ensureDeferred
async def test_pushes_are_bounded(own: Running, token: str) -> None:
    """Too many rows, too many bytes, other shapes, another address: refused whole."""
    at = datetime.now(UTC) - timedelta(hours=1)
    many = [row("b-1", at + timedelta(seconds=number), number) for number in range(MAXIMUM_ROWS + 1)]
    bodies: list[Any] = [{"readings": many}, {"readings": {}}, [], "x"]
    for body in bodies:
        code, told = await ask(own, "POST", PATH, token, json=body)
        assert (code, told["error"]["code"]) == (422, "unfit")
    assert (await ask(own, "POST", PATH, token, data=b"{"))[0] == 400
    code, told = await ask(own, "POST", PATH, token, data=b" " * (MAXIMUM_PUSH + 1))
    assert (code, told["error"]["code"]) == (413, "body_too_long")
    assert kept(own) == []
    code, told = await ask(own, "POST", PATH, token, json={"readings": many[1:]})
    assert (code, told["recorded"]) == (200, MAXIMUM_ROWS)


@pytest_twisted.ensureDeferred
async def test_what_machines_claim_is_kept_apart(own: Running, token: str) -> None:
    """A claim of the agent's site is stored once, beside no reading; one of another shape is refused whole."""
    at = datetime.now(UTC).replace(microsecond=0)
    claim = {"at": at.isoformat(), "asked": 9, "answered": 8, "telling": 7, "power_w": 24_000}
    for _ in range(2):
        assert (await ask(own, "POST", PATH, token, json={"readings": [], "machines": claim}))[0] == 200
    assert kept(own) == []
    with own.pool.engine.begin() as connection:
        assert last_claim(connection, EKIBASTUZ) == Claim(at, 9, 8, 7, 24_000)
        assert last_claim(connection, KARAGANDA) is None
    unfit: list[object] = [
        [],
        {**claim, "asked": 7},
        {**claim, "power_w": -1},
        {**claim, "power_w": True},
        {**claim, "at": "yesterday"},
        {**claim, "at": (at + timedelta(hours=1)).isoformat()},
        {**claim, "more": 1},
    ]
    for wrong in unfit:
        body = {"readings": [row("b-1", at)], "machines": wrong}
        assert (await ask(own, "POST", PATH, token, json=body))[0] == 422
    assert kept(own) == []
