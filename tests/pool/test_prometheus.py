"""A real Prometheus beside a real server: dashboards find data, alerts come and go with their cause."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import yaml

from tarazy.config.law.calendar import Period, legal_day
from tarazy.config.settings import load_settings
from tarazy.database.engine import open_engine
from tarazy.pool.demo.prepare import free_ports
from tarazy.pool.demo.scenario import EKIBASTUZ
from tests.metrics.test_alerts import rules
from tests.pool.house import Client, House, wait_until
from tests.pool.prometheus import Prometheus, hurried
from tests.pool.test_processes import running_node
from tests.reports.world import meter_hour
from tests.stratum.authority import Authority

DASHBOARDS = sorted((Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards").glob("*.json"))
SOON = {"> 90\n": "> 3\n"}
"""Of `TarazyNoTemplate`; here work is made every second."""
EMPTY = {"tarazy_payout_batch_age_seconds", "tarazy_limit_hits_total", "tarazy_site_power_watts"}
"""Asked for where they are above zero, which they are not here; power needs two readings that came just now."""


class Miners:
    """A few connections in a thread, which submit a share each in turn, as fast or slow as they are told."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.pause = 0.1
        self.sending = self.connecting = True
        self.repeat = False
        """Send each share twice."""
        self._ending = False
        self._thread = threading.Thread(target=self._mine, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._ending = True
        self._thread.join()

    def _mine(self) -> None:
        clients: list[Client] = []
        while not self._ending:
            time.sleep(self.pause)
            if not self.connecting:
                while clients:
                    clients.pop().close()
                continue
            try:
                if len(clients) < 3:
                    client = Client(self._port)
                    assert client.login("altyn.rig")["result"] is True
                    clients.append(client)
                elif self.sending:
                    clients.append(clients.pop(0))
                    share = clients[-1].share("altyn.rig")
                    for _ in range(1 + self.repeat):
                        clients[-1].call("mining.submit", *share)
            except (OSError, AssertionError):
                for client in clients:
                    with suppress(OSError):
                        client.close()
                clients = []
                time.sleep(0.3)
        for client in clients:
            client.close()


class Watched:
    """A server on a node, with a TLS port whose certificate ends soon, meters, one of them an agent's, and a quota.

    Its intervals last a minute, so that an agent's reading is good for two.
    """

    def __init__(self, house: House, directory: Path) -> None:
        self.house = house
        self._directory = directory
        (self._port,) = free_ports(1)
        self._node = ExitStack()
        self._meters: list[subprocess.Popen[str]] = []
        self.authority = Authority(directory)
        certificate, key = self.authority.issue("server", "pool", days=5)
        raw = yaml.safe_load(house.prepared.path.read_text())
        access = {"url": f"http://127.0.0.1:{self._port}", "user": "tarazy", "password": "tarazy"}
        raw["chain"] = {"kind": "bitcoind", "network": "regtest", "nodes": [access]}
        tls = {"host": "127.0.0.1", "port": free_ports(1)[0], "tls": {"certificate": str(certificate), "key": str(key)}}
        raw["stratum"]["listeners"].append(tls)
        raw["stratum"]["job_refresh_seconds"] = 1
        raw["accreditation"]["findings"] = {"patience_seconds": 2}
        raw["energy"]["interval_seconds"] = 60
        house.prepared.path.write_text(yaml.safe_dump(raw))
        house.prepared = replace(house.prepared, settings=load_settings(house.prepared.path))
        now = datetime.now(UTC)
        month = Period.parse(f"{legal_day(now):%Y-%m}")
        self.does("register", "set", "quota", "q", f"site={EKIBASTUZ}", f"month={month}", "energy_kwh=1000")
        meter = ("host=127.0.0.1", "port=1", "unit=1", "profile=abb-b23", "source=grid", "price_tiyn_per_kwh=1800")
        self.does("register", "set", "meter", "a-1", f"site={EKIBASTUZ}", *meter, "status=ok", "read_by=agent")
        self.token = self.does("token", "create", "agent", "--role", "agent", "--site", EKIBASTUZ).strip()
        engine = open_engine(house.settings.database_url)
        with engine.begin() as connection:
            start = max(month.start, now - timedelta(hours=1))
            meter_hour(connection, EKIBASTUZ, {"demo-meter-1": 96_000}, {"altyn": 1}, start, now)
        engine.dispose()

    def does(self, *arguments: str) -> str:
        """What a command that must succeed prints."""
        done = self.house.command(*arguments)
        assert done.exit_code == 0, done.output
        return done.stdout

    def start_node(self) -> None:
        """Start it, or start it again."""
        self._node.enter_context(running_node(self._directory, port=self._port))

    def stop_node(self) -> None:
        """End it."""
        self._node.close()

    def start_meter(self, name: str) -> None:
        """A meter process of the demo's registers, which draws next to nothing."""
        port, state = self.house.prepared.meter_ports[name], self._directory / f"{name}.json"
        command = [sys.executable, "-m", "tarazy.pool.demo.meter", "--watts", "1", "--port", str(port)]
        process = subprocess.Popen([*command, "--state", str(state)], stdout=subprocess.PIPE, text=True)
        self._meters.append(process)
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"port": port}

    def stop_meters(self) -> None:
        """End those that were started."""
        for process in self._meters:
            process.terminate()
            process.communicate()

    def push(self, *readings: tuple[str, datetime, int], waiting: int = 0) -> None:
        """Readings of an agent: meter, instant and count; and what it has still to push."""
        rows = [{"meter": meter, "at": at.isoformat(), "count": count} for meter, at, count in readings]
        request = Request(
            f"http://127.0.0.1:{self.house.settings.portal.port}/api/v1/readings",
            json.dumps({"readings": rows, "waiting": waiting}).encode(),
            {"authorization": f"Bearer {self.token}", "content-type": "application/json"},
        )
        urlopen(request, timeout=10).close()


