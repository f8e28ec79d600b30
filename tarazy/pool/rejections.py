"""Brings the gateway's counts of rejected shares to the ledger, every few seconds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import structlog

from tarazy.accounting.energy.intervals import floor_to
from tarazy.accounting.rejections import keep
from tarazy.database.engine import Database
from tarazy.pool.clock import Clock
from tarazy.pool.repeat import Repeat
from tarazy.stratum.rejections import LIMIT, Rejected

_SECONDS = 3.0
_INTERVALS = 8
"""Those of a longer outage of the ledger are counted in the last one."""

_log = structlog.get_logger()


class RejectionKeeper:
    """Counts by interval until the ledger has them. What a killed process had not brought is lost.

    Of a clock that goes back nothing is lost: an interval that was left is not counted in again.
    """

    def __init__(
        self,
        clock: Clock,
        database: Database,
        gateway: int,
        interval_seconds: int,
        take: Callable[[], Mapping[Rejected, int]],
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._process = int(datetime.now(UTC).timestamp() * 1_000_000)
        self._interval_seconds = interval_seconds
        self._take = take
        self._counts: defaultdict[datetime, Counter[Rejected]] = defaultdict(Counter)
        """Whole counts of the intervals that are not over, or not written."""
        self._unwritten: defaultdict[datetime, set[Rejected]] = defaultdict(set)
        """Of which the ledger has not the count of now."""
        self.keep = Repeat(clock, "keep_rejections", _SECONDS, self._keep)

    async def stop(self) -> None:
        """Write what there is, if the ledger takes it."""
        await self.keep.stop()
        try:
            await self._keep()
        except Exception as error:  # the miners' hints must not hold up the end of a gateway
            _log.warning("rejections_not_kept", reason=repr(error))

    async def _keep(self) -> None:
        taken = self._take()
        present = floor_to(datetime.now(UTC), self._interval_seconds)
        newest = max(self._counts, default=present)
        at = present if present > newest and len(self._counts) < _INTERVALS else newest
        for key, shares in taken.items():
            kept = key if len(self._counts[at]) < LIMIT or key in self._counts[at] else key.unnamed()
            self._counts[at][kept] += shares
            self._unwritten[at].add(kept)
        if self._unwritten:
            counts = {at: {key: self._counts[at][key] for key in keys} for at, keys in self._unwritten.items()}
            await self._database.run(keep, self._gateway, self._process, counts)
            self._unwritten.clear()
        for start in [start for start in self._counts if start < at]:
            del self._counts[start]
