"""The registers over HTTP: who may what on every address, round trips, and what hostile callers get."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_twisted
import treq
from twisted.internet import reactor, task

from tarazy.accounting.energy.profiles import known_profiles
from tarazy.accreditation.admission import Decision
from tarazy.accreditation.audit import append
from tarazy.accreditation.decisions import DecisionLog
from tarazy.portal.access import Access
from tarazy.portal.guard import MAXIMUM_BODY
from tarazy.portal.patience import Patience
from tarazy.portal.rights import RIGHTS, Holder, Right, Role
from tarazy.portal.tokens import TokenError, create_token, revoke_token
from tests.portal.conftest import Running
from tests.portal.pool import ADDRESS, EKIBASTUZ
from tests.portal.shapes import faults
from tests.portal.test_app import raw

NEW = {
    "equipment": "SN-77",
    "model": "S21",
    "party": "altyn",
    "site": EKIBASTUZ,
    "nominal_hash_rate_hs": "200 TH/s",
    "nominal_power_w": 3500,
    "valid_from": "2026-01-01",
}


@pytest.fixture
def tokens(own: Running) -> dict[str, str]:
    """A token of each role, known to the portal."""
    now = datetime.now(UTC)
    made = {}
    with own.pool.engine.begin() as connection:
        for role in Role:
            party = "altyn" if role is Role.MINER else None
            made[role.value] = create_token(
                connection,
                f"the-{role}",
                role,
                party,
                now,
                now + timedelta(days=1),
                "test",
                EKIBASTUZ if role is Role.AGENT else None,
            )
    pytest_twisted.blockon(own.portal.read_holders())
    return made


async def ask(own: Running, method: str, path: str, token: str | None, **options: Any) -> tuple[int, Any]:
    """Status and body of an answer."""
    headers: dict[bytes | str, bytes | str] = {"authorization": f"Bearer {token}"} if token else {}
    answer = await treq.request(method, own.url + path, headers=headers, persistent=False, **options)
    body = await answer.content()
    is_json = "json" in (answer.headers.getRawHeaders("content-type") or [""])[0]
    return answer.code, json.loads(body) if is_json else body


ADDRESSES = [
    # method, path, right
    ("GET", "/api/v1/me", None),
    ("GET", "/api/v1/me/account", Right.OWN),
    ("GET", "/api/v1/me/credits", Right.OWN),
    ("GET", "/api/v1/me/payouts", Right.OWN),
    ("GET", "/api/v1/me/hashrate", Right.WORK),
    ("GET", "/api/v1/me/workers", Right.WORK),
    ("GET", "/api/v1/me/tokens", Right.TOKENS),
    ("POST", "/api/v1/me/tokens", Right.TOKENS),
    ("POST", "/api/v1/me/tokens/revoke", Right.TOKENS),
    ("GET", "/api/v1/me/statements", Right.OWN),
    ("GET", "/api/v1/me/statements/2999", Right.OWN),
    ("GET", "/api/v1/me/receipts", Right.OWN),
    ("GET", "/api/v1/me/receipts/1", Right.OWN),
    ("GET", "/api/v1/signatures", Right.READ),
    ("POST", "/api/v1/signatures", Right.WRITE),
    ("GET", "/api/v1/deliveries", Right.READ),
    ("POST", "/api/v1/deliveries?delivery=7", Right.SEND),
    ("GET", "/api/v1/schedule", Right.READ),
    ("GET", "/api/v1/machinery", Right.READ),
    ("GET", "/api/v1/accounting/payouts", Right.READ),
    ("GET", "/api/v1/accounting/payouts/2", Right.READ),
    ("POST", "/api/v1/accounting/payouts/propose", Right.PAY),
    ("POST", "/api/v1/accounting/payouts/2/approve", Right.PAY),
    *(
        ("POST", f"/api/v1/accounting/payouts/{act}", Right.PAY)
        for act in ("hold", "release", "stop", "resume", "check")
    ),
    *(
        ("POST", f"/api/v1/accounting/payouts/2/{act}", Right.PAY)
        for act in ("abandon", "export", "import", "broadcast", "bump")
    ),
    ("GET", "/api/v1/accounting/rounds", Right.READ),
    ("GET", "/api/v1/accounting/sales", Right.READ),
    ("GET", "/api/v1/accounting/distributed", Right.READ),
    *(("GET", f"/api/v1/{name}", Right.READ) for name in ("attention", "miners", "refusals", "distributions")),
    ("GET", "/api/v1/energy", Right.READ),
    ("GET", "/api/v1/reports", Right.READ),
    ("GET", "/api/v1/reports/absent.json", Right.READ),
    ("GET", "/api/v1/registers/party", Right.READ),
    ("GET", "/api/v1/registers/licence/history?key=L-1", Right.READ),
    ("GET", "/api/v1/registers/licence/columns", Right.READ),
    ("GET", "/api/v1/registers/wallet/addresses", Right.READ),
    ("POST", "/api/v1/registers/licence/close?key=L-1&why=x", Right.WRITE),
    ("GET", "/api/v1/findings", Right.READ),
    ("GET", "/api/v1/registers/export", Right.READ),
    ("GET", "/api/v1/documents/file?document=x", Right.READ),
    ("POST", "/api/v1/registers/equipment?dry_run=1", Right.WRITE),
    ("POST", "/api/v1/registers/import?name=party.csv&dry_run=1", Right.WRITE),
    ("GET", "/api/v1/admissions", Right.READ),
    ("GET", "/api/v1/admissions/at", Right.READ),
    ("POST", "/api/v1/findings/dismiss?finding=x&why=y", Right.WRITE),
    ("POST", "/api/v1/readings", Right.PUSH),
    ("GET", "/api/v1/quarterly/own", Right.OWN),
    ("POST", "/api/v1/quarterly/draft", Right.TELL),
    ("POST", "/api/v1/quarterly/submit", Right.TELL),
    ("GET", "/api/v1/quarterly/standing", Right.READ),
    ("GET", "/api/v1/users/all", Right.USERS),
    ("POST", "/api/v1/users/invite", Right.USERS),
    ("POST", "/api/v1/users/invite-again", Right.USERS),
    ("POST", "/api/v1/users/remove", Right.USERS),
    ("GET", "/api/v1/energy/sites", Right.ENERGY),
    *(
        ("GET", f"/api/v1/energy/sites/ekibastuz/{name}", Right.ENERGY)
        for name in ("load", "allocation", "supplies", "reconciliation", "meters", "findings")
    ),
    ("GET", "/api/v1/energy/fees/2026-Q1", Right.ENERGY),
    ("POST", "/api/v1/documents?of_register=party&of_key=altyn&title=x", Right.WRITE),
]


@pytest_twisted.ensureDeferred
async def test_every_address_asks_for_its_right(
    own: Running, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each role on each described address: 401 without a token, 403 without the right, else neither."""
    monkeypatch.setattr(Patience, "wait", lambda *_: 0.0)
    document = await own.json("/api/v1/openapi.json")
    described = {
        (name.upper(), path)
        for path, methods in document["paths"].items()
        for name, method in methods.items()
        if name != "parameters" and "security" in method
    }
    assert len(described) == len(ADDRESSES)
    for method, path, right in ADDRESSES:
        assert (await ask(own, method, path, None))[0] == 401
        assert (await ask(own, method, path, "tarazy_wrong"))[0] == 401
        for role, token in tokens.items():
            code, body = await ask(own, method, path, token)
            allowed = right is None or right in RIGHTS[Role(role)]
            assert (code in (200, 400, 404, 422)) is allowed, (method, path, role, code, body)
            assert (code == 403) is not allowed


