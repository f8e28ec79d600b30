"""Quarterly information over HTTP: what a miner may tell, and who sees it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest_twisted
from sqlalchemy import select

from tarazy.accreditation.tables import audit
from tarazy.config.law.calendar import Quarter
from tests.portal.conftest import Running
from tests.portal.shapes import faults
from tests.portal.test_registers import ask, tokens  # noqa: F401 - a fixture

NOW = datetime.now(UTC)
RUNNING = Quarter.of(NOW)
LAST = Quarter.of(RUNNING.start - timedelta(days=1))
FIGURES = {"energy_wh": 12_345_678, "investment_kzt": 250_000_000, "jobs": 14, "machines": 90, "power_w": 315_000}


@pytest_twisted.ensureDeferred
async def test_a_miner_tells_of_a_quarter(own: Running, tokens: dict[str, str]) -> None:  # noqa: F811
    """Prefilled, kept, submitted, corrected with a reason; nothing submitted is ever changed, all of it is logged."""
    miner, inspector = tokens["miner"], tokens["inspector"]
    document = await own.json("/api/v1/openapi.json")
    path, told = f"/api/v1/quarterly/own?quarter={LAST}", {"quarter": str(LAST), **FIGURES}

    async def seen() -> Any:
        code, answer = await ask(own, "GET", path, miner)
        assert code == 200
        assert faults(answer, {"$ref": "#/components/schemas/QuarterlyOwn"}, document) == []
        return answer

    before = await seen()
    assert (before["is_over"], before["draft"], before["items"]) == (True, None, [])
    assert before["known"]["machines"] > 0
    assert (await ask(own, "GET", "/api/v1/quarterly/own", miner))[1] == before, "the last one that is over"
    assert (await ask(own, "POST", "/api/v1/quarterly/draft", miner, json={**told, "jobs": 1}))[0] == 200
    assert (await ask(own, "POST", "/api/v1/quarterly/draft", miner, json=told))[0] == 200
    assert (await seen())["draft"] == FIGURES
    standing = f"/api/v1/quarterly/standing?quarter={LAST}"
    rows = (await ask(own, "GET", standing, inspector))[1]["items"]
    assert {row["told"] is None for row in rows} == {True}, "nobody else sees a draft"
    code, first = await ask(own, "POST", "/api/v1/quarterly/submit", miner, json=told)
    assert (code, first["version"], first["recorded_by"]) == (200, 1, "the-miner")
    assert (await seen())["draft"] is None
    changed = {**told, "jobs": 15}
    for wrong, code in (
        (changed, 422),  # without a reason
        ({**told, "why": "nothing differs"}, 422),
        ({**changed, "why": "x" * 501}, 400),
        ({**changed, "jobs": -1}, 400),
        ({**changed, "jobs": "15"}, 400),
        ({**changed, "party": "samal"}, 400),
        ({**changed, "quarter": "2026"}, 400),
        ({**changed, "quarter": "0000-Q1"}, 400),
        ({**changed, "quarter": str(RUNNING)}, 422),  # not over
        ({**changed, "quarter": str(RUNNING.next())}, 400),  # not begun
    ):
        assert (await ask(own, "POST", "/api/v1/quarterly/submit", miner, json=wrong))[0] == code, wrong
    code, _ = await ask(own, "POST", "/api/v1/quarterly/submit", miner, json={**changed, "why": "one more"})
    assert code == 200
    found = [(row["version"], row["jobs"], row["why"]) for row in (await seen())["items"]]
    assert found == [(2, 15, "one more"), (1, 14, None)]
    _, answer = await ask(own, "GET", standing, inspector)
    assert faults(answer, {"$ref": "#/components/schemas/QuarterlyStanding"}, document) == []
    assert answer["items"][0]["told"] is None, "what is missing comes first"
    assert {row["party"]: row["told"] and row["told"]["version"] for row in answer["items"]}["altyn"] == 2
    with own.pool.engine.begin() as connection:
        kept = select(audit.c.party, audit.c.body).where(audit.c.kind == "quarterly-information")
        logged = connection.execute(kept.order_by(audit.c.sequence)).all()
    assert [(row.party, json.loads(row.body)["version"]) for row in logged] == [("altyn", 1), ("altyn", 2)]
