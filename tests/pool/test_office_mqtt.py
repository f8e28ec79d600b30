"""A running server that hears a meter over a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from tarazy.pool.demo.scenario import EKIBASTUZ
from tests.accounting.energy.broker import Broker, publish, running_broker
from tests.pool.house import House, wait_until


def _publish(broker: Broker, *messages: dict[str, Any]) -> None:
    """On a thread of its own: this one's loop is the reactor's."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, publish(broker, "site/heard-1", *messages)).result()


def test_a_meter_is_heard_by_a_running_office(build_house: Callable[..., House], tmp_path: Path) -> None:
    """Twice the same, one ahead by two seconds, one of 1970: taken once, taken when its time comes, refused."""
    house = build_house()
    with running_broker(tmp_path) as broker:
        raw = yaml.safe_load(house.prepared.path.read_text())
        payloads = {"p": {"count": "n", "at": "at"}}
        meters = {"heard-1": {"topic": "site/heard-1", "payload": "p"}}
        raw["energy"]["mqtt"] = {"url": f"mqtt://127.0.0.1:{broker.port}", "payloads": payloads, "meters": meters}
        house.prepared.path.write_text(yaml.safe_dump(raw))
        entry = (
            "host=127.0.0.1",
            "port=502",
            "unit=1",
            "profile=register-wh",
            "source=grid",
            "price_tiyn_per_kwh=1800",
        )
        told = (f"site={EKIBASTUZ}", *entry, "status=ok", "read_by=mqtt")
        assert house.command("register", "set", "meter", "heard-1", *told).exit_code == 0
        house.start()
        wait_until(lambda: "mqtt_connected" in house.logged())
        now = datetime.now(UTC)

        def message(count: int, at: datetime) -> dict[str, Any]:
            return {"n": count, "at": at.isoformat()}

        first = message(100, now - timedelta(minutes=1))
        _publish(
            broker, first, first, message(130, now + timedelta(seconds=2)), message(1, datetime(1970, 1, 1, tzinfo=UTC))
        )

        def taken() -> list[Any]:
            query = "SELECT register_count, status, source FROM reading WHERE meter = 'heard-1' ORDER BY register_count"
            return [tuple(row) for row in house.ledger(query)]

        wait_until(lambda: taken() == [(None, "too_old", "mqtt"), (100, "ok", "mqtt"), (130, "ok", "mqtt")])
        assert house.stop() == 0
