"""Energy over HTTP, below `/energy`: to who may read everything, and to a miner its own. Import late."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from klein import Klein
from sqlalchemy import Connection

from tarazy.accounting.energy.figures import FoldedError
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law.calendar import Period, Quarter, legal_day
from tarazy.portal import energy
from tarazy.portal.energy import SPANS, Reader, span_of
from tarazy.portal.gate import Gate, answer_faults, json_answer, parameters
from tarazy.portal.guard import Fault, nothing
from tarazy.portal.moments import EARLIEST, MOMENT, Told, begun, instant_of, told_of
from tarazy.portal.shelf import Moment, Shelf
from tarazy.portal.snapshot import Subject

_SPAN = ("span", "day")
_LATEST = date(2199, 1, 1)


class EnergyPages:
    """One method an address. Each costs what its site and its period hold."""

    app = Klein()

    def __init__(self, gate: Gate, subject: Subject, shelf: Shelf) -> None:
        self._gate = gate
        self._subject = subject
        self._shelf = shelf

    async def _told(
        self, request: Any, asked: Mapping[str, str], work: Callable[[Connection, Registers, Told], dict[str, Any]]
    ) -> bytes:
        """What `work` makes of a connection, and of the registers and the moment that are asked for."""
        now = datetime.now(UTC)
        told = told_of(asked, now)
        moment = Moment(told.valid_at, instant_of(asked, "known_at"))

        def read(connection: Connection) -> dict[str, Any]:
            return work(connection, self._shelf.registers(moment), told)

        try:
            return json_answer(request, await self._gate.read(read))
        except FoldedError as error:
            raise Fault(422, "folded", str(error)) from None

    async def _reader(self, request: Any, *others: str) -> tuple[Reader, dict[str, str]]:
        """Who asks, and what. Raises `Fault`."""
        reader = Reader(await self._gate.whose_energy(request))
        asked = parameters(request, (*others, *MOMENT) if reader.party is None else others)
        return reader, asked

    @app.route("/sites", methods=["GET"])
    async def sites(self, request: Any) -> bytes:
        """The sites there are for who asks."""
        reader, asked = await self._reader(request)
        return await self._told(
            request, asked, lambda _, registers, told: energy.sites(registers, reader, told.valid_at)
        )

    @app.route("/sites/<site>/load", methods=["GET"])
    async def load(self, request: Any, site: str) -> bytes:
        """Power by interval, with its quality."""
        reader, asked = await self._reader(request, *_SPAN)
        period, seconds = _span(asked), self._subject.interval_seconds
        return await self._told(
            request,
            asked,
            lambda connection, registers, told: energy.load(
                connection, registers, reader, site, period, told.ended(seconds), seconds
            ),
        )

    @app.route("/sites/<site>/allocation", methods=["GET"])
    async def allocation(self, request: Any, site: str) -> bytes:
        """Who got how much, by which rule."""
        reader, asked = await self._reader(request, *_SPAN)
        period = _span(asked)
        return await self._told(
            request,
            asked,
            lambda connection, registers, told: energy.allocation(
                connection, registers, reader, site, period, told.ended(self._subject.interval_seconds)
            ),
        )

    @app.route("/sites/<site>/supplies", methods=["GET"])
    async def supplies(self, request: Any, site: str) -> bytes:
        """What supplies gave in a month, and what is permitted."""
        reader, asked = await self._reader(request, "month")
        month = begun(Period.parse, asked.get("month", f"{legal_day(_valid_at(asked)):%Y-%m}"), datetime.now(UTC))
        if not month.is_month:
            raise Fault(400, "bad_parameter", "month is a calendar month, such as 2026-03")
        return await self._told(
            request,
            asked,
            lambda connection, registers, told: energy.supplies(
                connection, registers, reader, site, month, told.ended(self._subject.interval_seconds)
            ),
        )

    @app.route("/sites/<site>/reconciliation", methods=["GET"])
    async def reconciliation(self, request: Any, site: str) -> bytes:
        """Energy against work."""
        reader, asked = await self._reader(request)
        rule, seconds = self._subject.floor, self._subject.interval_seconds
        return await self._told(
            request,
            asked,
            lambda connection, registers, told: energy.reconciled(
                connection, registers, reader, site, rule, told, seconds
            ),
        )

    @app.route("/sites/<site>/meters", methods=["GET"])
    async def meters(self, request: Any, site: str) -> bytes:
        """Meters, their last readings and what was exchanged."""
        reader, asked = await self._reader(request)
        seconds = self._subject.interval_seconds
        return await self._told(
            request,
            asked,
            lambda connection, registers, told: energy.meters(connection, registers, reader, site, told, seconds),
        )

    @app.route("/sites/<site>/findings", methods=["GET"])
    async def findings(self, request: Any, site: str) -> bytes:
        """What is not as it should be, and what to do."""
        reader, asked = await self._reader(request)
        return await self._told(
            request,
            asked,
            lambda connection, registers, told: energy.findings(connection, registers, reader, site, told.valid_at),
        )

    @app.route("/fees/<name>", methods=["GET"])
    async def fee(self, request: Any, name: str) -> bytes:
        """How a party's fee for a quarter comes about."""
        reader, asked = await self._reader(request, "party")
        own = reader.party
        party = asked.get("party", own)
        if party is None:
            raise Fault(400, "bad_parameter", "party names whose fee it is, such as ?party=acme")
        if own not in (None, party):
            raise nothing(f"there is no party {party} among yours")
        quarter, law = begun(Quarter.parse, name, datetime.now(UTC)), self._subject.law()
        return await self._told(
            request,
            asked,
            lambda connection, registers, told: energy.fee(
                connection, registers, law, party, quarter, told.ended(self._subject.interval_seconds)
            ),
        )

    answer_faults(app)


def _valid_at(asked: Mapping[str, str]) -> datetime:
    return instant_of(asked, "as_of") or datetime.now(UTC)


def _span(asked: Mapping[str, str]) -> Period:
    """The parameters `span` and `day`: the day of the moment where they are left out. Raises `Fault`."""
    span, text = asked.get("span", "day"), asked.get("day", f"{legal_day(_valid_at(asked))}")
    try:
        day = date.fromisoformat(text)
        if span in SPANS and EARLIEST <= day < _LATEST:
            return span_of(span, day)
    except ValueError:
        pass
    raise Fault(400, "bad_parameter", f"span is one of {', '.join(SPANS)}, day a day of it such as 2026-03-31")
