"""How a site's energy is shared, and meters of one party's machines below its main meters."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """All of them may be empty: a meter of before is a main meter."""
    for name in ("energy_by", "energy_parts", "energy_rest"):
        op.add_column("site", sa.Column(name, sa.String()))
    op.add_column("meter", sa.Column("party", sa.String()))
    op.add_column("interval", sa.Column("party", sa.String(length=64)))
