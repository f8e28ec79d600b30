"""All accounts over HTTP, to who may read them, and payouts, to who may pay. One method an address; import late."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from klein import Klein
from pydantic import Field
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from tarazy.config.law.calendar import legal_day
from tarazy.portal import accounts
from tarazy.portal.accounts import Depths
from tarazy.portal.bodies import Asked, body
from tarazy.portal.gate import PAGED, Gate, answer_faults, json_answer, paging, parameters, refuse_in_words
from tarazy.portal.guard import Fault
from tarazy.portal.moments import MOMENT, past_of, report_period, settled_now
from tarazy.portal.payments import Payments, PayoutRefused
from tarazy.portal.rights import Holder, Right
from tarazy.portal.snapshot import Subject
from tarazy.portal.turns import Turns

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
        return refuse_in_words(request, "not_paid", failure)

    @app.route("/rounds", methods=["GET"])
    async def rounds(self, request: Any) -> bytes:
        """Rounds, the newest first."""
        await self._gate.admit(request, Right.READ)
        asked = parameters(request, (*MOMENT, *PAGED))
        return json_answer(request, await self._gate.read(accounts.rounds, *paging(asked), _until(asked)))

    @app.route("/sales", methods=["GET"])
    async def sales(self, request: Any) -> bytes:
        """What each miner still has to sell of a year."""
        await self._gate.admit(request, Right.READ)
        asked, settled = parameters(request, (*MOMENT, "year")), settled_now()
        past = past_of(asked, datetime.now(UTC))
        as_of = settled if past is None else min(past.until, settled)
        period = report_period(asked.get("year", f"{legal_day(as_of - timedelta(microseconds=1)):%Y}"), as_of)
        if not period.is_year:
            raise Fault(400, "bad_parameter", "year is a calendar year, such as 2026")
        known_at = None if past is None else max(as_of, min(past.known_at, settled))
        read = accounts.sales, period, as_of, self._subject.pool(), self._subject.law(), known_at
        told = await self._making.run(lambda: self._gate.read(*read))
        return json_answer(request, told)

    @app.route("/distributed", methods=["GET"])
    async def distributed(self, request: Any) -> bytes:
        """The issued versions of the record of distributed assets."""
        await self._gate.admit(request, Right.READ)
        asked = parameters(request, (*MOMENT, *PAGED))
        return json_answer(request, await self._gate.read(accounts.distributed, *paging(asked), _until(asked)))

    answer_faults(app)


def _until(asked: Mapping[str, str]) -> datetime | None:
    """The moment up to which the books are told; None for the present. Raises `Fault`."""
    past = past_of(asked, datetime.now(UTC))
    return None if past is None else past.until
