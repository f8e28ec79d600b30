"""Tokens for the API."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tarazy.database import types

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "access_token",
        sa.Column("token", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("party", sa.String(64)),
        sa.Column("created_at", types.Instant(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("expires_at", types.Instant(timezone=True), nullable=False),
        sa.Column("revoked_at", types.Instant(timezone=True)),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_access_token")),
        sa.UniqueConstraint("name", name=op.f("uq_access_token_name")),
        sa.UniqueConstraint("digest", name=op.f("uq_access_token_digest")),
    )
