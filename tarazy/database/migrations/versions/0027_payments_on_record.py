"""What a batch pays is told by a row of the audit log before it is sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    """Batches that were signed before have no such row."""
    op.add_column("payout_batch", sa.Column("audit_row", sa.BigInteger()))
