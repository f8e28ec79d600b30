"""`tarazy bench`: what things cost, measured on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from tarazy.pool.cli.common import Wanting

DOCUMENTS = ("accreditation", "statement", "sale", "distributed")

_json_file_option = click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the figures to this file.",
)

_plot_file_option = click.option(
    "--plot",
    "plot_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw them into this SVG file; needs tarazy[plot].",
)


def _draw(plot_file: Path | None, kind: str, figures: dict[str, Any]) -> None:
    if plot_file is None:
        return
    try:
        from tarazy.pool.bench import plot
    except ImportError:
        raise Wanting("--plot needs pygal: pip install 'tarazy[plot]'") from None
    plot_file.write_text(getattr(plot, kind)(figures), encoding="utf-8")


@click.group()
def bench() -> None:
    """Measure."""


@bench.command("gateway")
@_json_file_option
@click.option(
    "--connections", multiple=True, type=int, default=(100, 1_000), show_default=True, help="Closed-loop connections."
)
@click.option("--open-connections", default=8_000, show_default=True, help="Connections of the open-loop run.")
@click.option("--rate", default=1_500.0, show_default=True, help="Shares per second of the open-loop run.")
@click.option("--seconds", default=6.0, show_default=True, help="Length of each run.")
@click.option(
    "--soak-seconds", default=0.0, show_default=True, help="Length of the soak; 0 leaves it out, 600 is usual."
)
def bench_gateway(
    json_file: Path | None,
    connections: tuple[int, ...],
    open_connections: int,
    rate: float,
    seconds: float,
    soak_seconds: float,
) -> None:
    """Load a real server process from another: CPU per share, latency, fan-out, memory.

    The bare loop is measured in turn with the server; compare ratios, not absolute figures, between machines.
    """
    from rich.console import Console

    from tarazy.pool.bench.gateway import run_gateway_bench
    from tarazy.pool.bench.measured import BenchError
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
                soak_seconds=soak_seconds,
                progress=status.update,
            )
    except BenchError as error:
        raise Wanting(str(error)) from None
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    _show(figures)


_COLUMNS = {
    "connections": "conns",
    "shares_per_s": "shares/s",
    "cpu_us_per_share": "µs/share",
    "ratio": "×bare",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "fanout_ms": "fan-out",
    "rss_bytes_per_connection": "B/con",
}


def _show(figures: dict[str, Any]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    title = f"Gateway, merkle branch of {figures['merkle_levels']} levels"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 0, 0, 0))
    table.add_column("run", no_wrap=True)
    for heading in _COLUMNS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    rows = [row for run in figures["closed"] for row in (("bare loop", run["bare"]), ("closed loop", run))]
    rows.append(("open loop", figures["open"]))
    if "soak" in figures:
        rows.append(("soak", figures["soak"]))
    for name, run in rows:
        table.add_row(name, *(f"{round(run[key], 1 + (run[key] < 100)):,}" if key in run else "" for key in _COLUMNS))
    storm = figures["storm"]
    console = Console()
    console.print(table)
    console.print(f"CPU per accepted, durable share: {figures['ratio']} × the bare loop")
    console.print(
        f"{storm['connections']:,} connections at once have work after {storm['seconds']} s, {storm['lost']} lost"
    )
    if "soak" in figures:
        console.print(f"Memory grew by {figures['soak']['memory_growth_bytes']:,} bytes in the soak")


@bench.command("vardiff")
@_json_file_option
@_plot_file_option
@click.option("--runs", default=200, show_default=True, help="Machines for each wrong start.")
@click.option("--days", default=30.0, show_default=True, help="Length of each steady run.")
@click.option("--seed", default=1, show_default=True, help="The same seed brings the same figures.")
def bench_vardiff(json_file: Path | None, plot_file: Path | None, runs: int, days: float, seed: int) -> None:
    """Simulate machines of every size against the real session and vardiff: how fast, how steady, how fair."""
    from rich.console import Console

    from tarazy.pool.bench.vardiff import run_vardiff_bench

    console = Console(stderr=True)
    with console.status("starting") as status:
        figures = run_vardiff_bench(runs=runs, days=days, seed=seed, progress=status.update)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    _draw(plot_file, "vardiff_plot", figures)
    _show_vardiff(figures)


def _show_vardiff(figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    starts = Table(title="From a wrong start", title_justify="left")
    for column in ("off", "rate reached in a minute", "shares in the second minute (5 %, median, 95 %)"):
        starts.add_column(column, justify="right")
    for run in figures["settling"]:
        starts.add_row(f"2^{run['offset']}", f"{run['within_a_minute']:.1%}", _spread(run["second_minute"]))
    steady = Table(title=f"{figures['days']:g} days", title_justify="left")
    for column in ("hash/s", "difficulty", "reached after s (median, 95 %)", "shares/min", "variance", "changes/day"):
        steady.add_column(column, justify="right")
    for run in figures["rates"]:
        steady.add_row(
            f"{run['hashrate']:.2g}",
            f"{run['difficulty']:,g}",
            _spread(run["seconds_to_reach"]),
            f"{run['shares_per_minute']}",
            f"{run['variance']}",
            f"{run['changes_per_day']}",
        )
    Console().print(starts, steady)
    for run in figures["firmware"]:
        Console().print(f"new difficulty {run['firmware']}: {run['credit_per_hash']} of the work credited")


def _spread(values: list[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


@bench.command("schemes")
@_json_file_option
@_plot_file_option
@click.option("--runs", default=2_000, show_default=True, help="Machines for each length of a shift.")
@click.option("--rounds", default=20_000, show_default=True, help="Blocks that each hopper lives through.")
@click.option("--seed", default=1, show_default=True, help="The same seed brings the same figures.")
def bench_schemes(json_file: Path | None, plot_file: Path | None, runs: int, rounds: int, seed: int) -> None:
    """Simulate how much pay varies under each scheme, and what hopping earns."""
    from rich.console import Console
    from rich.table import Table

    from tarazy.pool.bench.schemes import run_schemes_bench

    with Console(stderr=True).status("starting") as status:
        figures = run_schemes_bench(runs=runs, rounds=rounds, seed=seed, progress=status.update)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    _draw(plot_file, "schemes_plot", figures)
    for title, key, of, values in (
        ("Standard deviation of a shift's pay", "shifts", "length", "deviation"),
        ("What a hopper earns; 1 is staying", "hopping", "leaves", "earns"),
    ):
        table = Table(of, *figures[key][0][values], title=title, title_justify="left")
        for each in figures[key]:
            table.add_row(f"{each[of]:g}", *(f"{value:.3f}" for value in each[values].values()))
        Console().print(table)


@bench.command("drift")
@_json_file_option
@_plot_file_option
@click.option("--sites", type=click.IntRange(1), default=300, show_default=True, help="Sites of each sort.")
@click.option("--seed", default=1, show_default=True, help="The same seed brings the same figures.")
def bench_drift(json_file: Path | None, plot_file: Path | None, sites: int, seed: int) -> None:
    """Simulate what goes past a meter, and honest sites over a year: how soon, how often wrongly it is told."""
    from rich.console import Console
    from rich.table import Table

    from tarazy.pool.bench.drift import run_drift_bench

    with Console(stderr=True).status("starting") as status:
        figures = run_drift_bench(sites=sites, seed=seed, progress=status.update)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    _draw(plot_file, "drift_plot", figures)
    honest = Table("season", "days alike", "told in a year", title="Honest sites", title_justify="left")
    for each in figures["honest"]:
        honest.add_row(f"{each['season']:.0%}", f"{each['alike']:g}", f"{each['told']:.1%}")
    frauds = Table("what", "season", "by day 7", "by day 14", "95 % by day", title_justify="left")
    for each in figures["frauds"]:
        days = each["told_by_day"]
        frauds.add_row(
            each["what"], f"{each['season']:.0%}", f"{days[6]:.0%}", f"{days[13]:.0%}", str(each["p95"] or "never")
        )
    Console().print(honest, frauds)


@bench.command("admission")
@_json_file_option
@click.option("--parties", default=1_000, show_default=True, help="Parties, each with a site.")
@click.option("--networks", default=10_000, show_default=True, help="Networks of all sites.")
@click.option("--machines", default=100_000, show_default=True, help="Machines of all parties.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="How often each is measured.")
@click.option("--database", help="SQLAlchemy URL of an empty database; an SQLite file of its own when absent.")
def bench_admission(json_file: Path | None, database: str | None, **size: int) -> None:
    """Ask about logins, and change registers of a country's size while the reactor is watched."""
    from tempfile import TemporaryDirectory

    from rich.console import Console

    from tarazy.pool.bench.admission import run_admission_bench

    console = Console(stderr=True)
    with TemporaryDirectory() as directory, console.status("starting") as status:
        figures = run_admission_bench(Path(directory), database, **size, progress=status.update)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    _show_admission(figures)


