"""In which language the reason of a hold, and of a stop of all payouts, is written."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    """Of earlier reasons nobody said it."""
    op.add_column("payout_hold", sa.Column("language", sa.String(2)))
    op.add_column("payout_control", sa.Column("stopped_language", sa.String(2)))
