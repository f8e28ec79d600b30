"""The demo's screen in terminals of different width."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from tarazy.pool.demo.screen import Snapshot, render

MINER: dict[str, Any] = {
    "party": "belgisiz",
    "admitted": False,
    "reasons": ["licence-expired"],
    "hashrate": 57_500.0,
    "shares": 25_500,
    "immature": 176_31000000,
    "payable": 568_03400000,
    "energy_wh": 138_600,
    "fee": {"tenge": "554"},
}
BLOCK: dict[str, Any] = {
    "height": 736,
    "state": "connected",
    "confirmations": 1,
    "maturity": 100,
    "reward": 3_12500000,
    "party": "altyn",
}
DIVISION: dict[str, Any] = {
    "first_round": 138,
    "last_round": 139,
    "reward": 50_00000000,
    "credited": 49_50000000,
    "fee": 50000000,
    "remainder": 0,
    "state": "immature",
}
OVERVIEW: dict[str, Any] = {
    "hashrate": 1e5,
    "ready_connections": 3,
    "chain": {"tip_height": 250},
    "shares": {"accepted": 1, "stale": 0},
    "health": [],
}


@pytest.mark.parametrize("width", [80, 149, 150])
def test_no_figure_is_cut_off(width: int) -> None:
    """Figures stand whole in a line each, in a terminal of 80 columns too."""
    out = io.StringIO()
    snapshot = Snapshot(OVERVIEW, [MINER], [BLOCK], [DIVISION], [], [])
    Console(file=out, width=width).print(render(snapshot, "http://127.0.0.1:8080", "stratum", None, "60 s to go"))
    shown = out.getvalue()
    assert "…" not in shown
    for figure in ("57.5 kH/s", "25,500", "176.31000000", "568.03400000", "138.6", "3.12500000", "138–139"):
        assert figure in shown
    for satoshi in ("5,000,000,000", "4,950,000,000", "50,000,000"):
        assert satoshi in shown


def test_a_strangers_name_is_no_markup() -> None:
    """An account is shown as it was sent; `[/a]` would end the screen."""
    out = io.StringIO()
    refusal = {"account": "[red]x[/a]", "reasons": ["unknown-account"], "count": 1}
    snapshot = Snapshot(OVERVIEW, [], [], [], [refusal], [])
    Console(file=out, width=150).print(render(snapshot, "http://127.0.0.1:8080", "stratum", None, "60 s to go"))
    assert "[red]x[/a]" in out.getvalue()
