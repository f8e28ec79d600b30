"""Rejected shares by name and reason: counts of each process and interval, for miners to find what is wrong.

They are evidence of nothing that is owed. Who counts gives the whole count of an interval again and again, so that one
that is written twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete

from tarazy.accounting.tables import rejection
from tarazy.accounting.upsert import upsert
from tarazy.stratum.rejections import Rejected

KEPT = timedelta(days=31)


def keep(connection: Connection, gateway: int, process: int, counts: Mapping[datetime, Mapping[Rejected, int]]) -> None:
    """Keep a process's counts of intervals, by their starts; what its gateway has from `KEPT` before the last one goes.

    A gateway whose clock is wrong takes nothing of another's.
    """
    if counts:
        old = rejection.c.interval_start < max(counts) - KEPT, rejection.c.gateway == gateway
        connection.execute(delete(rejection).where(*old))
    rows = [
        {"gateway": gateway, "process": process, "interval_start": start, **key._asdict(), "shares": shares}
        for start, of_interval in counts.items()
        for key, shares in of_interval.items()
    ]
    upsert(connection, rejection, rows)
