"""Fixtures of the reports' tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine

from tarazy.reports.content import AccreditationReport
from tarazy.reports.gather import gather
from tests.reports import world


@pytest.fixture(autouse=True)
def every_glyph_found(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The PDF library only logs a missing glyph; here it is a failure."""
    with caplog.at_level(logging.WARNING):
        yield
    assert [record.getMessage() for record in caplog.records if "glyph" in record.getMessage()] == []


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One kind of database is enough for what is printed; the tests of gathering use each."""
    return sqlite_url


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """A transaction on a database that holds the pool of `world`."""
    with engine.begin() as opened:
        world.populate(opened)
        yield opened


@pytest.fixture
def report(connection: Connection) -> AccreditationReport:
    """The report of `world` with the assumption on 2026."""
    return gather(connection, world.MOMENT, world.POOL, world.assumed_law())
