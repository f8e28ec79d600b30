"""A whole server: it builds and signs what is due, sends what is approved, and is killed on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import yaml

from tarazy.config.law.calendar import legal_day
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

    (made,) = wait_until(deliveries, 60)
    assert (made["state"], made["proposed_by"], made["period"]) == ("proposed", "tarazy", str(YEAR))
    report = house.settings.data / "reports" / made["name"]
    assert house.command("verify", "report", str(report), "-c", str(house.prepared.path)).exit_code == 0
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
    (made,) = wait_until(lambda: [each for each in deliveries("--all") if each["state"] == "received"], 30)
    assert made["receipt"] == f"R-{made['key'][:8]}"
    assert authority.bodies == [(made["key"], report.read_bytes())] * 2
    assert 'tarazy_scheduled_reports{standing="done"}' in house.metrics()
    assert house.command("report", "delivery", "1", "--receipt", str(house.directory / "receipt")).exit_code == 0
    assert json.loads((house.directory / "receipt").read_bytes()) == {"number": made["receipt"]}
    assert house.stop() == 0


def _let_the_attempt_end(house: House) -> None:
    """The half minute that a lost attempt may still take, and the minute of rest after it, are over."""
    from sqlalchemy import update

    from tarazy.database.engine import open_engine
    from tarazy.reports.tables import delivery, delivery_attempt

    engine = open_engine(house.settings.database_url)
    before = datetime.now(UTC) - timedelta(seconds=1)
    with engine.begin() as connection:
        connection.execute(update(delivery_attempt).values(until=before))

    def rests() -> bool:
        with engine.begin() as connection:
            done = connection.execute(update(delivery).where(delivery.c.state == "sent").values(next_at=before))
        return bool(done.rowcount)

    wait_until(rests, 20)
    engine.dispose()
