"""`tarazy demo`: every process of the demonstration, from the meters to the page, and what happened in the end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from urllib.request import urlopen

import click
from rich.console import Console, RenderableType
from rich.live import Live

from tarazy.config.law.calendar import legal_day
from tarazy.config.settings import EmbeddedChainSettings, Settings, SettingsError
from tarazy.database.schema import SchemaError
from tarazy.pool.demo.children import ChildFailed, Children
from tarazy.pool.demo.prepare import free_ports, prepare
from tarazy.pool.demo.scenario import METERS, PARTIES, STATEMENT_OF, demo_settings
from tarazy.pool.demo.screen import Snapshot, Viewer, one_line, render
from tarazy.pool.demo.summary import summarise
from tarazy.pool.preflight import port_finding
from tarazy.pool.sockets import stratum_url
from tarazy.reports.build import SETTLED_SECONDS

_FIRST_REPORT_AFTER = 20.0
_LINE_EVERY = 5.0


class DemoError(Exception):
    """The demo cannot run. The text says why and what to do."""


class Demo:
    """One run in one directory."""

    def __init__(self, directory: Path, seconds: float | None, summary: Path | None) -> None:
        self._directory = directory.resolve()
        self._seconds = seconds
        self._summary = summary
        self._console = Console()
        self._started = datetime.now(UTC)
        self._reports: list[str] = []
        self._ending = Event()

    def run(self) -> None:
        """Prepare, start everything, show it, end it. Raises `DemoError`."""
        (peer_port,) = free_ports(1)
        self._console.print(f"Preparing {self._directory}")
        if self._summary is not None and not self._summary.parent.is_dir():
            raise DemoError(f"{self._summary.parent}: no such directory for the summary; make it first")
        try:
            prepared = prepare(self._directory, demo_settings(peer_port=peer_port), self._started)
        except OSError as error:
            raise DemoError(f"{self._directory}: {error.strerror}; choose another directory with --data") from None
        except (SettingsError, SchemaError) as error:
            raise DemoError(str(error)) from None
        if not prepared.settings.portal.demo_sign_in:
            add = "add `portal: {demo_sign_in: true}` to it, or choose another directory with --data"
            raise DemoError(f"{prepared.path}: nobody may sign in as a demo's user there; {add}")
        self._path, self._settings, self._meter_ports = prepared.path, prepared.settings, prepared.meter_ports
        self._viewer = Viewer(self._portal)
        self._refuse_busy_ports(self._settings)
        logs = self._directory / "logs"
        logs.mkdir(exist_ok=True)
        for party in prepared.without_licence:
            self._console.print(f"{party} has no licence in force since an earlier run; --data elsewhere begins anew")
        children = Children(logs)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: self._ending.set())
        try:
            self._start(children)
            self._watch(children)
            self._finish(children)
        except ChildFailed as error:
            raise DemoError(str(error)) from None
        finally:
            children.stop()

    def _refuse_busy_ports(self, settings: Settings) -> None:
        for name, section in (
            ("portal", settings.portal),
            ("stratum.listeners.0", settings.stratum.listeners[0]),
            ("metrics", settings.metrics),
        ):
            finding = port_finding(name, section.host, section.port)
            if not finding.fine:
                raise DemoError(
                    f"{finding.text}: stop what uses it, or set {name}.port in {self._path} to another and start again"
                )

    @property
    def _portal(self) -> str:
        return f"http://{self._settings.portal.host}:{self._settings.portal.port}"

    @property
    def _stratum(self) -> str:
        listener = self._settings.stratum.listeners[0]
        return stratum_url(listener, None, listener.port)

    def _start(self, children: Children) -> None:
        for meter in METERS:
            children.start(
                meter.meter,
                "tarazy.pool.demo.meter",
                [
                    "--port",
                    str(self._meter_ports[meter.meter]),
                    "--watts",
                    str(meter.watts),
                    "--state",
                    str(self._directory / f"{meter.meter}.json"),
                ],
            )
        children.start("server", "tarazy", ["serve", "-c", str(self._path)])
        while self._viewer.snapshot() is None:
            children.check()
            if self._ending.wait(0.2):
                return
        assert isinstance(self._settings.chain, EmbeddedChainSettings)
        assert self._settings.chain.peer_port is not None
        children.start("network", "tarazy.pool.demo.network", [f"http://127.0.0.1:{self._settings.chain.peer_port}/"])
        for miner in PARTIES:
            children.start(
                miner.login,
                "tarazy",
                [
                    "mine",
                    self._stratum,
                    "--user",
                    miner.login,
                    "--hashrate",
                    str(miner.hashrate),
                    "--source-address",
                    miner.source_address,
                ],
            )

    def _watch(self, children: Children) -> None:
        begun = time.monotonic()
        next_line = begun
        if not self._console.is_terminal:
            self._console.print(f"{self._portal} is the portal, {self._stratum} for miners", highlight=False)
        building: subprocess.Popen[str] | None = None
        with Live(console=self._console, auto_refresh=False, transient=False) as live:
            while not self._ending.is_set() and (self._seconds is None or time.monotonic() - begun < self._seconds):
                children.check()
                snapshot = self._viewer.snapshot()
                elapsed = time.monotonic() - begun
                if elapsed >= _FIRST_REPORT_AFTER and building is None:
                    building = self._begin_report()
                if building is not None and building.poll() is not None and not self._reports:
                    self._end_report(building)
                if self._console.is_terminal:
                    live.update(self._screen(snapshot, elapsed), refresh=True)
                elif snapshot is not None and time.monotonic() >= next_line:
                    self._console.print(f"{elapsed:5.0f} s  {one_line(snapshot)}", soft_wrap=True, highlight=False)
                    next_line += _LINE_EVERY
                self._ending.wait(0.5)

    def _screen(self, snapshot: Snapshot | None, elapsed: float) -> RenderableType:
        ending = "Ctrl-C ends it" if self._seconds is None else f"{max(0, self._seconds - elapsed):.0f} s to go"
        report = self._reports[0] if self._reports else None
        return render(snapshot, self._portal, self._stratum, report, ending)

    def _begin_report(self, kind: str = "accreditation", *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "tarazy", "report", "build", kind, *options, "-c", str(self._path), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def _end_report(self, building: subprocess.Popen[str]) -> None:
        output, fault = building.communicate()
        if building.returncode:
            raise DemoError(f"the report could not be built: {fault.strip()}")
        self._reports += json.loads(output)["paths"]

    def _finish(self, children: Children) -> None:
        self._console.print("Ending: miners, network, server, meters")
        children.stop_all_but("server", *(meter.meter for meter in METERS))
        time.sleep(1)
        metrics = self._read_metrics()
        children.stop()
        self._reports.clear()
        moment = (datetime.now(UTC) - timedelta(seconds=SETTLED_SECONDS)).replace(microsecond=0)
        same = ("--as-of", moment.isoformat())
        month = ("--period", f"{legal_day(moment):%Y-%m}")
        for building in (
            self._begin_report("accreditation", *same),
            self._begin_report("statement", "--party", STATEMENT_OF, *month, *same),
            self._begin_report("distributed", *month, *same, "--why", "more was distributed in another run"),
        ):
            self._end_report(building)
        happened = summarise(self._settings, self._started, metrics, self._reports)
        if self._summary is not None:
            self._summary.write_text(json.dumps(happened, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        blocks = len(happened["blocks"])
        self._console.print(
            f"{blocks} blocks, {happened['shares']['accepted']} shares accepted, "
            f"{len(happened['distributions'])} rewards divided, {len(happened['refused'])} miners refused."
        )
        records = [row["record"]["round"] for row in happened["distributions"] if row["record"]]
        if records:
            self._console.print(
                f"{len(records)} rounds can be verified: tarazy round export {max(records)} -c {self._path} -o DIR",
                soft_wrap=True,
                highlight=False,
            )
        folders = sorted({str(Path(path).parent) for path in self._reports})
        self._console.print(
            f"{len(self._reports)} files of reports: {', '.join(folders)}", soft_wrap=True, highlight=False
        )

    def _read_metrics(self) -> str:
        host, port = self._settings.metrics.host, self._settings.metrics.port
        try:
            with urlopen(f"http://{host}:{port}/metrics", timeout=10) as response:
                body: bytes = response.read()
        except OSError as error:
            raise DemoError(f"the server's metrics cannot be read ({error}); see {self._directory / 'logs'}") from None
        return body.decode()


def run_demo(directory: Path, seconds: float | None, summary: Path | None) -> None:
    """Run the demo; `DemoError` becomes the command's error."""
    try:
        Demo(directory, seconds, summary).run()
    except DemoError as error:
        raise click.ClickException(str(error)) from None
