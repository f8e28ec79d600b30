"""People: joining by invitation, signing in and out, what a session may, and what hostile callers get."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pyotp
import pytest
import pytest_twisted
import treq
from sqlalchemy import select
from twisted.internet import reactor, task

from tarazy.accreditation.tables import audit
from tarazy.portal import gate, users
from tarazy.portal.access import IDLE, Access
from tarazy.portal.door import Door
from tarazy.portal.pages import page as page_of
from tarazy.portal.patience import Patience
from tarazy.portal.rights import Holder, Role
from tarazy.portal.second_factor import STEP_SECONDS, SealError, accepted_step, new_secret, open_seal
from tarazy.portal.tables import portal_session, portal_user
from tarazy.portal.tokens import TokenError, create_token, digest_of
from tests.portal.conftest import Running
from tests.portal.shapes import faults
from tests.portal.subject import SEAL, make_subject

PASSWORD = "tórt túlik mal aman"
NOW = datetime(2026, 11, 26, 6, 0, tzinfo=UTC)


@dataclass
class Browser:
    """Keeps a cookie and names its page, as browsers do."""

    own: Running
    cookie: str | None = None
    flags: str = ""
    page: str | None = None
    forwarded: str = ""
    told: Any = field(default=None)

    async def ask(self, path: str, told: Any = None) -> int:
        """Status of a POST of `told`, or of a GET; the answer's JSON is in `told`."""
        sent: dict[bytes | str, Any] = {"origin": self.page or self.own.url}
        if self.forwarded:
            sent["x-forwarded-for"] = self.forwarded
        if self.cookie:
            sent["cookie"] = f"tarazy_session={self.cookie}"
        if told is None:
            sent.pop("origin")
            answer = await treq.get(self.own.url + path, headers=sent, persistent=False)
        else:
            answer = await treq.post(self.own.url + path, json.dumps(told).encode(), headers=sent, persistent=False)
        for given in answer.headers.getRawHeaders("set-cookie") or []:
            self.cookie, _, self.flags = given.removeprefix("tarazy_session=").partition(";")
        self.told = await answer.json()
        return int(answer.code)


def invite(own: Running, name: str, role: Role, party: str | None = None) -> str:
    """The text of an invitation."""
    with own.pool.engine.begin() as connection:
        return users.invite(connection, name, role, party, datetime.now(UTC), "test")


def code_of(secret: str, steps: int = 0) -> str:
    """What the app shows, now or so many steps later."""
    return pyotp.TOTP(secret).at(int(time.time()) + steps * STEP_SECONDS)


def events(own: Running, *kinds: str) -> list[Any]:
    """The audit log's bodies of these kinds, in order."""
    with own.pool.engine.begin() as connection:
        rows = connection.execute(select(audit).order_by(audit.c.sequence))
        bodies = [json.loads(row.body) for row in rows if row.kind in kinds]
    return [body for body in bodies if not body["name"].startswith("demo-")]


async def joined(own: Running, name: str, role: Role, party: str | None = None) -> tuple[Browser, str]:
    """Somebody who has taken an invitation up and is signed in, with the secret of the app."""
    browser = Browser(own)
    invitation = invite(own, name, role, party)
    assert await browser.ask("/api/v1/users/invitation", {"invitation": invitation}) == 200
    secret = browser.told["secret"]
    while STEP_SECONDS - time.time() % STEP_SECONDS < 10:  # the code of the step before is about to be of none
        await task.deferLater(reactor, 0.5)
    told = {"invitation": invitation, "password": PASSWORD, "code": code_of(secret, -1)}
    assert await browser.ask("/api/v1/users/join", told) == 200, browser.told
    return browser, secret


