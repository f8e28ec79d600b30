"""A portal over a real database and real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import treq
from twisted.internet.defer import Deferred

from tarazy.database.engine import Database
from tarazy.portal.app import Portal
from tarazy.portal.rights import Role
from tarazy.portal.snapshot import Subject
from tarazy.portal.tokens import create_token
from tests.portal.browsing import browser, server
from tests.portal.pool import Pool
from tests.portal.subject import make_payments, make_portal, make_subject

__all__ = ["Running", "browser", "run_portal", "server"]


@dataclass
class Running:
    """A portal that answers on `url`."""

    url: str
    port: int
    pool: Pool
    portal: Portal
    directory: Path
    operator: str
    """A token."""
    subject: Subject

    async def get(self, path: str, **options: Any) -> Any:
        """Answer to an operator's GET of `path`, over a connection of its own."""
        headers = {"authorization": f"Bearer {self.operator}", **options.pop("headers", {})}
        return await treq.get(self.url + path, headers=headers, persistent=False, allow_redirects=False, **options)

    async def json(self, path: str, **options: Any) -> Any:
        """JSON that `path` answers with status 200."""
        answer = await self.get(path, **options)
        assert answer.code == 200, await answer.text()
        return await answer.json()


def run_portal(directory: Path) -> Iterator[Running]:
    """A portal over a pool in a directory, until the iterator goes on."""
    from twisted.internet import reactor

    pool = Pool(directory)
    database = Database(pool.engine, reactor)
    made = Deferred.fromCoroutine(make_payments(pool.engine, database, directory))
    subject = replace(make_subject(directory, datetime.now(UTC)), payments=pytest_twisted.blockon(made))
    portal = make_portal(reactor, subject, database, 0)
    port = portal.start()
    now = datetime.now(UTC)
    with pool.engine.begin() as connection:
        operator = create_token(connection, "conftest", Role.OPERATOR, None, now, now + timedelta(days=1), "test")
    pytest_twisted.blockon(portal.read_holders())
    yield Running(f"http://127.0.0.1:{port}", port, pool, portal, directory, operator, subject)
    pytest_twisted.blockon(portal.stop())
    database.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A portal over a pool with a day of history, shared by tests that only read."""
    yield from run_portal(tmp_path_factory.mktemp("portal"))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Running]:
    """A portal of the test's own, which may change its pool."""
    yield from run_portal(tmp_path)
