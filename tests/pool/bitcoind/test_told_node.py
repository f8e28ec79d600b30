"""A whole server on a node that requires version bits, or is slow, when the test says so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pool.bitcoind.test_serve import NodeProcess, chain_on, connected
from tests.pool.house import Client, House, wait_until

_TOLD = """
import json, sys
from pathlib import Path
from twisted.internet.task import deferLater
from tarazy.pool.chain import peer

told, directory, port, difficulty = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
words, answer = peer.template_words, peer._Calls.getblocktemplate

def template_words(template, target):
    return words(template, target) | json.loads(told.read_text())["template"]

async def getblocktemplate(calls, request=None):
    if "mode" not in request and "longpollid" not in request:
        await deferLater(calls._reactor, json.loads(told.read_text())["seconds"])
    return await answer(calls, request)

peer.template_words, peer._Calls.getblocktemplate = template_words, getblocktemplate
peer.run_node(directory, port, difficulty)
"""


class ToldNode(NodeProcess):
    """A node for development that does as it is told."""

    def __init__(self, directory: Path, block_difficulty: float) -> None:
        self._told = directory.with_suffix(".told")
        self._difficulty = block_difficulty
        self.tell()
        super().__init__(directory)

    def tell(self, seconds: float = 0.0, **template: Any) -> None:
        """Take so long for a template, and have these words in it."""
        new = self._told.with_suffix(".new")
        new.write_text(json.dumps({"seconds": seconds, "template": template}))
        new.rename(self._told)

    def launch(self) -> subprocess.Popen[bytes]:
        """Its process, which tells its port in a line."""
        arguments = (self._told, self._directory, self.port, self._difficulty)
        return subprocess.Popen([sys.executable, "-c", _TOLD, *map(str, arguments)], stdout=subprocess.PIPE)


@pytest.fixture
def build_told_node(tmp_path: Path) -> Iterator[Callable[[float], ToldNode]]:
    """Makes a running node of a block difficulty, ended with the test."""
    nodes: list[ToldNode] = []

    def build(block_difficulty: float) -> ToldNode:
        nodes.append(ToldNode(tmp_path / "node", block_difficulty))
        return nodes[-1]

    yield build
    for node in nodes:
        node.kill()


def change(house: House, **stratum: Any) -> None:
    """Write other settings for the Stratum server."""
    words = yaml.safe_load(house.prepared.path.read_text())
    words["stratum"] |= stratum
    house.prepared.path.write_text(yaml.safe_dump(words))


def heard(client: Client, method: str) -> list[Any]:
    """Parameters of the next such notification, within a minute, and those of the message behind it."""
    deadline = time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline, f"no {method}"
        message = client.read()
        assert message is not None
        if message.get("method") == method:
            behind = client.read()
            assert behind is not None
            return [message["params"], behind["method"], behind["params"]]


def test_required_version_bits_leave_the_mask_and_come_back(
    build_told_node: Callable[[float], ToldNode], build_house: Callable[..., House]
) -> None:
    """C-099, C-074: told before the job that has them, over a reload too, and given back when the chain lets go."""
    node = build_told_node(2.0**-13)
    house = build_house(chain=chain_on(node))
    change(house, job_refresh_seconds=1)
    house.start()
    client = Client(house.stratum_port)
    configured = client.call("mining.configure", ["version-rolling"], {"version-rolling.mask": "ffffffff"})
    assert configured["result"]["version-rolling.mask"] == "1fffe000"
    client.login("altyn.rig")
    before = client.share("altyn.rig")
    node.tell(vbrequired=0x2000)
    mask, method, job = heard(client, "mining.set_version_mask")
    assert (mask, method, job[5]) == (["1fffc000"], "mining.notify", "20002000")
    assert client.call("mining.submit", *before, "00002000")["result"] is True
    assert client.call("mining.submit", *client.share("altyn.rig"), "00004000")["result"] is True
    assert client.call("mining.submit", *client.share("altyn.rig"), "00002000")["error"][1] == "bad-version"
    change(house, version_mask="0fffe000")
    os.kill(house.pid, signal.SIGHUP)
    mask, method, job = heard(client, "mining.set_version_mask")
    assert (mask, method, job[5]) == (["0fffc000"], "mining.notify", "20002000")
    under = client.share("altyn.rig")
    node.tell()
    mask, method, job = heard(client, "mining.set_version_mask")
    assert (mask, method, job[5]) == (["0fffe000"], "mining.notify", "20000000")
    assert client.call("mining.submit", *client.share("altyn.rig"), "00002000")["result"] is True
    assert client.call("mining.submit", *under, "00004000")["result"] is True
    assert house.logged().count("version_mask_narrowed") == 1
    assert house.logged().count("version_mask_restored") == 1
    assert house.stop() == 0


def test_an_empty_job_is_mined_on_while_the_node_makes_a_template(
    build_told_node: Callable[[float], ToldNode], build_house: Callable[..., House]
) -> None:
    """C-107, C-045: three blocks, one upon the other, in less time than the node takes for two templates."""
    node = build_told_node(2.0**-27)
    house = build_house(chain={**chain_on(node), "empty_job_first": True})
    house.start()
    client = Client(house.stratum_port)
    client.login("altyn.rig")
    node.tell(seconds=15.0)
    files = house.settings.blocks_path

    def on_chain() -> int:
        return sum(connected(node, found.stem) for found in files.glob("*.block"))

    wait_until(lambda: client.submit("altyn.rig") and on_chain() >= 3, 28)
    assert wait_until(lambda: len(house.api("distributions")["items"]) >= 3)
    assert "tarazy_template_refused 0.0" in house.metrics()
    assert "template_refused" not in house.logged()
    assert house.stop() == 0
