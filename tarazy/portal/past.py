"""The page of the pool as it was: everything of one moment is read at once, and kept while people look at it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from time import monotonic

from sqlalchemy import Connection

from tarazy.accounting.energy.intervals import floor_to
from tarazy.accreditation.expiry import expiries
from tarazy.portal import queries
from tarazy.portal.documents import documents
from tarazy.portal.facts import Facts
from tarazy.portal.gate import Gate
from tarazy.portal.moments import Told, instant_of
from tarazy.portal.shelf import Moment, Shelf
from tarazy.portal.snapshot import Snapshot, Subject, make_snapshot
from tarazy.portal.turns import Turns
from tarazy.reports.attention import notices

KEPT, KEPT_SECONDS = 8, 60.0
"""How many moments are kept, and for how long: what is known of them may grow."""


class PastSnapshots:
    """Snapshots of moments of before, read one at a time."""

    def __init__(self, gate: Gate, subject: Subject, shelf: Shelf) -> None:
        self._gate = gate
        self._subject = subject
        self._shelf = shelf
        self._reading = Turns()
        self._kept: OrderedDict[tuple[str | None, str | None], tuple[float, Snapshot]] = OrderedDict()

    async def get(self, asked: Mapping[str, str], told: Told) -> Snapshot:
        """The snapshot of `told`, which is what was `asked` for."""
        key = asked.get("as_of"), asked.get("known_at")

        async def get() -> Snapshot:
            read_at, found = self._kept.get(key, (0.0, None))
            if found is None or monotonic() - read_at > KEPT_SECONDS:
                moment = Moment(told.valid_at, instant_of(asked, "known_at"))
                found = await self._gate.read(self._read, moment, told)
                self._kept[key] = monotonic(), found
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return found

        return await self._reading.run(get)

    def _read(self, connection: Connection, moment: Moment, told: Told) -> Snapshot:
        subject, until = self._subject, told.until
        registers, seconds = self._shelf.registers(moment), subject.interval_seconds
        past = queries.Past(told, floor_to(until, seconds))
        ended = told.ended(seconds).valid_at
        facts = Facts(
            now=until,
            interval_seconds=seconds,
            present=queries.present(connection, registers, subject.seat, seconds, until, past),
            day=queries.day_of_work(connection, until, past),
            quarter=queries.quarter_so_far(connection, registers, subject.law(), ended, told.known_at),
            attention=notices(registers, expiries(registers, ()), ()),
            past=True,
        )
        live = replace(
            subject.live(),
            connections=None,
            ready_connections=None,
            tip_height=None,
            template_height=None,
            template_at=None,
        )
        return make_snapshot(facts, live, {}, documents(subject.reports, told.until))
