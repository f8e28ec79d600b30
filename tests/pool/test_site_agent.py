"""The agent of a site: real meter, real portal, real process, and everything between them cut."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import yaml
from sqlalchemy import select
from twisted.internet.defer import Deferred

from tarazy.accounting.energy.asic import Claim
from tarazy.accounting.energy.claims import last_claim
from tarazy.accounting.energy.meter import Reading
from tarazy.accounting.energy.tables import reading
from tarazy.accreditation.registers import append_all
from tarazy.config.settings import SettingsError, load_agent_settings
from tarazy.database.engine import Database
from tarazy.pool import moments
from tarazy.pool.agent.spool import Spool, SpoolError
from tarazy.portal.rights import Role
from tarazy.portal.tokens import create_token
from tests.accounting.energy.broker import publish, running_broker
from tests.accounting.energy.support import T0, on_asyncio, scripted_meter
from tests.accounting.energy.test_asic import WHATSMINER, machine
from tests.portal.pool import EKIBASTUZ, SINCE, Pool
from tests.portal.subject import make_portal, make_subject
from tests.portal.test_readings import behind_agent

PROFILE = "abb-b23"
MQTT = {"url": "mqtt://127.0.0.1", "payloads": {"p": {}}, "meters": {"b-2": {"topic": "a", "payload": "p"}}}


class _Office:
    """The pool's portal on one port, which can be stopped and started again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pool = Pool(directory)
        now = datetime.now(UTC)
        with self._pool.engine.begin() as connection:
            append_all(connection, [behind_agent(key, EKIBASTUZ) for key in ("b-1", "b-2")], SINCE, "test")
            self.token = create_token(
                connection, "a", Role.AGENT, None, now, now + timedelta(days=1), "test", EKIBASTUZ
            )
        self.port = 0

    def start(self) -> None:
        """Listen again, on the port of before."""
        from twisted.internet import reactor

        self._database = Database(self._pool.engine, reactor)
        subject = make_subject(self._directory, datetime.now(UTC))
        self._portal = make_portal(reactor, subject, self._database, self.port)
        self.port = self._portal.start()

    async def end(self) -> None:
        """Close the port."""
        await self._portal.stop()
        self._database.close()

    async def stop(self) -> None:
        """Close the port, called from asyncio."""
        await Deferred.fromCoroutine(self.end()).asFuture(asyncio.get_running_loop())

    def counts(self) -> list[int]:
        """What was pushed, in the order of recording."""
        query = select(reading.c.register_count).where(reading.c.source == "agent", reading.c.status == "ok")
        with self._pool.engine.begin() as connection:
            return list(connection.scalars(query.order_by(reading.c.reading)))

    def claim(self) -> Claim | None:
        """What the site's machines claimed last."""
        with self._pool.engine.begin() as connection:
            return last_claim(connection, EKIBASTUZ)

    async def until(self, count: int) -> None:
        """Wait for a reading of this count."""
        while count not in self.counts():
            await asyncio.sleep(0.05)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[_Office]:
    """One that is started."""
    made = _Office(tmp_path)
    made.start()
    yield made
    pytest_twisted.blockon(Deferred.fromCoroutine(made.end()))