@pytest_twisted.ensureDeferred
async def test_an_entry_is_planned_recorded_read_and_corrected(own: Running, tokens: dict[str, str]) -> None:
    """What an operator writes, an inspector reads, as of and as known at any moment, with who wrote it."""
    operator, inspector = tokens["operator"], tokens["inspector"]
    before = datetime.now(UTC).isoformat()
    path = "/api/v1/registers/equipment"
    document = await own.json("/api/v1/openapi.json")
    code, plan = await ask(own, "POST", path + "?dry_run=1", operator, json={"entries": [NEW]})
    assert (code, plan["recorded"], plan["added"]) == (200, False, {"equipment": 1})
    assert plan["changes"][0]["columns"]["model"] == {"before": "", "after": "S21"}
    assert (await ask(own, "GET", path + "?key=SN-77", inspector))[1]["items"] == []
    code, done = await ask(own, "POST", path, operator, json={"entries": [NEW]})
    assert (code, done["recorded"]) == (200, True)
    assert faults(done, {"$ref": "#/components/schemas/Recorded"}, document) == []
    code, found = await ask(own, "GET", path + "?key=SN-77", inspector)
    assert faults(found, {"$ref": "#/components/schemas/Entries"}, document) == []
    (item,) = found["items"]
    _, past = await ask(own, "GET", path + "?key=SN-77&as_of=2026-03-03T07:00:00Z", inspector)
    assert (past["as_of"], len(past["items"])) == ("2026-03-03T07:00:00Z", 1)
    assert past["known_at"] >= item["recorded_at"], "what is told as known now was not known then"
    assert (item["recorded_by"], item["nominal_hash_rate_hs"]) == ("the-operator", 200 * 10**12)
    wrong = {**NEW, "nominal_power_w": 3600}
    code, refused = await ask(own, "POST", path, operator, json={"entries": [wrong]})
    assert (code, refused["error"]["faults"][0]["column"]) == (422, "corrects")
    assert (await ask(own, "POST", path + "?why=plate", operator, json={"entries": [wrong]}))[0] == 200
    code, versions = await ask(own, "GET", path + "/history?key=SN-77", inspector)
    assert [row["corrects"] for row in versions["items"]] == [None, item["entry"]]
    assert faults(versions, {"$ref": "#/components/schemas/Versions"}, document) == []
    assert versions["items"][1]["changes"] == {"nominal_power_w": {"before": "3500", "after": "3600"}}
    moment = before.replace("+", "%2B")
    assert (await ask(own, "GET", f"{path}?key=SN-77&known_at={moment}", inspector))[1]["items"] == []
    assert (await ask(own, "GET", f"{path}?key=SN-77&as_of=2025-06-01T00:00:00Z", inspector))[1]["items"] == []


