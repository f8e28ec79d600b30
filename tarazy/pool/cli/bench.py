"""`tarazy bench`: what things cost, measured on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from tarazy.pool.cli.common import Wanting


@click.group()
def bench() -> None:
    """Measure."""


@bench.command("gateway")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the figures to this file.",
)
@click.option("--connections", default=1_000, show_default=True, help="Connections of the closed-loop runs.")
@click.option("--open-connections", default=8_000, show_default=True, help="Connections of the open-loop run.")
@click.option("--rate", default=1_500.0, show_default=True, help="Shares per second of the open-loop run.")
@click.option("--seconds", default=10.0, show_default=True, help="Length of each run.")
def bench_gateway(json_file: Path | None, connections: int, open_connections: int, rate: float, seconds: float) -> None:
    """Load a real server process from another: CPU per share, latency, fan-out, memory.

    The bare loop is measured in the same run; compare ratios, not absolute figures, between machines.
    """
    from rich.console import Console

    from tarazy.pool.bench.gateway import BenchError, run_gateway_bench
    from tarazy.pool.descriptors import raise_descriptor_limit

    console = Console(stderr=True)
    raise_descriptor_limit()
    try:
        with console.status("starting") as status:
            figures = run_gateway_bench(
                connections=connections,
                open_connections=open_connections,
                rate=rate,
                seconds=seconds,
                progress=status.update,
            )
    except BenchError as error:
        raise Wanting(str(error)) from None
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    _show(figures)


def _show(figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Gateway, merkle branch of {figures['merkle_levels']} levels", title_justify="left")
    for column in (
        "run",
        "connections",
        "shares/s",
        "CPU µs/share",
        "p50 ms",
        "p99 ms",
        "fan-out ms",
        "bytes/connection",
    ):
        table.add_column(column, justify="left" if column == "run" else "right")
    for name, run in (
        ("bare loop", figures["bare"]),
        ("closed loop", figures["closed"][0]),
        ("open loop", figures["open"]),
    ):
        keys = (
            "connections",
            "shares_per_s",
            "cpu_us_per_share",
            "p50_ms",
            "p99_ms",
            "fanout_ms",
            "rss_bytes_per_connection",
        )
        table.add_row(name, *(f"{run[key]:,}" if key in run else "" for key in keys))
    Console().print(table, f"CPU per accepted, durable share: {figures['ratio']} × the bare loop")
