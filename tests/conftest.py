"""Fixtures shared by every room: a real database of each kind, empty for each test."""

from __future__ import annotations

import importlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import hypothesis
import pytest
from sqlalchemy import URL, Engine, NullPool, create_engine, make_url

import tarazy
from tarazy.database.engine import open_engine
from tarazy.database.types import metadata
from tarazy.pool.demo import prepare

sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
"""Otherwise each process that the tests start would compile the whole server anew, and pytest every test."""

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
prepare.SERVER_PORTS = prepare.SERVER_PORTS[_WORKER * 2_750 : (_WORKER + 1) * 2_750]
"""Tests that run side by side choose from ports of their own: one may bind only seconds after it was chosen."""

hypothesis.settings.register_profile("suite", deadline=None, derandomize=True)
hypothesis.settings.register_profile("search", deadline=None, max_examples=5_000, print_blob=True)
hypothesis.settings.load_profile("suite")
"""The suite tries the same examples every time; `pytest --hypothesis-profile=search FILE` looks long for others."""


def _postgresql_program(name: str) -> Path | None:
    """The newest installed one, or the one on PATH."""
    found = shutil.which(name)
    installed = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3].split(".")[0])
    )
    return Path(found) if found else installed[-1] if installed else None


def _unprivileged_user() -> pwd.struct_passwd:
    """PostgreSQL refuses to run as root, so as root it gets another user's rights."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid())
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.skip("PostgreSQL refuses to run as root and there is neither a user postgres nor nobody")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[URL]:
    """A real PostgreSQL server for the session, on a Unix socket; skips where it is not installed."""
    initdb, pg_ctl = _postgresql_program("initdb"), _postgresql_program("pg_ctl")
    if initdb is None or pg_ctl is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    user = _unprivileged_user()
    home = Path(tempfile.mkdtemp(prefix="tarazy-pg-"))
    os.chown(home, user.pw_uid, user.pw_gid)
    switch = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if os.getuid() == 0 else {}
    data = home / "data"

    def run(*arguments: str | Path) -> None:
        done = subprocess.run(
            arguments,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            **switch,  # type: ignore[call-overload]
        )
        assert done.returncode == 0, f"{arguments[0]} failed:\n{done.stdout}"

    try:
        run(initdb, "-D", data, "-U", "tarazy", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        options = f"-k {home} -c listen_addresses='' -c max_connections=40 -c fsync=off"
        run(pg_ctl, "-D", data, "-l", home / "log", "-o", options, "-w", "start")
        yield URL.create("postgresql+psycopg", "tarazy", database="postgres", query={"host": str(home)})
        run(pg_ctl, "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def postgresql_url(postgresql_server: URL) -> Iterator[str]:
    """URL of an empty PostgreSQL database: one for the session, emptied after each test."""
    yield postgresql_server.render_as_string(hide_password=False)
    admin = create_engine(postgresql_server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """URL of an SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'tarazy.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """URL of an empty database, once for each kind the server runs on."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Engine on a database with the tables of every room."""
    yield from _with_tables(database_url)


@pytest.fixture
def sqlite_engine(sqlite_url: str) -> Iterator[Engine]:
    """As `engine`, on SQLite alone, which takes any value in any column."""
    yield from _with_tables(sqlite_url)


def _with_tables(database_url: str) -> Iterator[Engine]:
    root = Path(tarazy.__file__).parent
    for path in sorted(root.rglob("tables.py")):
        importlib.import_module(".".join(("tarazy", *path.relative_to(root).with_suffix("").parts)))
    url = make_url(database_url)
    if url.database and url.get_backend_name() == "sqlite":
        Path(url.database).write_bytes(_sqlite_file_with_tables())
    opened = open_engine(database_url)
    metadata.create_all(opened)
    yield opened
    opened.dispose()


@cache
def _sqlite_file_with_tables() -> bytes:
    """Making the tables once and copying the file takes a twentieth of making them for each test."""
    with tempfile.TemporaryDirectory(prefix="tarazy-tables-") as directory:
        path = Path(directory) / "tarazy.db"
        opened = open_engine(f"sqlite:///{path}")
        metadata.create_all(opened)
        opened.dispose()
        return path.read_bytes()