@pytest_twisted.ensureDeferred
async def test_a_register_is_searched_sorted_and_paged_by_the_server(own: Running, tokens: dict[str, str]) -> None:
    """By words in any column, by a column either way, empty cells last; what is asked wrongly is told."""
    operator, path = tokens["operator"], "/api/v1/registers/equipment"
    machines = [
        {**NEW, "equipment": f"Z-{n}", "nominal_power_w": 3000 + n, "note": "Ескі" * (n % 2)} for n in range(30)
    ]
    assert (await ask(own, "POST", path, operator, json={"entries": machines}))[0] == 200

    async def keys(query: str) -> list[str]:
        return [row["equipment"] for row in (await ask(own, "GET", f"{path}?{query}", operator))[1]["items"]]

    newest = await keys("q=z-&sort=nominal_power_w&order=desc&limit=3")
    assert newest == ["Z-29", "Z-28", "Z-27"]
    assert await keys("q=z-&sort=nominal_power_w&limit=2&offset=28") == ["Z-28", "Z-29"]
    assert len(await keys("q=%D0%B5%D1%81%D0%BA%D1%96+altyn")) == 15, "words in any column, whatever their case"
    by_note = await keys("q=z-&sort=note&order=desc")
    assert all(int(key[2:]) % 2 for key in by_note[:15]), "empty cells are last either way"
    assert await keys("q=nowhere") == []
    for wrong in ("sort=price", "order=up", "open=1", f"q={'x' * 101}"):
        assert (await ask(own, "GET", f"{path}?{wrong}", operator))[0] == 400, wrong
    document = await own.json("/api/v1/openapi.json")
    profile = next(
        row for row in (await own.json("/api/v1/registers/meter/columns"))["items"] if row["name"] == "profile"
    )
    assert profile["words"] == known_profiles()
    for name, shape in (("registers/site/columns", "Columns"), ("findings?open=1&q=karaganda", "Entries")):
        code, told = await ask(own, "GET", f"/api/v1/{name}", tokens["inspector"])
        assert (code, faults(told, {"$ref": f"#/components/schemas/{shape}"}, document)) == (200, [])
        assert told["items"]
    assert set(told["items"][0]["text"]) == {"kk", "ru", "en"}


