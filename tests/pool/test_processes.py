"""Several gateway processes on one port beside one office: real processes on a node of their own."""

from __future__ import annotations

import os
import random
import re
import resource
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml

from tarazy.config.settings import load_settings
from tarazy.pool.bench.transactions import new_block
from tarazy.pool.demo.prepare import free_ports
from tests.forked import Forked, run_forked
from tests.pool.house import Client, House, wait_until
from tests.pool.load import Load, journalled

PROCESSES = 2


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def several(house: House, node_port: int, processes: int = PROCESSES) -> House:
    """Make the house one of several processes on the node at `node_port`."""
    raw = yaml.safe_load(house.prepared.path.read_text())
    node = {"url": f"http://127.0.0.1:{node_port}", "user": "tarazy", "password": "tarazy"}
    raw["chain"] = {"kind": "bitcoind", "network": "regtest", "nodes": [node]}
    raw |= {"processes": processes, "metrics": {"port": _row_of_ports(1 + processes)}}
    house.prepared.path.write_text(yaml.safe_dump(raw))
    house.prepared = replace(house.prepared, settings=load_settings(house.prepared.path))
    return house


def _row_of_ports(count: int) -> int:
    """The first of so many free ports in a row, none of those that the system gives to outgoing connections."""
    while True:
        first = random.randrange(10_000, 30_000)
        if not any(_answers(first + at) for at in range(count)):
            return first


class Pool:
    """The processes, by what they log and leave behind."""

    def __init__(self, house: House, node: str) -> None:
        self.house = house
        self.node = node
        self.port = house.stratum_port

    def start(self) -> None:
        """Start all of it."""
        self.house.start()
        wait_until(lambda: re.search(r"server_started.*supervisor", self.house.logged()), 60)

    def pids(self) -> dict[str, list[int]]:
        """Every process that served, by name, the newest last."""
        found: dict[str, list[int]] = {}
        for name, pid in re.findall(r"process_serves +name=(\S+) pid=(\d+)", self.house.logged()):
            found.setdefault(name, []).append(int(pid))
        return found

    def journalled(self) -> Counter[tuple[str, str, str]]:
        """How often each accepted share stands in the journals."""
        kept: Counter[tuple[str, str, str]] = Counter()
        for path in self.house.settings.journal_path.parent.glob("gateway-*.sqlite"):
            kept += journalled(path, int(path.stem.removeprefix("gateway-")))
        return kept

    def folded(self) -> int:
        """Accepted shares in the ledger."""
        return int(self.house.ledger("SELECT coalesce(sum(shares), 0) FROM tally")[0][0])

    def metrics(self, at: int) -> str:
        """What the office (0) or a gateway (1 …) tells Prometheus."""
        with urlopen(f"http://127.0.0.1:{self.house.settings.metrics.port + at}/metrics", timeout=10) as response:
            body: bytes = response.read()
        return body.decode()

    def everything_counted_once(self, answered: set[tuple[str, str, str]]) -> None:
        """C-094: what was answered is on disk once, and what is on disk is in the ledger once."""
        kept = self.journalled()
        assert answered <= kept.keys()
        assert set(kept.values()) == {1}
        assert self.folded() == len(kept)


@contextmanager
def running_node(directory: Path, *arguments: str, port: int | None = None) -> Iterator[int]:
    """A development node, a process of its own; its port, a free one if none is named."""
    port = port or free_ports(1)[0]
    with (directory / "node.log").open("wb") as log:
        process = Forked(
            "tarazy.pool.chain.peer", str(directory / "node"), str(port), *arguments, stdout=log, stderr=log
        )
    wait_until(lambda: _answers(port), 60)
    yield port
    process.terminate()
    process.wait(30)