@contextmanager
def _agent(file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`tarazy site-agent`, killed at the end."""
    log = file.with_suffix(".log")
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "tarazy", "site-agent", "-c", str(file)], stderr=sink, env=os.environ
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _write(directory: Path, port: int, meter_port: int, token: str) -> Path:
    file = directory / "site-agent.yaml"
    (directory / "token").write_text(token + "\n")
    meter = {"host": "127.0.0.1", "port": meter_port, "profile": PROFILE}
    told = {"pool": f"http://127.0.0.1:{port}", "token": "token", "poll_seconds": 0.2, "meters": {"b-1": meter}}
    file.write_text(yaml.safe_dump(told))
    return file


@on_asyncio
async def test_nothing_is_lost_or_doubled_while_the_pool_is_away_and_the_agent_is_killed(
    office: _Office, tmp_path: Path
) -> None:
    """The register counts each answer: killed and started without a pool, the agent leaves no count out, in order."""
    async with scripted_meter(PROFILE) as (server, where):

        async def count_on() -> None:
            """A meter that shows how often it was asked."""
            while True:
                server.answer = server.asked + 1
                await asyncio.sleep(0.005)

        counting = asyncio.ensure_future(count_on())
        file = _write(tmp_path, office.port, where.port, office.token)
        with _agent(file):
            await office.until(3)
            await office.stop()
            asked = server.asked
            while server.asked < asked + 4:
                await asyncio.sleep(0.05)
        while_away = server.asked
        with _agent(file) as process:
            while server.asked < while_away + 3:
                await asyncio.sleep(0.05)
            before = office.counts()
            office.start()
            await office.until(while_away + 2)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 10) == 0
        counting.cancel()
        counts = office.counts()
        assert max(before) < while_away - 2, "the pool was away, and had it all the same"
        assert counts == sorted(set(counts))
        missing = set(range(min(counts), while_away + 3)) - set(counts)
        assert missing <= {while_away}, "only the answer during which the agent was killed may be missing"


@on_asyncio
async def test_meters_are_heard_and_exports_pushed_and_the_check_says_what_is_wanting(
    office: _Office, tmp_path: Path
) -> None:
    """b-1 over Modbus with its export register, b-2 over MQTT: both reach the pool; `--check` tells of either."""
    with running_broker(tmp_path) as broker:
        async with scripted_meter(PROFILE, exports=70) as (server, where):
            server.answer = 4000
            file = _write(tmp_path, office.port, where.port, office.token)
            heard = {"b-2": {"topic": "site/b-2", "payload": "p"}}
            payloads = {"p": {"count": "n", "at": "at"}}
            mqtt = {"url": f"mqtt://127.0.0.1:{broker.port}", "payloads": payloads, "meters": heard}
            file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "mqtt": mqtt}))
            wanting = await _check(file)
            at = datetime.now(UTC).isoformat()
            await publish(broker, "site/b-2", {"n": 77, "at": at}, retain=True)
            with _agent(file):
                await office.until(77)
                await office.until(4000)
                await office.until(70)
            fine = await _check(file)
    assert [(each["subject"], each["fine"]) for each in wanting[1]] == [
        ("b-1", True),
        ("MQTT broker", True),
        ("b-2", False),
        ("pool", True),
    ]
    assert (wanting[0], fine[0]) == (1, 0)
    texts = {each["subject"]: each["text"] for each in fine[1]}
    assert texts["b-1"] == "4000 counts, 40.000 kWh; export 70"
    assert texts["b-2"] == f"77 counts at {moments.told(datetime.fromisoformat(at))}"
    assert texts["pool"] == f"takes readings of site {EKIBASTUZ}"


async def _check(file: Path) -> tuple[int, list[dict[str, Any]]]:
    command = [sys.executable, "-m", "tarazy", "site-agent", "-c", str(file), "--check", "--listen", "1", "--json"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
    return done.returncode, json.loads(done.stdout)


@on_asyncio
async def test_rows_that_the_pool_refuses_hold_up_no_other(office: _Office, tmp_path: Path) -> None:
    """A meter it does not know is told and passed over; ahead of the pool's clock, the agent waits for it."""
    from twisted.internet import reactor

    from tarazy.pool.agent.run import PushError, SiteAgent

    settings = load_agent_settings(_write(tmp_path, office.port, 1, office.token))
    spool = Spool(settings.spool)
    now = datetime.now(UTC)
    for number, (key, ahead) in enumerate((("b-9", -3), ("b-1", -2), ("b-1", 20), ("b-1", -1))):
        spool.add(Reading(key, now + timedelta(minutes=ahead), number, "ok"))

    async def push(ahead: int) -> None:
        agent = SiteAgent(reactor, settings, spool, lambda: now + timedelta(minutes=ahead))
        await Deferred.fromCoroutine(agent.push()).asFuture(asyncio.get_running_loop())

    with pytest.raises(PushError, match="ahead of the pool"):
        await push(30)
    assert [row.count for row in spool.oldest(9)] == [2, 3]
    await push(0)
    assert (spool.oldest(9), office.counts()) == ([], [1, 3])
    settings.token.write_text("tarazy_wrong")
    spool.add(Reading("b-1", now, 5, "ok"))
    with pytest.raises(PushError, match="401: sign in, or send a token in force"):
        await push(0)
    assert [row.count for row in spool.oldest(9)] == [5]


def test_a_spool_holds_what_was_added_in_order_and_belongs_to_one(tmp_path: Path) -> None:
    """What is not dropped is there after opening again; beyond its bound the oldest goes."""
    spool = Spool(tmp_path / "s", most=3)
    for number in range(5):
        spool.add(Reading("b-1", T0 + timedelta(minutes=number), number, "ok"))
    with pytest.raises(SpoolError, match="another agent"):
        Spool(tmp_path / "s")
    spool.close()
    spool = Spool(tmp_path / "s", most=3)
    assert [row.count for row in spool.oldest(10)] == [2, 3, 4]
    spool.drop(spool.oldest(1)[0].sequence)
    assert [row.count for row in spool.oldest(10)] == [3, 4]
    (tmp_path / "no").write_text("no database, but a file of other things" * 100)
    with pytest.raises(SpoolError, match="another file"):
        Spool(tmp_path / "no")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pool": "http://pool.example.kz"}, "must begin with https://"),
        ({"pool": "pool.example.kz"}, "must be the address"),
        ({"pool": "https://pool.example.kz:x"}, "must be the address"),
        ({"meters": {}}, "name a meter"),
        ({"meters": {"b-1": {"host": "h h", "profile": PROFILE}}}, "a host name"),
        ({"metres": {}}, "unknown key"),
        (
            {"mqtt": {**MQTT, "meters": {"b-1": {"topic": "a", "payload": "p"}}}},
            "stands under `meters` and under `mqtt`",
        ),
        ({"mqtt": {**MQTT, "url": "mqtt://far.example.kz"}}, "must begin with mqtts://"),
    ],
)
def test_settings_that_are_refused(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    """One line that says what to mend."""
    file = _write(tmp_path, 1, 1, "t")
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **change}))
    with pytest.raises(SettingsError, match=says):
        load_agent_settings(file)