@pytest_twisted.ensureDeferred
async def test_an_entry_ends_for_good(own: Running, tokens: dict[str, str]) -> None:
    """All its versions end: none that a later one covered holds again, none begins later; the past stays as it was."""
    operator, path = tokens["operator"], "/api/v1/registers/equipment"
    said = (("2026-01-01", "", 3500), ("2026-02-01", "", 3600), ("2026-02-10", "2026-02-11", 9), ("2999-01-01", "", 7))
    for begins, ends, watts in said:
        entry = {**NEW, "nominal_power_w": watts, "valid_from": begins, "valid_to": ends}
        assert (await ask(own, "POST", path, operator, json={"entries": [entry]}))[0] == 200
    close = f"{path}/close?key=SN-77&end=2026-03-01&why=sold"
    code, plan = await ask(own, "POST", f"{close}&dry_run=1", operator)
    assert (code, plan["recorded"], plan["added"]) == (200, False, {"equipment": 4})
    code, done = await ask(own, "POST", close, operator)
    assert (code, done["recorded"]) == (200, True)
    watts_at = {}
    for day in ("2026-01-15", "2026-02-10", "2026-03-01", "2026-03-02", "2999-06-01"):
        _, found = await ask(own, "GET", f"{path}?key=SN-77&as_of={day}T12:00:00Z", operator)
        watts_at[day] = [row["nominal_power_w"] for row in found["items"]]
    before = {"2026-01-15": [3500], "2026-02-10": [9], "2026-03-01": [3600]}
    assert watts_at == {**before, "2026-03-02": [], "2999-06-01": []}
    assert (await ask(own, "POST", close, operator))[0] == 404, "it has ended already"
    assert (await ask(own, "POST", f"{path}/close?key=SN-77&why=x&end=noon", operator))[0] == 400
    assert (await ask(own, "POST", f"{path}/close?key=SN-77", operator))[0] == 400, (
        "nobody ends anything without a reason"
    )


