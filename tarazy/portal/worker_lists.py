"""The workers of parties as they were read last, so that nobody waits for thousands to be read anew."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

import structlog
from twisted.internet.defer import Deferred

from tarazy.portal.monitoring import Worker
from tarazy.portal.snapshot import REST, SLOW_SECONDS, STALE_SECONDS

KEPT_PARTIES = 8

log = structlog.get_logger()


class WorkerLists:
    """The workers of each party as they were read last: a large party pages, sorts and searches in them.

    Nobody waits for a read that takes longer than `SLOW_SECONDS`, as long as there is a list younger than
    `STALE_SECONDS`; it is read again meanwhile.
    """

    def __init__(self, read: Callable[[str], Awaitable[tuple[datetime, list[Worker]]]]) -> None:
        self._read = read
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._reading: set[str] = set()

    async def of(self, party: str) -> tuple[datetime, list[Worker]]:
        """When they were read, and they."""
        kept = self._kept.get(party)
        age = monotonic() - kept.read_at if kept else 0.0
        if kept is None or kept.cost <= SLOW_SECONDS or age > STALE_SECONDS:
            return await self._fresh(party)
        if age > REST * kept.cost and party not in self._reading:
            self._reading.add(party)
            Deferred.fromCoroutine(self._again(party))
        return kept.told

    async def _again(self, party: str) -> None:
        try:
            await self._fresh(party)
        except Exception as error:  # the list of before is told until it is too old
            log.warning("workers_not_read", error=repr(error))
        finally:
            self._reading.discard(party)

    async def _fresh(self, party: str) -> tuple[datetime, list[Worker]]:
        begun = monotonic()
        told = await self._read(party)
        ended = monotonic()
        self._kept[party] = _Kept(told, ended, ended - begun)
        self._kept.move_to_end(party)
        if len(self._kept) > KEPT_PARTIES:
            self._kept.popitem(last=False)
        return told


@dataclass(frozen=True, slots=True)
class _Kept:
    told: tuple[datetime, list[Worker]]
    read_at: float
    cost: float
    """Seconds that the read took."""
