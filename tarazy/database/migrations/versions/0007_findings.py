"""The register of findings, and which ends were warned of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tarazy.database import types

revision = "0007"
down_revision = "0006"

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "finding",
        sa.Column("entry", _ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("finding", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("of_register", sa.String(), nullable=False),
        sa.Column("of_key", sa.String(), nullable=False),
        sa.Column("party", sa.String()),
        sa.Column("site", sa.String()),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("owner", sa.String()),
        sa.Column("blocks", sa.Boolean(), nullable=False),
        sa.Column("valid_from", types.Instant(timezone=True), nullable=False),
        sa.Column("valid_to", types.Instant(timezone=True)),
        sa.Column("corrects", _ROW_NUMBER),
        sa.Column("why", sa.String()),
        sa.Column("note", sa.String()),
        sa.Column("recorded_at", types.Instant(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("entry", name=op.f("pk_finding")),
    )
    op.create_index(op.f("ix_finding_finding"), "finding", ["finding"])
    op.create_table(
        "expiry_warning",
        sa.Column("register", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("ends_at", types.Instant(timezone=True), nullable=False),
        sa.Column("within_days", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("warned_at", types.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("register", "key", "ends_at", "within_days", name=op.f("pk_expiry_warning")),
    )
