"""Who may come in, and how answers and refusals are told: what all addresses that take a holder share. Import late."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import orjson
import structlog
from klein import Klein
from sqlalchemy import Connection
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from tarazy.accreditation.audit import AuditEvent, append
from tarazy.database.engine import Database, reader
from tarazy.portal.access import Access
from tarazy.portal.door import Door
from tarazy.portal.guard import Fault, header, refuse
from tarazy.portal.patience import Patience
from tarazy.portal.rights import RIGHTS_OF_PEOPLE, Holder, Right, Role
from tarazy.portal.turns import Turns
from tarazy.reports.problems import problem_texts

log = structlog.get_logger()

T = TypeVar("T")

LIMIT, HIGHEST_LIMIT = 100, 1_000
PAGED = ("limit", "offset")
"""Parameters of what is told in pages."""
_READERS = 2
VIEW_SECONDS = 600.0
MAXIMUM_VIEWS = 300
"""Requests of one inspector in a minute: each is kept in the audit log."""


class Gate:
    """Lets holders of tokens and sessions in, and reads and writes for them."""

    def __init__(self, database: Database, access: Access, door: Door) -> None:
        self._database = database
        self._access = access
        self.door = door
        self._reader = reader(database.engine)
        self._failures = Patience()
        self._views = Patience(limit=MAXIMUM_VIEWS)
        self._viewed: dict[tuple[str, bytes], float] = {}
        self._reading = Turns(_READERS)

    def known(self, request: Any) -> Holder | None:
        """Whose token or session the request brings, whatever it wants."""
        told = header(request, "authorization")
        if told is None:
            return self.by_session(self.door.session(request))
        return self._access.by_token(told, datetime.now(UTC))

    def by_session(self, text: str | None) -> Holder | None:
        """Whose session it is, if it goes on."""
        return self._access.by_session(text, datetime.now(UTC))

    async def admit(self, request: Any, right: Right | None) -> Holder:
        """Who asks, who may do that. Raises `Fault`: here and nowhere else it is decided who may what.

        What an inspector asks for is in the audit log before it is answered; the same again, as an open page asks for
        it, once in `VIEW_SECONDS`.
        """
        holder = self._holder(request, right)
        if holder.role is Role.INSPECTOR:
            await self._keep_view(request, holder.name)
        return holder

    async def _keep_view(self, request: Any, name: str) -> None:
        now, key = time.monotonic(), (name, request.uri)
        if now < self._viewed.get(key, 0.0):
            return
        self.require_patience(request, self._views, name, "too many requests of this inspector")
        self._views.add(name, now)
        body = {"name": name, "asked": request.uri.decode("ascii", "replace")}
        await self.write(append, [AuditEvent("viewed", body)], datetime.now(UTC))
        self._viewed = {other: end for other, end in self._viewed.items() if now < end}
        self._viewed[key] = now + VIEW_SECONDS

    def _holder(self, request: Any, right: Right | None) -> Holder:
        holder = self.known(request)
        if holder is None:
            if header(request, "authorization") is not None:
                address = self.door.address(request)
                self.require_patience(request, self._failures, address, "too many wrong tokens from this address")
                self._failures.add(address, time.monotonic())
            request.setHeader(b"www-authenticate", b"Bearer")
            raise Fault(401, "no_token", "sign in, or send a token in force as Authorization: Bearer …")
        if request.method == b"POST" and header(request, "authorization") is None:
            self.door.require_own_page(request)
        if right is not None and not holder.may(right):
            if right in RIGHTS_OF_PEOPLE.get(holder.role, ()):
                raise Fault(403, "not_a_person", "somebody who signed in may do that, no token; sign in on the page")
            raise Fault(403, "not_allowed", f"the role {holder.role} may not do that; see /api/v1/me for what it may")
        return holder

    def require_patience(self, request: Any, patience: Patience, key: str, text: str) -> None:
        """Raises `Fault` while whoever `key` names has to wait."""
        wait = patience.wait(key, time.monotonic())
        if wait:
            request.setHeader(b"retry-after", b"%d" % (wait + 1))
            raise Fault(429, "too_many_failures", f"{text}; try again in {int(wait) + 1} s")

    async def miner(self, request: Any, right: Right = Right.OWN) -> str:
        """The party whose token or session it is. Raises `Fault` as `admit`."""
        party = (await self.admit(request, right)).party
        assert party is not None, "a miner's holder is of a party"
        return party

    async def whose_energy(self, request: Any) -> str | None:
        """The party whose energy alone may be seen; None for who may see all. Raises `Fault` as `admit`."""
        holder = await self.admit(request, Right.ENERGY)
        return None if holder.may(Right.READ) else holder.party

    async def read(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """What `work` reads, in a transaction of its own on another thread."""

        def transact() -> T:
            with self._reader.begin() as connection:
                return work(connection, *args, **kwargs)

        return await self.look(transact)

    async def look(self, work: Callable[[], T]) -> T:
        """What `work` finds on another thread, where it needs no transaction or begins its own."""
        return await self._reading.run(lambda: deferToThread(work))

    async def write(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """What `work` does, on the thread that writes."""
        return await self._database.run(cast("Callable[[Connection], T]", work), *args, **kwargs)


def answer_faults(app: Klein) -> None:
    """Let `app` tell its readers what was wrong, after whatever it answers by itself."""
    answers: tuple[tuple[type[Exception], Any], ...] = (
        (Fault, _fault),
        (MethodNotAllowed, _wrong_method),
        (HTTPException, _unknown),
        (Exception, _broken),
    )
    for kinds, told in answers:
        app.handle_errors(kinds)(told)


def _fault(pages: Any, request: Any, failure: Failure) -> bytes:
    """Say what was wrong."""
    return refuse(request, cast(Fault, failure.value))


def _wrong_method(pages: Any, request: Any, failure: Failure) -> bytes:
    """The address is there, the method is not."""
    allowed = ", ".join(sorted(cast(MethodNotAllowed, failure.value).valid_methods or ()))
    request.setHeader(b"allow", allowed.encode())
    return refuse(request, Fault(405, "method_not_allowed", f"this address takes {allowed}"))


def _unknown(pages: Any, request: Any, failure: Failure) -> bytes:
    """Nothing is at this address."""
    text = "there is nothing at this address; the API is described at /api/v1/openapi.json"
    return refuse(request, Fault(404, "not_found", text))


def _broken(pages: Any, request: Any, failure: Failure) -> bytes:
    """Ours to mend: the log has the cause, the reader a plain word."""
    log.error("portal_request_failed", path=request.path.decode("ascii", "replace"), error=repr(failure.value))
    return refuse(request, Fault(500, "internal", "the server failed to answer; its log says why"))


def refuse_in_words(request: Any, code: str, failure: Failure) -> bytes:
    """Say what is wrong, in each language if the failure's error holds a `Problem`."""
    error = cast(Exception, failure.value)
    return refuse(request, Fault(422, code, str(error)), texts=problem_texts(error.args[0]))


