"""Users: people who sign in to the portal, and their sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tarazy.database.types import Instant, RowNumber

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Add them; nobody can sign in until somebody is invited."""
    op.create_table(
        "portal_user",
        sa.Column("user", RowNumber, primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("party", sa.String(64)),
        sa.Column("invited_at", Instant, nullable=False),
        sa.Column("invited_by", sa.String(), nullable=False),
        sa.Column("invitation", sa.String(64)),
        sa.Column("invitation_ends_at", Instant),
        sa.Column("secret", sa.String()),
        sa.Column("password", sa.String()),
        sa.Column("last_step", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("joined_at", Instant),
        sa.Column("removed_at", Instant),
        sa.UniqueConstraint("name", name=op.f("uq_portal_user_name")),
        sa.UniqueConstraint("invitation", name=op.f("uq_portal_user_invitation")),
    )
    op.create_table(
        "portal_session",
        sa.Column("session", RowNumber, primary_key=True, autoincrement=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("begun_at", Instant, nullable=False),
        sa.Column("ends_at", Instant, nullable=False),
        sa.UniqueConstraint("digest", name=op.f("uq_portal_session_digest")),
    )
    op.create_index(op.f("ix_portal_session_ends_at"), "portal_session", ["ends_at"])
    op.create_index(op.f("ix_portal_session_name"), "portal_session", ["name"])
