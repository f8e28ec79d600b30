"""Work that comes again after pauses it sets itself, or at once when somebody wants it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from tarazy.pool.clock import Clock, Timer

_PAUSE_AFTER_ERROR = 5.0

_log = structlog.get_logger()


class Turns:
    """Runs `work`, never twice at once; it answers the seconds until its next turn."""

    def __init__(self, clock: Clock, name: str, work: Callable[[], Coroutine[Deferred[Any], Any, float]]) -> None:
        self._clock = clock
        self._name = name
        self._work = work
        self._busy = False
        self._turn: Deferred[None] | None = None
        self._timer: Timer | None = None
        self._again = False
        self._stopped = True

    def start(self) -> None:
        """Begin now."""
        self._stopped = False
        self.hurry()

    def stop(self) -> None:
        """End, also the turn under way."""
        self._stopped = True
        self._again = False
        self._cancel_timer()
        if self._busy and self._turn is not None:
            self._turn.cancel()

    def hurry(self) -> None:
        """Take a turn now, or another right after the one under way."""
        if self._stopped:
            return
        if self._busy:
            self._again = True
            return
        self._cancel_timer()
        self._busy = True
        turn = Deferred.fromCoroutine(self._work())
        self._turn = turn.addErrback(self._failed).addCallback(self._ended)

    def _failed(self, failure: Failure) -> float:
        if not self._stopped and not isinstance(failure.value, CancelledError):
            _log.error("turn_failed", work=self._name, error=repr(failure.value), traceback=failure.getTraceback())
        return _PAUSE_AFTER_ERROR

    def _ended(self, pause: float) -> None:
        self._busy = False
        if self._again:
            self._again = False
            pause = 0.0
        if not self._stopped:
            self._timer = self._clock.callLater(pause, self.hurry)

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
