"""Credits say whether they are due; addresses that were paid before are found by an index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_DUE = sa.text("due")
_FINAL_AND_IN_NO_BATCH = """
    UPDATE credit SET due = true
    WHERE distribution IN (SELECT distribution FROM distribution WHERE state = 'final')
    AND (distribution, party) NOT IN (SELECT distribution, party FROM payout_credit WHERE live)
"""


def upgrade() -> None:
    """Add the mark and fill it in."""
    op.add_column("credit", sa.Column("due", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute(_FINAL_AND_IN_NO_BATCH)
    op.create_index("ix_credit_due", "credit", ["distribution", "party"], sqlite_where=_DUE, postgresql_where=_DUE)
    op.create_index("ix_payout_party_address", "payout", ["party", "address", "batch"])