@pytest_twisted.ensureDeferred
async def test_an_inspector_sees_who_mined_and_who_was_turned_away(own: Running, tokens: dict[str, str]) -> None:
    """Of a span longer than the public list's day, filtered; and who might have at a moment."""
    document, inspector = await own.json("/api/v1/openapi.json"), tokens["inspector"]
    path = "/api/v1/admissions"
    now = datetime.now(UTC)
    decided = Decision(True, (), "", "altyn", EKIBASTUZ, ())
    log = DecisionLog()
    log.add(decided, "altyn", "rig", "2.72.0.9", now)
    with own.pool.engine.begin() as connection:
        append(connection, log.take(now, everything=True), now)
    code, everything = await ask(own, "GET", path + "?from=2026-01-01T00:00:00Z", inspector)
    assert code == 200
    assert faults(everything, {"$ref": "#/components/schemas/Admissions"}, document) == []
    kinds = {row["kind"] for row in everything["items"]}
    assert kinds == {"admitted", "refused"}
    lasts = [row["last"] for row in everything["items"]]
    assert lasts == sorted(lasts)
    for row in everything["items"]:
        chosen = f"{path}?from=2026-01-01T00:00:00Z&kind={row['kind']}&party={row['party']}"
        items = (await ask(own, "GET", chosen, inspector))[1]["items"]
        assert row in items
        assert {(one["kind"], one["party"]) for one in items} == {(row["kind"], row["party"])}
    first = everything["items"][0]
    assert (await ask(own, "GET", f"{path}?from=2026-01-01T00:00:00Z&limit=1", inspector))[1]["items"] == [first]
    assert (await ask(own, "GET", f"{path}?from=2025-01-01T00:00:00Z&to=2025-01-02T00:00:00Z", inspector))[1][
        "items"
    ] == []
    for wrong in ("?from=2020-01-01T00:00:00Z", "?to=0001-01-01T00:00:00Z", "?kind=maybe", "?from=noon", "?limit=1001"):
        assert (await ask(own, "GET", path + wrong, inspector))[0] == 400, wrong
    code, told = await ask(own, "GET", path + "/at", inspector)
    assert (code, told["server"]) == (200, "astana-1")
    assert faults(told, {"$ref": "#/components/schemas/Admissible"}, document) == []
    by_party = {row["party"]: row for row in told["items"]}
    assert by_party["altyn"]["admitted"]
    assert by_party["altyn"]["machines"]
    _, then = await ask(own, "GET", path + "/at?as_of=2020-01-01T00:00:00Z", inspector)
    assert not any(row["admitted"] for row in then["items"])


@pytest_twisted.ensureDeferred
async def test_spreadsheets_go_both_ways(own: Running, tokens: dict[str, str]) -> None:
    """An exported workbook imports as nothing new; a CSV brings in rows; faults name row and column."""
    code, book = await ask(own, "GET", "/api/v1/registers/export", tokens["inspector"])
    assert code == 200
    imported = "/api/v1/registers/import?name="
    code, told = await ask(own, "POST", imported + "registers.xlsx", tokens["operator"], data=book)
    assert (code, told["added"]) == (200, {})
    code, sheet = await ask(own, "GET", "/api/v1/registers/export?kind=party&form=csv", tokens["inspector"])
    text = sheet.decode("utf-8-sig")
    fresh = text.replace("altyn;", "zhana;").replace(";altyn;", ";zhana;").replace("\r\ndala", "\r\ndala")
    code, told = await ask(own, "POST", imported + "party.csv", tokens["operator"], data=fresh.encode())
    assert code in (200, 422)
    code, told = await ask(own, "POST", imported + "party.csv", tokens["operator"], data=b"party;bin\nx;1\n")
    assert code == 422
    assert told["error"]["faults"][0]["where"] == "party.csv"
    assert (await ask(own, "POST", imported + "../x.csv", tokens["operator"], data=b"x"))[0] == 400


@pytest_twisted.ensureDeferred
async def test_documents_are_kept_and_given_back(own: Running, tokens: dict[str, str]) -> None:
    """Byte for byte, to who may read; what is no document is refused."""
    path = "/api/v1/documents?of_register=party&of_key=altyn&title=Charter&document=charter"
    code, told = await ask(own, "POST", path, tokens["operator"], data=b"%PDF-1.7 charter")
    assert (code, told["document"], len(told["digest"])) == (200, "charter", 64)
    file = "/api/v1/documents/file?document=charter"
    assert await ask(own, "GET", file, tokens["inspector"]) == (200, b"%PDF-1.7 charter")
    code, refused = await ask(own, "POST", path, tokens["operator"], data=b"\x7fELF\0")
    assert (code, refused["error"]["code"]) == (422, "not_kept")
    missing = path.replace("altyn", "nobody").replace("charter", "other")
    assert (await ask(own, "POST", missing, tokens["operator"], data=b"%PDF-1"))[0] == 422
    assert (await ask(own, "GET", "/api/v1/documents/file?document=none", tokens["inspector"]))[0] == 404


