"""Work done again and again in the reactor; after a failure, logged once, the next turn comes all the same."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import LoopingCall

_log = structlog.get_logger()


class Repeat:
    """Runs `work` every `seconds`, never twice at once; a turn that would overlap is left out."""

    def __init__(
        self,
        clock: Any,
        name: str,
        seconds: float,
        work: Callable[[], Coroutine[Deferred[Any], Any, None]],
    ) -> None:
        self.healthy = True
        self._name = name
        self._seconds = seconds
        self._work = work
        self._call = LoopingCall(self._turn)
        self._call.clock = clock
        self._current: Deferred[None] | None = None

    def start(self) -> None:
        """Begin now."""
        self._call.start(self._seconds)

    async def stop(self) -> None:
        """End after the turn under way."""
        if self._call.running:
            current = self._current
            self._call.stop()
            if current is not None:
                await current

    def _turn(self) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        self._current = done

        async def turn() -> None:
            try:
                await self._work()
            except Exception as error:
                if self.healthy:
                    _log.error("repeated_work_failed", work=self._name, error=str(error), exc_info=True)
                self.healthy = False
            else:
                if not self.healthy:
                    _log.info("repeated_work_recovered", work=self._name)
                self.healthy = True
            finally:
                self._current = None
                done.callback(None)

        ensureDeferred(turn())
        return done
