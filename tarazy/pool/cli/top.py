"""`tarazy top`: what the running server does, live in the terminal."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from tarazy.config.settings import Settings
from tarazy.pool import moments
from tarazy.pool.cli.common import Wanting, json_option, print_json, settings_option

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

_BETWEEN_LOOKS = 1.0
"""Seconds between the two looks that `--once` takes for its rates."""
_SHOWN = 8
"""Most rows of a list on the screen."""
_WIDE = 120
"""Columns from which on two lists stand beside each other."""


@click.command()
@settings_option
@json_option
@click.option("--once", is_flag=True, help="Show it once; the rule where the output is no terminal, and for --json.")
@click.option(
    "--every", type=click.FloatRange(0.5, 60), default=2.0, show_default=True, help="Seconds between two looks."
)
def top(settings: Settings, as_json: bool, once: bool, every: float) -> None:
    """Watch a running server: hash rate, shares, refusals, journal, nodes, blocks, and who does most. Ends with q."""
    from tarazy.database.engine import open_engine, reader
    from tarazy.pool.watched import SilentError, Watcher

    engine = open_engine(settings.database_url)  # that it cannot be read is among what is shown
    try:
        watcher = Watcher(settings, reader(engine))
        if once or as_json or not sys.stdout.isatty():
            time.sleep(_BETWEEN_LOOKS)
            seen = watcher.look()
            print_json(seen) if as_json else _print(seen)
        else:
            _follow(watcher.look, every)
    except SilentError as error:
        raise Wanting(str(error)) from None
    finally:
        engine.dispose()


def _print(seen: dict[str, Any]) -> None:
    from rich.console import Console

    Console().print(render(seen, _SHOWN))


def _follow(look: Callable[[], dict[str, Any]], every: float) -> None:
    """Show it until `q` or Ctrl-C."""
    from rich.live import Live
    from rich.text import Text

    from tarazy.pool.watched import SilentError

    with _keys() as pressed, Live(Text("looking …"), screen=True, auto_refresh=False) as live:
        try:
            while not pressed(every):
                try:
                    live.update(_fitting(look(), live.console), refresh=True)
                except SilentError as error:
                    live.update(Text(str(error), "bold red"), refresh=True)
        except KeyboardInterrupt:
            return


def _fitting(seen: dict[str, Any], console: Console) -> RenderableType:
    """The screen with as many rows of each list as the terminal has room for."""
    for rows in range(_SHOWN, 0, -1):
        screen = render(seen, rows)
        if len(console.render_lines(screen, pad=False)) <= console.height:
            break
    return screen


@contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """Gives what waits so many seconds for `q` or the end of input, and tells whether it came; at first a moment."""
    import termios
    import tty

    readable = sys.stdin.isatty()
    number = sys.stdin.fileno() if readable else -1
    before = termios.tcgetattr(number) if readable else None
    first = True

    def pressed(seconds: float) -> bool:
        nonlocal first
        end, first = time.monotonic() + (0.2 if first else seconds), False
        while (left := end - time.monotonic()) > 0:
            if not readable:
                time.sleep(left)
            elif select.select([number], [], [], left)[0]:
                typed = os.read(number, 64)
                if not typed or b"q" in typed.lower():
                    return True
        return False

    if before is not None:
        tty.setcbreak(number)
    try:
        yield pressed
    finally:
        if before is not None:
            termios.tcsetattr(number, termios.TCSADRAIN, before)


def render(seen: dict[str, Any], rows: int) -> RenderableType:
    """The whole screen, with so many rows of each list."""
    from rich.console import Group

    from tarazy.pool.terminal import SideBySide

    return Group(
        _head(seen),
        SideBySide(_most(seen, rows, "parties", "party"), _most(seen, rows, "sites", "site"), _WIDE),
        SideBySide(_most(seen, rows, "workers", "worker", "party", "site"), _refused(seen, rows), _WIDE),
        _blocks(seen, rows),
    )


def _head(seen: dict[str, Any]) -> RenderableType:
    from rich.panel import Panel
    from rich.text import Text

    from tarazy.pool.terminal import hashrate

    rates, journal, chain = seen["shares_per_second"], seen["journal"], seen["chain"]
    accepted, judged = rates.get("accepted", 0.0), sum(rates.values())
    commit = journal["commit_seconds"]
    age = chain["template_age_seconds"]
    lines = (
        ("hash rate", f"{hashrate(seen['hashrate'])}, {seen['parties_mining']} parties"),
        ("miners", f"{seen['ready_connections']:,} at work of {seen['connections']:,} connected"),
        ("shares", f"{accepted:,.1f} accepted a second, {_percent(judged - accepted, judged)} refused"),
        (
            "journal",
            f"{journal['unfolded_shares']:,} shares to fold" + (f", a commit {commit * 1e3:.1f} ms" if commit else ""),
        ),
        ("chain", f"height {chain['tip_height']}" + ("" if age is None else f", work {age:.0f} s old")),
    )
    text = Text.assemble((f"{seen['pool']['name']}", "bold"), f"  {moments.told(seen['at'])}\n")
    for name, told in lines:
        text.append(f"{name:<11}", "dim").append(f"{told}\n")
    text.append(f"{'nodes':<11}", "dim").append("" if chain["nodes"] else "embedded chain")
    for node, up in chain["nodes"].items():
        text.append(f"{node} {'up' if up else 'DOWN'}  ", "green" if up else "bold red")
    for trouble in _troubles(seen):
        text.append(f"\n{trouble}", "bold red")
    return Panel(text)


def _troubles(seen: dict[str, Any]) -> Iterator[str]:
    from tarazy.reports.language import text

    if not seen["journal"]["healthy"]:
        yield "the journal takes no shares"
    if seen["chain"]["template_refused"]:
        yield "the node would refuse the blocks being mined"
    for part in seen["ill"]:
        cure = "`tarazy check` and `tarazy finding list` say more, and the server's log"
        yield f"{text('en', f'portal.health.{part}')} does not work; {cure}"
    for name in seen["failing"]:
        yield f"{name} fails again and again, see the server's log"
    for port in seen["silent_metrics_ports"]:
        yield f"no metrics from port {port}: that process does not answer"
    if seen["ledger"] != "read":
        yield f"the ledger cannot be read: {seen['ledger']}"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "0 %"


def _most(seen: dict[str, Any], rows: int, name: str, *columns: str) -> Table:
    from tarazy.pool.terminal import hashrate, titled

    table = titled(f"{name.capitalize()}, the fastest first")
    for column in columns:
        table.add_column(column, overflow="fold")
    for column in ("hash rate", "shares", "stale"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in seen[name][:rows]:
        stale = _percent(row["stale_shares"], row["shares"] + row["stale_shares"])
        table.add_row(*(row[column] for column in columns), hashrate(row["hashrate"]), f"{row['shares']:,}", stale)
    return table


def _refused(seen: dict[str, Any], rows: int) -> Table:
    from tarazy.pool.terminal import titled

    table = titled("Refused since the start")
    for column in ("what", "reason"):
        table.add_column(column, overflow="fold")
    for column in ("times", "a second"):
        table.add_column(column, justify="right", no_wrap=True)
    found = [
        (count, kind, reason, seen[f"{name}_per_second"].get(reason, 0.0))
        for kind, name in (("share", "shares"), ("login", "refusals"))
        for reason, count in seen[name].items()
        if reason != "accepted"
    ]
    for count, kind, reason, rate in sorted(found, reverse=True)[:rows]:
        table.add_row(kind, reason, f"{count:,}", f"{rate:.1f}")
    return table


def _blocks(seen: dict[str, Any], rows: int) -> Table:
    from rich.text import Text

    from tarazy.pool.terminal import BLOCK_COLOURS, coins, titled

    table = titled("Last blocks")
    for column in ("height", "state", "reward BTC", "found by", moments.heading("found")):
        table.add_column(column, justify="right" if column in ("height", "reward BTC") else "left", overflow="fold")
    for block in seen["blocks"][:rows]:
        state = Text(block["state"], BLOCK_COLOURS.get(block["state"], ""))
        found = moments.cell(block["found_at"])
        table.add_row(str(block["height"]), state, coins(block["reward"]), block["party"], found)
    return table
