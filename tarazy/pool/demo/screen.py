"""What the demo shows in the terminal: the same figures the page shows, read from the same API."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPCookieProcessor, Request, build_opener

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tarazy.pool.terminal import BLOCK_COLOURS, SideBySide, coins, hashrate, titled

_COINS_WIDTH = len("100.00000000")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The answers of the portal's API at one moment."""

    overview: dict[str, Any]
    miners: list[dict[str, Any]]
    blocks: list[dict[str, Any]]
    distributions: list[dict[str, Any]]
    refusals: list[dict[str, Any]]
    sites: list[dict[str, Any]]


class Viewer:
    """Asks the portal of a demo as the demo's operator."""

    def __init__(self, portal: str) -> None:
        """`portal` is an address such as http://127.0.0.1:8080."""
        self._portal = portal
        self._opener = build_opener(HTTPCookieProcessor())

    def get(self, name: str) -> Any:
        """What the API answers; raises `OSError` or `ValueError` while it does not."""
        try:
            return self._ask(f"/api/v1/{name}")
        except HTTPError as error:
            if error.code != HTTPStatus.UNAUTHORIZED:
                raise
        self._ask("/api/v1/users/demo", json.dumps({"role": "operator"}).encode())
        return self._ask(f"/api/v1/{name}")

    def _ask(self, path: str, body: bytes | None = None) -> Any:
        request = Request(self._portal + path, body, {"origin": self._portal})  # noqa: S310 - our own address
        with self._opener.open(request, timeout=10) as response:
            return json.load(response)

    def snapshot(self) -> Snapshot | None:
        """Everything at this moment; None while the portal does not answer."""
        try:
            return Snapshot(
                overview=self.get("overview"),
                miners=self.get("miners")["items"],
                blocks=self.get("blocks?limit=6")["items"],
                distributions=self.get("distributions?limit=4")["items"],
                refusals=self.get("refusals?limit=6")["items"],
                sites=self.get("energy")["sites"],
            )
        except (OSError, ValueError):
            return None


def _kwh(wh: int | None) -> str:
    return "–" if wh is None else f"{wh / 1000:,.1f}"


def _miners(snapshot: Snapshot) -> Table:
    table = titled("Parties")
    for column in (
        "party",
        "papers",
        "hash rate",
        "shares",
        "immature BTC",
        "payable BTC",
        "kWh",
        "fee, KZT",
    ):
        table.add_column(
            column,
            justify="left" if column in ("party", "papers") else "right",
            overflow="fold",
            min_width=_COINS_WIDTH if "BTC" in column else None,
        )
    for miner in snapshot.miners:
        admitted = Text("in order", "green") if miner["admitted"] else Text(", ".join(miner["reasons"]), "yellow")
        table.add_row(
            miner["party"],
            admitted,
            hashrate(miner["hashrate"]),
            f"{miner['shares']:,}",
            coins(miner["immature"]),
            coins(miner["payable"]),
            _kwh(miner["energy_wh"]),
            miner["fee"]["tenge"] or "–",
        )
    return table


def _blocks(snapshot: Snapshot) -> Table:
    table = titled("Blocks of the pool")
    for column in ("height", "state", "reward BTC", "found by"):
        table.add_column(column, justify="right" if column in ("height", "reward BTC") else "left", overflow="fold")
    for block in snapshot.blocks:
        state = block["state"]
        text = f"{block['confirmations']}/{block['maturity']}" if state == "connected" else state
        table.add_row(
            str(block["height"]),
            Text(text, BLOCK_COLOURS.get(state, "")),
            coins(block["reward"]),
            block["party"],
        )
    return table


def _division(snapshot: Snapshot) -> Table:
    table = titled("Rewards divided: reward = miners + fee + remainder")
    for column in ("round", "reward", "miners", "fee", "rest", "state"):
        table.add_column(column, justify="left" if column == "state" else "right", overflow="fold")
    for row in snapshot.distributions:
        rounds = {row["first_round"], row["last_round"]}
        table.add_row(
            "–".join(map(str, sorted(rounds))),
            f"{row['reward']:,}",
            f"{row['credited']:,}",
            f"{row['fee']:,}",
            f"{row['remainder']:,}",
            row["state"],
        )
    return table


def _refusals(snapshot: Snapshot) -> Table:
    table = titled("Refused")
    for column in ("account", "reasons", "times"):
        table.add_column(column, justify="right" if column == "times" else "left", overflow="fold")
    for row in snapshot.refusals:
        table.add_row(Text(row["account"]), ", ".join(row["reasons"]), str(row["count"]))
    return table


def _energy(snapshot: Snapshot) -> Table:
    table = titled("Energy by site")
    for column in ("site", "kW", "kWh metered", "kWh not allocated"):
        table.add_column(column, justify="left" if column == "site" else "right", overflow="fold")
    for site in snapshot.sites:
        power = site["power_watts"]
        table.add_row(
            site["site"],
            "–" if power is None else f"{power / 1000:,.0f}",
            _kwh(site["energy_wh"]),
            _kwh(site["unallocated_wh"]),
        )
    return table


def render(snapshot: Snapshot | None, portal: str, stratum: str, report: str | None, remaining: str) -> RenderableType:
    """The whole screen."""
    head = Text.assemble(
        ("Tarazy demo", "bold"),
        "  regtest chain, invented parties, not for real coins\n",
        ("page     ", "dim"),
        f"{portal}\n",
        ("stratum  ", "dim"),
        f"{stratum}\n",
        ("report   ", "dim"),
        report or "in half a minute",
        f"\n{remaining}",
    )
    if snapshot is None:
        return Panel(Group(head, Text("the server is starting", "dim")))
    overview = snapshot.overview
    shares = overview["shares"]
    line = (
        f"{hashrate(overview['hashrate'])}, {overview['ready_connections']} miners at work, height "
        f"{overview['chain']['tip_height']}, {shares['accepted']:,} shares accepted, {shares['stale']:,} stale"
    )
    ill = Text("".join(f"\n{part} does not work, see the server's log" for part in _ill(snapshot)), "bold red")
    return Group(
        Panel(Group(head, Text(line, "bold") + ill)),
        _miners(snapshot),
        SideBySide(_blocks(snapshot), _division(snapshot)),
        SideBySide(_refusals(snapshot), _energy(snapshot)),
    )


def _ill(snapshot: Snapshot) -> list[str]:
    return [part["part"] for part in snapshot.overview["health"] if not part["ok"]]


def one_line(snapshot: Snapshot) -> str:
    """The state in one line, for output that is not a terminal."""
    overview = snapshot.overview
    blocks = ", ".join(f"{count} {state}" for state, count in sorted(overview["blocks"].items()) if count)
    energy = sum(site["energy_wh"] for site in snapshot.sites)
    refused = sorted({row["account"] for row in snapshot.refusals})
    return (
        f"{hashrate(overview['hashrate'])}  shares {overview['shares']['accepted']}  blocks: {blocks or 'none yet'}  "
        f"energy {_kwh(energy)} kWh  refused: {', '.join(refused) or 'nobody yet'}"
        + "".join(f"  {part} DOES NOT WORK" for part in _ill(snapshot))
    )