@pytest.fixture
def watched(build_house: Callable[..., House], tmp_path: Path) -> Iterator[Watched]:
    """Running."""
    made = Watched(build_house(), tmp_path)
    made.start_node()
    made.start_meter("demo-meter-1")
    made.house.start()
    yield made
    made.stop_node()
    made.stop_meters()


def expressions() -> list[tuple[str, str]]:
    """(dashboard and panel, expression) of all of them, with Grafana's own variables filled in."""
    found = []
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            for target in panel.get("targets", []):
                found.append((f"{path.stem}: {panel['title']}", target["expr"].replace("$__rate_interval", "1m")))
    return found


def test_dashboards_and_alerts_on_a_server_at_work(watched: Watched, tmp_path: Path) -> None:
    """Every expression of the dashboards finds data; the alerts that can be caused in seconds fire, and clear."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed (Debian: prometheus)")
    house, now = watched.house, datetime.now(UTC)
    miners = Miners(house.stratum_port)
    with Prometheus(program, tmp_path / "prometheus", house.settings.metrics.port, SOON) as prometheus:
        prometheus.scrapes()
        assert prometheus.rules() == len(rules())

        prometheus.fires("TarazyMeterSilent")  # demo-meter-2 never answered
        watched.push(("a-1", now - timedelta(minutes=40), 1000), ("a-9", now, 1), waiting=6000)
        watched.does("payout", "stop", "--why", "test")
        watched.does("register", "set", "quota", "q", "energy_kwh=100")
        twin = watched.does("register", "show", "equipment", "--json")
        first = next(row for row in json.loads(twin) if row["party"] == "altyn")
        serial = first["equipment"] + "-"
        columns = ("model", "party", "site", "nominal_hash_rate_hs", "nominal_power_w")
        watched.does("register", "set", "equipment", serial, *(f"{name}={first[name]}" for name in columns))
        miners.repeat = True
        prometheus.fires("TarazyReadingsRefused", "TarazyCertificateEnds", "TarazyPayoutsStopped", "TarazyQuotaNear")
        prometheus.fires("TarazyMeterSilent", "TarazyAgentBehind", "TarazySharesRefused", "TarazyFindingOpen")

        Client(house.stratum_port).login("nobody.rig")
        wait_until(lambda: prometheus.query("reason:tarazy_refusals:rate5m > 0"))
        missing = []
        for panel, expression in expressions():
            found = prometheus.query(hurried(expression))
            if not found and not set(re.findall(r"\w*tarazy_\w+", expression)) & EMPTY:
                missing.append((panel, expression))
        assert missing == []

        watched.push(("a-1", datetime.now(UTC), 1001))
        watched.start_meter("demo-meter-2")
        watched.does("payout", "resume", "--why", "test")
        watched.does("register", "set", "quota", "q", "energy_kwh=50")
        (entry,) = json.loads(watched.does("register", "history", "equipment", serial, "--json"))
        watched.does("register", "withdraw", "equipment", serial, str(entry["entry"]), "--why", "entered twice")
        watched.authority.issue("server", "pool", days=60)
        miners.repeat, miners.sending = False, False
        prometheus.fires("TarazyQuotaExceeded", "TarazyNoShares")
        prometheus.clears("TarazyMeterSilent", "TarazyReadingsRefused", "TarazyAgentBehind", "TarazyFindingOpen")
        prometheus.clears("TarazyCertificateEnds", "TarazyPayoutsStopped", "TarazyQuotaNear", "TarazySharesRefused")

        watched.does("register", "set", "quota", "q", "energy_kwh=1000")
        miners.connecting = False
        watched.stop_node()
        prometheus.fires("TarazyMinersGone", "TarazyNodeDown", "TarazyNoTemplate")
        watched.start_node()
        miners.connecting = miners.sending = True
        prometheus.clears("TarazyMinersGone", "TarazyNodeDown", "TarazyNoTemplate", "TarazyQuotaExceeded")
        prometheus.clears("TarazyNoShares")

        resource.prlimit(house.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        prometheus.fires("TarazyJournalNotWritten", "TarazyWorkFailing")
        resource.prlimit(house.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        prometheus.clears("TarazyJournalNotWritten", "TarazyWorkFailing")

        os.kill(house.pid, signal.SIGSTOP)
        prometheus.fires("TarazyDown")
        os.kill(house.pid, signal.SIGCONT)
        prometheus.clears("TarazyDown")
        miners.stop()
