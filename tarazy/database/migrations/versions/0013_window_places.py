"""Places in the order of record, so that the windows of PPLNS can be published."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add them; what was recorded before has none."""
    op.add_column("round", sa.Column("window_place", sa.BigInteger()))
    op.add_column("chain_link", sa.Column("place", sa.BigInteger()))
    op.create_index("ix_chain_link_place", "chain_link", ["place"])
