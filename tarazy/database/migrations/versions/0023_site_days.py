"""Where the energy of each site's days is told, found by their site; readings that wait for their instant."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from alembic import op

from tarazy.database.types import Instant, RowNumber

revision = "0023"
down_revision = "0022"

_ALMATY = ZoneInfo("Asia/Almaty")


def upgrade() -> None:
    """What is stored is in detail or folded: the office sums the days up that are over."""
    op.create_table(
        "site_day",
        sa.Column("site", sa.String(length=64), primary_key=True),
        sa.Column("day_start", Instant, primary_key=True),
        sa.Column("day_end", Instant, nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("whole_at", Instant),
    )
    op.create_table(
        "reading_waiting",
        sa.Column("waiting", RowNumber, primary_key=True, autoincrement=True),
        sa.Column("meter", sa.String(length=64), nullable=False),
        sa.Column("quantity", sa.String(length=8), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("register_count", sa.BigInteger()),
        sa.Column("seconds", sa.Integer()),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
    )
    op.create_index("ix_reading_waiting_at", "reading_waiting", ["at"])
    for name, table in (
        ("ix_interval_interval_start", "interval"),
        ("ix_allocation_interval_start", "allocation"),
        ("ix_meter_day_day_start", "meter_day"),
        ("ix_allocation_day_day_start", "allocation_day"),
        ("ix_peak_day_day_start", "peak_day"),
    ):
        op.drop_index(name, table)
    op.create_index("ix_interval_site", "interval", ["site", "interval_start"])
    op.create_index("ix_meter_day_site", "meter_day", ["site", "day_start"])
    folded = _folded(op.get_bind())
    rows = [{"site": site, "day_start": start, **told} for (site, start), told in folded.items()]
    rows += _open(op.get_bind(), folded)
    if rows:
        op.bulk_insert(_table("site_day", "day_start", "day_end", "state", "whole_at"), rows)


def _day(instant: datetime) -> date:
    return instant.astimezone(_ALMATY).date()


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), _ALMATY).astimezone(UTC)


def _table(name: str, *columns: str) -> sa.TableClause:
    texts = ("site", "state")
    return sa.table(
        name, *(sa.column(column, sa.String() if column in texts else Instant()) for column in ("site", *columns))
    )


def _folded(connection: sa.Connection) -> dict[tuple[str, Any], dict[str, Any]]:
    found: dict[tuple[str, Any], dict[str, Any]] = {}
    for name in ("meter_day", "allocation_day", "peak_day"):
        days = _table(name, "day_start", "day_end", "recorded_at")
        first = sa.column("version", sa.Integer()) == 1
        whole = sa.func.max(days.c.recorded_at)
        query = sa.select(days.c.site, days.c.day_start, sa.func.max(days.c.day_end), whole).where(first)
        for site, start, end, at in connection.execute(query.group_by(days.c.site, days.c.day_start)):
            before = found.get((site, start))
            latest = at if before is None else max(at, before["whole_at"])
            found[site, start] = {"day_end": end, "state": "folded", "whole_at": latest}
    return found


def _open(connection: sa.Connection, folded: dict[tuple[str, Any], dict[str, Any]]) -> list[dict[str, Any]]:
    """The rest of each legal day of which something is in detail."""
    days = set()
    for name in ("interval", "allocation"):
        begun = _table(name, "interval_start")
        for site, at in connection.execute(sa.select(begun.c.site, begun.c.interval_start).distinct()):
            days.add((site, _day(at)))
    held_on = defaultdict(list)
    for (site, start), told in folded.items():
        held_on[site, _day(start)].append((start, told["day_end"]))
    rows = []
    for site, day in sorted(days):
        first, after = _start(day), _start(day + timedelta(days=1))
        held = held_on[site, day]
        bounds = sorted({first, after, *(instant for span in held for instant in span)})
        rows += [
            {"site": site, "day_start": start, "day_end": end, "state": "open", "whole_at": None}
            for start, end in pairwise(bounds)
            if (start, end) not in held
        ]
    return rows
