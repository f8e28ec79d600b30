"""What a running server does, seen from another process on its machine: its page, its metrics and its ledger."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from tarazy.accounting.blocks import recent_blocks
from tarazy.accounting.queries import fastest
from tarazy.config.settings import Settings
from tarazy.stratum.difficulty import hashes_of

LISTED = 10
"""Entries of each list."""
_TIMEOUT = 10.0
_REST = 10
"""A read of the ledger that took a second is not repeated for so many."""
_LISTS = {"parties": ("party",), "workers": ("party", "account", "worker", "site"), "sites": ("site",)}


class SilentError(Exception):
    """The server does not answer; the text says where it was asked."""


def overview_of(settings: Settings) -> dict[str, Any]:
    """What the page tells everybody. Raises `SilentError`."""
    told: dict[str, Any] = json.loads(_get(f"http://{settings.portal.host}:{settings.portal.port}/api/v1/overview"))
    return told


def _get(address: str) -> str:
    try:
        with urlopen(address, timeout=_TIMEOUT) as answer:  # noqa: S310 - our own address
            return str(answer.read().decode())
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        text = f"no answer from {address} ({reason}); is `tarazy serve` running with this file?"
        raise SilentError(text) from None


@dataclass(frozen=True, slots=True)
class Counted:
    """What the processes tell Prometheus at an instant."""

    at: float
    """`time.monotonic`."""
    values: dict[str, dict[str, list[float]]]
    """Series → its label, or '' → the values of the processes."""
    silent: list[int]
    """Metrics ports that gave no answer."""

    def by_label(self, name: str) -> dict[str, float]:
        """Label → sum over the processes."""
        return {label: sum(values) for label, values in self.values.get(name, {}).items()}

    def of(self, name: str) -> list[float]:
        """The values of all processes and labels."""
        return [value for values in self.values.get(name, {}).values() for value in values]


def count(settings: Settings) -> Counted:
    """Ask every process; one that does not answer is in `silent`."""
    seen: dict[str, dict[str, list[float]]] = {}
    silent: list[int] = []
    for port in _ports(settings):
        try:
            series = _series(settings, port)
        except SilentError:
            silent.append(port)
            continue
        for name, label, value in series:
            seen.setdefault(name, {}).setdefault(label, []).append(value)
    return Counted(time.monotonic(), seen, silent)


def _ports(settings: Settings) -> range:
    return range(settings.metrics.port, settings.metrics.port + 1 + (settings.processes or 0))


def _series(settings: Settings, port: int) -> list[tuple[str, str, float]]:
    """Name, label and value of what one process tells. Raises `SilentError`."""
    from prometheus_client.parser import text_string_to_metric_families

    return [
        (sample.name, next(iter(sample.labels.values()), ""), sample.value)
        for family in text_string_to_metric_families(_get(f"http://{settings.metrics.host}:{port}/metrics"))
        if family.name.startswith("tarazy_")
        for sample in family.samples
    ]


def machinery(settings: Settings) -> dict[str, Any]:
    """How the journal, the nodes and the gateways are, as plain values; a process that does not answer is not `ok`."""
    gateways: list[dict[str, Any]] = []
    nodes: dict[str, bool] = {}
    unfolded, healthy = 0, True
    for port in _ports(settings):
        try:
            told = {(name, label): value for name, label, value in _series(settings, port)}
        except SilentError:
            gateways.append({"port": port, "ok": False, "connections": None, "ready_connections": None})
            continue
        unfolded += round(told.get(("tarazy_journal_unfolded_shares", ""), 0))
        healthy &= bool(told.get(("tarazy_journal_healthy", ""), 1))
        for (name, label), up in told.items():
            if name == "tarazy_node_up":
                nodes[label] = nodes.get(label, True) and bool(up)
        if (connections := told.get(("tarazy_connections", ""))) is not None:
            ready = round(told[("tarazy_ready_connections", "")])
            gateways.append({"port": port, "ok": True, "connections": round(connections), "ready_connections": ready})
    return {
        "journal": {"ok": healthy, "unfolded_shares": unfolded},
        "nodes": [{"node": node, "ok": up} for node, up in sorted(nodes.items())],
        "gateways": gateways,
    }


class Watcher:
    """Looks at a server again and again; rates are between two looks."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        """Takes the first look at the counters."""
        self._settings = settings
        self._engine = engine
        self._before = count(settings)
        self._lists: dict[str, Any] = {name: [] for name in (*_LISTS, "blocks")}
        self._due = 0.0

    def look(self) -> dict[str, Any]:
        """Everything now, as plain values: rates are per second, hash rates in H/s. Raises `SilentError`."""
        overview, before, now = overview_of(self._settings), self._before, count(self._settings)
        self._before = now
        seconds = max(now.at - before.at, 1e-3)

        def rates(name: str) -> dict[str, float]:
            earlier = before.by_label(name)
            return {
                label: max(0.0, value - earlier.get(label, 0.0)) / seconds
                for label, value in now.by_label(name).items()
            }

        commits = rates("tarazy_journal_commits_total").get("", 0.0)
        spent = rates("tarazy_journal_commit_seconds_total").get("", 0.0)
        work = now.values.get("tarazy_work_up", {})
        return {
            "at": datetime.now(UTC),
            "pool": overview["pool"],
            "hashrate": overview["hashrate"],
            "connections": round(sum(now.of("tarazy_connections"))),
            "ready_connections": round(sum(now.of("tarazy_ready_connections"))),
            "parties_mining": overview["parties"]["mining"],
            "round": overview["round"],
            "shares_per_second": rates("tarazy_shares_total"),
            "shares": _whole(now.by_label("tarazy_shares_total")),
            "refusals_per_second": rates("tarazy_refusals_total"),
            "refusals": _whole(now.by_label("tarazy_refusals_total")),
            "journal": {
                "healthy": all(now.of("tarazy_journal_healthy")),
                "unfolded_shares": round(sum(now.of("tarazy_journal_unfolded_shares"))),
                "commit_seconds": spent / commits if commits else None,
            },
            "chain": {
                **overview["chain"],
                "template_age_seconds": max(now.of("tarazy_template_age_seconds"), default=None),
                "template_refused": any(now.of("tarazy_template_refused")),
                "nodes": {node: all(up) for node, up in now.values.get("tarazy_node_up", {}).items()},
            },
            "ill": [part["part"] for part in overview["health"] if not part["ok"]],
            "failing": sorted(name for name, up in work.items() if not all(up)),
            "silent_metrics_ports": now.silent,
            **self._listed(),
        }

    def _listed(self) -> dict[str, Any]:
        """The lists of the ledger, or the last ones while it cannot be read."""
        begun = time.monotonic()
        if begun >= self._due:
            try:
                with self._engine.begin() as connection:
                    read = _lists(connection, self._settings.energy.interval_seconds)
                self._lists = {**read, "ledger": "read"}
            except SQLAlchemyError as error:
                self._lists = {**self._lists, "ledger": " ".join(str(error.__cause__ or error).split())}
            ended = time.monotonic()
            self._due = ended + _REST * (ended - begun)
        return self._lists


def _whole(counts: dict[str, float]) -> dict[str, int]:
    return {label: round(value) for label, value in counts.items() if value}


def _lists(connection: Connection, interval_seconds: int) -> dict[str, Any]:
    now, found = datetime.now(UTC), {}
    for name, by in _LISTS.items():
        rows, seconds = fastest(connection, now, interval_seconds, by, LISTED)
        found[name] = [
            {
                **dict(zip(by, who, strict=True)),
                "hashrate": hashes_of(int(work.weight)) / max(1.0, seconds),
                "shares": work.shares,
                "stale_shares": work.stale_shares,
            }
            for who, work in rows
        ]
    blocks: list[dict[str, Any]] = [
        {
            "height": block.height,
            "state": str(block.state),
            "confirmations": block.confirmations,
            "found_at": block.found_at,
            "reward": block.reward,
            "party": block.party,
        }
        for block in recent_blocks(connection, LISTED)
    ]
    return {**found, "blocks": blocks}
