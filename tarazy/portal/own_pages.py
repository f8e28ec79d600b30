"""A miner's own accounts, work and tokens over HTTP. One method an address; import late."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from typing import Annotated, Any

from klein import Klein
from pydantic import Field
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from tarazy.portal import accounts, desk, monitoring, views
from tarazy.portal.accounts import Depths
from tarazy.portal.bodies import Asked, body
from tarazy.portal.documents import TYPES
from tarazy.portal.gate import PAGED, Gate, answer, answer_faults, json_answer, paging, parameters, refuse_in_words
from tarazy.portal.guard import Fault, refuse
from tarazy.portal.moments import instant_of, report_period, settled_now
from tarazy.portal.rights import Right, Scope
from tarazy.portal.shelf import Shelf
from tarazy.portal.snapshot import Subject
from tarazy.portal.tokens import TokenError, create_own_token, own_tokens, revoke_own_token
from tarazy.portal.turns import Turns
from tarazy.portal.worker_lists import WorkerLists
from tarazy.reports.build import RENDERINGS, render
from tarazy.reports.gather.statement import StatementError
from tarazy.reports.language import LANGUAGES
from tarazy.reports.layout import Report

_FORMS = ("json", *RENDERINGS)
_MADE_FOR_ONE = 8
"""Receipts and statements that one miner may wait for at a time."""


class _NewToken(Asked):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,24}$")]
    scope: Annotated[Scope, Field(strict=False)]
    days: Annotated[int, Field(ge=1, le=365)]


class _NamedToken(Asked):
    name: Annotated[str, Field(min_length=1, max_length=64)]


class OwnPages:
    """What a miner's token shows, below `/me`."""

    app = Klein()

    def __init__(
        self,
        gate: Gate,
        subject: Subject,
        shelf: Shelf,
        workers: WorkerLists,
        refresh: Callable[[], Deferred[None]],
    ) -> None:
        """`refresh` lets the gate know the tokens of the moment."""
        self._gate = gate
        self._subject = subject
        self._shelf = shelf
        self._refresh = refresh
        self._workers = workers
        self._making = Turns(longest_queue=100, longest_of_one=_MADE_FOR_ONE)
        """Of receipts and statements: each costs what its round or period costs."""

    async def me(self, request: Any) -> bytes:
        """Whose token it is and what it may; for a miner, its own entries and admissions."""
        holder = await self._gate.admit(request, None)
        told: dict[str, Any] = {"name": holder.name, "role": holder.role, "expires_at": holder.expires_at}
        told["rights"] = [right for right in Right if holder.may(right)]
        if holder.site is not None:
            told["site"] = holder.site
        if holder.scope is not None:
            told["scope"] = holder.scope
        if holder.party is not None and holder.may(Right.OWN):
            told |= await self._gate.read(desk.own, self._shelf, holder.party, datetime.now(UTC))
        return json_answer(request, told)

    @app.route("/account", methods=["GET"])
    async def account(self, request: Any) -> bytes:
        """Terms, balance and holds of a miner."""
        party = await self._gate.miner(request)
        parameters(request, ())
        now = datetime.now(UTC)
        return json_answer(request, await self._gate.read(accounts.account, party, self._subject.terms, now))

    @app.route("/hashrate", methods=["GET"])
    async def hashrate(self, request: Any) -> bytes:
        """A miner's hash rates, of all or of a site or worker."""
        party = await self._gate.miner(request, Right.WORK)
        asked = parameters(request, ("site", "worker", "span"))
        span = monitoring.SPANS.get(asked.get("span", "day"))
        if span is None:
            raise Fault(400, "bad_parameter", f"span is one of {', '.join(monitoring.SPANS)}")
        whose = monitoring.Asked(party, asked.get("site"), asked.get("worker"))
        now, seconds = datetime.now(UTC), self._subject.interval_seconds
        return json_answer(request, await self._gate.read(monitoring.own_hashrate, whose, span, now, seconds))

    @app.route("/workers", methods=["GET"])
    async def workers(self, request: Any) -> bytes:
        """A miner's workers of the last day."""
        party = await self._gate.miner(request, Right.WORK)
        asked = parameters(request, (*PAGED, "q", "sort", "order"))
        sort = asked.get("sort", monitoring.SORTS[0])
        if sort not in monitoring.SORTS:
            raise Fault(400, "bad_parameter", f"sort is one of {', '.join(monitoring.SORTS)}")
        order = asked.get("order", "asc" if sort == "workername" else "desc")
        if order not in ("asc", "desc"):
            raise Fault(400, "bad_parameter", "order is asc or desc")
        read_at, workers = await self._workers.of(party)
        told = await deferToThread(
            monitoring.chosen, workers, asked.get("q", ""), sort, order == "desc", *paging(asked)
        )
        return json_answer(request, {"at": views.iso(read_at), **told})

    @app.route("/tokens", methods=["GET"])
    async def tokens(self, request: Any) -> bytes:
        """The tokens that the miners of a party made."""
        party = await self._gate.miner(request, Right.TOKENS)
        parameters(request, ())
        found = await self._gate.read(own_tokens, party, datetime.now(UTC))
        return json_answer(request, {"total": len(found), "items": found})

    @app.route("/tokens", methods=["POST"])
    async def make_token(self, request: Any) -> bytes:
        """Make one; its text is told once."""
        holder = await self._gate.admit(request, Right.TOKENS)
        asked, now = body(request, _NewToken), datetime.now(UTC)
        text = await self._gate.write(create_own_token, holder, asked.name, asked.scope, asked.days, now)
        await self._refresh()
        return json_answer(request, {"name": f"{holder.name}.{asked.name}", "token": text})

    @app.route("/tokens/revoke", methods=["POST"])
    async def revoke_token(self, request: Any) -> bytes:
        """End one."""
        holder = await self._gate.admit(request, Right.TOKENS)
        asked = body(request, _NamedToken)
        await self._gate.write(revoke_own_token, holder, asked.name, datetime.now(UTC))
        await self._refresh()
        return json_answer(request, {"name": asked.name})

    @app.route("/credits", methods=["GET"])
    async def credits(self, request: Any) -> bytes:
        """A miner's part of each distribution, the newest first."""
        party = await self._gate.miner(request)
        limit, offset = paging(parameters(request, PAGED))
        return json_answer(request, await self._gate.read(accounts.credits, party, limit, offset))

    @app.route("/payouts", methods=["GET"])
    async def payouts(self, request: Any) -> bytes:
        """What a miner was and is being paid, the newest first."""
        party = await self._gate.miner(request)
        limit, offset = paging(parameters(request, PAGED))
        depths = Depths(self._subject.depths())
        return json_answer(request, await self._gate.read(accounts.payments, party, depths, limit, offset))

    @app.route("/statements", methods=["GET"])
    async def statements(self, request: Any) -> bytes:
        """The months of which a miner gets a statement, the newest first."""
        party = await self._gate.miner(request)
        limit, offset = paging(parameters(request, PAGED))
        as_of = settled_now()
        periods = await self._gate.read(accounts.statement_periods, party, as_of)
        items = [
            {
                "period": str(period),
                "first_day": period.first_day,
                "last_day": period.last_day,
                "complete": period.end <= as_of,
            }
            for period in periods[offset : offset + limit]
        ]
        return json_answer(request, {"as_of": as_of, "total": len(periods), "items": items})

    @app.route("/statements/<name>", methods=["GET"])
    async def statement(self, request: Any, name: str) -> bytes:
        """A miner's statement for a year, quarter or month. The same moment gives the same bytes."""
        party = await self._gate.miner(request)
        asked = parameters(request, ("form", "lang", "as_of"))
        form, lang = asked.get("form", "json"), asked.get("lang", LANGUAGES[0])
        if form not in _FORMS or lang not in LANGUAGES:
            raise Fault(400, "bad_parameter", f"form is one of {', '.join(_FORMS)}, lang of {', '.join(LANGUAGES)}")
        as_of = instant_of(asked, "as_of") or settled_now()
        period = report_period(name, as_of)

        async def make() -> tuple[str, bytes]:
            law, pool = self._subject.law(), self._subject.pool()
            report = await self._gate.read(accounts.statement, party, period, as_of, pool, law)
            made: tuple[str, bytes] = await deferToThread(
                render if form == "json" else _render_apart, report, form, lang
            )
            return made

        file, body = await self._making.run(make, party)
        request.setHeader(b"content-disposition", f'attachment; filename="{file}"'.encode("ascii"))
        return answer(request, body, TYPES[form])

    @app.route("/receipts", methods=["GET"])
    async def receipts(self, request: Any) -> bytes:
        """The final rounds that credit a miner, the newest first."""
        party = await self._gate.miner(request)
        limit, offset = paging(parameters(request, PAGED))
        total, items = await self._gate.read(accounts.credited, party, limit, offset)
        return json_answer(request, {"total": total, "items": items})

    @app.route("/receipts/<int(max=9223372036854775807):number>", methods=["GET"])
    async def receipt(self, request: Any, number: int) -> bytes:
        """What proves a miner's credit in a round."""
        party = await self._gate.miner(request)
        journals = self._subject.journals
        told = await self._making.run(lambda: self._gate.read(accounts.receipt_of, party, number, journals), party)
        return json_answer(request, told)

    @app.handle_errors(TokenError)
    def unmade(self, request: Any, failure: Failure) -> bytes:
        """There cannot be such a token, or there is none."""
        return refuse_in_words(request, "unfit", failure)

    @app.handle_errors(StatementError)
    def unstated(self, request: Any, failure: Failure) -> bytes:
        """There is no such statement."""
        return refuse(request, Fault(422, "no_statement", str(failure.value)))

    answer_faults(app)


def _render_apart(report: Report, form: str, lang: str) -> tuple[str, bytes]:
    """As `render`, in a process of its own: typesetting takes seconds, for which no share should wait."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(render, report, form, lang).result()