@pytest_twisted.ensureDeferred
async def test_a_miner_sees_its_own_and_nothing_else(own: Running, tokens: dict[str, str]) -> None:
    """Its party, licences, sites, machines and admissions; no other party is named anywhere in the answer."""
    code, told = await ask(own, "GET", "/api/v1/me", tokens["miner"])
    assert (code, told["party"]["party"], told["role"]) == (200, "altyn", "miner")
    assert told["rights"] == ["own", "work", "energy", "tell"]
    assert {row["party"] for name in ("licences", "sites", "equipments") for row in told[name]} == {"altyn"}
    document = await own.json("/api/v1/openapi.json")
    assert faults(told, {"$ref": "#/components/schemas/Me"}, document) == []
    for other in ("dala", "samal", "kokshe"):
        assert other not in json.dumps(told)


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    ("method", "path", "options", "code", "says"),
    [
        ("POST", "registers/equipment", {"data": b"{"}, 400, "not_json"),
        ("POST", "registers/equipment", {"data": b"[" * 200_000}, 400, "not_json"),
        ("POST", "registers/equipment", {"json": []}, 422, "unfit"),
        ("POST", "registers/equipment", {"json": {"entries": []}}, 422, "unfit"),
        ("POST", "registers/equipment", {"json": {"entries": [5]}}, 422, "unfit"),
        ("POST", "registers/equipment", {"json": {"entries": [{"colour": "red"}]}}, 422, "unfit"),
        ("POST", "registers/equipment", {"json": {"entries": [{**NEW, "model": {"a": 1}}]}}, 422, "unfit"),
        ("POST", "registers/equipment", {"json": {"entries": [{**NEW, "model": True}]}}, 422, "unfit"),
        (
            "POST",
            "registers/equipment",
            {"json": {"entries": [{**NEW, "model": "'; DROP TABLE party; --\x01"}]}},
            422,
            "unfit",
        ),
        ("POST", "registers/equipment", {"json": {"entries": [NEW] * 10_001}}, 422, "unfit"),
        ("POST", "registers/nothing", {"json": {}}, 404, "not_found"),
        ("POST", "registers/equipment?dry_run=yes", {"json": {"entries": [NEW]}}, 400, "bad_parameter"),
        ("POST", "registers/equipment?colour=red", {"json": {"entries": [NEW]}}, 400, "unknown_parameter"),
        ("POST", "me", {"json": {}}, 405, "method_not_allowed"),
        ("DELETE", "registers/equipment", {}, 405, "method_not_allowed"),
        ("GET", "registers/import", {}, 405, "method_not_allowed"),
        ("GET", "registers/party?as_of=yesterday", {}, 400, "bad_parameter"),
        ("GET", "registers/party?as_of=2026-01-01T00:00:00", {}, 400, "bad_parameter"),
        ("GET", "registers/party?limit=100000", {}, 400, "bad_parameter"),
        ("GET", "registers/party?limit=-1", {}, 400, "bad_parameter"),
        ("GET", "registers/party?key=a&key=b", {}, 400, "bad_parameter"),
        ("GET", "registers/party?key=%ff", {}, 400, "bad_parameter"),
        ("GET", "registers/party?key=%00", {}, 400, "bad_parameter"),
        ("GET", "registers/party?as_of=0001-01-01T00:00:00%2B14:00", {}, 400, "bad_parameter"),
        ("POST", "findings/take?finding=nothing", {}, 422, "not_moved"),
        ("POST", "findings/take?finding=hash-rate:party:samal:karaganda&owner=%1b[2J", {}, 422, "not_moved"),
        ("POST", "findings/dismiss?finding=hash-rate:party:samal:karaganda&why=%20", {}, 422, "not_moved"),
        ("POST", "findings/resolve?finding=hash-rate:party:samal:karaganda&why==x", {}, 422, "not_moved"),
        ("POST", "findings/resolve?finding=%00&why=x", {}, 400, "bad_parameter"),
        ("GET", "registers/party/history", {}, 400, "bad_parameter"),
        ("GET", "registers/party/history?key=nobody", {}, 404, "no_such_entry"),
        ("GET", "registers/export?form=pdf", {}, 400, "bad_parameter"),
        ("GET", "registers/", {}, 404, "not_found"),
    ],
)
async def test_what_is_refused_says_why(
    own: Running, tokens: dict[str, str], method: str, path: str, options: dict[str, Any], code: int, says: str
) -> None:
    """A status, a code and a sentence; nothing of it is recorded."""
    got, body = await ask(own, method, "/api/v1/" + path, tokens["operator"], **options)
    assert (got, body["error"]["code"]) == (code, says), body
    assert (await ask(own, "GET", "/api/v1/registers/equipment?key=SN-77", tokens["inspector"]))[1]["total"] == 0


