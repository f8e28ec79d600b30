"""Open the ledger database and run transactions on it without blocking the reactor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

_BUSY_SECONDS = 10
"""How long SQLite waits for another writer."""
_CACHE = "cache_size=-65536"
"""64 MiB of pages a connection, taken as needed: a fold of a hundred thousand workers touches some 30."""

P = ParamSpec("P")
T = TypeVar("T")


def open_engine(url: str) -> Engine:
    """Engine for `url`.

    SQLite gets WAL, `synchronous=FULL`, foreign keys, and transactions that begin with `BEGIN IMMEDIATE`, because
    the driver's own would leave a SELECT before the first write outside. Errors carry no parameters, because they are
    logged (invariant 12).
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True, hide_parameters=True)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args={"timeout": _BUSY_SECONDS}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _connect(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", _CACHE):
            dbapi_connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get("reads_only", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def reader(engine: Engine) -> Engine:
    """The same database for reading: its transactions see one snapshot and, on SQLite, hold up no writer."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(reads_only=True)
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


class Database:
    """Transactions on one thread: writers queue here instead of fighting for the database. Another is for `read`."""

    def __init__(self, engine: Engine, reactor: Any) -> None:
        self.engine = engine
        self._reader = reader(engine)
        self._reactor = reactor
        self._pool, self._reading = (ThreadPool(1, 1, name) for name in ("database", "database-reading"))
        self._pool.start()
        self._reading.start()

    def run(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Run `work(connection, …)` as one transaction on the thread; commits on return, rolls back on an exception."""
        return self._transact(self._pool, self.engine, work, *args, **kwargs)

    def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Run `work`, which only reads, as `run` does, but behind no writer, of this process or another."""
        return self._transact(self._reading, self._reader, work, *args, **kwargs)

    def compute(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Run `work`, which needs no connection, between two reads."""
        return deferToThreadPool(self._reactor, self._reading, work, *args, **kwargs)

    def _transact(
        self,
        pool: ThreadPool,
        engine: Engine,
        work: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Deferred[T]:
        def transact() -> T:
            with engine.begin() as connection:
                return work(connection, *args, **kwargs)

        return deferToThreadPool(self._reactor, pool, transact)

    def close(self) -> None:
        """Finish queued work, stop the threads and drop the connections."""
        self._pool.stop()
        self._reading.stop()
        self.engine.dispose()
