"""The registers over HTTP, for holders of tokens: one method an address. Imports klein: import late."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar, cast

import orjson
import structlog
from klein import Klein
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from tarazy.accreditation.decisions import DECISION_KINDS
from tarazy.accreditation.documents import DocumentError
from tarazy.accreditation.entries import BY_HAND, ENTRY_TYPES
from tarazy.accreditation.findings import FindingError
from tarazy.accreditation.sheets import Line, RegisterImportError, read_table
from tarazy.database.engine import Database, reader
from tarazy.portal import desk
from tarazy.portal.access import Access, Failures, Holder, Right
from tarazy.portal.desk import Moment, Rules
from tarazy.portal.guard import Fault, refuse
from tarazy.portal.standing import Seat

log = structlog.get_logger()

T = TypeVar("T")

LIMIT, HIGHEST_LIMIT = 100, 1_000
_PERIOD = timedelta(hours=24)
_LONGEST_PERIOD = timedelta(days=366)
_READERS = 2
_KINDS = f"any({','.join(ENTRY_TYPES)})"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}\.(?:csv|xlsx)")
_FORMS = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@dataclass(frozen=True, slots=True)
class Register:
    """Where the registers are, who may see them and what recording goes by."""

    database: Database
    access: Access
    rules: Rules
    seat: Seat
    journals: Path


class RegisterPages:
    """One method an address; each names the right that it takes."""

    app = Klein()

    def __init__(self, register: Register) -> None:
        self._database = register.database
        self._access = register.access
        self._rules = register.rules
        self._seat = register.seat
        self._journals = register.journals
        self._reader = reader(register.database.engine)
        self._failures = Failures()
        self._reading = DeferredSemaphore(_READERS)
        self._receipts = DeferredSemaphore(1)

    @app.route("/me")
    async def me(self, request: Any) -> bytes:
        """Whose token it is; for a miner, its own entries and admissions."""
        holder = self._holder(request, None)
        told: dict[str, Any] = {"name": holder.name, "role": holder.role, "expires_at": holder.expires_at}
        if holder.party is not None:
            told |= await self._read(desk.own, holder.party, datetime.now(UTC))
        return _json(request, told)

    @app.route("/me/receipts", methods=["GET"])
    async def receipts(self, request: Any) -> bytes:
        """The final rounds that credit a miner, the newest first."""
        party = self._miner(request)
        limit, offset = _paging(_parameters(request, ("limit", "offset")))
        total, items = await self._read(desk.credited, party, limit, offset)
        return _json(request, {"total": total, "items": items})

    @app.route("/me/receipts/<int(max=9223372036854775807):number>", methods=["GET"])
    async def receipt(self, request: Any, number: int) -> bytes:
        """What proves a miner's credit in a round. One is made at a time: it costs what the round's shares cost."""
        party = self._miner(request)
        told = await self._receipts.run(
            lambda: Deferred.fromCoroutine(self._read(desk.receipt_of, party, number, self._journals))
        )
        return _json(request, told)

    @app.route(f"/registers/<{_KINDS}:kind>", methods=["GET"])
    async def listing(self, request: Any, kind: str) -> bytes:
        """What is in force in a register."""
        self._holder(request, Right.READ)
        asked = _parameters(request, ("as_of", "known_at", "key", "limit", "offset"))
        moment = _moment(asked)
        now = datetime.now(UTC)
        limit, offset = _paging(asked)
        entries = await self._read(desk.in_force, kind, moment, asked.get("key"))
        items = [desk.plain(entry) for entry in entries[offset : offset + limit]]
        moments = {"as_of": moment.valid_at, "known_at": moment.known_at or now}
        return _json(request, {**moments, "total": len(entries), "items": items})

    @app.route(f"/registers/<{_KINDS}:kind>/history", methods=["GET"])
    async def history(self, request: Any, kind: str) -> bytes:
        """Every version of an entry."""
        self._holder(request, Right.READ)
        asked = _parameters(request, ("key", "known_at"))
        key = asked.get("key")
        if not key:
            raise Fault(400, "bad_parameter", "key names the entry, such as ?key=acme")
        versions = await self._read(desk.history, kind, key, _moment(asked))
        if not versions:
            raise Fault(404, "no_such_entry", f"the register {kind} has no entry of this key")
        return _json(request, {"total": len(versions), "items": [desk.plain(entry) for entry in versions]})

    @app.route(f"/registers/<{_KINDS}:kind>", methods=["POST"])
    async def add(self, request: Any, kind: str) -> bytes:
        """Record entries, or say what that would change."""
        holder = self._holder(request, Right.WRITE)
        asked = _parameters(request, ("dry_run", "why"))
        try:
            body = orjson.loads(request.content.read())
        except orjson.JSONDecodeError as error:
            raise Fault(400, "not_json", f"the body is no JSON: {error}") from None
        return await self._record(request, holder, asked, lambda: desk.lines_of(kind, body))

    @app.route("/registers/import", methods=["POST"])
    async def import_table(self, request: Any) -> bytes:
        """Record the rows of a CSV or XLSX file, or say what that would change."""
        holder = self._holder(request, Right.WRITE)
        asked = _parameters(request, ("name", "dry_run", "why"))
        name = asked.get("name", "")
        if not _NAME.fullmatch(name):
            raise Fault(400, "bad_parameter", "name is that of the file, such as licence.csv or registers.xlsx")
        content = request.content.read()
        return await self._record(request, holder, asked, lambda: _table(name, content))

    @app.route("/registers/export", methods=["GET"])
    async def export(self, request: Any) -> bytes:
        """A register, or all of them, as a spreadsheet that can be imported."""
        self._holder(request, Right.READ)
        asked = _parameters(request, ("kind", "form", "as_of", "known_at"))
        kind, form = asked.get("kind"), asked.get("form", "xlsx")
        if form not in _FORMS or (kind is None and form == "csv") or (kind is not None and kind not in BY_HAND):
            raise Fault(400, "bad_parameter", "form is xlsx, or csv for one register, which kind names")
        body = await self._read(desk.exported, [kind] if kind else list(BY_HAND), form, _moment(asked))
        name = f"{kind or 'registers'}.{form}"
        request.setHeader(b"content-disposition", f'attachment; filename="{name}"'.encode())
        return _answer(request, body, _FORMS[form])

    @app.route("/admissions", methods=["GET"])
    async def admissions(self, request: Any) -> bytes:
        """Who was let in and who turned away, by the audit log."""
        self._holder(request, Right.READ)
        asked = _parameters(request, ("from", "to", "party", "kind", "limit", "offset"))
        until = _instant(asked, "to") or datetime.now(UTC)
        since = _instant(asked, "from") or until - _PERIOD
        if until - since > _LONGEST_PERIOD:
            raise Fault(400, "bad_parameter", f"from and to are at most {_LONGEST_PERIOD.days} days apart")
        kind = asked.get("kind")
        if kind not in (None, *DECISION_KINDS):
            raise Fault(400, "bad_parameter", f"kind is one of {', '.join(DECISION_KINDS)}")
        limit, offset = _paging(asked)
        found = await self._read(desk.admissions, since, until, asked.get("party"), kind)
        told = {"from": since, "to": until, "total": len(found), "items": found[offset : offset + limit]}
        return _json(request, told)

    @app.route("/admissions/at", methods=["GET"])
    async def admissible(self, request: Any) -> bytes:
        """Who might mine, where and on which machines, by the registers."""
        self._holder(request, Right.READ)
        asked = _parameters(request, ("as_of", "known_at", "limit", "offset"))
        moment = _moment(asked)
        now = datetime.now(UTC)
        limit, offset = _paging(asked)
        found = await self._read(desk.admissible, moment, self._seat)
        moments = {"as_of": moment.valid_at, "known_at": moment.known_at or now, "server": self._seat.server}
        return _json(request, {**moments, "total": len(found), "items": found[offset : offset + limit]})

    @app.route("/findings/<any(take,resolve,dismiss):act>", methods=["POST"])
    async def move(self, request: Any, act: str) -> bytes:
        """Take a finding in hand, resolve it or dismiss it."""
        holder = self._holder(request, Right.WRITE)
        asked = _parameters(request, ("finding", "owner", "why"))
        why = asked.get("why")
        if not asked.get("finding") or (act != "take" and not why):
            raise Fault(400, "bad_parameter", "finding names it by its key; why says why it is resolved or dismissed")
        told = await self._write(desk.move, act, asked["finding"], asked.get("owner"), why, holder.name)
        return _json(request, told)

    @app.route("/documents", methods=["POST"])
    async def attach(self, request: Any) -> bytes:
        """Keep the file in the body and attach it to an entry."""
        holder = self._holder(request, Right.WRITE)
        names = ("of_register", "of_key", "title", "document", "number", "issued_by", "issued_on", "valid_to")
        asked = _parameters(request, names)
        if asked.get("of_register") not in BY_HAND or not asked.get("of_key") or not asked.get("title"):
            raise Fault(400, "bad_parameter", "of_register and of_key name the entry, title says what the file is")
        content = request.content.read()
        told = await self._write(desk.attach, content, asked, self._rules, datetime.now(UTC), holder.name)
        return _json(request, told)

    @app.route("/documents/file", methods=["GET"])
    async def fetch(self, request: Any) -> bytes:
        """The file of a document."""
        self._holder(request, Right.READ)
        entry, content = await self._read(desk.fetched, _parameters(request, ("document",)).get("document", ""))
        request.setHeader(b"content-disposition", b"attachment")
        return _answer(request, content, entry.media_type)

    def _holder(self, request: Any, right: Right | None) -> Holder:
        """Who asks, who may do that. Raises `Fault`: here and nowhere else it is decided who may what."""
        address = request.getClientAddress().host
        wait = self._failures.wait(address, time.monotonic())
        if wait:
            request.setHeader(b"retry-after", b"%d" % (wait + 1))
            raise Fault(429, "too_many_failures", "too many wrong tokens from this address; wait a minute")
        header = request.getHeader("authorization")
        holder = self._access.holder(header, datetime.now(UTC))
        if holder is None:
            if header is not None:
                self._failures.add(address, time.monotonic())
            request.setHeader(b"www-authenticate", b"Bearer")
            text = "send a token in force, as Authorization: Bearer …; the operator makes it by `tarazy token create`"
            raise Fault(401, "no_token", text)
        if right is not None and not holder.may(right):
            raise Fault(403, "not_allowed", f"the role {holder.role} may not do that; see /api/v1/me for what it may")
        return holder

    def _miner(self, request: Any) -> str:
        """The party whose token it is. Raises `Fault` as `_holder`."""
        holder = self._holder(request, None)
        if holder.party is None:
            raise Fault(404, "no_such_entry", "receipts are of miners; this token is of no party")
        return holder.party

    async def _record(
        self, request: Any, holder: Holder, asked: Mapping[str, str], lines: Callable[[], list[Line]]
    ) -> bytes:
        dry = asked.get("dry_run", "0")
        if dry not in ("0", "1"):
            raise Fault(400, "bad_parameter", "dry_run is 0 or 1")
        read = await deferToThread(lines)
        do = self._read if dry == "1" else self._write
        told = await do(
            desk.record, read, self._rules, datetime.now(UTC), holder.name, asked.get("why"), dry=dry == "1"
        )
        return _json(request, told)

    async def _read(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        def transact() -> T:
            with self._reader.begin() as connection:
                return work(connection, *args, **kwargs)

        return cast(T, await self._reading.run(deferToThread, transact))

    async def _write(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        return await self._database.run(cast("Callable[[Connection], T]", work), *args, **kwargs)

    @app.handle_errors(Fault)
    def fault(self, request: Any, failure: Failure) -> bytes:
        """Say what was wrong."""
        return refuse(request, cast(Fault, failure.value))

    @app.handle_errors(RegisterImportError)
    def unfit(self, request: Any, failure: Failure) -> bytes:
        """Say what is wrong with which row and column; nothing was recorded."""
        faults = desk.faults_of(cast(RegisterImportError, failure.value))
        text = "nothing was recorded; faults tells what is wrong, where, and the cure"
        return refuse(request, Fault(422, "unfit", text), faults=faults)

    @app.handle_errors(FindingError)
    def not_moved(self, request: Any, failure: Failure) -> bytes:
        """A finding that is not there or does not allow what is asked."""
        return refuse(request, Fault(422, "not_moved", str(failure.value)))

    @app.handle_errors(DocumentError)
    def no_document(self, request: Any, failure: Failure) -> bytes:
        """A file that is not kept."""
        return refuse(request, Fault(422, "not_kept", str(failure.value)))

    @app.handle_errors(LookupError)
    def missing(self, request: Any, failure: Failure) -> bytes:
        """Something named that is not there."""
        return refuse(request, Fault(404, "no_such_entry", str(failure.value)))

    @app.handle_errors(MethodNotAllowed)
    def wrong_method(self, request: Any, failure: Failure) -> bytes:
        """The address is there, the method is not."""
        allowed = ", ".join(sorted(cast(MethodNotAllowed, failure.value).valid_methods or ()))
        request.setHeader(b"allow", allowed.encode())
        return refuse(request, Fault(405, "method_not_allowed", f"this address takes {allowed}"))

    @app.handle_errors(HTTPException)
    def unknown(self, request: Any, failure: Failure) -> bytes:
        """Nothing is at this address."""
        text = "there is nothing at this address; the API is described at /api/v1/openapi.json"
        return refuse(request, Fault(404, "not_found", text))

    @app.handle_errors(Exception)
    def broken(self, request: Any, failure: Failure) -> bytes:
        """Ours to mend: the log has the cause, the reader a plain word."""
        log.error("portal_request_failed", path=request.path.decode("ascii", "replace"), error=repr(failure.value))
        return refuse(request, Fault(500, "internal", "the server failed to answer; its log says why"))


def _parameters(request: Any, allowed: tuple[str, ...]) -> dict[str, str]:
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


def _moment(asked: Mapping[str, str]) -> Moment:
    return Moment(_instant(asked, "as_of") or datetime.now(UTC), _instant(asked, "known_at"))


def _instant(asked: Mapping[str, str], name: str) -> datetime | None:
    if name not in asked:
        return None
    try:
        instant = datetime.fromisoformat(asked[name].replace(" ", "+"))
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Fault(400, "bad_parameter", f"{name} is an instant with its zone, such as 2026-03-03T12:00:00+05:00")


def _count(asked: Mapping[str, str], name: str, fallback: int, highest: int) -> int:
    text = asked.get(name, str(fallback))
    if not re.fullmatch("[0-9]{1,8}", text) or int(text) > highest:
        raise Fault(400, "bad_parameter", f"{name} is a whole number up to {highest}")
    return int(text)


def _paging(asked: Mapping[str, str]) -> tuple[int, int]:
    return _count(asked, "limit", LIMIT, HIGHEST_LIMIT), _count(asked, "offset", 0, 10**7)


def _table(name: str, content: bytes) -> list[Line]:
    """Lines of a file that came over the network."""
    with TemporaryDirectory(prefix="tarazy-import-") as directory:
        path = Path(directory) / name
        path.write_bytes(content)
        return read_table(path)


def _json(request: Any, told: Any) -> bytes:
    return _answer(request, orjson.dumps(told, option=orjson.OPT_UTC_Z), "application/json")


def _answer(request: Any, body: bytes, content_type: str) -> bytes:
    request.setHeader(b"content-type", content_type.encode("ascii"))
    request.setHeader(b"cache-control", b"no-store")
    return body
