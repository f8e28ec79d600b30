"""`tarazy bench gateway`: what a share costs the whole server, durable answer included, measured from outside.

The server runs as `tarazy serve` in a process of its own with everything a pool has on: admission, journal with fsync,
folding, page, metrics. A second process loads it over TCP. The template carries enough real transactions for a
merkle branch of 11 levels. The bare loop of `bare.py` is measured between the server's runs and is the yardstick.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from tarazy.pool.bench.load import LoadOptions
from tarazy.pool.bench.measured import HOST, Measured, measured, run_load
from tarazy.pool.bench.transactions import fill_pending, new_block
from tarazy.pool.demo.prepare import free_ports, prepare
from tarazy.pool.demo.scenario import demo_settings
from tarazy.stratum.assignments import JOBS_KEPT

_LOGIN = "altyn"
_PENDING = 2047
_LEVELS = 11
"""Of the merkle branch over so many transactions and the coinbase."""
_PAIRS = 3
"""Closed-loop runs of the yardstick and of the server in turn; the median ratio counts."""
_SOAK_SAMPLES = 20

Progress = Callable[[str], None]


def run_gateway_bench(
    *,
    connections: Sequence[int],
    open_connections: int,
    rate: float,
    seconds: float,
    soak_seconds: float,
    progress: Progress,
) -> dict[str, Any]:
    """All runs; the result has the shape the design states, with more figures. Raises `BenchError`."""
    with TemporaryDirectory(prefix="tarazy-bench-") as temporary:
        directory = Path(temporary)
        (bare_port,) = free_ports(1)
        path, ports = _bench_server(directory)
        yardstick = ("tarazy.pool.bench.bare", HOST, str(bare_port), str(_LEVELS))
        with (
            measured(*yardstick, port=bare_port, log=directory / "bare.log") as bare,
            measured("tarazy", "serve", "-c", str(path), port=ports["stratum"], log=directory / "server.log") as server,
        ):
            progress("filling the template with transactions")
            peer = f"http://{HOST}:{ports['peer']}/"
            levels = fill_pending(peer, _PENDING)
            closed = [_closed(bare, server, count, seconds, progress) for count in connections]
            progress(f"{open_connections} connections at once")
            storm = run_load(server, LoadOptions(open_connections, 1.0, _LOGIN, rate=rate, at_once=open_connections))
            progress(f"{open_connections} connections, {rate:g} shares/s, one block")
            options = LoadOptions(open_connections, seconds, _LOGIN, rate=rate)
            opened = run_load(server, options, midway=lambda: new_block(peer))
        soak = _soak(directory / "soak", rate, soak_seconds, progress) if soak_seconds else None
    figures = {
        "bare": closed[-1]["bare"],
        "closed": closed,
        "open": {"connections": open_connections, "rate": rate} | _kept(opened),
        "storm": {
            "connections": open_connections,
            "seconds": storm["ready_seconds"],
            "lost": storm["lost_connections"],
        },
        "ratio": closed[-1]["ratio"],
        "merkle_levels": levels,
        "cpus": os.cpu_count(),
    }
    return figures | ({"soak": soak} if soak else {})


def _closed(bare: Measured, server: Measured, connections: int, seconds: float, progress: Progress) -> dict[str, Any]:
    """The yardstick and the server in turn, every connection waiting for its answer."""
    options = LoadOptions(connections, seconds, _LOGIN)
    pairs = []
    for number in range(1, _PAIRS + 1):
        progress(f"{connections} connections, closed loop, pair {number} of {_PAIRS}")
        pairs.append((run_load(bare, options), run_load(server, options)))
    ratios = [server["cpu_us_per_share"] / bare["cpu_us_per_share"] for bare, server in pairs]
    return {
        "connections": connections,
        **_medians([server for _, server in pairs]),
        "bare": _medians([bare for bare, _ in pairs]),
        "ratio": round(median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
    }


def _medians(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    keys = ("cpu_us_per_share", "shares_per_s", "p50_ms", "p99_ms", "unanswered", "lost_connections")
    return {key: median(run[key] for run in runs) for key in keys}


def _soak(directory: Path, rate: float, seconds: float, progress: Progress) -> dict[str, Any]:
    """The same load for long: memory must not grow from the second quarter to the last.

    What a connection remembers of its last 40 jobs, every share of them above all, must have been forgotten by then for
    the first time, so jobs are refreshed more often than usual.
    """
    progress(f"1000 connections, {rate:g} shares/s for {seconds:g} s")
    path, ports = _bench_server(directory, job_refresh_seconds=max(1.0, seconds / 4 / JOBS_KEPT))
    with measured("tarazy", "serve", "-c", str(path), port=ports["stratum"], log=directory / "server.log") as server:
        run = run_load(server, LoadOptions(1000, seconds, _LOGIN, rate=rate), memory_every=seconds / _SOAK_SAMPLES)
    quarter = _SOAK_SAMPLES // 4
    memory = run["memory_bytes"]
    growth = median(memory[-quarter:]) - median(memory[quarter : 2 * quarter])
    return {"seconds": seconds, "memory_growth_bytes": round(growth), "memory_bytes": memory} | _kept(run)


def _kept(result: dict[str, Any]) -> dict[str, Any]:
    keys = (
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
    return {key: result[key] for key in keys if result.get(key) is not None}


def _bench_server(directory: Path, **stratum_settings: float) -> tuple[Path, dict[str, int]]:
    stratum, portal, metrics, peer = free_ports(4)
    settings = demo_settings(peer_port=peer)
    del settings["energy"]  # the demo's intervals are seconds long; a pool's are 15 minutes
    lowest = 2.0**-32
    settings["chain"]["block_difficulty"] = 2.0**10
    settings["stratum"] |= {
        "listeners": [{"host": HOST, "port": stratum}],
        "limits": {"submits_per_second": 1e6},
        "minimum_difficulty": lowest,
        "start_difficulty": lowest,
        "maximum_difficulty": lowest,
        **stratum_settings,
    }
    settings |= {"portal": {"port": portal}, "metrics": {"port": metrics}, "log": {"level": "warning"}}
    prepared = prepare(directory / "pool", settings, datetime.now(UTC))
    return prepared.path, {"stratum": stratum, "peer": peer}
