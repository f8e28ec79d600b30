"""What a connection rests on ends: it goes within a second, in every process, and nobody else does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from tarazy.accreditation import registers
from tarazy.accreditation.entries import DocumentStatus, Entry, SiteStatus
from tarazy.accreditation.registers import versions_of
from tarazy.accreditation.snapshot import version_at
from tarazy.database.engine import open_engine
from tarazy.pool.demo.scenario import ADDRESS_OF, EKIBASTUZ, KARAGANDA, SERVER
from tests.pool.house import Client, House
from tests.pool.test_processes import PROCESSES, Pool, running_node, several

SOURCES = {
    "altyn": ADDRESS_OF[EKIBASTUZ],
    "dala": ADDRESS_OF[EKIBASTUZ],
    "samal": ADDRESS_OF[KARAGANDA],
    "alys": ADDRESS_OF[KARAGANDA],
}
"""Party → where it connects from: altyn and samal at their own sites, each with a guest."""
EVERYBODY = frozenset(SOURCES)
BUSY = 0.5
"""Seconds that a machine with other tests on it may take besides."""


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """Two gateways and an office for all tests: each undoes what it did."""
    directory = tmp_path_factory.mktemp("revocation")
    with running_node(directory) as port:
        house = several(House(directory / "pool"), port)
        pool = Pool(house, f"http://127.0.0.1:{port}/")
        try:
            pool.start()
            yield pool
        finally:
            if house.process is not None and house.process.poll() is None:
                house.stop()


@pytest.fixture
def engine(pool: Pool) -> Iterator[Engine]:
    """The ledger, as an operator's command opens it."""
    engine = open_engine(pool.house.settings.database_url)
    yield engine
    engine.dispose()


Crowd = dict[tuple[str, str], Client]
"""(party, gateway's prefix) → its connection there."""


@pytest.fixture
def crowd(pool: Pool) -> Iterator[Crowd]:
    """Every party with a connection in each process, at work."""
    clients: Crowd = {}
    deadline = time.monotonic() + 20
    while len(clients) < PROCESSES * len(SOURCES):
        assert time.monotonic() < deadline, f"only {sorted(clients)} are let in"
        for party, source in SOURCES.items():
            client = Client(pool.port, source)
            prefix = client.call("mining.subscribe", "test")["result"][1][:2]
            if (party, prefix) in clients or client.login(f"{party}.rig")["result"] is not True:
                client.close()
                continue
            clients[party, prefix] = client
    yield clients
    for client in clients.values():
        client.close()


def mines(party: str, client: Client) -> bool:
    """Whether a connection still has its shares accepted."""
    return client.submit(f"{party}.rig")["result"] is True


def end_of(client: Client) -> float:
    """When the server ended a connection, by the system's clock."""
    while client.read() is not None:
        pass
    return time.time()


@contextmanager
def corrected(engine: Engine, register: str, key: str, valid_to: datetime) -> Iterator[None]:
    """An entry that ends at `valid_to`, until the block ends."""
    correct(engine, register, key, lambda versions: version_at(versions, datetime.now(UTC)), valid_to=valid_to)
    try:
        yield
    finally:
        correct(engine, register, key, lambda versions: versions[0], valid_to=None)


def correct(
    engine: Engine, register: str, key: str, wrong: Callable[[list[Entry]], Entry | None], **changes: datetime | None
) -> None:
    """Correct one of an entry's versions, which are given with the latest recorded first."""
    with engine.begin() as connection:
        entry = wrong(versions_of(connection, register, key))
        assert entry is not None
        now = datetime.now(UTC)
        stamp: dict[str, Any] = {"why": "test", "recorded_at": now, "recorded_by": "test", **changes}
        registers.correct(connection, register, key, entry.entry, **stamp)


@contextmanager
def ended(engine: Engine, register: str, key: str) -> Iterator[None]:
    """An entry that ends now, until the block ends."""
    with corrected(engine, register, key, datetime.now(UTC)):
        yield


