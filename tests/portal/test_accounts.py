"""Accounts over HTTP: what a miner sees of its own, what the operator sees of all, statements."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_twisted
from openpyxl import load_workbook
from sqlalchemy import event

from tarazy.accounting.schemes import Schedule, Scheme, Terms
from tarazy.portal import accounts
from tarazy.portal.accounts import Depths, payments, terms_by_date
from tarazy.portal.rights import Role
from tarazy.portal.tokens import create_token
from tarazy.reports.language import LANGUAGES
from tests.portal.conftest import Running
from tests.portal.pool import ADDRESS, NAMES, TXIDS
from tests.portal.shapes import faults
from tests.reports.pdf_text import pages


@pytest.fixture(scope="module")
def tokens(running: Running) -> dict[str, str]:
    """A token of an inspector, and of two miners by their parties."""
    now = datetime.now(UTC)
    with running.pool.engine.begin() as connection:
        made = {
            name: create_token(connection, name, role, party, now, now + timedelta(days=1), "test")
            for name, role, party in (
                ("inspector", Role.INSPECTOR, None),
                ("altyn", Role.MINER, "altyn"),
                ("samal", Role.MINER, "samal"),
            )
        }
    pytest_twisted.blockon(running.portal.read_holders())
    return made


async def told(running: Running, path: str, token: str) -> Any:
    """The answer of `path`, which has the described shape."""
    body = await running.json(f"/api/v1/{path}", headers={"authorization": f"Bearer {token}"})
    document = await running.json("/api/v1/openapi.json")
    described = document["paths"][f"/api/v1/{path.partition('?')[0]}"]["get"]["responses"]["200"]["content"]
    assert faults(body, described["application/json"]["schema"], document) == []
    return body


def test_payments_cost_what_their_page_holds(running: Running) -> None:
    """A fixed number of questions, whoever else was paid in the same batches."""
    asked: list[str] = []
    with running.pool.engine.begin() as connection:
        event.listen(connection, "before_cursor_execute", lambda *told: asked.append(told[2]))
        found = payments(connection, "altyn", Depths({}), 100, 0)
    assert len(found["items"]) == 2
    assert len(asked) == 3


@pytest_twisted.ensureDeferred
async def test_a_miners_account_adds_up(running: Running, tokens: dict[str, str]) -> None:
    """Balance, credits and payouts agree, each in its state; the receipt is offered where the round is recorded."""
    account = await told(running, "me/account", tokens["altyn"])
    credits = (await told(running, "me/credits", tokens["altyn"]))["items"]
    paid = (await told(running, "me/payouts", tokens["altyn"]))["items"]
    balance = account["balance"]
    by_state = {
        state: sum(row["amount"] for row in credits if row["state"] == state) for state in ("immature", "final")
    }
    assert balance["immature"] == by_state["immature"] > 0
    assert balance["payable"] + balance["in_flight"] + balance["paid"] == by_state["final"] > 0
    assert balance["earned"] == sum(by_state.values())
    assert [row["receipt"] for row in credits] == [None, None, None, 1]
    assert [row["state"] for row in credits] == ["immature", "reversed", "final", "final"]
    assert [(row["state"], row["txid"], row["confirmations"]) for row in paid] == [
        ("proposed", None, None),
        ("confirmed", TXIDS[0], 6),
    ]
    assert [row["amount"] for row in paid] == [balance["in_flight"], balance["paid"]]
    part = await told(running, "me/credits?limit=1&offset=2", tokens["altyn"])
    assert (part["total"], part["items"]) == (4, credits[2:3])


@pytest_twisted.ensureDeferred
async def test_a_statement_of_too_many_rounds_is_refused(
    running: Running, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would take too long to wait for says so instead."""
    monkeypatch.setattr(accounts, "STATEMENT_ROUNDS", 0)
    path = f"/api/v1/me/statements/{datetime.now(UTC):%Y}"
    answer = await running.get(path, headers={"authorization": f"Bearer {tokens['altyn']}"})
    assert (answer.code, "too many rounds" in await answer.text()) == (422, True)


