"""The body of an HTTP answer, read up to a limit."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss


class TooLongError(Exception):
    """More bytes than the limit came."""


class BoundedBody(Protocol):
    """Collects an answer's bytes up to a limit; of limit 0, hangs up at once. Cancelling `whole` hangs up too."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self.whole: Deferred[bytes] = Deferred(lambda _: self._hang_up())

    def connectionMade(self) -> None:  # noqa: N802 - twisted's name
        if not self._limit:
            self._hang_up()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - twisted's name
        self._size += len(data)
        if self._size <= self._limit:
            self._parts.append(data)
        elif self._limit and not self.whole.called:
            self._hang_up()
            self.whole.errback(TooLongError(f"more than {self._limit} bytes"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802 - twisted's name
        if self.whole.called or not self._limit:
            return
        if reason.check(ResponseDone, PotentialDataLoss):  # type: ignore[no-untyped-call]
            self.whole.callback(b"".join(self._parts))
        else:
            self.whole.errback(reason)

    def _hang_up(self) -> None:
        transport: Any = self.transport
        transport.loseConnection()
