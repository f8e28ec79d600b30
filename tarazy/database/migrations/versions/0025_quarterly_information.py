"""What parties tell of a quarter."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tarazy.database.types import Instant

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Add drafts and submitted versions; there are none yet."""
    op.create_table(
        "quarterly_draft",
        sa.Column("party", sa.String(64), primary_key=True),
        sa.Column("quarter", sa.String(7), primary_key=True),
        sa.Column("told", sa.JSON(), nullable=False),
        sa.Column("saved_at", Instant, nullable=False),
        sa.Column("saved_by", sa.String(64), nullable=False),
    )
    op.create_table(
        "quarterly_information",
        sa.Column("party", sa.String(64), primary_key=True),
        sa.Column("quarter", sa.String(7), primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("told", sa.JSON(), nullable=False),
        sa.Column("why", sa.Text()),
        sa.Column("recorded_at", Instant, nullable=False),
        sa.Column("recorded_by", sa.String(64), nullable=False),
    )
    op.create_index(op.f("ix_quarterly_information_quarter"), "quarterly_information", ["quarter"])
