"""Whoever comes first after the server says that it is ready does not wait for what it has not read yet."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path

from tests.pool.house import House, wait_until

WAIT_SECONDS = 0.3


def test_the_first_page_and_the_first_figures_come_at_once(tmp_path: Path) -> None:
    """Texts, template and snapshot are there when the log says that the server has started."""
    house = House(tmp_path / "pool")
    house.start()
    try:
        wait_until(lambda: "server_started" in house.logged())
        assert "portal_warm" in house.logged().partition("server_started")[0]
        for path in ("/ru/", "/api/v1/overview"):
            begun = time.monotonic()
            with urllib.request.urlopen(f"http://127.0.0.1:{house.settings.portal.port}{path}") as answer:
                assert answer.read()
            assert time.monotonic() - begun < WAIT_SECONDS, path
    finally:
        house.stop()
