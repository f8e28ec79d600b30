"""Accounts over HTTP: to a miner its own, to who may read all of them. One method an address; import late."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from typing import Annotated, Any, Literal

from klein import Klein
from pydantic import Field
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from tarazy.config.law.calendar import Period, legal_day
from tarazy.portal import accounts, desk, monitoring, views
from tarazy.portal.access import Holder, Right, Scope, TokenError, create_own_token, own_tokens, revoke_own_token
from tarazy.portal.accounts import Depths
from tarazy.portal.bodies import Asked, body
from tarazy.portal.documents import TYPES
from tarazy.portal.gate import Gate, answer, answer_faults, json_answer, paging, parameters
from tarazy.portal.guard import Fault, refuse
from tarazy.portal.moments import MOMENT, begun, instant_of, past_of
from tarazy.portal.payments import Payments, PayoutRefused
from tarazy.portal.shelf import Shelf
from tarazy.portal.snapshot import Subject
from tarazy.portal.turns import Turns
from tarazy.portal.worker_lists import WorkerLists
from tarazy.reports.build import RENDERINGS, SETTLED_SECONDS, ReportError, render, require_moment
from tarazy.reports.content import Pool
from tarazy.reports.gather.statement import StatementError
from tarazy.reports.language import LANGUAGES
from tarazy.reports.layout import Report

_FORMS = ("json", *RENDERINGS)
_PAGED = ("limit", "offset")
_MADE_FOR_ONE = 8
"""Receipts and statements that one miner may wait for at a time."""


class _NewToken(Asked):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,24}$")]
    scope: Annotated[Scope, Field(strict=False)]
    days: Annotated[int, Field(ge=1, le=365)]


class _NamedToken(Asked):
    name: Annotated[str, Field(min_length=1, max_length=64)]


_BATCH = "int(max=9223372036854775807)"
_Reason = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f]*\S[^\x00-\x1f]*$")]
_Party = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
_Language = Literal["kk", "ru", "en"]


class _Why(Asked):
    why: _Reason


class _Stop(_Why):
    language: _Language


class _Release(_Why):
    party: _Party


class _Hold(_Release):
    language: _Language


class _Signed(Asked):
    psbt: Annotated[str, Field(min_length=1)]


class _Bump(Asked):
    rate: Annotated[int, Field(ge=1, le=10_000)]


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
        asked = parameters(request, (*_PAGED, "q", "sort", "order"))
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
        limit, offset = paging(parameters(request, _PAGED))
        return json_answer(request, await self._gate.read(accounts.credits, party, limit, offset))

    @app.route("/payouts", methods=["GET"])
    async def payouts(self, request: Any) -> bytes:
        """What a miner was and is being paid, the newest first."""
        party = await self._gate.miner(request)
        limit, offset = paging(parameters(request, _PAGED))
        depths = Depths(self._subject.depths())
        return json_answer(request, await self._gate.read(accounts.payments, party, depths, limit, offset))

    @app.route("/statements", methods=["GET"])
    async def statements(self, request: Any) -> bytes:
        """The months of which a miner gets a statement, the newest first."""
        party = await self._gate.miner(request)
        limit, offset = paging(parameters(request, _PAGED))
        as_of = _settled()
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
        as_of = instant_of(asked, "as_of") or _settled()
        period = _period(name, as_of)

        async def make() -> tuple[str, bytes]:
            law, pool = self._subject.law(), _pool(self._subject)
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
        limit, offset = paging(parameters(request, _PAGED))
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
        return refuse(request, Fault(422, "unfit", str(failure.value)))

    @app.handle_errors(StatementError)
    def unstated(self, request: Any, failure: Failure) -> bytes:
        """There is no such statement."""
        return refuse(request, Fault(422, "no_statement", str(failure.value)))

    answer_faults(app)


class AccountingPages:
    """All accounts, below `/accounting`."""

    app = Klein()

    def __init__(self, gate: Gate, subject: Subject) -> None:
        self._gate = gate
        self._subject = subject
        self._making = Turns()

    @app.route("/payouts", methods=["GET"])
    async def payouts(self, request: Any) -> bytes:
        """Whether payments may go out, the batches under way, and what is held."""
        await self._gate.admit(request, Right.READ)
        at, payments = _until(parameters(request, MOMENT)), self._subject.payments
        told = await self._gate.read(accounts.standing_of_payouts, self._depths(at), at)
        return json_answer(request, {**told, "signing": payments.signing if payments and at is None else None})

    @app.route(f"/payouts/<{_BATCH}:number>", methods=["GET"])
    async def batch(self, request: Any, number: int) -> bytes:
        """A batch, and what it pays to whom."""
        await self._gate.admit(request, Right.READ)
        at = _until(parameters(request, MOMENT))
        return json_answer(request, await self._gate.read(accounts.batch_of, number, self._depths(at), at))

    def _depths(self, at: datetime | None) -> Depths:
        """How deep transactions lie; of the past nobody knows."""
        return Depths(self._subject.depths() if at is None else {})

    @app.route("/payouts/propose", methods=["POST"])
    async def propose(self, request: Any) -> bytes:
        """Move what is due into a new batch."""
        holder, payments = await self._paying(request)
        return json_answer(request, await deferToThread(payments.propose, holder.name))

    @app.route(f"/payouts/<{_BATCH}:number>/approve", methods=["POST"])
    async def approve(self, request: Any, number: int) -> bytes:
        """Let a batch that somebody else proposed be paid."""
        holder, payments = await self._paying(request)
        await deferToThread(payments.approve, number, holder.name)
        return json_answer(request, {"batch": number, "approved_by": holder.name})

    @app.route("/payouts/hold", methods=["POST"])
    async def hold(self, request: Any) -> bytes:
        """Keep a party's payments back."""
        holder, payments = await self._paying(request)
        asked = body(request, _Hold)
        await deferToThread(payments.hold, asked.party, asked.why, asked.language, holder.name)
        return json_answer(request, {"party": asked.party})

    @app.route("/payouts/release", methods=["POST"])
    async def release(self, request: Any) -> bytes:
        """Let a party's payments go again."""
        holder, payments = await self._paying(request)
        asked = body(request, _Release)
        await deferToThread(payments.release, asked.party, asked.why, holder.name)
        return json_answer(request, {"party": asked.party})

    @app.route("/payouts/stop", methods=["POST"])
    async def stop(self, request: Any) -> bytes:
        """Let nothing be proposed, signed or sent."""
        holder, payments = await self._paying(request)
        asked = body(request, _Stop)
        await deferToThread(payments.stop, asked.why, asked.language, holder.name)
        return json_answer(request, {"stopped_by": holder.name})

    @app.route("/payouts/resume", methods=["POST"])
    async def resume(self, request: Any) -> bytes:
        """Let payments go out again, if nothing is missing."""
        holder, payments = await self._paying(request)
        await deferToThread(payments.resume, body(request, _Why).why, holder.name)
        return json_answer(request, {"resumed_by": holder.name})

    @app.route("/payouts/check", methods=["POST"])
    async def check(self, request: Any) -> bytes:
        """Compare the wallet with the books; what does not fit stops payouts."""
        holder, payments = await self._paying(request)
        return json_answer(request, await deferToThread(payments.check, holder.name))

    @app.route(f"/payouts/<{_BATCH}:number>/abandon", methods=["POST"])
    async def abandon(self, request: Any, number: int) -> bytes:
        """Give a batch up, or be the first of the two who have to."""
        holder, payments = await self._paying(request)
        done = await deferToThread(payments.abandon, number, body(request, _Why).why, holder.name)
        return json_answer(request, {"batch": number, "abandoned": done})

    @app.route(f"/payouts/<{_BATCH}:number>/export", methods=["POST"])
    async def export(self, request: Any, number: int) -> bytes:
        """A batch's transaction, to be signed elsewhere."""
        holder, payments = await self._paying(request)
        return json_answer(
            request, {"batch": number, "psbt": await deferToThread(payments.export, number, holder.name)}
        )

    @app.route(f"/payouts/<{_BATCH}:number>/import", methods=["POST"])
    async def take_signed(self, request: Any, number: int) -> bytes:
        """Take a batch's signed transaction, and send it."""
        holder, payments = await self._paying(request)
        txid = await deferToThread(payments.accept, number, body(request, _Signed).psbt, holder.name)
        return json_answer(request, {"batch": number, "txid": txid})

    @app.route(f"/payouts/<{_BATCH}:number>/broadcast", methods=["POST"])
    async def broadcast(self, request: Any, number: int) -> bytes:
        """Sign a batch where the node's wallet signs, and send it."""
        holder, payments = await self._paying(request)
        await deferToThread(payments.broadcast, number, holder.name)
        return json_answer(request, {"batch": number})

    @app.route(f"/payouts/<{_BATCH}:number>/bump", methods=["POST"])
    async def bump(self, request: Any, number: int) -> bytes:
        """Replace a sent transaction by one with a higher fee."""
        holder, payments = await self._paying(request)
        txid = await deferToThread(payments.bump, number, body(request, _Bump).rate, holder.name)
        return json_answer(request, {"batch": number, "txid": txid})

    async def _paying(self, request: Any) -> tuple[Holder, Payments]:
        """Who asks, and who pays. Raises `Fault`."""
        holder = await self._gate.admit(request, Right.PAY)
        parameters(request, ())
        if self._subject.payments is None:
            raise Fault(422, "no_payouts", "the settings have no payouts; see docs/operators.md, Payouts")
        return holder, self._subject.payments

    @app.handle_errors(PayoutRefused)
    def not_paid(self, request: Any, failure: Failure) -> bytes:
        """What was asked is against the rules of payouts, or the node did not answer."""
        return refuse(request, Fault(422, "not_paid", str(failure.value)))

    @app.route("/rounds", methods=["GET"])
    async def rounds(self, request: Any) -> bytes:
        """Rounds, the newest first."""
        await self._gate.admit(request, Right.READ)
        asked = parameters(request, (*MOMENT, *_PAGED))
        return json_answer(request, await self._gate.read(accounts.rounds, *paging(asked), _until(asked)))

    @app.route("/sales", methods=["GET"])
    async def sales(self, request: Any) -> bytes:
        """What each miner still has to sell of a year."""
        await self._gate.admit(request, Right.READ)
        asked, settled = parameters(request, (*MOMENT, "year")), _settled()
        past = past_of(asked, datetime.now(UTC))
        as_of = settled if past is None else min(past.until, settled)
        period = _period(asked.get("year", f"{legal_day(as_of):%Y}"), as_of)
        if not period.is_year:
            raise Fault(400, "bad_parameter", "year is a calendar year, such as 2026")
        known_at = None if past is None else max(as_of, min(past.known_at, settled))
        read = accounts.sales, period, as_of, _pool(self._subject), self._subject.law(), known_at
        told = await self._making.run(lambda: self._gate.read(*read))
        return json_answer(request, told)

    @app.route("/distributed", methods=["GET"])
    async def distributed(self, request: Any) -> bytes:
        """The issued versions of the record of distributed assets."""
        await self._gate.admit(request, Right.READ)
        asked = parameters(request, (*MOMENT, *_PAGED))
        return json_answer(request, await self._gate.read(accounts.distributed, *paging(asked), _until(asked)))

    answer_faults(app)


def _render_apart(report: Report, form: str, lang: str) -> tuple[str, bytes]:
    """As `render`, in a process of its own: typesetting takes seconds, for which no share should wait."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(render, report, form, lang).result()


def _until(asked: Mapping[str, str]) -> datetime | None:
    """The moment up to which the books are told; None for the present. Raises `Fault`."""
    past = past_of(asked, datetime.now(UTC))
    return None if past is None else past.until


def _settled() -> datetime:
    """The latest moment that a report may be of."""
    return (datetime.now(UTC) - timedelta(seconds=SETTLED_SECONDS)).replace(microsecond=0)


def _period(name: str, as_of: datetime) -> Period:
    """A year, quarter or month that has begun. Raises `Fault`."""
    try:
        require_moment(as_of, datetime.now(UTC))
    except ReportError as error:
        raise Fault(400, "bad_parameter", str(error)) from None
    return begun(Period.parse, name, as_of)


def _pool(subject: Subject) -> Pool:
    return Pool(subject.live().pool_name, subject.seat.country, subject.seat.server)