@pytest_twisted.ensureDeferred
async def test_what_is_held_is_told_with_the_reason(running: Running, tokens: dict[str, str]) -> None:
    """Held money stays payable, and the miner learns why it is not paid."""
    account = await told(running, "me/account", tokens["samal"])
    assert account["balance"]["held"] == account["balance"]["payable"] > 0
    assert [hold["why"] for hold in account["holds"]] == ["the address is disputed"]


@pytest_twisted.ensureDeferred
async def test_a_miner_is_told_of_no_other(running: Running, tokens: dict[str, str]) -> None:
    """Neither a name nor an amount of another party is in any of its answers, its statement included."""
    others = [word for party, words in NAMES.items() if party != "samal" for word in (party, *words)]
    year = f"me/statements/{datetime.now(UTC):%Y}"
    for path in ("me/account", "me/credits", "me/payouts", "me/statements", "me/receipts", year):
        answer = await running.get(f"/api/v1/{path}", headers={"authorization": f"Bearer {tokens['samal']}"})
        body = await answer.text()
        assert answer.code == 200
        assert not [word for word in others if word in body], path


def test_terms_are_told_by_date() -> None:
    """A party's own fee counts until terms that do not name it; what is announced is told with its instant."""
    since = datetime(2026, 3, 1, tzinfo=UTC)
    schedule = Schedule(Terms(10_000, {"dala": 5_000}), ((since, Terms(8_000, {}, Scheme.PPLNS, 4)),))
    before, after = (terms_by_date(schedule, "dala", since + timedelta(days=days)) for days in (-1, 1))
    assert [(row["since"], row["scheme"], row["window"], row["fee_ppm"]) for row in before] == [
        (None, "prop", None, 5_000),
        (since, "pplns", 4, 8_000),
    ]
    assert [row["in_force"] for row in before] == [True, False]
    assert [row["in_force"] for row in after] == [False, True]


@pytest_twisted.ensureDeferred
async def test_statements_come_in_every_form_and_agree(running: Running, tokens: dict[str, str]) -> None:
    """JSON, PDF and XLSX of one moment are the same statement; asked again they are the same bytes."""
    listed = await told(running, "me/statements", tokens["altyn"])
    newest = listed["items"][0]["period"]
    assert newest == max(row["period"] for row in listed["items"])
    at = listed["as_of"]
    headers = {"authorization": f"Bearer {tokens['altyn']}"}

    async def file(**asked: str) -> tuple[str, bytes]:
        query = "&".join(f"{name}={value}" for name, value in {"as_of": at, **asked}.items())
        answer = await running.get(f"/api/v1/me/statements/{newest[:4]}?{query}", headers=headers)
        assert answer.code == 200, await answer.text()
        (disposition,) = answer.headers.getRawHeaders("content-disposition")
        return disposition.partition('"')[2].rstrip('"'), await answer.content()

    name, content = await file()
    statement = json.loads(content)
    assert statement["totals"]["paid"] == (await told(running, "me/account", tokens["altyn"]))["balance"]["paid"]
    assert await file() == (name, content)
    for form, lang in (("pdf", "kk"), ("xlsx", "ru")):
        rendered, body = await file(form=form, lang=lang)
        assert rendered == name.replace("json", f"{lang}.{form}")
        if form == "pdf":
            party = NAMES["altyn"][1 + LANGUAGES.index(lang)]
            assert party in " ".join(" ".join(pages(body)).split())
        else:
            assert load_workbook(io.BytesIO(body)).sheetnames


