"""`tarazy demo`: the main job on one machine."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "--data",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=".demo",
    show_default=True,
    help="Directory that keeps everything of the run; a later run goes on from it.",
)
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(min=1),
    help="End after so many seconds; until Ctrl-C when absent.",
)
@click.option(
    "--summary",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write what happened to this JSON file.",
)
def demo(directory: Path, seconds: float | None, summary: Path | None) -> None:
    """Run a whole pool here: chain, meters, miners good and bad, page on :8080, Stratum on :3333.

    Parties, numbers and documents are invented; the coins are worthless.
    """
    from tarazy.pool.demo.run import run_demo

    run_demo(directory, seconds, summary)
