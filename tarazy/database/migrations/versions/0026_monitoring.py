"""Miners make tokens for their own programs, which ask for the work of one party."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Tokens that were made before may all that their role may."""
    op.add_column("access_token", sa.Column("scope", sa.String(16)))
    op.create_index("ix_tally_party", "tally", ["party", "interval_start"])
