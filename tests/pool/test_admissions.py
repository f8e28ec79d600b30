"""The gate as the Stratum server uses it: every decision ends in the audit log."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from tarazy.accreditation import registers
from tarazy.accreditation.decisions import REFUSED, decisions_between
from tarazy.config.settings import AccreditationSettings
from tarazy.database.engine import Database, open_engine
from tarazy.database.schema import upgrade
from tarazy.pool.admissions import Admissions
from tarazy.stratum.ports import Peer
from tests.accreditation.world import licence, party
from tests.pool.under_reactor import in_reactor
from tests.stratum.house import Client, Pool


@in_reactor
async def test_what_is_no_login_is_refused_and_recorded(engine: Engine, tmp_path: Path) -> None:
    """C-032, C-124, invariant 4: by the gate, with a row of bounded printable text, however long or strange it was."""
    began = datetime.now(UTC)
    database = Database(engine, reactor)
    pool = Pool()
    try:
        admissions = Admissions(reactor, database, AccreditationSettings(server="astana-1"), tmp_path / "pending")
        await admissions.start()
        pool.board.gate = admissions
        for name in ("_x.rig", "a\x00b.rig", "a" * 3_000, "\u212aelvin"):
            code, text, _ = Client(pool).ask("mining.authorize", [name, "x"])
            assert (code, text[:24]) == (24, "unauthorized: bad name: ")
        await admissions.stop()
        rows = await database.run(decisions_between, began, datetime.now(UTC) + timedelta(seconds=1))
    finally:
        database.close()
    assert {row.account for row in rows} == {"_x", "a\\x00b", "a" * 127, "\\u212aelvin"}
    assert {(row.kind, row.reasons[0], row.count) for row in rows} == {(REFUSED, "bad-name", 1)}
    assert pool.board.counters.refused == {"bad-name": 4}


@in_reactor
async def test_decisions_outlive_a_database_that_is_away_at_the_end(sqlite_url: str, tmp_path: Path) -> None:
    """Invariant 4: what the ledger could not take when the server stopped is written when it starts again."""
    engine = open_engine(sqlite_url)
    upgrade(engine)
    settings, pending = AccreditationSettings(server="astana-1"), tmp_path / "pending"
    database = Database(engine, reactor)
    admissions = Admissions(reactor, database, settings, pending)
    await admissions.start()
    assert not admissions.admit("nobody.rig", "x", Peer("2.72.0.1")).admitted
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE audit RENAME TO away")
    await admissions.stop()
    assert pending.exists()
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO audit")
    again = Admissions(reactor, database, settings, pending)
    await again.start()
    await again.stop()
    assert not pending.exists()
    with engine.connect() as connection:
        end = datetime.now(UTC) + timedelta(seconds=1)
        rows = decisions_between(connection, end - timedelta(minutes=1), end)
    database.close()
    assert [(row.kind, row.account, row.count) for row in rows] == [(REFUSED, "nobody", 1)]


@in_reactor
async def test_a_database_that_is_away_costs_no_memory(sqlite_url: str, tmp_path: Path) -> None:
    """Invariant 10: decisions made meanwhile are counted, not piled up, and all are written when it is back."""
    engine = open_engine(sqlite_url)
    upgrade(engine)
    database = Database(engine, reactor)
    admissions = Admissions(reactor, database, AccreditationSettings(server="astana-1"), tmp_path / "pending")
    await admissions.start()
    await admissions.keep.stop()
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE audit RENAME TO away")
    for turn in range(20):
        for number in range(50):
            admissions.admit(f"s{turn}-{number}.rig", "x", Peer("2.72.0.1"))
        with pytest.raises(OperationalError):
            await admissions._write_decisions()
    assert len(admissions._unwritten) == 50
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO audit")
    await admissions._write_decisions()
    await admissions.stop()
    with engine.connect() as connection:
        end = datetime.now(UTC) + timedelta(seconds=1)
        rows = decisions_between(connection, end - timedelta(minutes=1), end)
    database.close()
    assert sum(row.count for row in rows) == 1_000
    assert len(rows) == 257


@in_reactor
async def test_registers_are_followed_while_the_ledger_is_written(engine: Engine, tmp_path: Path) -> None:
    """Invariant 4: a long transaction, such as folding after a pause, puts off no revocation."""
    database = Database(engine, reactor)
    admissions = Admissions(reactor, database, AccreditationSettings(server="astana-1"), tmp_path / "pending")
    await database.run(registers.append, party("acme"), datetime.now(UTC), "test")
    await admissions.start()
    await database.run(registers.append, licence("L-1", "acme"), datetime.now(UTC), "test")
    written = threading.Event()

    def write(connection: Connection) -> bool:
        registers.append(connection, licence("L-2", "acme"), datetime.now(UTC), "test")
        return written.wait(30)

    writing = database.run(write)
    try:
        await Deferred.fromCoroutine(admissions.refresh()).addTimeout(10, reactor)
        assert set(admissions.registers.licences) == {"L-1"}
    finally:
        written.set()
        assert await writing
        await admissions.stop()
        database.close()
