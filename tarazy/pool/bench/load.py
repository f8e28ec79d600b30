"""The load: many Stratum connections in one process of its own, answers timed one by one.

At the bench's difficulty (2^-32) practically every hash is a share, so the generator need not search and the
server still judges real work. Run as `python -m tarazy.pool.bench.load HOST PORT JSON-OPTIONS`; prints one JSON line
per event: `{"event": "ready"}` when all connections have work, then the result.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import orjson
import uvloop

_HANDSHAKE = b"".join(
    (
        b'{"id":1,"method":"mining.subscribe","params":["bench"]}\n',
        b'{"id":2,"method":"mining.authorize","params":["%s","x"]}\n',
    )
)


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What to do: `rate` None is closed loop (each connection waits for its answer), else shares/s over all."""

    connections: int
    seconds: float
    login: str
    rate: float | None = None
    at_once: int = 200
    """Connections that are opened at the same time."""


class Load:
    """Counts and times of one run."""

    def __init__(self, options: LoadOptions) -> None:
        self.options = options
        self.miners: list[BenchMiner] = []
        self.measuring = False
        self.closed_loop = False
        self.accepted = 0
        self.refused: dict[str, int] = {}
        self.latencies: list[float] = []
        self.ready = 0
        self.all_ready = asyncio.Event()
        self.clean_notified: list[float] = []
        self.lost = 0

    def became_ready(self) -> None:
        """One more connection has its first job."""
        self.ready += 1
        if self.ready == self.options.connections:
            self.all_ready.set()

    def result(self, seconds: float) -> dict[str, Any]:
        """Figures for the report."""
        ordered = sorted(self.latencies)

        def percentile(part: float) -> float:
            return round(ordered[min(len(ordered) - 1, int(part * len(ordered)))] * 1000, 3) if ordered else 0.0

        return {
            "event": "result",
            "accepted": self.accepted,
            "refused": self.refused,
            "unanswered": sum(len(miner.sent) for miner in self.miners),
            "lost_connections": self.lost,
            "seconds": seconds,
            "shares_per_s": round(self.accepted / seconds, 1),
            "p50_ms": percentile(0.50),
            "p99_ms": percentile(0.99),
            "clean_notified": len(self.clean_notified),
            "last_clean_at": max(self.clean_notified, default=None),
            "first_clean_at": min(self.clean_notified, default=None),
        }


class BenchMiner(asyncio.Protocol):
    """One connection."""

    __slots__ = ("_buffer", "_load", "_login", "_nonce", "_prefix", "job", "sent", "transport")

    def __init__(self, load: Load, number: int) -> None:
        self._load = load
        self._login = f"{load.options.login}.w{number}".encode()
        self._buffer = b""
        self._nonce = number * 7919
        self._prefix = b""
        self.job: bytes | None = None
        self.sent: deque[float] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Introduce ourselves as pipelining firmware does."""
        self.transport = transport = cast(asyncio.Transport, transport)
        transport.write(_HANDSHAKE % self._login)

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection the server dropped is a fault of the run."""
        self._load.lost += 1

    def submit(self) -> None:
        """Send the next share."""
        self._nonce = (self._nonce + 1) & 0xFFFFFFFF
        self.sent.append(time.perf_counter())
        self.transport.write(b'%s%08x"]}\n' % (self._prefix, self._nonce))

    def data_received(self, data: bytes) -> None:
        """Time the answers, take new jobs."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            if b'"method"' in line:
                if b"mining.notify" in line:
                    self._take_job(line)
                continue
            message = orjson.loads(line)
            if message["id"] == 4:
                self._answered(message)

    def _take_job(self, line: bytes) -> None:
        """Cut job id, ntime and clean_jobs out of a notification: parsing it would be time that is not the server's."""
        first = self.job is None
        start = line.index(b'"params":["') + 11
        job_id = line[start : line.index(b'"', start)]
        head, _, clean = line.rpartition(b",")
        self.job = job_id
        self._prefix = b'{"id":4,"method":"mining.submit","params":["%s","%s","%016x","%s","' % (
            self._login,
            job_id,
            self._nonce & 0xFFFF,
            head[-9:-1],
        )
        if first:
            self._load.became_ready()
        elif clean.startswith(b"true"):
            self._load.clean_notified.append(time.time())

    def _answered(self, message: dict[str, Any]) -> None:
        load = self._load
        elapsed = time.perf_counter() - self.sent.popleft()
        if load.measuring:
            if message["result"] is True:
                load.accepted += 1
                load.latencies.append(elapsed)
            else:
                word = message["error"][1].partition(":")[0]
                load.refused[word] = load.refused.get(word, 0) + 1
        if load.closed_loop:
            self.submit()


async def _connect(load: Load, host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    at_once = load.options.at_once
    for start in range(0, load.options.connections, at_once):
        numbers = range(start, min(start + at_once, load.options.connections))
        made = await asyncio.gather(
            *(loop.create_connection(partial(BenchMiner, load, number), host, port) for number in numbers)
        )
        load.miners += [protocol for _, protocol in made]
    await asyncio.wait_for(load.all_ready.wait(), 120)


async def _open_loop(load: Load, rate: float, until: float) -> None:
    turn, owed, last = 0, 0.0, time.perf_counter()
    while (now := time.perf_counter()) < until:
        owed += (now - last) * rate
        last = now
        while owed >= 1:
            load.miners[turn % len(load.miners)].submit()
            turn += 1
            owed -= 1
        await asyncio.sleep(0.001)


async def run_load(host: str, port: int, options: LoadOptions) -> dict[str, Any]:
    """Connect, report readiness on standard output, load for the given seconds, return the figures."""
    load = Load(options)
    began = time.perf_counter()
    await _connect(load, host, port)
    ready = {"event": "ready", "seconds": round(time.perf_counter() - began, 3)}
    print(orjson.dumps(ready).decode(), flush=True)  # noqa: T201 - read by the parent process
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    started = time.perf_counter()
    load.measuring = True
    if options.rate is None:
        load.closed_loop = True
        for miner in load.miners:
            miner.submit()
        await asyncio.sleep(options.seconds)
        load.closed_loop = False
    else:
        await _open_loop(load, options.rate, started + options.seconds)
    load.measuring = False
    seconds = time.perf_counter() - started
    await asyncio.sleep(0.5)
    return load.result(seconds)


def main() -> None:
    """Entry of the load process."""
    host, port, options = sys.argv[1:4]
    result = uvloop.run(run_load(host, int(port), LoadOptions(**orjson.loads(options))))
    print(orjson.dumps(result).decode(), flush=True)  # noqa: T201 - read by the parent process


if __name__ == "__main__":
    main()
