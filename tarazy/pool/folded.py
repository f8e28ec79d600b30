"""Which quarters may be folded, and folding them piece by piece; the office does it by itself where settings say so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Connection

from tarazy.accounting.energy.folding import (
    Piece,
    UnsettledError,
    drop_folded_readings,
    fold,
    folded_meters,
    last_detail,
    pieces,
)
from tarazy.accounting.fee.due import due_dates
from tarazy.accreditation.registers import as_of
from tarazy.config.law import LawBook, NoRuleInForceError
from tarazy.config.law.calendar import Quarter, legal_day
from tarazy.pool.repeat import Repeat
from tarazy.reports.consumption import cuts

if TYPE_CHECKING:
    from tarazy.database.engine import Database
    from tarazy.pool.clock import Clock

_SECONDS = 3600.0
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


class Folding:
    """Folds the oldest quarters as soon as they may be; one piece at a time, so that others get their turn."""

    def __init__(self, clock: Clock, database: Database, law: Callable[[], LawBook], keep_days: int) -> None:
        self._database = database
        self._law = law
        self._keep_days = keep_days
        self._ending = False
        self.repeat = Repeat(clock, "fold_energy", _SECONDS, self.fold)

    async def stop(self) -> None:
        """End after the piece under way."""
        self._ending = True
        await self.repeat.stop()

    async def fold(self) -> None:
        """Fold every quarter that may be."""
        while not self._ending:
            now = datetime.now(UTC)
            oldest = await self._database.read(last_detail)
            if oldest is None:
                return
            quarter = Quarter.of(oldest)
            try:
                require_foldable(self._law(), quarter, legal_day(now), self._keep_days)
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
