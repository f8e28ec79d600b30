"""The workers of large parties as they were read last, so that nobody waits for thousands to be read anew."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import structlog
from twisted.internet.defer import Deferred

from tarazy.portal.monitoring import Worker, largest_parties, own_workers
from tarazy.portal.snapshot import REST, SLOW_SECONDS
from tarazy.portal.turns import Turns

KEPT_PARTIES = 16
READY_SECONDS = 300.0
"""How often the lists of the largest parties are read while nobody asks for them."""
STALE_SECONDS = 2 * READY_SECONDS
"""Older lists are not told."""

log = structlog.get_logger()


class WorkerLists:
    """The workers of each large party as they were read last: it pages, sorts and searches in them.

    Large is who takes longer to read than `SLOW_SECONDS`; a small party is read each time. A list younger than
    `STALE_SECONDS` is told at once, and read again meanwhile. However many ask, a party is read once at a time.
    """

    def __init__(self, read: Callable[..., Awaitable[Any]], interval_seconds: int) -> None:
        """`read` as `Gate.read`."""
        self._read = read
        self._interval_seconds = interval_seconds
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._reading: set[str] = set()
        """Whose lists are read again while those of before are told."""
        self._turns: defaultdict[str, Turns] = defaultdict(Turns)

    async def of(self, party: str) -> tuple[datetime, list[Worker]]:
        """When they were read, and they."""
        kept = self._kept.get(party)
        age = monotonic() - kept.ended if kept else 0.0
        if kept is None or age > STALE_SECONDS:
            return await self._fresh(party)
        if age > REST * (kept.ended - kept.begun) and party not in self._reading:
            self._reading.add(party)
            Deferred.fromCoroutine(self._again(party)).addBoth(lambda _: self._reading.discard(party))
        return kept.told

    async def keep_ready(self) -> None:
        """Read the lists of the largest parties that nobody has asked for of late."""
        try:
            now = datetime.now(UTC)
            parties = await self._read(largest_parties, KEPT_PARTIES, now, self._interval_seconds)
        except Exception as error:  # the next time comes
            log.warning("large_parties_not_read", error=repr(error))
            return
        for party in parties:
            kept = self._kept.get(party)
            if kept is None or monotonic() - kept.ended >= READY_SECONDS:
                await self._again(party)

    async def _again(self, party: str) -> None:
        try:
            await self._fresh(party)
        except Exception as error:  # the list of before is told until it is too old
            log.warning("workers_not_read", error=repr(error))

    async def _fresh(self, party: str) -> tuple[datetime, list[Worker]]:
        asked = monotonic()
        return await self._turns[party].run(lambda: self._read_since(party, asked))

    async def _read_since(self, party: str, asked: float) -> tuple[datetime, list[Worker]]:
        """Read, unless somebody else has begun to since it was asked."""
        kept = self._kept.get(party)
        if kept is not None and kept.begun >= asked:
            return kept.told
        begun, now = monotonic(), datetime.now(UTC)
        told = now, await self._read(own_workers, party, now, self._interval_seconds)
        ended = monotonic()
        self._kept.pop(party, None)
        if ended - begun > SLOW_SECONDS:
            self._kept[party] = _Kept(told, begun, ended)
            if len(self._kept) > KEPT_PARTIES:
                self._kept.popitem(last=False)
        return told


@dataclass(frozen=True, slots=True)
class _Kept:
    told: tuple[datetime, list[Worker]]
    begun: float
    ended: float
    """Of the read, by the monotonic clock."""
