"""What becomes of the energy of days that are over, piece by piece.

The office sums them up, and folds the quarters that may be where settings say so.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Connection

from tarazy.accounting.energy.folding import (
    UnsettledError,
    drop_folded_readings,
    fold,
    folded_meters,
    sum_up,
)
from tarazy.accounting.energy.site_days import Piece, last_detail, pieces
from tarazy.accounting.fee.due import due_dates
from tarazy.accreditation.registers import as_of
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law import LawBook, NoRuleInForceError
from tarazy.config.law.calendar import Quarter, legal_day
from tarazy.pool.repeat import Repeat
from tarazy.reports.consumption import cuts

if TYPE_CHECKING:
    from tarazy.database.engine import Database
    from tarazy.pool.clock import Clock

_SECONDS = 3600.0
_OVER = timedelta(hours=2)
"""How long after its end a day is summed up: until then its last intervals are still divided anew."""
_METERS_AT_ONCE = 100

_log = structlog.get_logger()


class FoldRefusedError(Exception):
    """A quarter that must stay in detail, and why."""


def require_foldable(law: LawBook, quarter: Quarter, today: date, keep_days: int, *, declared: bool = False) -> None:
    """Raise `FoldRefusedError` while a quarter is open, its fee is to be declared or paid, or its detail is kept.

    `declared`: somebody says that the fee was declared and paid, where the law in the rule files does not tell when.
    """
    if today <= quarter.last_day:
        raise FoldRefusedError(f"{quarter} has not ended")
    last = quarter.last_day
    try:
        due = due_dates(law, quarter)
        terms = [term.working_day for term in (due.declare, due.pay) if term is not None]
        last = max([last, *terms])
    except NoRuleInForceError as error:
        if not declared:
            raise FoldRefusedError(
                f"when the fee of {quarter} is declared and paid is not known ({error}); "
                "say --declared once it was declared and paid"
            ) from None
    kept = last + timedelta(days=keep_days)
    if today <= kept:
        raise FoldRefusedError(f"the detail of {quarter} is kept until {kept}: {keep_days} days after {last}")


def to_sum(connection: Connection, registers: Registers, now: datetime) -> list[Piece]:
    """The pieces of the days that are over of which no figures are stored, or figures that a newer entry cuts."""
    start, end = last_detail(connection), now - _OVER
    if start is None or start >= end:
        return []
    return list(pieces(connection, start, end, cuts(registers, start, end), summed=False))


def to_fold(connection: Connection, quarter: Quarter, now: datetime) -> list[Piece]:
    """The pieces of a quarter that are still in detail, and of what lies before it."""
    end = quarter.next().start
    start = min(quarter.start, last_detail(connection) or quarter.start)
    start = Quarter.of(start).start
    return list(pieces(connection, start, end, cuts(as_of(connection, now, now), start, end)))


def meters_to_drop(connection: Connection, quarter: Quarter) -> list[list[str]]:
    """Meters whose readings of the quarter and before may go, some at a time."""
    meters = folded_meters(connection, quarter.next().start)
    return [meters[first : first + _METERS_AT_ONCE] for first in range(0, len(meters), _METERS_AT_ONCE)]


class EnergyDays:
    """Sums days up and folds the oldest quarters; one piece at a time, so that others get their turn."""

    def __init__(
        self,
        clock: Clock,
        database: Database,
        registers: Callable[[], Registers],
        law: Callable[[], LawBook],
        keep_days: int | None,
    ) -> None:
        """`keep_days`: for how long a quarter stays in detail; None: for ever."""
        self._database = database
        self._registers = registers
        self._law = law
        self._keep_days = keep_days
        self._ending = False
        self.repeat = Repeat(clock, "sum_energy", _SECONDS, self.keep)

    async def stop(self) -> None:
        """End after the piece under way."""
        self._ending = True
        await self.repeat.stop()

    async def keep(self) -> None:
        """Sum up what is over, fold every quarter that may be."""
        if self._keep_days is not None:
            await self._fold(self._keep_days)
        now = datetime.now(UTC)
        for piece in await self._database.read(to_sum, self._registers().at(now), now):
            if self._ending:
                return
            await self._database.run(sum_up, piece)

    async def _fold(self, keep_days: int) -> None:
        while not self._ending:
            now = datetime.now(UTC)
            oldest = await self._database.read(last_detail)
            if oldest is None:
                return
            quarter = Quarter.of(oldest)
            try:
                require_foldable(self._law(), quarter, legal_day(now), keep_days)
            except FoldRefusedError:
                return
            rows = 0
            for piece in await self._database.read(to_fold, quarter, now):
                if self._ending:
                    return
                try:
                    rows += await self._database.run(fold, piece)
                except UnsettledError as error:
                    _log.warning("energy_not_folded", quarter=str(quarter), reason=str(error))
                    return
            readings = 0
            for meters in await self._database.read(meters_to_drop, quarter):
                readings += await self._database.run(drop_folded_readings, meters, quarter.next().start)
            _log.info("energy_folded", quarter=str(quarter), rows=rows, readings=readings)