def _show_admission(figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    size = f"{figures['parties']:,} parties, {figures['networks']:,} networks, {figures['machines']:,} machines"
    click.echo(f"{size} in {figures['database']}, read in {figures['read_all_s']} s")
    click.echo(
        f"a login: {figures['first_us']} µs asked first, {figures['again_us']} µs asked again,"
        f" {figures['stranger_us']} µs of a stranger; reading its address {figures['address_us']} µs"
    )
    table = Table(title="Changes, sorted figures of each", title_justify="left")
    for column in ("recorded", "decided by after ms", "reactor late by ms at most"):
        table.add_column(column)
    for run in figures["changes"]:
        table.add_row(run["change"], _spread(run["effect_ms"]), _spread(run["late_ms"]))
    Console().print(table)


@bench.command("accounting")
@_json_file_option
@click.option("--workers", multiple=True, type=int, default=(1_000, 100_000), show_default=True, help="Who shares.")
@click.option("--shares", default=1_000_000, show_default=True, help="Shares that are folded at a time.")
@click.option("--parties", default=100_000, show_default=True, help="Parties that a reward is divided among.")
@click.option(
    "--history",
    multiple=True,
    type=click.IntRange(1),
    default=(300, 1_000),
    show_default=True,
    help="Rounds before those that are compared with the first.",
)
@click.option("--database", help="URL of a PostgreSQL database, for schemas of its own; SQLite files when absent.")
def bench_accounting(json_file: Path | None, **size: Any) -> None:
    """Fold journals of two gateways, divide a reward, and see whether a long history makes a round dearer."""
    from tempfile import TemporaryDirectory

    from rich.console import Console

    from tarazy.pool.bench.accounting import run_accounting_bench

    console = Console(stderr=True)
    with TemporaryDirectory() as directory, console.status("starting") as status:
        figures = run_accounting_bench(Path(directory), **size, progress=status.update)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    for run in figures["folding"]:
        click.echo(
            f"folding, {run['workers']:,} workers: {run['shares_per_s']:,} shares/s,"
            f" {run['shares_per_cpu_s']:,} in a second of the processor;"
            f" {run['recorded_per_cpu_s']:,} enter the order of record in one;"
            f" both: {run['folded_and_sealed_per_s']:,} shares/s, {run['folded_and_sealed_per_cpu_s']:,} in one"
        )
    divided = figures["distribution"]
    click.echo(
        f"a reward among {divided['parties']:,} parties: {divided['seconds']} s, {divided['cpu_s']} s of processor"
    )
    for run in figures["history"]:
        low, high = run["seconds_ratio_quartiles"]
        click.echo(
            f"a round behind {run['rounds']:,} others: {run['seconds'] * 1000:.1f} ms,"
            f" {run['seconds_ratio']} times the first ({low} to {high});"
            f" {run['cpu_s'] * 1000:.1f} ms of processor, {run['cpu_s_ratio']} times"
        )


@bench.command("energy")
@_json_file_option
@click.option("--meters", type=click.IntRange(1), default=20_000, show_default=True, help="A country has 100000.")
@click.option("--pushed", default=2, show_default=True, help="Intervals that every meter's reading is pushed for.")
@click.option("--stored", default=2, show_default=True, help="Intervals whose readings go straight into the store.")
@click.option("--aggregated", default=200, show_default=True, help="Meters with a quarter of intervals; 0: none.")
@click.option("--days", type=click.IntRange(1), default=92, show_default=True, help="Days of that quarter.")
@click.option("--country", default=0, show_default=True, help="Meters of a whole quarter, its last day in detail.")
@click.option("--database", help="SQLAlchemy URL of an empty database; an SQLite file of its own when absent.")
def bench_energy(json_file: Path | None, database: str | None, **size: int) -> None:
    """Push readings to a real portal process, settle them, and ask for the figures of a quarter."""
    from tempfile import TemporaryDirectory

    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from tarazy.pool.bench.energy import run_energy_bench
    from tarazy.pool.bench.measured import BenchError

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with TemporaryDirectory() as directory, Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("starting")
        try:
            figures = run_energy_bench(
                Path(directory), database, **size, progress=lambda what: progress.update(task, description=what)
            )
        except BenchError as error:
            raise Wanting(str(error)) from None
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    _show_energy(figures)


def _show_energy(figures: dict[str, Any]) -> None:
    click.echo(f"{figures['meters']:,} meters in {figures['database']}")
    for name in ("pushed", "stored"):
        if name in figures:
            run = figures[name]
            click.echo(
                f"{name}: {run['readings_per_s']:,} readings/s"
                f" (in {run['in_per_s']:,}, settled {run['settled_per_s']:,})"
            )
    click.echo(f"{figures['peak_rss_bytes'] >> 20:,} MiB, {figures['bytes_per_reading']:,} bytes a reading on disk")
    if "quarter" in figures:
        run = figures["quarter"]
        size = f"{run['meters']:,} meters, {run['days']} days, {run['intervals']:,} intervals"
        whole, summing = run["detail_cpu_s_for_100000_meters"], run["summing_rows_per_cpu_s"]
        click.echo(f"{size} in detail: {_told(run['detail'])}")
        click.echo(f"so a quarter of 100,000 meters takes {whole / 60:,.0f} minutes of a processor")
        click.echo(f"the same summed up, {summing:,} intervals a second of a processor: {_told(run['summed'])}")
        click.echo(f"that is {run['summed_to_detail']} of the processor's time")
    if "country" in figures:
        run = figures["country"]
        size = f"{run['meters']:,} meters, a quarter, its last day in detail"
        click.echo(f"{size}: {_told(run)}; a day is summed up in {run['summing_a_day_cpu_s']} s of a processor")


def _told(run: dict[str, Any]) -> str:
    parts = f"meters {run['meters_s']} s, parties {run['parties_s']} s, peaks {run['peaks_s']} s"
    return f"{parts}, all {run['all_s']} s ({run['cpu_s']} s of a processor), {run['peak_rss_bytes'] >> 20} MiB"


@bench.command("reports")
@_json_file_option
@click.option("--parties", type=click.IntRange(2), default=200, show_default=True, help="Parties, each with a site.")
@click.option("--workers", default=150_000, show_default=True, help="Machines of all parties.")
@click.option("--blocks", type=click.IntRange(1), default=10_000, show_default=True, help="Blocks of the year.")
@click.option("--meters", default=100_000, show_default=True, help="Meters, with a quarter of folded days.")
@click.option("--tallied", default=10, show_default=True, help="Rounds with a tally for each worker.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(DOCUMENTS),
    default=DOCUMENTS,
    show_default=True,
    help="What to build.",
)
@click.option(
    "--database",
    help="SQLAlchemy URL of an empty database, or of one that a run of this size wrote: its year is taken, and what is "
    "missing of it written; an SQLite file of its own when absent.",
)
def bench_reports(json_file: Path | None, database: str | None, kinds: tuple[str, ...], **size: int) -> None:
    """Build every document of a national pool's year: seconds and peak memory of each file in one language."""
    from tempfile import TemporaryDirectory

    from rich.console import Console
    from rich.table import Table

    from tarazy.pool.bench.measured import BenchError
    from tarazy.pool.bench.reports import run_reports_bench

    with TemporaryDirectory() as directory, Console(stderr=True).status("starting") as status:
        try:
            figures = run_reports_bench(Path(directory), database, kinds, progress=status.update, **size)
        except BenchError as error:
            raise Wanting(str(error)) from None
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    table = Table("document", "step", "s", "peak MiB", "bytes", title="A year, one language", title_justify="left")
    for kind, steps in figures["documents"].items():
        for step, cost in steps.items():
            size_ = f"{cost['bytes']:,}" if "bytes" in cost else ""
            table.add_row(kind, step, f"{cost['s']:,}", f"{cost['peak_rss_bytes'] >> 20:,}", size_)
    Console().print(table)
