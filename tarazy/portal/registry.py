"""The registers over HTTP, for holders of tokens: one method an address. Imports klein: import late."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import orjson
from klein import Klein
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from tarazy.accreditation.decisions import DECISION_KINDS
from tarazy.accreditation.documents import DocumentError
from tarazy.accreditation.entries import BY_HAND, ENTRY_TYPES, Entry, Finding, Wallet, fields_of
from tarazy.accreditation.fields import read_valid_to
from tarazy.accreditation.findings import FindingError
from tarazy.accreditation.sheets import Line, RegisterImportError, read_table
from tarazy.portal import desk, readings
from tarazy.portal.desk import Rules
from tarazy.portal.gate import PAGED, Gate, answer, answer_faults, json_answer, paging, parameters, refuse_in_words
from tarazy.portal.guard import Fault, refuse
from tarazy.portal.moments import MOMENT, instant_of
from tarazy.portal.readings import Pushed
from tarazy.portal.rights import Holder, Right
from tarazy.portal.shelf import LONGEST_SEARCH, Moment, Search, Shelf
from tarazy.portal.standing import Seat

_PERIOD = timedelta(hours=24)
_LONGEST_PERIOD = timedelta(days=366)
_KINDS = f"any({','.join(ENTRY_TYPES)})"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}\.(?:csv|xlsx)")
_FORMS = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


class RegisterPages:
    """One method an address; each names the right that it takes."""

    app = Klein()

    def __init__(self, gate: Gate, rules: Rules, seat: Seat, pushed: Pushed, shelf: Shelf) -> None:
        self._pushed = pushed
        self._shelf = shelf
        self._gate = gate
        self._rules = rules
        self._seat = seat

    @app.route(f"/registers/<{_KINDS}:kind>", methods=["GET"])
    async def listing(self, request: Any, kind: str) -> bytes:
        """What is in force in a register."""
        await self._gate.admit(request, Right.READ)
        return await self._found(request, kind, desk.plain)

    async def _found(self, request: Any, kind: str, tell: Callable[[Entry], dict[str, Any]]) -> bytes:
        of_findings = ("open",) if kind == Finding.register else ()
        asked = parameters(request, (*MOMENT, "key", "q", "sort", "order", *of_findings, *PAGED))
        moment, search, now = _moment(asked), _search(asked, kind), datetime.now(UTC)
        limit, offset = paging(asked)
        moments = {"as_of": moment.valid_at, "known_at": moment.known_at or now}

        def look() -> dict[str, Any]:
            entries = self._shelf.find(kind, moment, search)
            items = [tell(entry) for entry in entries[offset : offset + limit]]
            if kind == Wallet.register:
                desk.tell_approved(items, self._shelf.registers(moment))
            return {**moments, "total": len(entries), "items": items}

        return json_answer(request, await self._gate.look(look))

    @app.route("/registers/wallet/addresses", methods=["GET"])
    async def payout_addresses(self, request: Any) -> bytes:
        """Whether a party, or anybody at all, is paid to an address, and whether another one would be the first."""
        await self._gate.admit(request, Right.READ)
        party = parameters(request, ("party",)).get("party")
        now = datetime.now(UTC)
        return json_answer(request, await self._gate.read(desk.payout_addresses, self._shelf, party, self._rules, now))

    @app.route(f"/registers/<{_KINDS}:kind>/columns", methods=["GET"])
    async def columns(self, request: Any, kind: str) -> bytes:
        """The columns of a register and what each expects."""
        await self._gate.admit(request, Right.READ)
        parameters(request, ())
        items = desk.columns(kind)
        return json_answer(request, {"total": len(items), "by_hand": kind in BY_HAND, "items": items})

    @app.route(f"/registers/<{_KINDS}:kind>/history", methods=["GET"])
    async def history(self, request: Any, kind: str) -> bytes:
        """Every version of an entry."""
        await self._gate.admit(request, Right.READ)
        asked = parameters(request, ("key", "known_at"))
        key = asked.get("key")
        if not key:
            raise Fault(400, "bad_parameter", "key names the entry, such as ?key=acme")
        versions = await self._gate.read(desk.history, kind, key, _moment(asked))
        if not versions:
            raise Fault(404, "no_such_entry", f"the register {kind} has no entry of this key")
        return json_answer(request, {"total": len(versions), "items": desk.told_history(versions)})

    @app.route(f"/registers/<{_KINDS}:kind>", methods=["POST"])
    async def add(self, request: Any, kind: str) -> bytes:
        """Record entries, or say what that would change."""
        holder = await self._gate.admit(request, Right.WRITE)
        asked = parameters(request, ("dry_run", "why"))
        content = request.content.read()
        return await self._record(request, holder, asked, lambda: desk.lines_of(kind, _json_of(content)))

    @app.route(f"/registers/<{_KINDS}:kind>/close", methods=["POST"])
    async def close(self, request: Any, kind: str) -> bytes:
        """End an entry, or say what that would change."""
        holder = await self._gate.admit(request, Right.WRITE)
        asked = parameters(request, ("key", "end", "why", "dry_run"))
        key, why, end = asked.get("key"), asked.get("why"), _end(asked)
        if kind not in BY_HAND or not key or not why:
            raise Fault(400, "bad_parameter", "key names the entry, why says why it ends; the server's own never do")
        lines = await self._gate.read(desk.closing_lines, kind, key, end, why)
        return await self._record(request, holder, asked, lambda: lines)

    @app.route("/registers/import", methods=["POST"])
    async def import_table(self, request: Any) -> bytes:
        """Record the rows of a CSV or XLSX file, or say what that would change."""
        holder = await self._gate.admit(request, Right.WRITE)
        asked = parameters(request, ("name", "dry_run", "why"))
        name = asked.get("name", "")
        if not _NAME.fullmatch(name):
            raise Fault(400, "bad_parameter", "name is that of the file, such as licence.csv or registers.xlsx")
        content = request.content.read()
        return await self._record(request, holder, asked, lambda: _table(name, content))

    @app.route("/registers/export", methods=["GET"])
    async def export(self, request: Any) -> bytes:
        """A register, or all of them, as a spreadsheet that can be imported."""
        await self._gate.admit(request, Right.READ)
        asked = parameters(request, ("kind", "form", "as_of", "known_at"))
        kind, form = asked.get("kind"), asked.get("form", "xlsx")
        if form not in _FORMS or (kind is None and form == "csv") or (kind is not None and kind not in BY_HAND):
            raise Fault(400, "bad_parameter", "form is xlsx, or csv for one register, which kind names")
        kinds, moment = [kind] if kind else list(BY_HAND), _moment(asked)
        body = await self._gate.look(lambda: desk.exported(self._shelf, kinds, form, moment))
        name = f"{kind or 'registers'}.{form}"
        request.setHeader(b"content-disposition", f'attachment; filename="{name}"'.encode())
        return answer(request, body, _FORMS[form])

    @app.route("/admissions", methods=["GET"])
    async def admissions(self, request: Any) -> bytes:
        """Who was let in and who turned away, by the audit log."""
        await self._gate.admit(request, Right.READ)
        asked = parameters(request, ("from", "to", "party", "kind", "order", *PAGED))
        until = instant_of(asked, "to") or datetime.now(UTC)
        since = instant_of(asked, "from") or until - _PERIOD
        if until - since > _LONGEST_PERIOD:
            raise Fault(400, "bad_parameter", f"from and to are at most {_LONGEST_PERIOD.days} days apart")
        kind = asked.get("kind")
        if kind not in (None, *DECISION_KINDS):
            raise Fault(400, "bad_parameter", f"kind is one of {', '.join(DECISION_KINDS)}")
        limit, offset = paging(asked)
        found = await self._gate.read(desk.admissions, since, until, asked.get("party"), kind)
        if _is_descending(asked):
            found.reverse()
        told = {"from": since, "to": until, "total": len(found), "items": found[offset : offset + limit]}
        return json_answer(request, told)

    @app.route("/admissions/at", methods=["GET"])
    async def admissible(self, request: Any) -> bytes:
        """Who might mine, where and on which machines, by the registers."""
        await self._gate.admit(request, Right.READ)
        asked = parameters(request, (*MOMENT, *PAGED))
        moment = _moment(asked)
        now = datetime.now(UTC)
        limit, offset = paging(asked)
        found = await self._gate.look(lambda: desk.admissible(self._shelf, moment, self._seat))
        items = [place.plain() for place in found[offset : offset + limit]]
        moments = {"as_of": moment.valid_at, "known_at": moment.known_at or now, "server": self._seat.server}
        admitted = sum(place.decision.admitted for place in found)
        return json_answer(request, {**moments, "total": len(found), "admitted": admitted, "items": items})

    @app.route("/findings", methods=["GET"])
    async def findings(self, request: Any) -> bytes:
        """What was found and waits for somebody, with what it says."""
        await self._gate.admit(request, Right.READ)
        return await self._found(request, Finding.register, desk.told_finding)

    @app.route("/findings/<any(take,resolve,dismiss):act>", methods=["POST"])
    async def move(self, request: Any, act: str) -> bytes:
        """Take a finding in hand, resolve it or dismiss it."""
        holder = await self._gate.admit(request, Right.WRITE)
        asked = parameters(request, ("finding", "owner", "why"))
        why = asked.get("why")
        if not asked.get("finding") or (act != "take" and not why):
            raise Fault(400, "bad_parameter", "finding names it by its key; why says why it is resolved or dismissed")
        told = await self._gate.write(desk.move, act, asked["finding"], asked.get("owner"), why, holder.name)
        return json_answer(request, told)

    @app.route("/readings", methods=["POST"])
    async def push(self, request: Any) -> bytes:
        """Record what the meters of the agent's site showed."""
        holder = await self._gate.admit(request, Right.PUSH)
        parameters(request, ())
        body = _json_of(request.content.read())
        told = await self._gate.write(readings.push, holder.site, body, datetime.now(UTC))
        self._pushed.count(holder.site or "", told, body)
        return json_answer(request, told)

    @app.route("/documents", methods=["POST"])
    async def attach(self, request: Any) -> bytes:
        """Keep the file in the body and attach it to an entry."""
        holder = await self._gate.admit(request, Right.WRITE)
        names = ("of_register", "of_key", "title", "document", "number", "issued_by", "issued_on", "valid_to")
        asked = parameters(request, names)
        if asked.get("of_register") not in BY_HAND or not asked.get("of_key") or not asked.get("title"):
            raise Fault(400, "bad_parameter", "of_register and of_key name the entry, title says what the file is")
        content = request.content.read()
        told = await self._gate.write(desk.attach, content, asked, self._rules, datetime.now(UTC), holder.name)
        return json_answer(request, told)

    @app.route("/documents/file", methods=["GET"])
    async def fetch(self, request: Any) -> bytes:
        """The file of a document."""
        await self._gate.admit(request, Right.READ)
        entry, content = await self._gate.read(desk.fetched, parameters(request, ("document",)).get("document", ""))
        request.setHeader(b"content-disposition", b"attachment")
        return answer(request, content, entry.media_type)

    async def _record(
        self, request: Any, holder: Holder, asked: Mapping[str, str], lines: Callable[[], list[Line]]
    ) -> bytes:
        dry = asked.get("dry_run", "0")
        if dry not in ("0", "1"):
            raise Fault(400, "bad_parameter", "dry_run is 0 or 1")
        read = await deferToThread(lines)
        do = self._gate.read if dry == "1" else self._gate.write
        told = await do(
            desk.record, read, self._rules, datetime.now(UTC), holder.name, asked.get("why"), dry=dry == "1"
        )
        return json_answer(request, told)

    @app.handle_errors(RegisterImportError)
    def unfit(self, request: Any, failure: Failure) -> bytes:
        """Say what is wrong with which row and column; nothing was recorded."""
        faults = desk.faults_of(cast(RegisterImportError, failure.value))
        text = "nothing was recorded; faults tells what is wrong, where, and the cure"
        return refuse(request, Fault(422, "unfit", text), faults=faults)

    @app.handle_errors(FindingError)
    def not_moved(self, request: Any, failure: Failure) -> bytes:
        """A finding that is not there or does not allow what is asked."""
        return refuse_in_words(request, "not_moved", failure)

    @app.handle_errors(DocumentError)
    def no_document(self, request: Any, failure: Failure) -> bytes:
        """A file that is not kept."""
        return refuse_in_words(request, "not_kept", failure)

    answer_faults(app)


