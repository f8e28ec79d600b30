"""A whole server on nodes that are processes: it mines accepted blocks, and serves nobody without work."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tarazy.pool.demo.network import Client as NodeClient
from tarazy.pool.demo.network import RefusedError
from tarazy.pool.demo.prepare import free_ports
from tests.forked import Forked
from tests.pool.house import Client, House, wait_until

ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


class NodeProcess:
    """A node for development as a process."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        [self.port] = free_ports(1)
        self.call = NodeClient(f"http://127.0.0.1:{self.port}/")
        self.settings = {"url": f"http://127.0.0.1:{self.port}", "user": "any", "password": "any"}
        self.start()

    def start(self) -> None:
        """Start it, again after `kill` on the same chain; it answers on return."""
        self._process = self.launch()
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert json.loads(line) == {"port": self.port}

    def launch(self) -> Forked | subprocess.Popen[bytes]:
        """Its process, which tells its port in a line."""
        arguments = [str(self._directory), str(self.port), "--block-difficulty", str(2.0**-27)]
        return Forked("tarazy.pool.chain.peer", *arguments, stdout=subprocess.PIPE)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def build_node(tmp_path: Path) -> Iterator[Callable[[], NodeProcess]]:
    """Makes running nodes, ended with the test."""
    nodes: list[NodeProcess] = []

    def build() -> NodeProcess:
        nodes.append(NodeProcess(tmp_path / f"node-{len(nodes)}"))
        return nodes[-1]

    yield build
    for node in nodes:
        node.kill()


def chain_on(*nodes: NodeProcess) -> dict[str, Any]:
    """Settings of a pool on these nodes."""
    return {"kind": "bitcoind", "network": "regtest", "nodes": [node.settings for node in nodes]}


def test_a_block_is_mined_at_a_node_and_booked(
    build_node: Callable[[], NodeProcess], build_house: Callable[..., House]
) -> None:
    """C-107, C-111: shares through a plain socket until one is a block; the node has it on its chain, the ledger books
    it; the node's death and return cost no restart."""
    node = build_node()
    house = build_house(chain=chain_on(node))
    checked = house.command("check")
    assert f"node 1: in sync on regtest at block {node.call('getblockcount')}" in checked.stdout
    assert re.search(r"clock of node 1 is [+-]0\.\d s against this machine's clock", checked.stdout)
    house.start()
    client = Client(house.stratum_port)
    client.login("altyn.rig")
    files = house.settings.blocks_path
    wait_until(lambda: client.submit("altyn.rig") and list(files.glob("*.block")), 60)
    name = next(files.glob("*.block")).stem
    wait_until(lambda: connected(node, name))
    assert wait_until(lambda: [row for row in house.api("distributions")["items"] if row["block_hash"] == name])
    assert 'tarazy_node_up{node="1"} 1.0' in house.metrics()
    assert "tarazy_template_refused 0.0" in house.metrics()
    height = house.api("overview")["chain"]["tip_height"]
    node.kill()
    wait_until(lambda: 'tarazy_node_up{node="1"} 0.0' in house.metrics(), 30)
    wanting = house.command("check")
    assert "node 1: unreachable" in wanting.stdout
    assert "start bitcoind" in wanting.stdout
    assert wait_until(lambda: client.submit("altyn.rig")["result"]), "old work lives on"
    node.start()
    node.call("generatetoaddress", 1, ADDRESS)
    wait_until(lambda: house.api("overview")["chain"]["tip_height"] > height, 30)
    assert house.stop() == 0
    assert "any:any" not in house.log.read_text()
    assert "not-asked-yet" not in house.log.read_text(), "an orderly start has no errors"


def connected(node: NodeProcess, name: str) -> bool:
    """Whether a block stands in the node's chain."""
    with contextlib.suppress(RefusedError):  # its file is written before the node hears of it
        return bool(node.call("getblockheader", name)["confirmations"] >= 1)
    return False


_IMPATIENT = """
import tarazy.pool.follower
tarazy.pool.follower.DRY_SECONDS = 4.0
from tarazy.pool.cli import main
main()
"""
"""A server that sends miners away after 4 s instead of 120."""


def test_miners_are_sent_away_while_there_is_no_work(
    build_node: Callable[[], NodeProcess], build_house: Callable[..., House]
) -> None:
    """C-103: the Stratum port is shut until the first template, and again when there was none for too long; it opens
    by itself."""
    node = build_node()
    node.kill()
    house = build_house(chain=chain_on(node))
    words = yaml.safe_load(house.prepared.path.read_text())
    words["stratum"]["job_refresh_seconds"] = 1
    house.prepared.path.write_text(yaml.safe_dump(words))
    with house.log.open("ab") as log:
        house.process = subprocess.Popen(
            [sys.executable, "-c", _IMPATIENT, "serve", "-c", str(house.prepared.path)],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    wait_until(lambda: "no_template" in house.log.read_text(), 60)
    assert not _answers(house)
    node.start()
    wait_until(house._listens, 60)
    client = Client(house.stratum_port)
    assert client.login("altyn.rig")["result"] is True
    node.kill()
    while client.read() is not None:
        pass
    assert not _answers(house)
    node.start()
    wait_until(lambda: _answers(house), 60)
    assert Client(house.stratum_port).login("altyn.rig")["result"] is True
    assert house.stop() == 0


def _answers(house: House) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", house.stratum_port)) == 0
