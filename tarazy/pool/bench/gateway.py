"""`tarazy bench gateway`: what a share costs the whole server, durable answer included, measured from outside.

The server runs as `tarazy serve` in a process of its own with everything a pool has on: admission, journal with fsync,
folding, page, metrics. A second process loads it over TCP. The template carries enough real transactions for a
merkle branch of 11 levels. The bare loop of `bare.py` is measured in the same run and is the yardstick.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tarazy.pool.bench.load import LoadOptions
from tarazy.pool.bench.transactions import fill_pending, new_block
from tarazy.pool.demo.prepare import free_ports, prepare
from tarazy.pool.demo.scenario import demo_settings

_HOST = "127.0.0.1"
_LOGIN = "altyn"
_PENDING = 2047
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """The run could not be made. The text says why."""


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _memory_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def _wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise BenchError(f"the server ended at its start:\n{log.read_text(errors='replace')[-2000:]}")
        with socket.socket() as probe:
            if probe.connect_ex((_HOST, port)) == 0:
                return
        time.sleep(0.1)
    raise BenchError("the server did not listen within 60 s")


@contextmanager
def _process(module: str, *arguments: str, port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own modules with our own arguments
            [sys.executable, "-m", module, *arguments], stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _wait_for_port(port, process, log)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _run_load(
    port: int,
    options: LoadOptions,
    server: subprocess.Popen[bytes],
    midway: Callable[[], float] | None = None,
) -> dict[str, Any]:
    """One load process against one server: its figures, with the server's CPU and memory over the same time."""
    idle = _memory_bytes(server.pid)
    load = subprocess.Popen(  # noqa: S603 - our own module with our own arguments
        [sys.executable, "-m", "tarazy.pool.bench.load", _HOST, str(port), json.dumps(asdict(options))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert load.stdin is not None
    assert load.stdout is not None
    if not load.stdout.readline():
        raise BenchError("the load process could not connect all its miners")
    time.sleep(1.0)
    connected = _memory_bytes(server.pid)
    before = _cpu_seconds(server.pid)
    load.stdin.write("go\n")
    load.stdin.flush()
    block_at = None
    if midway is not None:
        time.sleep(options.seconds / 2)
        block_at = midway()
    result: dict[str, Any] = json.loads(load.stdout.readline())
    cpu = _cpu_seconds(server.pid) - before
    load.wait()
    result["cpu_us_per_share"] = round(cpu / max(1, result["accepted"]) * 1e6, 2)
    result["cpu_seconds"] = round(cpu, 2)
    result["rss_bytes_per_connection"] = round((connected - idle) / options.connections)
    if block_at is not None and result["last_clean_at"] is not None:
        result["fanout_ms"] = round((result["last_clean_at"] - block_at) * 1000, 1)
        result["fanout_spread_ms"] = round((result["last_clean_at"] - result["first_clean_at"]) * 1000, 1)
    return result


_KEPT = (
    "connections",
    "rate",
    "shares_per_s",
    "cpu_us_per_share",
    "p50_ms",
    "p99_ms",
    "fanout_ms",
    "fanout_spread_ms",
    "rss_bytes_per_connection",
    "accepted",
    "refused",
    "unanswered",
    "lost_connections",
    "clean_notified",
)


def _figures(options: LoadOptions, result: dict[str, Any]) -> dict[str, Any]:
    whole = {"connections": options.connections, "rate": options.rate, **result}
    return {key: whole[key] for key in _KEPT if whole.get(key) is not None}


def run_gateway_bench(
    *, connections: int, open_connections: int, rate: float, seconds: float, progress: Callable[[str], None]
) -> dict[str, Any]:
    """All three runs; the result has the shape the design states, with some more figures. Raises `BenchError`."""
    with TemporaryDirectory(prefix="tarazy-bench-") as temporary:
        directory = Path(temporary)
        (bare_port,) = free_ports(1)
        closed = LoadOptions(connections=connections, seconds=seconds, login=_LOGIN)
        progress(f"bare loop, {connections} connections")
        with _process(
            "tarazy.pool.bench.bare", _HOST, str(bare_port), port=bare_port, log=directory / "bare.log"
        ) as bare:
            bare_result = _run_load(bare_port, closed, bare)
        path, ports = _bench_server(directory)
        with _process(
            "tarazy", "serve", "-c", str(path), port=ports["stratum"], log=directory / "server.log"
        ) as server:
            progress("filling the template with transactions")
            peer = f"http://{_HOST}:{ports['peer']}/"
            levels = fill_pending(peer, _PENDING)
            progress(f"server, {connections} connections, closed loop")
            closed_result = _run_load(ports["stratum"], closed, server)
            options = LoadOptions(connections=open_connections, seconds=seconds, login=_LOGIN, rate=rate)
            progress(f"server, {open_connections} connections, {rate:g} shares/s, one block")
            open_result = _run_load(ports["stratum"], options, server, midway=lambda: new_block(peer))
    return {
        "bare": {key: bare_result[key] for key in ("cpu_us_per_share", "shares_per_s", "p50_ms", "p99_ms")},
        "closed": [_figures(closed, closed_result)],
        "open": _figures(options, open_result),
        "ratio": round(closed_result["cpu_us_per_share"] / bare_result["cpu_us_per_share"], 2),
        "merkle_levels": levels,
        "cpus": os.cpu_count(),
    }


def _bench_server(directory: Path) -> tuple[Path, dict[str, int]]:
    stratum, portal, metrics, peer = free_ports(4)
    settings = demo_settings(peer_port=peer)
    lowest = 2.0**-32
    settings["chain"]["block_difficulty"] = 2.0**10
    settings["stratum"] |= {
        "port": stratum,
        "minimum_difficulty": lowest,
        "start_difficulty": lowest,
        "maximum_difficulty": lowest,
    }
    settings |= {"portal": {"port": portal}, "metrics": {"port": metrics}, "log": {"level": "warning"}}
    prepared = prepare(directory / "pool", settings, datetime.now(UTC))
    return prepared.path, {"stratum": stratum, "peer": peer}
