"""How figures look in a terminal. Imports rich: import late."""

from __future__ import annotations

from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.style import StyleType
from rich.table import Table
from rich.text import Text

_COIN = 100_000_000
BLOCK_COLOURS = {"connected": "green", "mature": "bold green", "orphaned": "yellow", "rejected": "red"}


class PlainTable(Table):
    """A table whose texts are shown as they are: what a stranger called himself is no markup and no emoji."""

    def add_row(self, *cells: RenderableType | None, style: StyleType | None = None, end_section: bool = False) -> None:
        """Add a row of texts, or of what has a look of its own."""
        plain = (Text(cell) if isinstance(cell, str) else cell for cell in cells)
        super().add_row(*plain, style=style, end_section=end_section)


def titled(title: str) -> PlainTable:
    """A table of a screen, under its title."""
    return PlainTable(title=title, title_justify="left", expand=True, box=SIMPLE_HEAD, padding=0)


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Two tables beside each other where figures still fit, else one below the other."""

    left: RenderableType
    right: RenderableType
    columns: int = 150
    """Of a terminal in which they fit."""

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        """As wide as it is asked."""
        yield Group(self.left, self.right) if options.max_width < self.columns else _grid(self.left, self.right)


def _grid(left: RenderableType, right: RenderableType) -> Table:
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(ratio=1)
    grid.add_column(ratio=1)
    grid.add_row(left, right)
    return grid


def hashrate(value: float) -> str:
    """Hashes per second with a prefix."""
    for unit in ("H/s", "kH/s", "MH/s", "GH/s", "TH/s", "PH/s"):
        if value < 1000:
            return f"{value:.1f} {unit}" if value else "–"
        value /= 1000
    return f"{value:.1f} EH/s"


def coins(satoshi: int) -> str:
    """Satoshi as bitcoins, all eight digits."""
    return f"{satoshi // _COIN}.{satoshi % _COIN:08d}"