@pytest_twisted.ensureDeferred
async def test_somebody_joins_signs_out_and_in(own: Running) -> None:
    """By invitation, with a password and codes each of which counts once; the cookie is for us and no script."""
    invitation = invite(own, "aigul", Role.MINER, "altyn")
    browser = Browser(own)
    assert await browser.ask("/api/v1/users/invitation", {"invitation": invitation}) == 200
    secret = browser.told["secret"]
    assert (browser.told["name"], browser.told["role"]) == ("aigul", "miner")
    assert browser.told["image"].startswith("data:image/svg+xml")
    assert await browser.ask("/api/v1/users/invitation", {"invitation": invitation}) == 200
    assert browser.told["secret"] == secret, "opened twice, the app stays right"
    told = {"invitation": invitation, "password": PASSWORD, "code": code_of(secret, -1)}
    for wrong, code in (
        ({"code": "000000"}, "bad_code"),
        ({"password": "short"}, "bad_password"),
        ({"password": "aigul aigul aigul"}, "bad_password"),
        ({"password": "a" * 40}, "bad_password"),
    ):
        assert await browser.ask("/api/v1/users/join", {**told, **wrong}) == 422
        assert browser.told["error"]["code"] == code
    assert await browser.ask("/api/v1/users/join", told) == 200
    assert await browser.ask("/api/v1/me") == 200
    assert (browser.told["name"], browser.told["party"]["party"]) == ("aigul", "altyn")
    assert browser.told["rights"] == ["own", "work", "tokens", "energy", "tell"], "more than a program"
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in browser.flags.split(";")}
    assert await browser.ask("/api/v1/users/join", told) == 422, "an invitation counts once"
    left = browser.cookie
    assert await browser.ask("/api/v1/users/sign-out", {}) == 200
    browser.cookie = left
    assert await browser.ask("/api/v1/me") == 401, "the server has ended it"
    browser.cookie = None
    right = {"name": "aigul", "password": PASSWORD, "code": code_of(secret)}
    for wrong in ({"code": code_of(secret, -1)}, {"password": PASSWORD + "!"}, {"name": "nobody"}, {"code": "12345"}):
        assert await browser.ask("/api/v1/users/sign-in", {**right, **wrong}) == 401, wrong
        assert browser.told["error"]["code"] == "not_signed_in"
    assert await browser.ask("/api/v1/users/sign-in", right) == 200
    assert await browser.ask("/api/v1/me/account") == 200
    browser.cookie = None
    assert await browser.ask("/api/v1/users/sign-in", right) == 401, "nobody signs in with a code that was seen"
    kinds = ("user-invited", "user-joined", "signed-in", "signed-out", "sign-in-failed")
    assert {body["name"] for body in events(own, *kinds)} == {"aigul"}
    await own.portal._database.run(lambda _: None)
    assert len(events(own, "sign-in-failed")) == 4
    stored = str([list(row) for row in own.pool.engine.connect().execute(select(portal_user))])
    assert secret not in stored
    assert PASSWORD not in stored
    assert "$argon2id$" in stored


@pytest_twisted.ensureDeferred
async def test_pages_of_others_do_nothing_with_a_session(own: Running) -> None:
    """A POST with a cookie needs the origin of our own page; so does signing in."""
    operator, _ = await joined(own, "bolat", Role.OPERATOR)
    told = {"name": "dana", "role": "inspector"}
    for page in ("https://evil.example", "null", own.url.replace("127.0.0.1", "localhost")):
        operator.page = page
        for path in ("invite", "sign-out", "sign-in", "join", "invitation"):
            assert await operator.ask(f"/api/v1/users/{path}", told) == 403
            assert operator.told["error"]["code"] == "foreign_page"
        assert await operator.ask("/api/v1/registers/party?dry_run=1", {"entries": []}) == 403
    operator.page = None
    document = await own.json("/api/v1/openapi.json")
    assert await operator.ask("/api/v1/users/invite", told) == 200
    assert faults(operator.told, {"$ref": "#/components/schemas/Invited"}, document) == []
    assert await operator.ask("/api/v1/users/all") == 200
    assert faults(operator.told, {"$ref": "#/components/schemas/Users"}, document) == []
    listed = [(row["name"], row["role"]) for row in operator.told["items"] if "demo" not in row["name"]]
    assert listed == [("bolat", "operator"), ("dana", "inspector")]


