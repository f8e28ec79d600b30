"""Server processes under measurement, and one load against them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tarazy.pool.bench.load import LoadOptions

HOST = "127.0.0.1"
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")
_SETTLE_SECONDS = 1.0


class BenchError(Exception):
    """The run could not be made. The text says why."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A running server and its port."""

    process: subprocess.Popen[bytes]
    port: int

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def memory_bytes(self) -> int:
        """Resident set."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * _PAGE


@contextmanager
def measured(module: str, *arguments: str, port: int, log: Path) -> Iterator[Measured]:
    """`python -m module` until the end of the block; it listens on `port`."""
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own modules with our own arguments
            [sys.executable, "-m", module, *arguments], stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _wait_for_port(port, process, log)
        yield Measured(process, port)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise BenchError(f"the server ended at its start:\n{log.read_text(errors='replace')[-2000:]}")
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.1)
    raise BenchError("the server did not listen within 60 s")


def run_load(
    server: Measured,
    options: LoadOptions,
    midway: Callable[[], float] | None = None,
    memory_every: float | None = None,
) -> dict[str, Any]:
    """One load process against one server: its figures, with the server's CPU and memory over the same time.

    `midway` is called in the middle, offers a block and tells when. With `memory_every` the server's memory is noted
    every so many seconds of the load. Raises `BenchError` when not all miners get work, or the load ends too early.
    """
    idle = server.memory_bytes()
    load = subprocess.Popen(  # noqa: S603 - our own module with our own arguments
        [sys.executable, "-m", "tarazy.pool.bench.load", HOST, str(server.port), json.dumps(asdict(options))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert load.stdin is not None
    assert load.stdout is not None
    if not (ready := load.stdout.readline()):
        raise BenchError("the load process could not connect all its miners")
    time.sleep(_SETTLE_SECONDS)
    connected = server.memory_bytes()
    before = server.cpu_seconds()
    load.stdin.write("go\n")
    load.stdin.flush()
    block_at = None
    with _watched(server, memory_every or options.seconds) as memory:
        if midway is not None:
            time.sleep(options.seconds / 2)
            block_at = midway()
        if not (told := load.stdout.readline()):
            raise BenchError("the load process ended before it had figures")
        cpu = server.cpu_seconds() - before
    load.wait()
    result: dict[str, Any] = json.loads(told)
    result["ready_seconds"] = json.loads(ready)["seconds"]
    result["cpu_us_per_share"] = round(cpu / max(1, result["accepted"]) * 1e6, 2)
    result["rss_bytes_per_connection"] = round((connected - idle) / options.connections)
    result["memory_bytes"] = memory
    if block_at is not None and result["last_clean_at"] is not None:
        result["fanout_ms"] = round((result["last_clean_at"] - block_at) * 1000, 1)
        result["fanout_spread_ms"] = round((result["last_clean_at"] - result["first_clean_at"]) * 1000, 1)
    return result


@contextmanager
def _watched(server: Measured, every: float) -> Iterator[list[int]]:
    """The server's memory, noted every so many seconds until the end of the block."""
    memory: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(every):
            memory.append(server.memory_bytes())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield memory
    finally:
        done.set()
        watching.join()
