"""How far each meter is settled, and figures of days whose intervals are folded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tarazy.database.types import Instant

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """A meter without a row is settled up to its last interval."""
    op.create_table(
        "meter_settled",
        sa.Column("meter", sa.String(length=64), primary_key=True),
        sa.Column("until", Instant, nullable=False),
        sa.Column("folded_until", Instant),
        sa.Column("remainder", sa.Text()),
    )
    op.create_table(
        "meter_day",
        sa.Column("meter", sa.String(length=64), primary_key=True),
        sa.Column("day_start", Instant, primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("site", sa.String(length=64), primary_key=True),
        sa.Column("party", sa.String(length=64), primary_key=True),
        sa.Column("quality", sa.String(length=16), primary_key=True),
        sa.Column("day_end", Instant, nullable=False),
        sa.Column("intervals", sa.Integer(), nullable=False),
        sa.Column("energy_wh", sa.BigInteger(), nullable=False),
        sa.Column("first_at", Instant, nullable=False),
        sa.Column("recorded_at", Instant, nullable=False),
    )
    op.create_index("ix_meter_day_day_start", "meter_day", ["day_start", "site"])
    op.create_table(
        "allocation_day",
        sa.Column("site", sa.String(length=64), primary_key=True),
        sa.Column("day_start", Instant, primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("party", sa.String(length=64), primary_key=True),
        sa.Column("day_end", Instant, nullable=False),
        sa.Column("intervals", sa.Integer(), nullable=False),
        sa.Column("energy_wh", sa.BigInteger(), nullable=False),
        sa.Column("estimate_wh", sa.BigInteger()),
        sa.Column("estimates", sa.Integer(), nullable=False),
        sa.Column("uncertain_wh", sa.BigInteger(), nullable=False),
        sa.Column("first_at", Instant, nullable=False),
        sa.Column("recorded_at", Instant, nullable=False),
    )
    op.create_index("ix_allocation_day_day_start", "allocation_day", ["day_start", "site"])
    op.create_table(
        "peak_day",
        sa.Column("site", sa.String(length=64), primary_key=True),
        sa.Column("day_start", Instant, primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("day_end", Instant, nullable=False),
        sa.Column("power_w", sa.BigInteger(), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("first_at", Instant, nullable=False),
        sa.Column("recorded_at", Instant, nullable=False),
    )
    op.create_index("ix_peak_day_day_start", "peak_day", ["day_start", "site"])
    op.create_table(
        "machine_power",
        sa.Column("site", sa.String(length=64), primary_key=True),
        sa.Column("at", Instant, primary_key=True),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.Column("answered", sa.Integer(), nullable=False),
        sa.Column("telling", sa.Integer(), nullable=False),
        sa.Column("power_w", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", Instant, nullable=False),
    )
