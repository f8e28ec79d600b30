"""A whole server as a process, with the demo's registers, and a miner that speaks to it over a plain socket."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from click.testing import CliRunner, Result

from tarazy.config.settings import Settings
from tarazy.pool.cli import main
from tarazy.pool.demo.prepare import free_ports, prepare
from tarazy.pool.demo.scenario import demo_settings
from tarazy.pool.demo.screen import Viewer
from tests.forked import Forked

LOWEST = 2.0**-32
"""At this difficulty practically every hash is a share: tests need not search."""


def wait_until(holds: Callable[[], Any], seconds: float = 20.0) -> Any:
    """The first true answer of `holds`; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = holds()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {holds}")


class House:
    """A directory with settings and registers, and the server that runs in it."""

    def __init__(
        self, directory: Path, *, block_difficulty: float = 2.0**-13, chain: dict[str, Any] | None = None
    ) -> None:
        """`chain` replaces the demo's own."""
        stratum_port, portal_port, metrics_port, self.peer_port = free_ports(4)
        settings = demo_settings(peer_port=self.peer_port)
        settings["portal"] |= {"port": portal_port}
        settings["metrics"] = {"port": metrics_port}
        settings["chain"]["block_difficulty"] = block_difficulty
        settings["chain"] = chain or settings["chain"]
        lowest = {"minimum_difficulty": LOWEST, "start_difficulty": LOWEST, "maximum_difficulty": LOWEST}
        settings["stratum"] |= {"listeners": [{"host": "127.0.0.1", "port": stratum_port}], **lowest}
        self.prepared = prepare(directory, settings, datetime.now(UTC))
        self._viewer = Viewer(f"http://127.0.0.1:{portal_port}")
        self.directory = directory
        self.log = directory / "server.log"
        self.process: Forked | subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> Settings:
        """As the server reads them."""
        return self.prepared.settings

    @property
    def stratum_port(self) -> int:
        """Where miners connect."""
        return self.settings.stratum.listeners[0].port

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start the server and wait until miners and browsers can connect."""
        with self.log.open("ab") as log:
            self.process = Forked("tarazy", "serve", "-c", str(self.prepared.path), stdout=log, stderr=log)
        wait_until(self._listens, 60)

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        for port in (self.stratum_port, self.settings.portal.port):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)):
                    return False
        return True

    def kill(self) -> None:
        """SIGKILL: nothing can be tidied up."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def logged(self) -> str:
        """What the server logged so far."""
        return self.log.read_text()

    def ledger(self, query: str) -> list[Any]:
        """Rows of the ledger itself: the page lists only the newest."""
        with contextlib.closing(sqlite3.connect(self.settings.data / "tarazy.db")) as connection:
            return connection.execute(query).fetchall()

    def command(self, *arguments: str) -> Result:
        """Run a `tarazy` command with this server's settings."""
        return run_command(*arguments, "-c", str(self.prepared.path))

    def api(self, name: str) -> Any:
        """An answer of the portal to the demo's operator."""
        return self._viewer.get(name)

    def metrics(self) -> str:
        """What Prometheus would read."""
        with urlopen(f"http://127.0.0.1:{self.settings.metrics.port}/metrics", timeout=10) as response:
            body: bytes = response.read()
        return body.decode()


def run_command(*arguments: str) -> Result:
    """Run a `tarazy` command in this process, which spares the seconds of a start."""
    return CliRunner(env={"COLUMNS": "160"}).invoke(main, arguments, prog_name="tarazy")


class Client:
    """A miner's connection, one request at a time. `source` is the address it comes from."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0))
        self._lines = self.socket.makefile("rb")
        self._ids = count(1)
        self._nonces = count(1)
        self.job: list[Any] = []
        self.difficulty = 0.0
        self.notifications: list[dict[str, Any]] = []

    def send(self, data: bytes) -> None:
        """Raw bytes."""
        self.socket.sendall(data)

    def read(self) -> dict[str, Any] | None:
        """The next message; None at the end of the connection."""
        try:
            line = self._lines.readline()
        except ConnectionError:
            return None
        message: dict[str, Any] | None = json.loads(line) if line else None
        if message is not None and message.get("method") == "mining.notify":
            self.job = message["params"]
        if message is not None and message.get("method") == "mining.set_difficulty":
            (self.difficulty,) = message["params"]
        return message

    def call(self, method: str, *params: Any) -> dict[str, Any]:
        """The answer to a request; notifications on the way are kept."""
        number = next(self._ids)
        self.send(json.dumps({"id": number, "method": method, "params": params}).encode() + b"\n")
        while (message := self.read()) is not None:
            if message.get("id") == number and "method" not in message:
                return message
            self.notifications.append(message)
        raise ConnectionError("closed by the server")

    def login(self, user: str) -> dict[str, Any]:
        """Subscribe and authorize; on success wait for the first job."""
        self.call("mining.subscribe", "test")
        answer = self.call("mining.authorize", user, "x")
        while answer["result"] is True and not self.job:
            assert self.read() is not None
        return answer

    def share(self, user: str) -> tuple[str, ...]:
        """Parameters of a share nobody sent before on this connection."""
        return user, self.job[0], "0000000000000001", self.job[7], f"{next(self._nonces):08x}"

    def submit(self, user: str) -> dict[str, Any]:
        """Send such a share; its answer."""
        return self.call("mining.submit", *self.share(user))

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self.socket.close()
