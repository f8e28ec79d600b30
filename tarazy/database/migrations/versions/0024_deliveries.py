"""Reports that the office built by its schedule, and the outbox of what is delivered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tarazy.database.types import Instant

revision = "0024"
down_revision = "0023"

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_LIVE, _OPEN = sa.text("state <> 'abandoned'"), sa.text("ended_at IS NULL")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "scheduled_report",
        sa.Column("kind", sa.String(32), primary_key=True),
        sa.Column("start", Instant, primary_key=True),
        sa.Column("end", Instant, primary_key=True),
        sa.Column("name", sa.String(200)),
        sa.Column("digest", sa.String(64)),
        sa.Column("built_at", Instant),
        sa.Column("trouble", sa.Text()),
        sa.Column("tried_at", Instant, nullable=False),
    )
    op.create_table(
        "delivery",
        sa.Column("delivery", _ROW_NUMBER, primary_key=True, autoincrement=True),
        sa.Column("profile", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("period", sa.String(32), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("method", sa.String(8), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("media_type", sa.String(100), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("body_digest", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("state_at", Instant, nullable=False),
        sa.Column("proposed_at", Instant, nullable=False),
        sa.Column("proposed_by", sa.String(), nullable=False),
        sa.Column("approved_at", Instant),
        sa.Column("approved_by", sa.String()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", Instant),
        sa.Column("trouble", sa.Text()),
        sa.Column("receipt", sa.String(200)),
        sa.Column("received_at", Instant),
    )
    op.create_index("ix_delivery_state", "delivery", ["state"])
    op.create_index(
        "uq_delivery_profile_digest",
        "delivery",
        ["profile", "digest"],
        unique=True,
        sqlite_where=_LIVE,
        postgresql_where=_LIVE,
    )
    op.create_table(
        "delivery_attempt",
        sa.Column("delivery", _ROW_NUMBER, sa.ForeignKey("delivery.delivery"), primary_key=True, autoincrement=False),
        sa.Column("attempt", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("way", sa.String(8), nullable=False),
        sa.Column("begun_at", Instant, nullable=False),
        sa.Column("until", Instant, nullable=False),
        sa.Column("ended_at", Instant),
        sa.Column("outcome", sa.String(16)),
        sa.Column("status", sa.Integer()),
        sa.Column("words", sa.Text()),
        sa.Column("answer", sa.LargeBinary()),
    )
    op.create_index(
        "uq_delivery_attempt_delivery",
        "delivery_attempt",
        ["delivery"],
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
