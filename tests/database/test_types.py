"""Column types and transactions mean the same on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import Column, MetaData, Table, insert, select, text
from sqlalchemy.exc import OperationalError, StatementError

from tarazy.database.engine import open_engine, reader
from tarazy.database.types import BigCount, Instant


def test_instants_come_back_in_utc_and_naive_ones_are_refused(database_url: str) -> None:
    """Invariant 9: an instant keeps its moment whatever zone it was written in."""
    table = Table("instant_probe", MetaData(), Column("at", Instant))
    engine = open_engine(database_url)
    almaty = datetime(2024, 3, 1, 5, 0, 0, 123456, tzinfo=timezone(timedelta(hours=5)))
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(insert(table).values(at=almaty))
        stored = connection.execute(select(table.c.at)).scalar_one()
        assert stored == almaty
        assert stored.tzinfo is UTC
    with pytest.raises(StatementError, match="naive"), engine.begin() as connection:
        connection.execute(insert(table).values(at=datetime(2024, 3, 1)))  # noqa: DTZ001 - the fault under test
    engine.dispose()


def test_sums_of_work_beyond_64_bits_stay_exact(database_url: str) -> None:
    """R-002: weights beyond 2^80 survive storage to the last digit; floats are refused."""
    table = Table("count_probe", MetaData(), Column("weight", BigCount))
    engine = open_engine(database_url)
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(insert(table).values(weight=2**90 + 1))
        assert connection.execute(select(table.c.weight)).scalar_one() == 2**90 + 1
    with pytest.raises(StatementError, match="takes int"), engine.begin() as connection:
        connection.execute(insert(table).values(weight=1.5))
    engine.dispose()


def test_a_reader_holds_up_no_writer(tmp_path: Path) -> None:
    """A long look at the SQLite ledger leaves its writer free, and sees one snapshot."""
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE probe (value INTEGER)")

    def write() -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO probe VALUES (1)")

    with reader(engine).begin() as looking:
        assert looking.exec_driver_sql("SELECT count(*) FROM probe").scalar_one() == 0
        writer = Thread(target=write)
        writer.start()
        writer.join(5)
        assert not writer.is_alive()
        assert looking.exec_driver_sql("SELECT count(*) FROM probe").scalar_one() == 0
    with reader(engine).begin() as looking:
        assert looking.exec_driver_sql("SELECT count(*) FROM probe").scalar_one() == 1
    engine.dispose()


def test_errors_carry_no_parameters(sqlite_url: str) -> None:
    """Invariant 12: what fails is logged, whose values it was is not."""
    engine = open_engine(sqlite_url)
    with pytest.raises(OperationalError) as caught, engine.begin() as connection:
        connection.execute(text("INSERT INTO missing VALUES (:worker)"), {"worker": "acme.rig07"})
    engine.dispose()
    assert "acme.rig07" not in str(caught.value)
