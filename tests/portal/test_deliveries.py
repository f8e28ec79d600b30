"""Deliveries over the API: seen by who may read, approved by a second person who signed in, by no program."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest_twisted

from tarazy.accreditation.audit import events_of
from tarazy.portal.rights import Role
from tarazy.portal.tokens import create_token
from tests.portal.conftest import Running
from tests.portal.sent import SCHEDULE, sent
from tests.portal.shapes import faults
from tests.portal.subject import change
from tests.portal.test_registers import ask
from tests.portal.test_users import Browser

PATH = "/api/v1/deliveries"


@pytest_twisted.ensureDeferred
async def test_a_second_person_approves(own: Running) -> None:
    """Not who proposed it, not an inspector, not twice, not what is refused; the log says who did.

    What waits for a person, and each period that is not done, is told with its last day.
    """
    now = datetime.now(UTC)
    change(own.subject, schedule=SCHEDULE)
    with own.pool.engine.begin() as connection:
        free, by_operator, refused, received = sent(connection, own.directory / "reports", now)
        until = now + timedelta(days=1)
        inspector = create_token(connection, "dana", Role.INSPECTOR, None, now, until, "test")
    await own.portal.read_holders()
    for token, code in ((inspector, "not_allowed"), (own.operator, "not_a_person")):
        answer, told = await ask(own, "POST", f"{PATH}?delivery={free}", token)
        assert (answer, told["error"]["code"]) == (403, code)
    operator = Browser(own)
    assert await operator.ask("/api/v1/users/demo", {"role": "operator"}) == 200
    for number, status, code in (
        (by_operator, 422, "not_approved"),
        (refused, 422, "not_approved"),
        (received, 422, "not_approved"),
        (77, 422, "not_approved"),
        ("-1", 400, "bad_parameter"),
        ("", 400, "bad_parameter"),
    ):
        answer = await operator.ask(f"{PATH}?delivery={number}", {})
        assert (answer, operator.told["error"]["code"]) == (status, code), number
    document = await own.json("/api/v1/openapi.json")
    assert await operator.ask(f"{PATH}?delivery={free}", {}) == 200
    assert (operator.told["state"], operator.told["approved_by"]) == ("approved", "demo-operator")
    assert faults(operator.told, {"$ref": "#/components/schemas/Delivery"}, document) == []
    assert await operator.ask(f"{PATH}?delivery={free}", {}) == 422
    _, told = await ask(own, "GET", f"{PATH}?limit=3", inspector)
    assert faults(told, {"$ref": "#/components/schemas/Deliveries"}, document) == []
    assert (told["total"], [row["state"] for row in told["items"]]) == (4, ["received", "refused", "proposed"])
    with own.pool.engine.begin() as connection:
        log = [json.loads(row.body) for row in events_of(connection, kind="delivery", last=20)]
    (by,) = [row["by"] for row in log if row["what"] == "approved" and row["delivery"] == free]
    assert by == "demo-operator"
    told = await own.json("/api/v1/schedule")
    assert faults(told, {"$ref": "#/components/schemas/Schedule"}, document) == []
    first, *_ = told["items"]
    expected = {"period": "2026-09", "due": "2026-10-15", "rule": None, "state": "not-built", "standing": "overdue"}
    assert {name: first[name] for name in expected} == expected
    waiting = await own.json("/api/v1/attention")
    assert faults(waiting, {"$ref": "#/components/schemas/Attention"}, document) == []
    texts = [row["text"]["en"] for row in waiting["items"] if row["kind"] in ("report", "delivery")]
    assert "Record of distributed assets, 2026-09: was due on 15 Oct 2026; not built" in texts[0]
    assert sum("waits for approval" in text for text in texts) == 1
    assert sum("was refused by tax-authority" in text for text in texts) == 1
