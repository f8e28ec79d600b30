"""A whole server: it builds and signs what is due, sends what is approved, and is killed on the way."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import yaml

from tarazy.config.law.calendar import legal_day
from tarazy.reports.signing.key import load_key
from tests.pool.house import House, wait_until
from tests.reports.keys import make

YEAR = legal_day(datetime.now(UTC) - timedelta(hours=7)).year - 1
"""The last one that is over, and whose report is to be built by now."""


class Authority(ThreadingHTTPServer):
    """Says nothing to the first request, and gives one receipt for each key to the others."""

    daemon_threads = True

    def __init__(self) -> None:
        self.came = Event()
        self.bodies: list[tuple[str, bytes]] = []
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                key, length = self.path.rpartition("/")[2], int(self.headers["content-length"])
                authority.bodies.append((key, self.rfile.read(length)))
                if not authority.came.is_set():
                    authority.came.set()
                    Event().wait(60)
                answer = json.dumps({"number": f"R-{key[:8]}"}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        super().__init__(("127.0.0.1", 0), Handler)
        Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture
def authority() -> Iterator[Authority]:
    """Where reports are sent."""
    made = Authority()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def house(tmp_path: Path, authority: Authority) -> Iterator[House]:
    """A pool with a schedule, a key and a profile."""
    made = House(tmp_path / "pool")
    key, password = make("«Тараз» ЖШС").files(made.directory, "report")
    profile = {
        "name": "authority",
        "documents": ["sale"],
        "method": "PUT",
        "url": f"http://127.0.0.1:{authority.server_port}/records/{{key}}",
        "authentication": {"way": "none"},
        "body": {"file": ".json"},
        "receipt": {"number": "number"},
        "when_unsure": "send_again",
        "timeout_seconds": 1,
    }
    (made.directory / "authority.yaml").write_text(yaml.safe_dump(profile))
    entry = {"kind": "sale", "since": f"{YEAR}-01-01", "every": "year", "deliver_to": "authority"}
    entry["deadline"] = {"month": 1, "day": 20}  # type: ignore[assignment]
    settings = {
        "signing": {"way": "pkcs12", "key_file": key.name, "password_file": password.name},
        "reports": {"profiles": ["authority.yaml"], "schedule": [entry]},
    }
    path = made.prepared.path
    path.write_text(path.read_text(encoding="utf-8") + yaml.safe_dump(settings), encoding="utf-8")
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()


def test_a_due_report_is_built_signed_approved_sent_and_received(house: House, authority: Authority) -> None:
    """Killed while the authority is silent: the next server finds the attempt and ends it by the same bytes, once."""
    house.start()

    def deliveries(*more: str) -> Any:
        return json.loads(house.command("report", "deliveries", "--json", *more).stdout)

    wait_until(lambda: house.ledger("SELECT 1 FROM delivery"), 60)
    (made,) = deliveries()
    assert (made["state"], made["proposed_by"], made["period"]) == ("proposed", "tarazy", str(YEAR))
    report = house.settings.data / "reports" / made["name"]
    assert report.with_suffix(".p7s").is_file()
    (due,) = json.loads(house.command("report", "due", "--json").stdout)["reports"]
    assert (due["due"], due["standing"], due["state"]) == (f"{YEAR + 1}-01-20", due["standing"], "proposed")
    told = json.loads(house.command("status", "--json").stdout)
    assert told["reports"] == ([due] if due["standing"] in ("near", "overdue") else [])
    assert not authority.came.is_set()
    assert house.command("report", "approve", "1").exit_code == 0
    assert authority.came.wait(20)
    house.kill()
    assert [each["state"] for each in deliveries()] == ["approved"]
    house.start()
    _let_the_attempt_end(house)
    wait_until(lambda: house.ledger("SELECT 1 FROM delivery WHERE state = 'received'"), 30)
    (made,) = deliveries("--all")
    assert made["receipt"] == f"R-{made['key'][:8]}"
    assert authority.bodies == [(made["key"], report.read_bytes())] * 2
    assert 'tarazy_scheduled_reports{standing="done"}' in house.metrics()
    assert house.command("report", "delivery", "1", "--receipt", str(house.directory / "receipt")).exit_code == 0
    assert json.loads((house.directory / "receipt").read_bytes()) == {"number": made["receipt"]}
    assert house.stop() == 0
    _at_the_command_line(house, report)


def _at_the_command_line(house: House, report: Path) -> None:
    """What a person proposes, the same person cannot approve; what is wrong is one line."""

    def told(code: int, *words: str) -> str:
        done = house.command("report", *words)
        assert done.exit_code == code, done.output + done.stderr
        return done.stdout + done.stderr

    assert "delivery 1 of" in told(1, "deliver", str(report))
    assert told(0, "deliver", str(report), "--show").encode() == report.read_bytes()
    assert "there is no delivery profile ministry" in told(2, "deliver", str(report), "--to", "ministry")
    other = report.with_name(f"other-{report.name}")
    other.write_bytes(report.read_bytes() + b" ")
    assert "is not signed" in told(1, "deliver", str(other))
    key = load_key(house.directory / "report.p12", house.directory / "report.password")
    other.with_suffix(".p7s").write_bytes(key.sign(other.read_bytes()))
    assert json.loads(told(0, "deliver", str(other), "--json"))["state"] == "proposed"
    assert "somebody else must approve it" in told(1, "approve", "2")
    assert "only refused ones" in told(1, "resend", "2", "--why", "x")
    assert "has no receipt" in told(1, "delivery", "2", "--receipt", str(house.directory / "none"))
    told(0, "delivery", "2", "--body", str(house.directory / "body"))
    assert (house.directory / "body").read_bytes() == other.read_bytes()
    assert "given up" in told(0, "abandon", "2", "--why", "not meant")
    assert "it cannot be given up" in told(1, "abandon", "1", "--why", "x")
    assert "no delivery is under way" in told(0, "deliveries")
    assert "nothing is due" in told(0, "due")
    assert "attempt 2 (send)" in told(0, "delivery", "1")
    check = house.command("check").stdout
    assert "delivery to authority: after approval, to http://127.0.0.1" in check
    assert "schedule of sale: 1 periods have ended" in check


def _let_the_attempt_end(house: House) -> None:
    """The half minute that a lost attempt may still take, and the minute of rest after it, are over."""
    before = (datetime.now(UTC) - timedelta(seconds=1)).strftime("%Y-%m-%d %H:%M:%S.%f")
    with contextlib.closing(sqlite3.connect(house.settings.data / "tarazy.db", timeout=10)) as connection:

        def change(statement: str) -> int:
            with connection:
                return connection.execute(statement, [before]).rowcount

        assert change("UPDATE delivery_attempt SET until = ?") == 1
        wait_until(lambda: change("UPDATE delivery SET next_at = ? WHERE state = 'sent'"), 20)