def restated(**changes: Any) -> Callable[[Engine, str, str], Any]:
    """Another version of an entry holds from now on, until the block ends."""

    @contextmanager
    def change(engine: Engine, register: str, key: str) -> Iterator[None]:
        now = datetime.now(UTC)
        stamp: dict[str, Any] = {"recorded_at": now, "recorded_by": "test"}
        with engine.begin() as connection:
            registers.restate(connection, register, key, valid_from=now, **stamp, **changes)
        try:
            yield
        finally:
            correct(engine, register, key, lambda versions: versions[0], valid_to=now)

    return change


REVOKED = restated(status=DocumentStatus.REVOKED)
SUSPENDED = restated(status=DocumentStatus.SUSPENDED)
WITHDRAWN = restated(status=SiteStatus.WITHDRAWN)
MOVED = restated(networks=("127.0.0.9/32",))


@pytest.mark.parametrize(
    ("register", "key", "change", "concerned", "reason"),
    [
        ("party", "dala", ended, {"dala"}, "unknown-account"),
        ("licence", "DEMO-0001", REVOKED, {"altyn"}, "licence-revoked"),
        ("licence", "DEMO-0003", SUSPENDED, {"samal"}, "licence-suspended"),
        ("licence", "DEMO-0005", ended, {"alys"}, "licence-expired"),
        ("site", EKIBASTUZ, WITHDRAWN, {"altyn", "dala"}, "site-not-accredited"),
        ("site", EKIBASTUZ, MOVED, {"altyn", "dala"}, "site-unknown"),
        ("site", KARAGANDA, ended, {"samal", "alys"}, "site-unknown"),
        ("placement", "demo-dala", ended, {"dala"}, "site-unknown"),
        ("equipment", "DEMO-CPU-5", ended, {"alys"}, "no-equipment"),
        ("server", SERVER, ended, EVERYBODY, "server-not-registered"),
        ("certificate", "DEMO-POOL-1", REVOKED, EVERYBODY, "certificate-revoked"),
        ("certificate", "DEMO-POOL-1", ended, EVERYBODY, "certificate-expired"),
    ],
)
def test_what_rested_on_an_entry_ends_with_it_and_nothing_else(
    pool: Pool,
    engine: Engine,
    crowd: Crowd,
    register: str,
    key: str,
    change: Callable[[Engine, str, str], Any],
    concerned: frozenset[str],
    reason: str,
) -> None:
    """Invariant 4: within a second of the commit, in both processes; the others stay connected and mine on."""
    gone = {at: client for at, client in crowd.items() if at[0] in concerned}
    stay = {at: client for at, client in crowd.items() if at[0] not in concerned}
    assert len(gone) == PROCESSES * len(concerned)
    assert all(mines(party, client) for (party, _), client in crowd.items())
    with ThreadPoolExecutor(len(gone)) as readers, change(engine, register, key):
        committed = time.time()
        ends = list(readers.map(end_of, gone.values()))
        assert max(ends) - committed < 1.0 + BUSY
        for party in concerned:
            answer = Client(pool.port, SOURCES[party]).login(f"{party}.rig")
            assert answer["error"][1].endswith(f"[{reason}]")
        time.sleep(max(0.0, committed + 1.0 + BUSY - time.time()))
        assert {at for at, client in stay.items() if mines(at[0], client)} == stay.keys()


def test_what_ends_at_an_instant_ends_to_the_second(engine: Engine, crowd: Crowd) -> None:
    """Invariant 4: nobody writes anything then; not before it, and not a second after."""
    instant = datetime.now(UTC) + timedelta(seconds=4)
    gone = {at: client for at, client in crowd.items() if at[0] == "altyn"}
    with ThreadPoolExecutor(PROCESSES) as readers, corrected(engine, "licence", "DEMO-0001", instant):
        time.sleep(2)
        assert all(mines(party, client) for (party, _), client in crowd.items())
        late = [end - instant.timestamp() for end in readers.map(end_of, gone.values())]
        assert len(late) == PROCESSES
        assert 0 <= min(late) <= max(late) < 1.0 + BUSY
        assert all(mines(party, client) for (party, _), client in crowd.items() if party != "altyn")
