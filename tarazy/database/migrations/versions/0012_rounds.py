"""Cuts by the gateways' clocks, gateways declared lost, archived rounds."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

from tarazy.database import types

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add them; what was folded into closed rounds stays there."""
    op.add_column("round", sa.Column("archived_at", types.Instant(timezone=True)))
    op.add_column("gateway", sa.Column("lost_at", types.Instant(timezone=True)))
    op.add_column("gateway", sa.Column("certain", sa.BigInteger(), nullable=False, server_default="0"))
    last = sa.text("SELECT cut FROM round WHERE closed_at IS NOT NULL ORDER BY round DESC LIMIT 1")
    cut = op.get_bind().scalar(last) or {}
    for gateway, sequence in (json.loads(cut) if isinstance(cut, str) else cut).items():
        row = sa.text("UPDATE gateway SET certain = :sequence WHERE gateway = :gateway")
        op.get_bind().execute(row, {"sequence": sequence, "gateway": int(gateway)})
    op.add_column("gateway", sa.Column("recorded", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE gateway SET recorded = sequence")
    with op.batch_alter_table("gateway") as table:
        table.alter_column("recorded", server_default=None)
        table.alter_column("certain", server_default=None)
    op.create_table(
        "late",
        sa.Column("gateway", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first_sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column("lost_at", types.Instant(timezone=True), nullable=False),
        sa.Column("folded_at", types.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("gateway", "first_sequence", name=op.f("pk_late")),
    )
