"""Whoever comes first after the server says that it is ready does not wait for what it has not read yet."""

from __future__ import annotations

import urllib.request

from tests.pool.house import House, wait_until


def test_what_the_first_answer_needs_is_read_before_anybody_is_answered(house: House) -> None:
    """Texts, template and snapshot are there when the portal listens; the page and the figures are given."""
    wait_until(lambda: "server_started" in house.logged())
    before = house.logged().partition("server_started")[0]
    assert "miners_served" in before.partition("portal_warm")[0]
    assert "portal_warm" in before
    for path in ("/ru/", "/api/v1/overview"):
        with urllib.request.urlopen(f"http://127.0.0.1:{house.settings.portal.port}{path}") as answer:
            assert answer.read()
