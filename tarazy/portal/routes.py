"""The portal's addresses: one method each. Imports klein, which imports the global reactor: import late."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

import orjson
import structlog
import yaml
from klein import Klein
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.web.http import CACHED
from twisted.web.static import File

from tarazy.accreditation.admission import Reason
from tarazy.config.yaml_file import SafeLoader
from tarazy.portal.accounting_pages import AccountingPages
from tarazy.portal.delivery_pages import DeliveryPages
from tarazy.portal.desk import Rules
from tarazy.portal.documents import TYPES, document
from tarazy.portal.energy_pages import EnergyPages
from tarazy.portal.events import Hub
from tarazy.portal.gate import PAGED, Gate, answer_faults, json_answer, paging, parameters
from tarazy.portal.guard import Fault, header
from tarazy.portal.moments import MOMENT, past_of
from tarazy.portal.own_pages import OwnPages
from tarazy.portal.pages import (
    PLACES,
    assets,
    page,
    page_texts,
    preferred_language,
    refusals_page,
)
from tarazy.portal.past import PastSnapshots
from tarazy.portal.quarterly_pages import QuarterlyPages
from tarazy.portal.readings import Pushed
from tarazy.portal.registry import RegisterPages
from tarazy.portal.rights import Right
from tarazy.portal.signature_pages import SignaturePages
from tarazy.portal.snapshot import LISTS, PUBLIC, SERIES, Snapshot, Snapshots, Subject
from tarazy.portal.turns import Turns
from tarazy.portal.user_pages import UserPages
from tarazy.portal.worker_lists import WorkerLists
from tarazy.reports.language import LANGUAGES

log = structlog.get_logger()

_LANG = f"any({','.join(LANGUAGES)})"
_REASON = "any({})".format(", ".join(f"'{reason}'" for reason in Reason))


@cache
def openapi() -> bytes:
    """The description of the API as JSON."""
    text = (files("tarazy.portal") / "openapi.yaml").read_text(encoding="utf-8")
    return orjson.dumps(yaml.load(text, SafeLoader))  # noqa: S506 - it is


def _answer(request: Any, body: bytes, content_type: str, caching: str, version: str = "") -> bytes:
    request.setHeader(b"content-type", content_type.encode("ascii"))
    request.setHeader(b"cache-control", caching.encode("ascii"))
    if version and request.setETag(b'"%s"' % version.encode("ascii")) is CACHED:
        return b""
    return body


def _json(request: Any, body: bytes, version: str) -> bytes:
    return _answer(request, body, "application/json", "no-cache", version)


class Pages:
    """One method an address."""

    app = Klein()

    def __init__(
        self,
        snapshots: Snapshots,
        hub: Hub,
        subject: Subject,
        language: str,
        gate: Gate,
        rules: Rules,
        people: UserPages,
        pushed: Pushed,
        workers: WorkerLists,
        refresh: Callable[[], Deferred[None]],
    ) -> None:
        """`refresh` lets the gate know the tokens and sessions of the moment."""
        self._snapshots = snapshots
        self._hub = hub
        self._subject = subject
        self._language = language
        self._gate = gate
        shelf = snapshots.reader.shelf
        self._asking = Turns()
        """Of whoever asks the processes how they are."""
        self._past = PastSnapshots(gate, subject, shelf)
        self._registers = RegisterPages(gate, rules, subject.seat, pushed, shelf).app.resource()
        self._holders = OwnPages(gate, subject, shelf, workers, refresh)
        self._own = self._holders.app.resource()
        self._people = people.app.resource()
        self._quarterly = QuarterlyPages(gate).app.resource()
        self._energy = EnergyPages(gate, subject, shelf).app.resource()
        self._accounting = AccountingPages(gate, subject).app.resource()
        self._signatures = SignaturePages(gate, subject.reports)
        self._deliveries = DeliveryPages(gate, subject)

    @app.route("/")
    def home(self, request: Any) -> bytes:
        """To the page in the reader's language."""
        return self._translated(request, "")

    @app.route("/refusals/")
    def refusals(self, request: Any) -> bytes:
        """To what refusals mean."""
        return self._translated(request, "refusals/")

    @app.route(f"/refusals/<{_REASON}:reason>")
    def refusal(self, request: Any, reason: str) -> bytes:
        """To what one means."""
        return self._translated(request, f"refusals/{reason}")

    def _translated(self, request: Any, address: str) -> bytes:
        """To a page in the reader's language."""
        lang = preferred_language(header(request, "accept-language") or "", self._language)
        request.setHeader(b"vary", b"accept-language")
        return _moved(request, f"/{lang}/{address}")

    @app.route(f"/<{_LANG}:lang>/refusals/")
    def show_refusals(self, request: Any, lang: str) -> bytes:
        """What refusals mean and what to do."""
        return self._refusals(request, lang, None)

    @app.route(f"/<{_LANG}:lang>/refusals/<{_REASON}:reason>")
    def show_refusal(self, request: Any, lang: str, reason: str) -> bytes:
        """What one means."""
        return self._refusals(request, lang, Reason(reason))

    def _refusals(self, request: Any, lang: str, reason: Reason | None) -> bytes:
        body = refusals_page(lang, self._subject.live().pool_name, reason)
        return _answer(request, body, "text/html; charset=utf-8", "no-cache")

    @app.route(f"/<{_LANG}:lang>")
    def without_slash(self, request: Any, lang: str) -> bytes:
        """To the page."""
        return _moved(request, f"/{lang}/")

    @app.route(f"/<{_LANG}:lang>/")
    @app.route(f"/<{_LANG}:lang>/<any({','.join(PLACES)},join):name>/")
    def show(self, request: Any, lang: str, name: str = "home") -> bytes:
        """A page: what everybody may see, or one for who is signed in or invited."""
        return _answer(request, page(lang, self._subject.live(), name), "text/html; charset=utf-8", "no-cache")

    @app.route(f"/<{_LANG}:lang>/texts.json")
    def texts(self, request: Any, lang: str) -> bytes:
        """What the page's script says."""
        return _answer(request, page_texts(lang), "application/json", "public, max-age=86400")

    @app.route("/static/<version>/<path:name>")
    def static(self, request: Any, version: str, name: str) -> bytes:
        """A file of the page."""
        asset = assets().get(name)
        if asset is None or asset.url != f"/static/{version}/{name}":
            raise Fault(404, "not_found", "this version of the page has no such file; reload the page")
        return _answer(request, asset.body, asset.content_type, "public, max-age=31536000, immutable")

    @app.route("/api/v1/", branch=True)
    def registers(self, request: Any) -> Any:
        """The registers, and what else has no address of its own below."""
        return self._registers

    @app.route("/api/v1/me")
    async def me(self, request: Any) -> bytes:
        """Whose token it is."""
        return await self._holders.me(request)

    @app.route("/api/v1/me/", branch=True)
    def own(self, request: Any) -> Any:
        """A miner's own accounts."""
        return self._own

    @app.route("/api/v1/accounting/", branch=True)
    def accounting(self, request: Any) -> Any:
        """All accounts."""
        return self._accounting

    @app.route("/api/v1/signatures", methods=["GET"])
    async def signatures(self, request: Any) -> bytes:
        """Who signed the reports."""
        return await self._signatures.listing(request)

    @app.route("/api/v1/signatures", methods=["POST"])
    async def sign(self, request: Any) -> bytes:
        """A signature that was made elsewhere."""
        return await self._signatures.add(request)

    @app.route("/api/v1/deliveries", methods=["GET"])
    async def deliveries(self, request: Any) -> bytes:
        """What is on its way to authorities."""
        return await self._deliveries.listing(request)

    @app.route("/api/v1/deliveries", methods=["POST"])
    async def approve(self, request: Any) -> bytes:
        """Let one go."""
        return await self._deliveries.approve(request)

    @app.route("/api/v1/schedule")
    async def schedule(self, request: Any) -> bytes:
        """Which reports are due."""
        return await self._deliveries.schedule(request)

    @app.route("/api/v1/users/", branch=True)
    def people(self, request: Any) -> Any:
        """Signing in and out, and who may."""
        return self._people

    @app.route("/api/v1/energy/", branch=True)
    def energy(self, request: Any) -> Any:
        """Energy of the sites."""
        return self._energy

    @app.route("/api/v1/quarterly/", branch=True)
    def quarterly(self, request: Any) -> Any:
        """What parties tell of a quarter."""
        return self._quarterly

    @app.route("/api/v1/openapi.json")
    def describe(self, request: Any) -> bytes:
        """The API's description."""
        return _answer(request, openapi(), "application/json", "no-cache")

    @app.route("/api/v1/overview")
    async def overview(self, request: Any) -> bytes:
        """The pool at a glance."""
        snapshot = await self._snapshot(parameters(request, MOMENT), request)
        return _json(request, snapshot.overview(), snapshot.version())

    async def _snapshot(self, asked: Mapping[str, str], request: Any) -> Snapshot:
        """The newest one, or to who may read everything that of a moment of before. Raises `Fault`."""
        past = past_of(asked, datetime.now(UTC))
        if past is None:
            return await self._snapshots.get()
        await self._gate.admit(request, Right.READ)
        return await self._past.get(asked, past)

    @app.route("/api/v1/machinery")
    async def machinery(self, request: Any) -> bytes:
        """How the journal, the nodes and the gateways are."""
        await self._gate.admit(request, Right.READ)
        parameters(request, ())
        return json_answer(request, await self._asking.run(lambda: deferToThread(self._subject.machinery)))

    @app.route("/api/v1/events")
    async def events(self, request: Any) -> None:
        """The overview, again after each change."""
        parameters(request, ())
        snapshot = await self._snapshots.get()
        await self._hub.open(request, snapshot.event(), self._gate.door.address(request))

    @app.route(f"/api/v1/<any({','.join(LISTS)}):name>")
    async def listing(self, request: Any, name: str) -> bytes:
        """A page of a list."""
        asked = parameters(request, (*MOMENT, *PAGED))
        limit, offset = paging(asked)
        told = await self._section(request, name)
        snapshot = await self._snapshot(asked, request)
        section = snapshot.sections[told]
        items = section["items"][offset : offset + limit]
        version = f"{snapshot.versions[told]}-{offset}-{limit}"
        return _json(request, orjson.dumps({**section, "items": items}), version)

    @app.route("/api/v1/energy")
    async def energy_series(self, request: Any) -> bytes:
        """Energy over time."""
        return await self.series(request, "energy")

    @app.route(f"/api/v1/<any({','.join(SERIES)}):name>")
    async def series(self, request: Any, name: str) -> bytes:
        """Figures over time."""
        asked = parameters(request, MOMENT)
        told = await self._section(request, name)
        snapshot = await self._snapshot(asked, request)
        return _json(request, orjson.dumps(snapshot.sections[told]), snapshot.versions[told])

    async def _section(self, request: Any, name: str) -> str:
        """The section that the reader sees under this name: all of it, or what everybody may. Raises `Fault`."""
        request.setHeader(b"vary", b"authorization, cookie")
        holder = self._gate.known(request)
        is_anybody = holder is None and header(request, "authorization") is None
        if name in PUBLIC and (is_anybody or (holder is not None and not holder.may(Right.READ))):
            return PUBLIC[name]
        await self._gate.admit(request, Right.READ)
        return name

    @app.route("/api/v1/reports/<name>")
    async def report(self, request: Any, name: str) -> Any:
        """A document for download."""
        await self._gate.admit(request, Right.READ)
        parameters(request, ())
        path = document(self._subject.reports, name)
        request.setHeader(b"content-disposition", b'attachment; filename="%s"' % name.encode("ascii"))
        request.setHeader(b"cache-control", b"no-cache")
        served = File(str(path))
        served.type, served.encoding = TYPES[name.rpartition(".")[2]], None
        served.isLeaf = True
        return served

    answer_faults(app)


def _moved(request: Any, address: str) -> bytes:
    request.setResponseCode(302)
    request.setHeader(b"location", address.encode("ascii"))
    return b""
