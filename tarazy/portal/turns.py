"""Work that only so many may ask for at a time."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from tarazy.portal.guard import Fault

T = TypeVar("T")


class Turns:
    """So many works at a time, the others in order; beyond the longest queue they are refused.

    Who hangs up while its work goes on keeps the turn until that has ended, because no thread can be stopped: going
    away makes nothing cheaper. Who hangs up before has no place any more.
    """

    def __init__(self, at_once: int = 1, longest_queue: int = 1_000, longest_of_one: int = 1_000) -> None:
        self._free = at_once
        self._longest_queue, self._longest_of_one = longest_queue, longest_of_one
        self._waiting: OrderedDict[_Turn[Any], None] = OrderedDict()
        self._asked: Counter[str] = Counter()
        self._beginning = False

    async def run(self, work: Callable[[], Awaitable[T]], of: str = "") -> T:
        """What `work` gives. Raises `Fault` when too much waits, or too much `of` one asker, and what `work` raises."""
        if len(self._waiting) >= self._longest_queue or self._asked[of] >= self._longest_of_one:
            raise Fault(503, "busy", "too many ask for this at the moment; try again in a few seconds")
        turn: _Turn[T] = _Turn(work, of, self._leave)
        self._asked[of] += 1
        self._waiting[turn] = None
        self._begin()
        return await turn.told

    def _begin(self) -> None:
        """Let the next ones begin. One that ends at once comes back here, and is left to the loop that began it."""
        if self._beginning:
            return
        self._beginning = True
        while self._free and self._waiting:
            turn, _ = self._waiting.popitem(last=False)
            self._free -= 1
            Deferred.fromCoroutine(turn.result()).addBoth(self._ended, turn)
        self._beginning = False

    def _ended(self, result: Any, turn: _Turn[Any]) -> None:
        self._free += 1
        self._forget(turn)
        self._begin()
        turn.tell(result)

    def _leave(self, turn: _Turn[Any]) -> None:
        if turn in self._waiting:
            del self._waiting[turn]
            self._forget(turn)

    def _forget(self, turn: _Turn[Any]) -> None:
        self._asked[turn.of] -= 1
        if not self._asked[turn.of]:
            del self._asked[turn.of]


class _Turn(Generic[T]):
    def __init__(self, work: Callable[[], Awaitable[T]], of: str, leave: Callable[[_Turn[T]], None]) -> None:
        self._work, self.of = work, of
        self.told: Deferred[T] = Deferred(lambda _: leave(self))
        """What the asker waits for, and may cancel."""

    async def result(self) -> T:
        return await self._work()

    def tell(self, result: Any) -> None:
        if self.told.called:
            return
        if isinstance(result, Failure):
            self.told.errback(result)
        else:
            self.told.callback(result)