@pytest_twisted.ensureDeferred
async def test_bodies_are_kept_only_from_who_may_write(own: Running, tokens: dict[str, str]) -> None:
    """A stranger's body is thrown away, a too long one is refused, an endless one is cut (invariant 10)."""
    path = "/api/v1/registers/import?name=party.csv"
    assert (await ask(own, "POST", path, None, data=b"x" * 900_000))[0] == 401
    assert (await ask(own, "POST", path, tokens["inspector"], data=b"x" * 900_000))[0] == 403
    code, told = await ask(own, "POST", path, tokens["operator"], data=b"x" * (MAXIMUM_BODY + 1000))
    assert (code, told["error"]["code"]) == (413, "body_too_long")
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n".encode()
    for line in (b"", f"authorization: Bearer {tokens['operator']}\r\n".encode()):
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError, TimeoutError)):
            await raw(own.port, head + line + b"\r\n" + b"x" * (MAXIMUM_BODY + (4 << 20)), until=b"HTTP")


@pytest_twisted.ensureDeferred
async def test_tokens_end_within_a_second(own: Running, tokens: dict[str, str]) -> None:
    """Revoked or expired, they count no more; what the portal has in memory follows the database."""
    with own.pool.engine.begin() as connection:
        revoke_token(connection, "the-inspector", datetime.now(UTC), "test")
    for _ in range(40):
        code, _ = await ask(own, "GET", "/api/v1/me", tokens["inspector"])
        if code == 401:
            break
        await task.deferLater(reactor, 0.1)
    assert code == 401
    assert (await ask(own, "GET", "/api/v1/me", tokens["operator"]))[0] == 200


@pytest_twisted.ensureDeferred
async def test_guessing_is_slowed_down(own: Running, tokens: dict[str, str]) -> None:
    """After twenty wrong tokens the address waits with wrong ones; who has a right one is let in."""
    for _ in range(20):
        assert (await ask(own, "GET", "/api/v1/me", "tarazy_guess"))[0] == 401
    code, told = await ask(own, "GET", "/api/v1/me", "tarazy_guess")
    assert (code, told["error"]["code"]) == (429, "too_many_failures")
    assert (await ask(own, "GET", "/api/v1/me", tokens["operator"]))[0] == 200


@pytest_twisted.ensureDeferred
async def test_reasons_and_searches_may_be_as_long_in_cyrillic_as_they_may_be(
    own: Running, tokens: dict[str, str]
) -> None:
    """Five hundred letters of a reason and a hundred of a search, each six bytes of the address."""
    told = urlencode({"finding": "hash-rate:party:samal:karaganda", "why": "ұ" * 500})
    code, body = await ask(own, "POST", f"/api/v1/findings/dismiss?{told}", tokens["operator"])
    assert (code, body["why"]) == (200, "ұ" * 500)
    search = urlencode(
        {"q": "ұ" * 100, "sort": "equipment", "order": "desc", "limit": 25, "as_of": datetime.now(UTC).isoformat()}
    )
    assert (await ask(own, "GET", f"/api/v1/registers/equipment?{search}", tokens["operator"]))[0] == 200


