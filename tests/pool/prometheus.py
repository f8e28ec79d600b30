"""A real Prometheus that scrapes a server of the tests, in which a minute of the shipped rules lasts a second."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from tarazy.pool.demo.prepare import free_ports
from tests.metrics.test_alerts import RULES
from tests.pool.house import wait_until

_SCALED = {"s": 1 / 60, "m": 1, "h": 60, "d": 1440}
_DURATION = re.compile(r"(?<=\[)(\d+)([smhd])(?=\])|(?<=for: )(\d+)([smhd])$", re.MULTILINE)


def hurried(text: str) -> str:
    """Rules or an expression in which a minute is a second: at least one, and for a rate five."""

    def shorter(found: re.Match[str]) -> str:
        number, unit = (found[1], found[2]) if found[1] else (found[3], found[4])
        least = 5 if found[1] else 1
        return f"{max(least, round(int(number) * _SCALED[unit]))}s"

    return _DURATION.sub(shorter, text)


class Prometheus:
    """Running from `with` on."""

    def __init__(self, program: str, directory: Path, target: int, changes: dict[str, str]) -> None:
        """`changes`: thresholds of the rules that no test can wait for, and what they are here."""
        (self._port,) = free_ports(1)
        self._program = program
        self._directory = directory
        directory.mkdir()
        for path in RULES:
            text = hurried(path.read_text(encoding="utf-8"))
            for shipped, here in changes.items():
                text = text.replace(shipped, here)
            (directory / path.name).write_text(text, encoding="utf-8")
        config = yaml.safe_load((RULES[0].parent / "prometheus.yml").read_text(encoding="utf-8"))
        config["global"] = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}
        config["rule_files"] = ["*.rules.yml"]
        config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{target}"]}]
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")

    def __enter__(self) -> Prometheus:
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    self._program,
                    f"--config.file={self._directory / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self._directory / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                ],
                stdout=log,
                stderr=log,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(30)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The vector that an expression gives now; fails where Prometheus does not take it."""
        try:
            found: list[dict[str, Any]] = self._get("query", query=expression)["result"]
        except HTTPError as error:
            if error.code != 400:
                raise
            raise AssertionError(f"{expression}: {json.load(error)['error']}") from None
        return found

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        alerts = self._get("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def fires(self, *alerts: str) -> None:
        """Wait until they do."""
        self._wait(lambda firing: set(alerts) <= firing, alerts)

    def clears(self, *alerts: str) -> None:
        """Wait until they do not any more."""
        self._wait(lambda firing: not set(alerts) & firing, alerts)

    def scrapes(self) -> None:
        """Wait until the target was read."""

        def read() -> bool:
            try:
                return bool(self.query('up{job="tarazy"} == 1'))
            except OSError:
                return False

        wait_until(read, 30)

    def rules(self) -> int:
        """How many it loaded."""
        return sum(len(group["rules"]) for group in self._get("rules")["groups"])

    def _wait(self, holds: Callable[[set[str]], bool], alerts: tuple[str, ...]) -> None:
        deadline = time.monotonic() + 45
        while not holds(firing := self.firing()):
            assert time.monotonic() < deadline, f"{alerts}: {firing} fire"
            time.sleep(0.2)

    def _get(self, name: str, **parameters: str) -> Any:
        address = f"http://127.0.0.1:{self._port}/api/v1/{name}?{urlencode(parameters)}"
        with urlopen(address, timeout=10) as answer:
            return json.load(answer)["data"]
