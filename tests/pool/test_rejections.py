"""Rejected shares reach their miner, by name and reason, whatever happens to the ledger and the server."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_twisted
from sqlalchemy import Engine, select
from twisted.internet.task import Clock

from tarazy.accounting.rejections import KEPT, keep
from tarazy.accounting.tables import rejection
from tarazy.database.engine import Database
from tarazy.pool import rejections
from tarazy.stratum.rejections import Rejected
from tests.pool.house import Client, House, wait_until

START = datetime(2026, 11, 1, tzinfo=UTC)
KEY = Rejected("altyn", "altyn", "rig", "s", "stale")


def _kept(house: House) -> dict[tuple[Any, ...], int]:
    rows = house.ledger(
        "SELECT party, account, worker, reason, sum(shares) FROM rejection GROUP BY party, account, worker, reason"
    )
    return {tuple(row[:4]): row[4] for row in rows}


def test_each_rejected_share_is_told_once(build_house: Callable[..., House]) -> None:
    """Over an outage of the ledger, a planned end, and another process after it."""
    house = build_house()
    house.start()
    client = Client(house.stratum_port)
    client.login("altyn.rig")
    share = client.share("altyn.rig")
    assert client.call("mining.submit", *share)["result"] is True
    with sqlite3.connect(house.settings.data / "tarazy.db", isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        for _ in range(3):
            assert client.call("mining.submit", *share)["error"][1] == "duplicate"
        holder.execute("ROLLBACK")
    assert client.call("mining.submit", "altyn.rig", "f" * 16, *share[2:])["error"][1] == "unknown-job"
    before = {("altyn", "altyn", "rig", "duplicate"): 3, ("altyn", "altyn", "rig", "unknown-job"): 1}
    wait_until(lambda: _kept(house) == before)
    assert client.call("mining.submit", "altyn.rig", "f" * 16, *share[2:])["error"][1] == "unknown-job"
    assert house.stop() == 0
    before["altyn", "altyn", "rig", "unknown-job"] += 1
    assert _kept(house) == before
    house.start()
    again = Client(house.stratum_port)
    again.login("altyn.rig")
    assert again.call("mining.submit", "altyn.rig")["error"][1].startswith("bad-params")
    assert house.stop() == 0
    assert _kept(house) == before | {("altyn", "altyn", "rig", "bad-params"): 1}


@pytest_twisted.ensureDeferred
async def test_names_of_an_interval_are_bounded_and_written_when_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are invented; a ledger that fails gets the same counts again, and nothing is written twice."""
    monkeypatch.setattr(rejections, "LIMIT", 2)
    taken = [{KEY._replace(worker=str(number)): 1 for number in range(4)}, {KEY._replace(worker="1"): 2}, {}]
    written: list[Any] = []

    class Ledger:
        async def run(self, work: Any, gateway: int, process: int, counts: Any) -> None:
            written.append(
                {key.worker: shares for of_interval in counts.values() for key, shares in of_interval.items()}
            )
            if len(written) == 1:
                raise ConnectionError

    keeper = rejections.RejectionKeeper(Clock(), Ledger(), 1, 86_400, lambda: taken.pop(0))  # type: ignore[arg-type]
    with pytest.raises(ConnectionError):
        await keeper._keep()
    await keeper._keep()
    await keeper._keep()
    assert written == [{"0": 1, "1": 1, "": 2}, {"0": 1, "1": 3, "": 2}]


@pytest_twisted.ensureDeferred
async def test_a_clock_that_goes_back_loses_no_count(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interval that was left is not begun anew, which would overwrite what the ledger has of it."""
    interval = timedelta(minutes=15)
    times = [START, START + interval, START, START - interval, START + 2 * interval]
    monkeypatch.setattr(rejections, "floor_to", lambda *_: times.pop(0))
    from twisted.internet import reactor

    database = Database(engine, reactor)
    keeper = rejections.RejectionKeeper(Clock(), database, 1, 900, lambda: {KEY: 5})
    for _ in range(5):
        await keeper._keep()
    database.close()
    with engine.begin() as connection:
        rows = connection.execute(select(rejection.c.interval_start, rejection.c.shares)).all()
    assert dict(map(tuple, rows)) == {START: 5, START + interval: 15, START + 2 * interval: 5}


def test_a_count_that_is_kept_twice_counts_once_and_old_ones_go(engine: Engine) -> None:
    """A process gives the whole count of an interval each time; a month later its gateway's row is gone."""
    later = START + KEPT + timedelta(minutes=15)
    for counts in ({START: {KEY: 2}}, {START: {KEY: 5}}, {START: {KEY: 5}}):
        with engine.begin() as connection:
            keep(connection, 1, 7, counts)
    with engine.begin() as connection:
        keep(connection, 1, 8, {START: {KEY: 1}})
        assert sorted(connection.scalars(select(rejection.c.shares))) == [1, 5]
        keep(connection, 1, 8, {})
        keep(connection, 2, 9, {START: {KEY: 4}})
        keep(connection, 1, 8, {later: {KEY: 3}})
        rows = connection.execute(select(rejection.c.interval_start, rejection.c.shares).order_by(rejection.c.gateway))
        assert list(rows) == [(later, 3), (START, 4)], "another gateway's is its own to take away"
