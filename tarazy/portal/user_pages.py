"""Signing in, joining by invitation, and the list of users. One method an address; import late."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Annotated, Any, Literal

import structlog
from klein import Klein
from pydantic import Field
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from tarazy.portal import users
from tarazy.portal.bodies import Asked, body
from tarazy.portal.gate import PAGED, Gate, answer_faults, json_answer, paging, parameters, refuse_in_words
from tarazy.portal.guard import Fault, refuse
from tarazy.portal.patience import Patience
from tarazy.portal.rights import Right, Role
from tarazy.portal.second_factor import Seal, SealError, accepted_step, enrolment
from tarazy.portal.snapshot import Subject
from tarazy.portal.turns import Turns
from tarazy.portal.users import UserError

log = structlog.get_logger()

_HASHING, _LONGEST_QUEUE, _LONGEST_OF_ONE = 1, 30, 8
"""Passwords hashed at a time, each of which takes 64 MiB, and people who may wait for it, in all and of one address."""
_Name = Annotated[str, Field(min_length=1, max_length=64)]
_Secret = Annotated[str, Field(min_length=1, max_length=users.LONGEST_PASSWORD)]
_Code = Annotated[str, Field(min_length=1, max_length=12)]


class _SignIn(Asked):
    name: _Name
    password: _Secret
    code: _Code


class _Demo(Asked):
    role: Literal["operator", "inspector", "miner"]


class _Invitation(Asked):
    invitation: _Secret


class _Joining(Asked):
    invitation: _Secret
    password: _Secret
    code: _Code


class _Invited(Asked):
    name: _Name
    role: Annotated[Role, Field(strict=False)]
    party: _Name | None = None


class _Named(Asked):
    name: _Name


class UserPages:
    """What people sign in and out with, below `/users`."""

    app = Klein()

    def __init__(self, gate: Gate, subject: Subject, seal: Seal, refresh: Callable[[], Deferred[None]]) -> None:
        """`refresh` lets the gate know the users and sessions of the moment."""
        self._gate = gate
        self._subject = subject
        self._seal = seal
        self._refresh = refresh
        self._addresses = Patience(limit=20)
        self._names = Patience(limit=30, window=900.0)
        self._hashing = Turns(_HASHING, _LONGEST_QUEUE, _LONGEST_OF_ONE)

    @app.route("/sign-in", methods=["POST"])
    async def sign_in(self, request: Any) -> bytes:
        """Begin a session with name, password and code."""
        self._gate.door.require_own_page(request)
        asked = body(request, _SignIn)
        self._require_patience(request)
        self._gate.require_patience(request, self._names, asked.name, "too many failures for this name")
        found = await self._gate.read(users.known, asked.name)
        now, address = datetime.now(UTC), self._gate.door.address(request)
        step = await self._hashing.run(lambda: self._checked(asked, found, address, now), address)
        if step is None:
            raise Fault(401, "not_signed_in", "name, password or code is wrong, or the code was used already")
        return await self._begun(
            request, asked.name, await self._gate.write(users.begin_session, asked.name, step, now)
        )

    @app.route("/demo", methods=["POST"])
    async def demo(self, request: Any) -> bytes:
        """Begin a session of a demo's user: without a password, where everything is made up, on this machine alone."""
        self._gate.door.require_own_page(request)
        if not self._subject.live().demo_sign_in or not ip_address(self._gate.door.address(request)).is_loopback:
            raise Fault(404, "not_found", "this is no demo; people sign in with a password and a code")
        name = users.demo_user(body(request, _Demo).role)
        session = await self._gate.write(users.open_session, name, datetime.now(UTC))
        return await self._begun(request, name, session)

    @app.route("/sign-out", methods=["POST"])
    async def sign_out(self, request: Any) -> bytes:
        """End the session."""
        self._gate.door.require_own_page(request)
        body(request, Asked)
        text = self._gate.door.session(request)
        if text:
            await self._gate.write(users.end_session, text, datetime.now(UTC))
            await self._refresh()
        self._gate.door.take_back(request)
        return json_answer(request, {})

    @app.route("/invitation", methods=["POST"])
    async def invitation(self, request: Any) -> bytes:
        """Who is invited, and what the authenticator app takes."""
        self._gate.door.require_own_page(request)
        asked = body(request, _Invitation)
        found = await self._invited(request, asked.invitation)
        address, image = enrolment(found.secret, found.name, self._subject.live().pool_name)
        told = {"name": found.name, "role": found.role, "secret": found.secret, "address": address, "image": image}
        return json_answer(request, told)

    @app.route("/join", methods=["POST"])
    async def join(self, request: Any) -> bytes:
        """Take an invitation up and begin a session."""
        self._gate.door.require_own_page(request)
        asked = body(request, _Joining)
        found = await self._invited(request, asked.invitation)
        fault = users.password_fault(asked.password, found.name)
        if fault is not None:
            raise Fault(422, "bad_password", fault)
        now = datetime.now(UTC)
        step = accepted_step(found.secret, asked.code.replace(" ", ""), now, 0)
        if step is None:
            self._failed(self._gate.door.address(request))
            raise Fault(
                422, "bad_code", "the code is not of this moment; look at the app again, and at the phone's clock"
            )
        address = self._gate.door.address(request)
        password = await self._hashing.run(lambda: deferToThread(users.hash_password, asked.password), address)
        name, session = await self._gate.write(users.join, asked.invitation, password, step, now)
        return await self._begun(request, name, session)

    @app.route("/all", methods=["GET"])
    async def listing(self, request: Any) -> bytes:
        """Who may sign in."""
        await self._gate.admit(request, Right.USERS)
        limit, offset = paging(parameters(request, PAGED))
        found = await self._gate.read(users.users)
        return json_answer(request, {"total": len(found), "items": found[offset : offset + limit]})

    @app.route("/invite", methods=["POST"])
    async def invite(self, request: Any) -> bytes:
        """Invite somebody; the invitation is told once."""
        holder = await self._gate.admit(request, Right.USERS)
        asked = body(request, _Invited)
        now = datetime.now(UTC)
        text = await self._gate.write(users.invite, asked.name, asked.role, asked.party, now, holder.name)
        return json_answer(request, {"name": asked.name, "invitation": text, "ends_at": now + users.INVITATION})

    @app.route("/invite-again", methods=["POST"])
    async def invite_again(self, request: Any) -> bytes:
        """A new invitation for who lost the password or the phone."""
        holder = await self._gate.admit(request, Right.USERS)
        asked, now = body(request, _Named), datetime.now(UTC)
        text = await self._gate.write(users.invite_again, asked.name, now, holder.name)
        await self._refresh()
        return json_answer(request, {"name": asked.name, "invitation": text, "ends_at": now + users.INVITATION})

    @app.route("/remove", methods=["POST"])
    async def remove(self, request: Any) -> bytes:
        """End a user and its sessions for good."""
        holder = await self._gate.admit(request, Right.USERS)
        asked = body(request, _Named)
        if asked.name == holder.name:
            raise Fault(422, "not_oneself", "nobody removes oneself; let another operator do it")
        await self._gate.write(users.remove, asked.name, datetime.now(UTC), holder.name)
        await self._refresh()
        return json_answer(request, {"name": asked.name})

    async def _checked(self, asked: _SignIn, found: users.Known | None, address: str, now: datetime) -> int | None:
        """The step of a code that is right. What is wrong counts, also when whoever asked has hung up meanwhile."""
        code = asked.code.replace(" ", "")
        step = await deferToThread(users.signed_step, found, asked.password, code, self._seal, now)
        if step is None:
            self._failed(address)
            self._names.add(asked.name, time.monotonic())
            if found is not None:
                self._note_failure(asked.name)
        return step

    async def _invited(self, request: Any, invitation: str) -> users.Invited:
        self._require_patience(request)
        try:
            return await self._gate.write(users.open_invitation, invitation, self._seal, datetime.now(UTC))
        except UserError:
            self._failed(self._gate.door.address(request))
            raise

    async def _begun(self, request: Any, name: str, session: str) -> bytes:
        await self._refresh()
        self._gate.door.give(request, session, int(users.SESSION.total_seconds()))
        holder = self._gate.by_session(session)
        if holder is None:
            raise Fault(401, "not_signed_in", f"{name} was removed meanwhile")
        return json_answer(request, {"name": name, "role": holder.role, "expires_at": holder.expires_at})

    def _require_patience(self, request: Any) -> None:
        address = self._gate.door.address(request)
        self._gate.require_patience(request, self._addresses, address, "too many failures from this address")

    def _failed(self, address: str) -> None:
        self._addresses.add(address, time.monotonic())

    def _note_failure(self, name: str) -> None:
        """Nobody waits for it: how long the answer takes must not tell whether there is such a name."""
        noted = Deferred.fromCoroutine(self._gate.write(users.note_failure, name, datetime.now(UTC)))
        noted.addErrback(lambda failure: log.error("sign_in_failure_not_kept", error=repr(failure.value)))

    @app.handle_errors(UserError)
    def unfit(self, request: Any, failure: Failure) -> bytes:
        """The invitation or the user is not what it must be."""
        return refuse_in_words(request, "no_such_user", failure)

    @app.handle_errors(SealError)
    def sealed(self, request: Any, failure: Failure) -> bytes:
        """The server cannot read its users' secrets."""
        return refuse(request, Fault(500, "no_key", str(failure.value)))

    answer_faults(app)