@on_asyncio
async def test_what_machines_claim_reaches_the_pool(office: _Office, tmp_path: Path) -> None:
    """Two addresses are asked, one is a machine; the sum arrives once, and nothing else of the machine."""
    from twisted.internet import reactor

    from tarazy.pool.agent.run import SiteAgent

    async with machine({"summary": WHATSMINER}, []) as port:
        file = _write(tmp_path, office.port, 1, office.token)
        told = yaml.safe_load(file.read_text())
        told["machines"] = [{"network": "127.0.0.1/32", "port": port}, {"network": "127.0.0.1/32", "port": 1}]
        file.write_text(yaml.safe_dump(told))
        settings = load_agent_settings(file)
        agent = SiteAgent(reactor, settings, Spool(settings.spool), lambda: datetime.now(UTC))
        for work in (agent.ask_machines, agent.push, agent.push):
            await Deferred.fromCoroutine(work()).asFuture(asyncio.get_running_loop())
    claim = office.claim()
    assert claim is not None
    assert (claim.asked, claim.answered, claim.telling, claim.power_w) == (2, 1, 1, 3593)
    told["machines"] = [{"network": "10.0.0.0/8"}]
    file.write_text(yaml.safe_dump(told))
    with pytest.raises(SettingsError, match="at most 4096 addresses"):
        load_agent_settings(file)