@pytest.fixture
def node(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[int]:
    """A development node, a process of its own; its port. Its parameter is the difficulty of a block."""
    difficulty = ["--block-difficulty", str(request.param)] if hasattr(request, "param") else []
    with running_node(tmp_path, *difficulty) as port:
        yield port


@pytest.fixture
def pool(build_house: Callable[..., House], node: int) -> Iterator[Pool]:
    """Two gateways and an office, running."""
    made = Pool(several(build_house(), node), f"http://127.0.0.1:{node}/")
    made.start()
    yield made
    house = made.house
    if house.process is not None and house.process.poll() is None:
        house.process.terminate()
        house.process.wait(60)


def subscribed(port: int, wanted: int) -> dict[str, Client]:
    """Connections to as many gateways, by the first byte of the extranonce1."""
    found: dict[str, Client] = {}
    deadline = time.monotonic() + 60
    while len(found) < wanted and time.monotonic() < deadline:
        client = Client(port)
        extranonce1 = client.call("mining.subscribe", "test")["result"][1]
        if found.setdefault(extranonce1[:2], client) is not client:
            client.close()
    return found


def test_gateways_share_the_port_and_the_books(pool: Pool) -> None:
    """C-038: each gateway has its own extranonce1 prefix, journal and metrics; the office counts the shares of both."""
    clients = subscribed(pool.port, PROCESSES)
    assert clients.keys() == {"01", "02"}
    for client in clients.values():
        client.login("altyn.rig")
        assert [client.submit("altyn.rig")["result"] for _ in range(10)].count(True) >= 9
    wait_until(lambda: pool.folded() == sum(pool.journalled().values()) >= 18)
    for gateway in (1, 2):
        told = pool.metrics(gateway)
        assert "tarazy_ready_connections 1.0" in told
        assert "tarazy_rounds_total" not in told
    assert "tarazy_rounds_total" in pool.metrics(0)
    assert "tarazy_connections" not in pool.metrics(0)
    overview = pool.house.api("overview")
    assert overview["connections"] is None
    assert overview["shares"]["accepted"] == pool.folded()
    assert "miners" not in pool.house.command("status").stdout
    assert pool.house.stop() == 0
    assert clients["01"].read() is None or clients["01"].read() is None


@pytest.mark.parametrize("node", [2.0**-26], indirect=True)
def test_blocks_of_every_gateway_are_booked(pool: Pool) -> None:
    """Invariants 2 and 5: found by two processes, submitted by each, followed and booked by a third.

    The system chooses who accepts a connection: of so many, hardly ever one gateway all.
    """
    load = Load(pool.port, miners=16)
    directories = [pool.house.settings.of_gateway(number).blocks_path for number in (1, 2)]
    wait_until(lambda: all(list(path.rglob("*.block")) for path in directories), 120)
    load.stop()
    found = {path.stem for directory in directories for path in directory.rglob("*.block")}

    def booked() -> bool:
        rows = pool.house.ledger("SELECT block_hash, state FROM block")
        return found <= {name for name, _ in rows} and any(state == "connected" for _, state in rows)

    wait_until(booked, 60)
    new_block(pool.node)
    columns = "d.reward, d.fee, d.remainder, coalesce(sum(c.amount), 0)"
    query = f"SELECT {columns} FROM distribution d LEFT JOIN credit c USING (distribution) GROUP BY d.distribution"
    rows = wait_until(lambda: pool.house.ledger(query))
    for reward, fee, remainder, credited in rows:
        assert reward == fee + credited + remainder


def test_killed_gateway_comes_back(pool: Pool) -> None:
    """SIGKILL: the others serve on, the queue is served by the next process, every answered share counts once."""
    load = Load(pool.port)
    load.more()
    (killed,) = pool.pids()["gateway-1"]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: len(pool.pids()["gateway-1"]) == 2, 60)
    assert re.search(r"process_died +again_in=0.5 code=-9 name=gateway-1 .*ended by signal 9", pool.house.logged())
    load.more()
    assert "01" in subscribed(pool.port, PROCESSES)
    answered = load.stop()
    assert pool.house.stop() == 0
    pool.everything_counted_once(answered)


def test_process_that_cannot_be_started_is_tried_again(pool: Pool) -> None:
    """The system has nothing left at that moment: a reason for another pause, not for going on without it."""
    assert pool.house.process is not None
    supervisor = pool.house.process.pid
    before = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (3, before[1]))
    (killed,) = pool.pids()["gateway-1"]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: re.search("process_died.*it cannot be started: Too many open files", pool.house.logged()), 60)
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, before)
    wait_until(lambda: len(pool.pids()["gateway-1"]) == 2, 60)
    assert pool.house.stop() == 0


def test_sigterm_while_processes_prepare_themselves_ends_all(build_house: Callable[..., House]) -> None:
    """The order to end comes before there is anything to end."""
    house = several(build_house(), free_ports(1)[0])
    with house.log.open("ab") as log:
        house.process = Forked("tarazy", "serve", "-c", str(house.prepared.path), stdout=log, stderr=log)
    children = wait_until(lambda: _children_of(house.pid), 60)
    assert house.stop() == 0
    wait_until(lambda: not any(_lives(pid) for pid in children))


def _children_of(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(path.parent.name))
    return found


def test_children_end_with_the_supervisor(pool: Pool) -> None:
    """Killed itself, it leaves nobody behind: they drain, commit and end."""
    load = Load(pool.port, miners=2)
    load.more()
    pids = [pid for each in pool.pids().values() for pid in each]
    pool.house.kill()
    wait_until(lambda: not any(_lives(pid) for pid in pids), 60)
    answered = load.stop()
    kept = pool.journalled()
    assert answered <= kept.keys()


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_sigusr2_replaces_one_process_after_the_other(pool: Pool) -> None:
    """C-094: under load nothing is lost; afterwards every process is a new one."""
    load = Load(pool.port)
    load.more()
    before, asked = pool.pids(), time.monotonic()
    assert pool.house.process is not None
    pool.house.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: re.search(r"succeeded +process", pool.house.logged()), 120)
    load.more()
    silence = load.longest_silence(asked)
    after = pool.pids()
    assert before.keys() == after.keys() == {"gateway-1", "gateway-2", "office"}
    assert all(len(pids) == 2 for pids in after.values())
    answered = load.stop()
    assert pool.house.stop() == 0
    pool.everything_counted_once(answered)
    assert silence < 10
    print(f"longest silence {silence * 1000:.0f} ms")  # noqa: T201


def test_sighup_reaches_every_process(pool: Pool) -> None:
    """A faulty file is refused by the supervisor; of a good one each process says what it makes of it."""
    process, path = pool.house.process, pool.house.prepared.path
    assert process is not None
    raw: dict[str, Any] = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**raw, "processes": "many"}))
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: re.search(r"settings_not_reloaded.*processes: ", pool.house.logged()))
    path.write_text(yaml.safe_dump({**raw, "processes": 1, "log": {"level": "debug"}}))
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: pool.house.logged().count("settings_reloaded") == 1 + PROCESSES)
    assert len(re.findall("setting_needs_restart +.*setting=processes", pool.house.logged())) == 1
    assert len(re.findall("setting_changed +.*setting=log.level", pool.house.logged())) == 1 + PROCESSES


def test_start_that_cannot_be_is_told(build_house: Callable[..., House], node: int) -> None:
    """A child's reason becomes the server's: exit code 1 and one line, nothing left running."""
    house = several(build_house(), node)
    Path(house.settings.database_url.removeprefix("sqlite:///")).unlink()
    done = run_forked("tarazy", "serve", "-c", str(house.prepared.path))
    assert done.returncode == 1
    assert "tarazy db upgrade" in done.stderr.splitlines()[-1]
