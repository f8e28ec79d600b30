"""Work summed up by party and site, and rejected shares by name and reason."""

from __future__ import annotations

from itertools import groupby, islice
from typing import Any

import sqlalchemy as sa
from alembic import op

from tarazy.database.types import BigCount, Instant

revision = "0030"
down_revision = "0027"

_ROWS_AT_ONCE = 10_000


def upgrade() -> None:
    """Make the tables, and sum up the work there is."""
    sums = op.create_table(
        "site_tally",
        sa.Column("round", sa.Integer(), sa.ForeignKey("round.round"), primary_key=True, autoincrement=False),
        sa.Column("interval_start", Instant(), primary_key=True),
        sa.Column("party", sa.String(64), primary_key=True),
        sa.Column("site", sa.String(64), primary_key=True),
        sa.Column("heaviest", BigCount(), nullable=False),
        sa.Column("weight", BigCount(), nullable=False),
        sa.Column("shares", sa.BigInteger(), nullable=False),
        sa.Column("stale_weight", BigCount(), nullable=False),
        sa.Column("stale_shares", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_site_tally_party", "site_tally", ["party", "interval_start"])
    op.create_index("ix_site_tally_interval_start", "site_tally", ["interval_start", "site"])
    op.create_table(
        "rejection",
        sa.Column("interval_start", Instant(), primary_key=True),
        sa.Column("gateway", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("process", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("party", sa.String(64), primary_key=True),
        sa.Column("account", sa.String(128), primary_key=True),
        sa.Column("worker", sa.String(128), primary_key=True),
        sa.Column("site", sa.String(64), primary_key=True),
        sa.Column("reason", sa.String(32), primary_key=True),
        sa.Column("shares", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_rejection_party", "rejection", ["party", "interval_start"])
    names = sums.columns.keys()
    columns = [sa.column(column.name, column.type) for column in sums.columns if column.name != "heaviest"]
    connection = op.get_bind()
    for (number,) in connection.execute(sa.text("SELECT round FROM round ORDER BY round")).all():
        query = sa.select(*columns).select_from(sa.table("tally")).where(columns[0] == number).order_by(*columns[:4])
        rows = connection.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE})
        summed = (_summed(place, list(group)) for place, group in groupby(rows, lambda row: tuple(row[:4])))
        while some := [dict(zip(names, row, strict=True)) for row in islice(summed, _ROWS_AT_ONCE)]:
            connection.execute(sums.insert(), some)


def _summed(place: tuple[Any, ...], rows: list[sa.Row[Any]]) -> tuple[Any, ...]:
    heaviest = max((-(-row.weight // row.shares) for row in rows if row.shares), default=0)
    return (*place, heaviest, *map(sum, zip(*(row[4:] for row in rows), strict=True)))
