"""Work that only so many may ask for at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.python.failure import Failure

from tarazy.portal.guard import Fault

T = TypeVar("T")


class Turns:
    """So many works at a time, the others in order; beyond the longest queue they are refused.

    Who hangs up keeps the turn until its work has ended, and loses it when that has not begun: no thread can be
    stopped, and going away makes nothing cheaper.
    """

    def __init__(self, at_once: int = 1, longest_queue: int = 1_000, longest_of_one: int = 1_000) -> None:
        self._semaphore = DeferredSemaphore(at_once)
        self._longest_queue, self._longest_of_one = longest_queue, longest_of_one
        self._asked: Counter[str] = Counter()

    async def run(self, work: Callable[[], Awaitable[T]], of: str = "") -> T:
        """What `work` gives. Raises `Fault` when too much waits, or too much `of` one asker, and what `work` raises."""
        if len(self._semaphore.waiting) >= self._longest_queue or self._asked[of] >= self._longest_of_one:
            raise Fault(503, "busy", "too many ask for this at the moment; try again in a few seconds")
        self._asked[of] += 1
        turn = _Turn(work)
        self._semaphore.run(turn.begin).addBoth(self._ended, of)
        return await turn.told

    def _ended(self, _: object, of: str) -> None:
        self._asked[of] -= 1
        if not self._asked[of]:
            del self._asked[of]


class _Turn(Generic[T]):
    def __init__(self, work: Callable[[], Awaitable[T]]) -> None:
        self._work = work
        self.told: Deferred[T] = Deferred()
        """What the asker waits for, and may cancel."""

    def begin(self) -> Deferred[None] | None:
        if self.told.called:
            return None
        return Deferred.fromCoroutine(self._result()).addBoth(self._tell)

    async def _result(self) -> T:
        return await self._work()

    def _tell(self, result: Any) -> None:
        if self.told.called:
            return
        if isinstance(result, Failure):
            self.told.errback(result)
        else:
            self.told.callback(result)
