"""Deriving a meter's intervals goes on where an earlier transaction left off."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """What is due already has not begun."""
    op.add_column("reading_due", sa.Column("resumes", sa.Boolean(), nullable=False, server_default=sa.false()))
