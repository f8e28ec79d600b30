"""Deliveries and the schedule of reports over HTTP: who may read sees them, a second person approves. Import late."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from tarazy.portal.gate import PAGED, Gate, json_answer, paging, parameters
from tarazy.portal.guard import Fault
from tarazy.portal.moments import MOMENT, past_of
from tarazy.portal.rights import Right
from tarazy.portal.snapshot import Subject
from tarazy.reports.delivery import outbox
from tarazy.reports.delivery.outbox import DeliveryError, DeliveryState
from tarazy.reports.schedule import progress

_NUMBER = re.compile("[1-9][0-9]{0,17}")


class DeliveryPages:
    """`/deliveries` and `/schedule`."""

    def __init__(self, gate: Gate, subject: Subject) -> None:
        self._gate = gate
        self._subject = subject

    async def listing(self, request: Any) -> bytes:
        """The deliveries, the newest first."""
        await self._gate.admit(request, Right.READ)
        asked = parameters(request, (*MOMENT, *PAGED))
        limit, offset = paging(asked)
        past = past_of(asked, datetime.now(UTC))

        def look(connection: Connection) -> dict[str, Any]:
            if past is not None:
                total, then = outbox.deliveries_at(connection, past.until, limit, offset)
                return {"total": total, "items": [row.plain() for row in then]}
            found = outbox.deliveries(connection, DeliveryState, limit, offset)
            return {"total": sum(outbox.counts(connection).values()), "items": [row.plain() for row in found]}

        return json_answer(request, await self._gate.read(look))

    async def approve(self, request: Any) -> bytes:
        """Let a document that somebody else proposed be sent."""
        holder = await self._gate.admit(request, Right.SEND)
        told = parameters(request, ("delivery",)).get("delivery", "")
        if not _NUMBER.fullmatch(told):
            raise Fault(400, "bad_parameter", "delivery is the number of a delivery")
        number = int(told)

        def act(connection: Connection) -> dict[str, Any]:
            outbox.approve(connection, number, datetime.now(UTC), holder.name)
            return outbox.read(connection, number).plain()

        try:
            return json_answer(request, await self._gate.write(act))
        except DeliveryError as error:
            raise Fault(422, "not_approved", str(error)) from None

    async def schedule(self, request: Any) -> bytes:
        """The reports that are due, the nearest first."""
        await self._gate.admit(request, Right.READ)
        now, subject = datetime.now(UTC), self._subject
        past = past_of(parameters(request, MOMENT), now)
        now = now if past is None else past.until
        read = progress, subject.schedule, subject.law(), now
        rows, faults = await self._gate.read(*read, past=past is not None)
        rows = [row for row in rows if not row.is_done]
        return json_answer(request, {"items": [row.plain(now) for row in rows], "faults": faults})