def _search(asked: Mapping[str, str], kind: str) -> Search:
    """Which entries are asked for. Raises `Fault`."""
    text, sort = asked.get("q", ""), asked.get("sort")
    if len(text) > LONGEST_SEARCH:
        raise Fault(400, "bad_parameter", f"q has at most {LONGEST_SEARCH} characters")
    if sort is not None and (sort not in fields_of(kind) or sort == "evidence"):
        raise Fault(400, "bad_parameter", f"sort is a column of {kind}; see /api/v1/registers/{kind}/columns")
    if asked.get("open", "0") not in ("0", "1"):
        raise Fault(400, "bad_parameter", "open is 0 or 1")
    return Search(asked.get("key"), text, sort, _is_descending(asked), asked.get("open") == "1")


def _is_descending(asked: Mapping[str, str]) -> bool:
    if asked.get("order", "asc") not in ("asc", "desc"):
        raise Fault(400, "bad_parameter", "order is asc or desc")
    return asked.get("order") == "desc"


def _end(asked: Mapping[str, str]) -> datetime:
    """From when on an entry is not to hold: now, the end of a day, or an instant. Raises `Fault`."""
    try:
        return read_valid_to(asked["end"].replace(" ", "+")) if asked.get("end") else datetime.now(UTC)
    except ValueError as error:
        raise Fault(400, "bad_parameter", f"end: {error}") from None


def _moment(asked: Mapping[str, str]) -> Moment:
    return Moment(instant_of(asked, "as_of") or datetime.now(UTC), instant_of(asked, "known_at"))


def _json_of(content: bytes) -> object:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Fault(400, "not_json", f"the body is no JSON: {error}") from None


def _table(name: str, content: bytes) -> list[Line]:
    """Lines of a file that came over the network."""
    with TemporaryDirectory(prefix="tarazy-import-") as directory:
        path = Path(directory) / name
        path.write_bytes(content)
        return read_table(path)