def parameters(request: Any, allowed: tuple[str, ...]) -> dict[str, str]:
    """The request's parameters, each at most once. Raises `Fault`."""
    told = {}
    for raw, values in request.args.items():
        name = raw.decode("ascii", "replace")
        if name not in allowed:
            raise Fault(400, "unknown_parameter", f"this address takes other parameters: {', '.join(allowed)}")
        try:
            (told[name],) = (value.decode() for value in values)
        except ValueError:
            raise Fault(400, "bad_parameter", f"{name} is given once, in UTF-8") from None
        if "\0" in told[name]:
            raise Fault(400, "bad_parameter", f"{name} holds a zero byte, which no text of the registers does")
    return told


def _count(asked: Mapping[str, str], name: str, fallback: int, highest: int) -> int:
    text = asked.get(name, str(fallback))
    if not re.fullmatch("[0-9]{1,8}", text) or int(text) > highest:
        raise Fault(400, "bad_parameter", f"{name} is a whole number up to {highest}")
    return int(text)


def paging(asked: Mapping[str, str]) -> tuple[int, int]:
    """The parameters `limit` and `offset`. Raises `Fault`."""
    return _count(asked, "limit", LIMIT, HIGHEST_LIMIT), _count(asked, "offset", 0, 10**7)


def json_answer(request: Any, told: Any) -> bytes:
    """Answer with `told` as JSON."""
    return answer(request, orjson.dumps(told, option=orjson.OPT_UTC_Z), "application/json")


def answer(request: Any, body: bytes, content_type: str) -> bytes:
    """Answer with `body`, which nobody keeps."""
    request.setHeader(b"content-type", content_type.encode("ascii"))
    request.setHeader(b"cache-control", b"no-store")
    return body
