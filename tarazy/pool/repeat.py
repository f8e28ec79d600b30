"""Work done again and again in the reactor; after a failure, logged once, the next turn comes all the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError, OperationalError
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

LONGEST_REST = 10.0

_log = structlog.get_logger()


class Repeat:
    """Runs `work` every `seconds`, never twice at once; a turn that would overlap is left out.

    With `rest`, the pause after a turn that did its work is so many times what the turn took, within a bound: a turn
    may have waited for somebody else.
    """

    def __init__(
        self,
        clock: Any,
        name: str,
        seconds: float,
        work: Callable[[], Coroutine[Deferred[Any], Any, None]],
        rest: float = 0.0,
    ) -> None:
        self.healthy = True
        self._rest = rest
        self.name = name
        self._seconds = seconds
        self._work = work
        self._call = LoopingCall(self._turn)
        self._call.clock = clock
        self._ended: Deferred[Any] | None = None

    def start(self) -> None:
        """Begin now."""
        self._ended = self._call.start(self._seconds)

    async def stop(self) -> None:
        """End after the turn under way."""
        if self._ended is not None and self._call.running:
            self._call.stop()
            await self._ended

    def _turn(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._try())

    async def _try(self) -> None:
        began = time.monotonic()
        self._call.interval = self._seconds
        try:
            await self._work()
        except Exception as error:
            if self.healthy:
                _log.error("repeated_work_failed", work=self.name, error=_told(error))
            self.healthy = False
        else:
            if not self.healthy:
                _log.info("repeated_work_recovered", work=self.name)
            self.healthy = True
            rest = min(self._rest * (time.monotonic() - began), LONGEST_REST)
            self._call.interval = max(self._seconds, rest)


def _told(error: Exception) -> str:
    """What failed, without the values of a database's own message: they may name people (invariant 12).

    That it is locked, full or away is said with no value of a row.
    """
    if isinstance(error, OperationalError):
        return f"database: {' '.join(str(error.orig).split())}"
    if isinstance(error, DBAPIError):
        return f"{type(error).__name__}: {type(error.orig).__name__}"
    return f"{type(error).__name__}: {error}"
