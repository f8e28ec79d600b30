"""Who reads a meter, and the site of an agent's token."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add them; the pool read every meter so far."""
    op.add_column("meter", sa.Column("read_by", sa.String(), nullable=False, server_default="pool"))
    op.add_column("access_token", sa.Column("site", sa.String(64)))
