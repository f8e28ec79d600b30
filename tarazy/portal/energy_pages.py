"""Energy over HTTP, below `/energy`: to who may read everything, and to a miner its own. Import late."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from klein import Klein
from sqlalchemy import Connection

from tarazy.accounting.energy.figures import FoldedError
from tarazy.accreditation.registers import follow
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law.calendar import Period, Quarter, day_start, legal_day
from tarazy.portal import energy
from tarazy.portal.energy import SPANS, Reader, span_of
from tarazy.portal.gate import Gate, answer_faults, json_answer, parameters
from tarazy.portal.guard import Fault
from tarazy.portal.snapshot import Subject

_EARLIEST, _LATEST = date(2015, 1, 1), date(2199, 1, 1)


class EnergyPages:
    """One method an address. Each costs what its site and its period hold."""

    app = Klein()

    def __init__(self, gate: Gate, subject: Subject) -> None:
        self._gate = gate
        self._subject = subject
        self._registers = Registers({}, datetime.now(UTC))

    async def _told(self, request: Any, work: Callable[..., dict[str, Any]]) -> bytes:
        """What `work` makes of a connection and the registers of now."""
        now = datetime.now(UTC)

        def read(connection: Connection) -> dict[str, Any]:
            registers = follow(connection, self._registers, now)
            self._registers = registers
            return work(connection, registers.at(now), now)

        try:
            return json_answer(request, await self._gate.read(read))
        except FoldedError as error:
            raise Fault(422, "folded", str(error)) from None

    @app.route("/sites", methods=["GET"])
    async def sites(self, request: Any) -> bytes:
        """The sites there are for who asks."""
        reader = Reader(await self._gate.whose_energy(request))
        parameters(request, ())
        return await self._told(request, lambda _, registers, now: energy.sites(registers, reader, now))

    @app.route("/sites/<site>/load", methods=["GET"])
    async def load(self, request: Any, site: str) -> bytes:
        """Power by interval, with its quality."""
        reader = Reader(await self._gate.whose_energy(request))
        period, seconds = _span(request), self._subject.interval_seconds
        return await self._told(
            request,
            lambda connection, registers, now: energy.load(connection, registers, reader, site, period, now, seconds),
        )

    @app.route("/sites/<site>/allocation", methods=["GET"])
    async def allocation(self, request: Any, site: str) -> bytes:
        """Who got how much, by which rule."""
        reader = Reader(await self._gate.whose_energy(request))
        period = _span(request)
        return await self._told(
            request,
            lambda connection, registers, now: energy.allocation(connection, registers, reader, site, period, now),
        )

    @app.route("/sites/<site>/supplies", methods=["GET"])
    async def supplies(self, request: Any, site: str) -> bytes:
        """What supplies gave in a month, and what is permitted."""
        reader = Reader(await self._gate.whose_energy(request))
        asked = parameters(request, ("month",)).get("month", f"{legal_day(datetime.now(UTC)):%Y-%m}")
        month = _month(asked)
        return await self._told(
            request,
            lambda connection, registers, now: energy.supplies(connection, registers, reader, site, month, now),
        )

    @app.route("/sites/<site>/reconciliation", methods=["GET"])
    async def reconciliation(self, request: Any, site: str) -> bytes:
        """Energy against work."""
        reader = Reader(await self._gate.whose_energy(request))
        parameters(request, ())
        rule, seconds = self._subject.floor, self._subject.interval_seconds
        return await self._told(
            request,
            lambda connection, registers, now: energy.reconciled(
                connection, registers, reader, site, rule, now, seconds
            ),
        )

    @app.route("/sites/<site>/meters", methods=["GET"])
    async def meters(self, request: Any, site: str) -> bytes:
        """Meters, their last readings and what was exchanged."""
        reader = Reader(await self._gate.whose_energy(request))
        parameters(request, ())
        seconds = self._subject.interval_seconds
        return await self._told(
            request, lambda connection, registers, now: energy.meters(connection, registers, reader, site, now, seconds)
        )

    @app.route("/sites/<site>/findings", methods=["GET"])
    async def findings(self, request: Any, site: str) -> bytes:
        """What is not as it should be, and what to do."""
        reader = Reader(await self._gate.whose_energy(request))
        parameters(request, ())
        return await self._told(
            request, lambda connection, registers, now: energy.findings(connection, registers, reader, site, now)
        )

    @app.route("/fees/<name>", methods=["GET"])
    async def fee(self, request: Any, name: str) -> bytes:
        """How a party's fee for a quarter comes about."""
        own = await self._gate.whose_energy(request)
        party = parameters(request, ("party",)).get("party", own)
        if party is None:
            raise Fault(400, "bad_parameter", "party names whose fee it is, such as ?party=acme")
        if own not in (None, party):
            raise LookupError(f"there is no party {party} among yours")
        quarter, law = _quarter(name), self._subject.law
        return await self._told(
            request, lambda connection, registers, now: energy.fee(connection, registers, law, party, quarter, now)
        )

    answer_faults(app)


def _span(request: Any) -> Period:
    """The parameters `span` and `day`: the present day where they are left out. Raises `Fault`."""
    asked = parameters(request, ("span", "day"))
    span, text = asked.get("span", "day"), asked.get("day", f"{legal_day(datetime.now(UTC))}")
    try:
        day = date.fromisoformat(text)
        if span in SPANS and _EARLIEST <= day < _LATEST:
            return span_of(span, day)
    except ValueError:
        pass
    raise Fault(400, "bad_parameter", f"span is one of {', '.join(SPANS)}, day a day of it such as 2026-03-31")


def _month(text: str) -> Period:
    try:
        month = Period.parse(text)
        if f"{month.first_day:%Y-%m}" == text and month.start <= datetime.now(UTC):
            return month
    except ValueError:
        pass
    raise Fault(400, "bad_parameter", "month is a calendar month that has begun, such as 2026-03")


def _quarter(text: str) -> Quarter:
    try:
        quarter = Quarter.parse(text)
        if quarter.first_day >= _EARLIEST and day_start(quarter.first_day) < datetime.now(UTC):
            return quarter
    except ValueError:
        pass
    raise Fault(400, "bad_parameter", "a quarter that has begun is asked for, such as 2026-Q1")