@pytest_twisted.ensureDeferred
async def test_an_operator_invites_again_and_removes(own: Running) -> None:
    """Who lost the phone is let in anew, who is removed is out at once; nobody removes oneself."""
    operator, _ = await joined(own, "bolat", Role.OPERATOR)
    miner, secret = await joined(own, "aigul", Role.MINER, "altyn")
    assert await operator.ask("/api/v1/users/invite-again", {"name": "aigul"}) == 200
    assert await miner.ask("/api/v1/me") == 401
    right = {"name": "aigul", "password": PASSWORD, "code": code_of(secret)}
    assert await miner.ask("/api/v1/users/sign-in", right) == 401
    invitation = operator.told["invitation"]
    assert await miner.ask("/api/v1/users/invitation", {"invitation": invitation}) == 200
    assert miner.told["secret"] != secret
    told = {"invitation": invitation, "password": PASSWORD, "code": code_of(miner.told["secret"])}
    assert await miner.ask("/api/v1/users/join", told) == 200
    assert await miner.ask("/api/v1/me") == 200
    assert await operator.ask("/api/v1/users/remove", {"name": "aigul"}) == 200
    assert await miner.ask("/api/v1/me") == 401
    for path, name in (("remove", "bolat"), ("remove", "aigul"), ("invite-again", "nobody")):
        assert await operator.ask(f"/api/v1/users/{path}", {"name": name}) == 422
    for told in (
        {"name": "aigul", "role": "miner", "party": "altyn"},
        {"name": "x", "role": "miner"},
        {"name": "x", "role": "miner", "party": "nobody"},
        {"name": "x", "role": "inspector", "party": "altyn"},
        {"name": "x", "role": "agent"},
        {"name": "a b", "role": "operator"},
    ):
        assert await operator.ask("/api/v1/users/invite", told) == 422, told
    later = datetime.now(UTC) + timedelta(days=1)
    with own.pool.engine.begin() as connection, pytest.raises(TokenError, match="a user aigul before"):
        create_token(connection, "aigul", Role.OPERATOR, None, NOW, later, "test")