def test_failures_are_forgotten_and_bounded() -> None:
    """After the window an address is free again; only so many are remembered."""
    failures = Patience(limit=2, window=10, remembered=3)
    failures.add("a", 0.0)
    assert failures.wait("a", 1.0) == 0
    failures.add("a", 1.0)
    assert failures.wait("a", 4.0) == 6
    assert failures.wait("a", 10.0) == 0
    for number in range(100):
        failures.add(f"n{number}", 0.0)
    assert len(failures._since) == 3


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic eA==", "Bearer " + "x" * 10_000, "Bearer ә"])
def test_headers_that_name_nobody(header: str | None) -> None:
    """Nothing, other schemes, oversize, other letters."""
    access = Access()
    access.install({"d": Holder("n", Role.OPERATOR, None, datetime.max.replace(tzinfo=UTC))}, {})
    assert access.by_token(header, datetime.now(UTC)) is None


def test_tokens_that_are_not_made(own: Running) -> None:
    """A miner without a party, a party that is not there, a name used before, an end in the past."""
    now, later = datetime.now(UTC), datetime.now(UTC) + timedelta(days=1)
    with own.pool.engine.begin() as connection:
        create_token(connection, "one", Role.OPERATOR, None, now, later, "test")
        for name, role, party, end, says in (
            ("two", Role.MINER, None, later, "belongs to a party"),
            ("two", Role.OPERATOR, "altyn", later, "belongs to a party"),
            ("two", Role.MINER, "nobody", later, "no party nobody"),
            ("two", Role.AGENT, None, later, "belongs to a site"),
            ("one", Role.OPERATOR, None, later, "choose another name"),
            ("two", Role.OPERATOR, None, now, "expired already"),
        ):
            with pytest.raises(TokenError, match=says):
                create_token(connection, name, role, party, now, end, "test")
        for role, site, says in ((Role.OPERATOR, EKIBASTUZ, "belongs to a site"), (Role.AGENT, "mars", "no site mars")):
            with pytest.raises(TokenError, match=says):
                create_token(connection, "two", role, None, now, later, "test", site)
        with pytest.raises(TokenError, match="no token two"):
            revoke_token(connection, "two", now, "test")


@pytest_twisted.ensureDeferred
async def test_a_first_payout_address_counts_at_once_and_another_is_told_before(
    own: Running, tokens: dict[str, str]
) -> None:
    """Whose next address is its first, how many are paid to one, and from when on an approved one counts."""

    async def stands(party: str = "") -> Any:
        path = "/api/v1/registers/wallet/addresses" + (f"?party={party}" if party else "")
        status, told = await ask(own, "GET", path, tokens["inspector"])
        document = await own.json("/api/v1/openapi.json")
        schema = document["components"]["schemas"]["PayoutAddresses"]
        assert (status, faults(told, schema, document)) == (200, [])
        return told

    async def enter(party: str, status: str, begins: str | None) -> None:
        entry = {"wallet": party, "party": party, "address": ADDRESS, "status": status, "valid_from": begins}
        path = "/api/v1/registers/wallet"
        code, answer = await ask(own, "POST", path, tokens["operator"], json={"entries": [entry]})
        assert code == 200, answer

    assert await stands("altyn") == {"counting": 0, "begins": None, "first": True, "waiting_hours": 72}
    await enter("altyn", "proposed", None)
    assert (await stands())["counting"] == 0
    later = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    await enter("altyn", "approved", later)
    await enter("samal", "approved", later)
    told = await stands("altyn")
    assert (told["counting"], told["begins"], told["first"]) == (0, later, False)
    _, wallets = await ask(own, "GET", "/api/v1/registers/wallet", tokens["operator"])
    assert [(row["status"], row["approved_from"]) for row in wallets["items"]] == [("proposed", later)], "not begun"
    _, miner = await ask(own, "GET", "/api/v1/me", tokens["miner"])
    assert (miner["coming_wallet"]["address"], miner["coming_wallet"]["valid_from"]) == (ADDRESS, later)
    _, payouts = await ask(own, "GET", "/api/v1/accounting/payouts", tokens["operator"])
    assert {row["party"]: row["begins"] for row in payouts["unaddressed"]}["samal"] == later