@pytest.mark.parametrize(
    ("path", "code", "says"),
    [
        ("me/statements/2999", 400, "bad_parameter"),
        ("me/statements/yesterday", 400, "bad_parameter"),
        ("me/statements/2024?form=exe", 400, "bad_parameter"),
        ("me/statements/2024?lang=de", 400, "bad_parameter"),
        ("me/statements/2024?as_of=2999-01-01T00:00:00Z", 400, "bad_parameter"),
        ("me/statements/2024?as_of=2024-01-02T00:00:00Z", 422, "no_statement"),
        ("me/account?party=dala", 400, "unknown_parameter"),
        ("me/receipts/1", 422, "too_large"),
        ("me/receipts/99", 404, "no_such_entry"),
        (f"me/receipts/{2**63}", 404, "not_found"),
        ("me/nothing", 404, "not_found"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_refused_says_why(
    running: Running, tokens: dict[str, str], path: str, code: int, says: str
) -> None:
    """Moments that have not been, forms that do not exist, rounds that are not one's own."""
    answer = await running.get(f"/api/v1/{path}", headers={"authorization": f"Bearer {tokens['altyn']}"})
    assert (answer.code, (await answer.json())["error"]["code"]) == (code, says)


@pytest_twisted.ensureDeferred
async def test_the_operator_sees_what_waits(running: Running, tokens: dict[str, str]) -> None:
    """Batches with what each waits for, who is held, what has no record yet; no address of a miner."""
    standing = await told(running, "accounting/payouts", tokens["inspector"])
    assert [(row["batch"], row["waits_for"], row["confirmations"]) for row in standing["batches"]] == [
        (3, "approval", None),
        (2, "confirmations", 2),
    ]
    assert [(row["party"], row["why"]) for row in standing["held"]] == [("samal", "the address is disputed")]
    assert standing["unrecorded"] == 1
    owed = {row["party"]: row["payable"] for row in standing["unaddressed"]}
    assert set(owed) == {"dala", "samal"}, "what altyn is owed is in batches"
    assert sum(owed.values()) == standing["sums"]["payable"]
    assert ADDRESS not in json.dumps(standing)
    miner = await told(running, "me/account", tokens["altyn"])
    assert standing["sums"]["paid"] == miner["balance"]["paid"]


@pytest_twisted.ensureDeferred
async def test_rounds_are_told_with_their_state(running: Running, tokens: dict[str, str]) -> None:
    """Every division adds up; an orphaned round is part of a later one; no party is named."""
    rounds = await told(running, "accounting/rounds", tokens["inspector"])
    divided = [row["distribution"] for row in rounds["items"] if row["distribution"]]
    assert all(row["fee"] + row["credited"] + row["remainder"] == row["reward"] for row in divided)
    assert [(row["state"], row["first_round"]) for row in divided] == [
        ("immature", 3),
        ("reversed", 3),
        ("final", 2),
        ("final", 1),
    ]
    assert [row["recorded"] for row in rounds["items"]] == [False, False, False, False, True]
    assert rounds["items"][0]["closed_at"] is None
    assert not [party for party in NAMES if party in json.dumps(rounds)]


@pytest_twisted.ensureDeferred
async def test_what_is_missing_of_the_obligation_to_sell(running: Running, tokens: dict[str, str]) -> None:
    """By party and year, from what became final; and the distributions that no issued record tells of."""
    year = f"{datetime.now(UTC):%Y}"
    sales = await told(running, f"accounting/sales?year={year}", tokens["inspector"])
    assert [row["party"] for row in sales["items"]] == ["altyn", "dala", "samal"]
    mined = {row["party"]: line for row in sales["items"] for line in row["obligations"] if line["base"] == "mined"}
    account = await told(running, "me/account", tokens["samal"])
    assert mined["samal"]["amount"] == account["balance"]["payable"]
    assert (sales["minimum_percent"], mined["samal"]["missing"]) == (None, None), "no rule is entered for the year"
    record = await told(running, "accounting/distributed", tokens["inspector"])
    assert ([row["version"] for row in record["items"]], record["unrecorded"]["distributions"]) == ([1], 2)
    assert [row["without_document"] for row in sales["items"]] == [0, 1, 0]
