"""Payouts proposed and approved on the portal, by the server's own desk for them."""

from __future__ import annotations

import json

import pytest_twisted
from sqlalchemy import select, update

from tarazy.accounting.payouts.fence import stop
from tarazy.accounting.payouts.tables import batch
from tarazy.accreditation.audit import events_of
from tests.portal.conftest import Running
from tests.portal.shapes import faults
from tests.portal.subject import change
from tests.portal.test_registers import ask
from tests.portal.test_users import Browser

PAYOUTS = "/api/v1/accounting/payouts"


@pytest_twisted.ensureDeferred
async def test_a_second_person_approves_what_is_seen(own: Running) -> None:
    """Not who proposed it, no inspector, no program, no stranger's page; once, and the audit log tells who."""
    operator, inspector = Browser(own), Browser(own)
    for browser, role in ((operator, "operator"), (inspector, "inspector")):
        assert await browser.ask("/api/v1/users/demo", {"role": role}) == 200
    assert await inspector.ask(f"{PAYOUTS}/3") == 200
    document = await own.json("/api/v1/openapi.json")
    assert faults(inspector.told, {"$ref": "#/components/schemas/BatchPayments"}, document) == []
    assert sum(row["amount"] for row in inspector.told["payments"]) == inspector.told["amount"]
    assert await inspector.ask(f"{PAYOUTS}/3/approve", {}) == 403
    assert await Browser(own, operator.cookie, page="http://elsewhere.kz").ask(f"{PAYOUTS}/3/approve", {}) == 403
    code, told = await ask(own, "POST", f"{PAYOUTS}/3/approve", own.operator)
    assert (code, told["error"]["code"]) == (403, "not_a_person")
    _by(own, "demo-operator")
    assert await operator.ask(f"{PAYOUTS}/3/approve", {}) == 422
    assert "somebody else must approve it" in operator.told["error"]["text"]
    _by(own, "aida")
    assert await operator.ask(f"{PAYOUTS}/3/approve", {}) == 200
    assert await operator.ask(f"{PAYOUTS}/3/approve", {}) == 422
    assert await operator.ask(f"{PAYOUTS}/99/approve", {}) == 422
    assert await operator.ask(f"{PAYOUTS}/99") == 404
    with own.pool.engine.begin() as connection:
        approved = connection.execute(select(batch.c.approved_by).where(batch.c.batch == 3)).scalar()
        (event,) = (json.loads(row.body) for row in events_of(connection, kind="payout", last=1))
    assert (approved, event["what"], event["by"]) == ("demo-operator", "approved", "demo-operator")


def _by(own: Running, name: str) -> None:
    with own.pool.engine.begin() as connection:
        connection.execute(update(batch).where(batch.c.batch == 3).values(proposed_by=name))


@pytest_twisted.ensureDeferred
async def test_a_proposal_keeps_the_rules_of_the_command(own: Running) -> None:
    """What is held stays, nothing is proposed while payouts are stopped, nor where the settings have none."""
    operator = Browser(own)
    assert await operator.ask("/api/v1/users/demo", {"role": "operator"}) == 200
    assert await operator.ask(f"{PAYOUTS}/propose", {}) == 200
    assert operator.told["left_out"]["samal"]["ru"] == "удержано: the address is disputed"
    document = await own.json("/api/v1/openapi.json")
    assert faults(operator.told, {"$ref": "#/components/schemas/Proposed"}, document) == []
    hold = {"party": "nobody", "why": "x", "language": "en"}
    assert await operator.ask("/api/v1/accounting/payouts/hold", hold) == 422
    assert operator.told["error"]["texts"]["ru"].startswith("организации nobody нет;")
    assert await operator.ask("/api/v1/users/invite", {"name": "x", "role": "miner", "party": "nobody"}) == 422
    assert operator.told["error"]["texts"]["kk"].startswith("nobody ұйымы жоқ;")
    with own.pool.engine.begin() as connection:
        stop(connection, "the wallet is short", own.pool.now, "aida")
    assert await operator.ask(f"{PAYOUTS}/propose", {}) == 422
    assert "the wallet is short" in operator.told["error"]["text"]
    change(own.subject, payments=None)
    assert await operator.ask(f"{PAYOUTS}/propose", {}) == 422
    assert operator.told["error"]["code"] == "no_payouts"