@pytest_twisted.ensureDeferred
async def test_what_an_inspector_sees_is_kept_first(own: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request, with its parameters, in order; after so many a minute the inspector waits."""
    inspector, _ = await joined(own, "saule", Role.INSPECTOR)
    asked = ["/api/v1/registers/party?key=altyn", "/api/v1/accounting/rounds", "/api/v1/me"]
    for path in asked:
        assert await inspector.ask(path) == 200
    assert [body["asked"] for body in events(own, "viewed")] == asked
    assert await inspector.ask("/api/v1/users/all") == 403
    assert await inspector.ask("/api/v1/registers/party", {"entries": []}) == 403
    assert len(events(own, "viewed")) == len(asked), "what was refused was not seen"
    monkeypatch.setattr(Patience, "wait", lambda self, key, now: 7.0 if key == "saule" else 0.0)
    for _ in range(2):
        assert await inspector.ask("/api/v1/registers/site") == 429, "what was refused was not seen"


@pytest_twisted.ensureDeferred
async def test_what_a_page_asks_for_again_is_kept_once(own: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """An inspector's open page asks for a list whenever it changes; ten minutes later it is kept again."""
    inspector, _ = await joined(own, "saule", Role.INSPECTOR)
    for _ in range(3):
        assert await inspector.ask("/api/v1/miners?limit=500") == 200
        assert await inspector.ask("/api/v1/refusals") == 200
    assert [body["asked"] for body in events(own, "viewed")] == ["/api/v1/miners?limit=500", "/api/v1/refusals"]
    monkeypatch.setattr(gate, "VIEW_SECONDS", 0.0)
    own.portal._gate._viewed.clear()
    for _ in range(2):
        assert await inspector.ask("/api/v1/miners") == 200
    assert len(events(own, "viewed")) == 4


@pytest_twisted.ensureDeferred
async def test_a_demo_lets_people_in_and_nothing_else_does(own: Running) -> None:
    """As whom they like, from this machine; a portal that is no demo has no such way."""
    for role, path in (("operator", "users/all"), ("inspector", "miners"), ("miner", "me/account")):
        browser = Browser(own)
        assert await browser.ask("/api/v1/users/demo", {"role": role}) == 200
        assert await browser.ask(f"/api/v1/{path}") == 200
    assert await browser.ask("/api/v1/users/demo", {"role": "agent"}) == 400
    shown = own.subject.live()
    for way in (True, False):
        assert (b"data-demo" in page_of("en", replace(shown, demo_sign_in=way), "pool")) is way
    subject = make_subject(own.directory, NOW)
    for live, proxies, address in (
        (replace(subject.live(), demo_sign_in=False), (), "127.0.0.1"),
        (subject.live(), (ip_network("127.0.0.1/32"),), "2.72.0.9"),
    ):
        own.portal._people._subject = replace(subject, live=partial(replace, live))
        own.portal._gate.door = Door(None, proxies)
        browser = Browser(own, forwarded=address)
        assert await browser.ask("/api/v1/users/demo", {"role": "operator"}) == 404


@pytest_twisted.ensureDeferred
async def test_guessing_waits_by_address(own: Running) -> None:
    """Twenty failures of any kind, then a wait, also for who knows the password; and bodies are bounded."""
    browser, secret = await joined(own, "aigul", Role.MINER, "altyn")
    wrong = {"name": "aigul", "password": "w" * 20, "code": "123456"}
    for number in range(20):
        path, told = (("sign-in", wrong), ("invitation", {"invitation": f"guess-{number}"}))[number % 2]
        assert await browser.ask(f"/api/v1/users/{path}", told) in (401, 422)
    right = {"name": "aigul", "password": PASSWORD, "code": code_of(secret)}
    assert await browser.ask("/api/v1/users/sign-in", right) == 429
    assert await browser.ask("/api/v1/me") == 200, "who is in stays in"
    assert await browser.ask("/api/v1/users/sign-in", {"name": "x" * 5000}) == 413


@pytest_twisted.ensureDeferred
async def test_nobody_learns_which_names_there_are(own: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """After thirty failures a name waits, whether it is one or not, and no answer waits for what is kept of it."""
    await joined(own, "aigul", Role.MINER, "altyn")
    monkeypatch.setattr(own.portal._people, "_addresses", Patience(limit=1_000))
    answers = {}
    for name in ("aigul", "nobody"):
        wrong = {"name": name, "password": "w" * 20, "code": "123456"}
        answers[name] = [await Browser(own).ask("/api/v1/users/sign-in", wrong) for _ in range(31)]
    assert answers["aigul"] == answers["nobody"] == [401] * 30 + [429]
    await own.portal._database.run(lambda _: None)
    assert len(events(own, "sign-in-failed")) == 30


@pytest.mark.parametrize("told", [{}, {"name": "a"}, {"name": 1, "password": "b", "code": "c"}, {"more": 1}, [], "x"])
@pytest_twisted.ensureDeferred
async def test_bodies_that_are_not_asked_for(running: Running, told: Any) -> None:
    """Say what is wrong with them, and repeat nothing of a password."""
    browser = Browser(running)
    assert await browser.ask("/api/v1/users/sign-in", told) == 400
    assert browser.told["error"]["code"] == "bad_body"


def test_a_session_ends_by_itself() -> None:
    """After an hour of silence, and after its day's work whatever happens."""
    access = Access()
    text = "s" * 43
    access.install({}, {digest_of(text): Holder("a", Role.OPERATOR, None, NOW + users.SESSION)})
    minute = timedelta(minutes=1)
    now = NOW
    while now < NOW + users.SESSION:
        assert access.by_session(text, now) is not None
        now += IDLE - minute
    assert access.by_session(text, NOW + users.SESSION) is None
    access = Access()
    access.install({}, {digest_of(text): Holder("a", Role.OPERATOR, None, NOW + users.SESSION)})
    assert access.by_session(text, NOW) is not None
    assert access.by_session(text, NOW + IDLE) is None
    assert access.by_session(text, NOW + IDLE) is None
    for other in (None, "", "ә", "x" * 1000):
        assert access.by_session(other, NOW) is None


def test_sessions_of_the_past_are_forgotten(own: Running) -> None:
    """Each new one clears those that have ended, so that the table does not grow with history."""
    with own.pool.engine.begin() as connection:
        for day in range(5):
            users.open_session(connection, "a", NOW + timedelta(days=day))
        assert len(connection.execute(select(portal_session)).all()) == 1


def test_codes_count_once_and_about_now() -> None:
    """The step before and after count for clocks that go wrong; nothing at or before the last one does."""
    secret = new_secret()
    step = int(NOW.timestamp()) // STEP_SECONDS
    totp = pyotp.TOTP(secret)
    for beside in (-1, 0, 1):
        assert accepted_step(secret, totp.generate_otp(step + beside), NOW, 0) == step + beside
        assert accepted_step(secret, totp.generate_otp(step + beside), NOW, step + beside) is None
    for beside in (-2, 2):
        assert accepted_step(secret, totp.generate_otp(step + beside), NOW, 0) is None
    for wrong in ("", "12345", "1234567", "١٢٣٤٥٦", "12 345"):
        assert accepted_step(secret, wrong, NOW, 0) is None


def test_the_key_of_the_secrets(tmp_path: Path) -> None:
    """Made once, for its owner only; another one says what to do; secrets do not stand in clear."""
    path = tmp_path / "keys" / "portal.key"
    seal = open_seal(path)
    assert path.stat().st_mode & 0o777 == 0o600
    sealed = seal.close("SECRET")
    assert "SECRET" not in sealed
    assert open_seal(path).open(sealed) == "SECRET"
    with pytest.raises(SealError, match="restore the key"):
        SEAL.open(sealed)
    path.write_bytes(b"no key")
    with pytest.raises(SealError, match="holds no key"):
        open_seal(path)
    with pytest.raises(SealError, match=r"set portal\.key"):
        open_seal(tmp_path)


class _Request:
    """The little that the door looks at."""

    def __init__(self, peer: str, forwarded: str | None) -> None:
        self._peer, self._forwarded = peer, forwarded
        self.cookies: list[bytes] = []

    def getClientAddress(self) -> Any:  # noqa: N802 - Twisted's name
        """Who is at the other end."""
        return type("Address", (), {"host": self._peer})()

    def getHeader(self, name: bytes) -> bytes | None:  # noqa: N802 - Twisted's name
        """The only one there is."""
        return None if self._forwarded is None else self._forwarded.encode()


def test_whom_a_proxy_speaks_for() -> None:
    """Its word counts for the nearest address alone; nobody else's counts at all."""
    door = Door("https://pool.example.kz", (ip_network("127.0.0.1/32"),))
    for peer, forwarded, address in (
        ("127.0.0.1", "9.9.9.9, 2.72.0.9", "2.72.0.9"),
        ("127.0.0.1", "garbage", "127.0.0.1"),
        ("127.0.0.1", None, "127.0.0.1"),
        ("5.5.5.5", "2.72.0.9", "5.5.5.5"),
    ):
        assert door.address(_Request(peer, forwarded)) == address
    request = _Request("127.0.0.1", None)
    door.give(request, "t", 60)
    assert request.cookies[0].startswith(b"__Host-tarazy_session=t; Path=/;")
    assert b"; Secure" in request.cookies[0]
