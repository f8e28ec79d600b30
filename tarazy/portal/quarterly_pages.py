"""Quarterly information over HTTP: a miner tells its own, who may read all of it sees what is missing. Import late."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from klein import Klein
from pydantic import Field
from sqlalchemy import Connection
from twisted.python.failure import Failure

from tarazy.accreditation import quarterly
from tarazy.accreditation.quarterly import HIGHEST, LONGEST_WHY, QuarterlyError, Submitted, Told
from tarazy.accreditation.registers import as_of as registers_as_of
from tarazy.config.law.calendar import Quarter
from tarazy.portal.bodies import Asked, body
from tarazy.portal.gate import Gate, answer_faults, json_answer, parameters
from tarazy.portal.guard import Fault, refuse
from tarazy.portal.moments import MOMENT, begun, instant_of, told_of
from tarazy.portal.rights import Right
from tarazy.reports.gather.coins import PEOPLE, name_of, people
from tarazy.reports.gather.quarterly import NOTHING_KNOWN, known_of

_Figure = Annotated[int, Field(ge=0, le=HIGHEST)]


class _Told(Asked):
    quarter: Annotated[str, Field(min_length=6, max_length=7)]
    energy_wh: _Figure
    investment_kzt: _Figure
    jobs: _Figure
    machines: _Figure
    power_w: _Figure

    def told(self) -> Told:
        """The figures."""
        return Told(**self.model_dump(include=set(quarterly.FIELDS)))


class _Submitted(_Told):
    why: Annotated[str, Field(max_length=LONGEST_WHY)] | None = None


class QuarterlyPages:
    """Quarterly information, below `/quarterly`."""

    app = Klein()

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    @app.route("/own", methods=["GET"])
    async def own(self, request: Any) -> bytes:
        """What a miner told of a quarter, its draft, and what the pool knows to begin from."""
        party = await self._gate.miner(request)
        quarter = _quarter(parameters(request, ("quarter",)).get("quarter"), datetime.now(UTC))
        return json_answer(request, await self._gate.read(_own, party, quarter, datetime.now(UTC)))

    @app.route("/draft", methods=["POST"])
    async def draft(self, request: Any) -> bytes:
        """Keep a miner's figures until it submits them."""
        holder = await self._gate.admit(request, Right.TELL)
        asked = body(request, _Told)
        now = datetime.now(UTC)
        told = holder.party, _quarter(asked.quarter, now), asked.told(), now, holder.name
        await self._gate.write(quarterly.save_draft, *told)
        return json_answer(request, {"quarter": str(told[1])})

    @app.route("/submit", methods=["POST"])
    async def submit(self, request: Any) -> bytes:
        """Record a miner's figures as the next version."""
        holder = await self._gate.admit(request, Right.TELL)
        asked = body(request, _Submitted)
        now = datetime.now(UTC)
        told = holder.party, _quarter(asked.quarter, now), asked.told(), asked.why, now, holder.name
        return json_answer(request, _version(await self._gate.write(quarterly.submit, *told)))

    @app.route("/standing", methods=["GET"])
    async def standing(self, request: Any) -> bytes:
        """What every party told of a quarter, and which told nothing."""
        await self._gate.admit(request, Right.READ)
        now = datetime.now(UTC)
        asked = parameters(request, (*MOMENT, "quarter"))
        told = told_of(asked, now)
        quarter = _quarter(asked.get("quarter"), told.valid_at)
        known_at = instant_of(asked, "known_at")
        return json_answer(request, await self._gate.read(_standing, quarter, told.valid_at, known_at, told.until))

    @app.handle_errors(QuarterlyError)
    def untold(self, request: Any, failure: Failure) -> bytes:
        """The figures are not taken."""
        return refuse(request, Fault(422, "not_taken", str(failure.value)))

    answer_faults(app)


def _quarter(name: str | None, now: datetime) -> Quarter:
    """A quarter that has begun at a moment; the last one that is over when none is named. Raises `Fault`."""
    if name is None:
        return Quarter.of(Quarter.of(now).start - timedelta(days=1))
    return begun(Quarter.parse, name, now)


def _version(each: Submitted) -> dict[str, Any]:
    told = {"version": each.version, **asdict(each.told), "why": each.why}
    return {**told, "recorded_at": each.recorded_at, "recorded_by": each.recorded_by}


def _own(connection: Connection, party: str, quarter: Quarter, now: datetime) -> dict[str, Any]:
    registers = registers_as_of(connection, min(now, quarter.end - datetime.resolution))
    kept = quarterly.draft(connection, party, quarter)
    return {
        "quarter": str(quarter),
        "is_over": quarter.end <= now,
        "known": asdict(known_of(connection, registers, quarter, now).get(party, NOTHING_KNOWN)),
        "draft": asdict(kept) if kept else None,
        "items": [_version(each) for each in reversed(quarterly.versions(connection, party, quarter))],
    }


def _standing(
    connection: Connection, quarter: Quarter, now: datetime, known_at: datetime | None, until: datetime
) -> dict[str, Any]:
    """As it was at `now`: registers as known at `known_at`, what was submitted `until` then."""
    registers = registers_as_of(connection, min(now, quarter.end - datetime.resolution), known_at, PEOPLE)
    newest, registered = quarterly.newest(connection, quarter, until), people(registers)
    items = [
        {
            "party": key,
            "names": name_of(registered[key]),
            "told": _version(newest[key]) if key in newest else None,
        }
        for key in sorted(registered.keys() & {*registers.parties, *newest})
    ]
    items.sort(key=lambda item: item["told"] is not None)
    return {"quarter": str(quarter), "is_over": quarter.end <= now, "total": len(items), "items": items}
