"""In-country evidence: the register of address lists, and what the pool's servers prove about themselves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tarazy.database import types

revision = "0005"
down_revision = "0004"

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "geo",
        sa.Column("entry", _ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("geo", sa.String(), nullable=False),
        sa.Column("country", sa.String(2), nullable=False),
        sa.Column("file", sa.String(), nullable=False),
        sa.Column("file_digest", sa.String(64), nullable=False),
        sa.Column("dated_on", sa.Date(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("ranges", sa.BigInteger(), nullable=False),
        sa.Column("ipv4_addresses", sa.BigInteger(), nullable=False),
        sa.Column("ipv6_subnets", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", types.Instant(timezone=True), nullable=False),
        sa.Column("valid_to", types.Instant(timezone=True)),
        sa.Column("corrects", _ROW_NUMBER),
        sa.Column("why", sa.String()),
        sa.Column("note", sa.String()),
        sa.Column("recorded_at", types.Instant(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("entry", name=op.f("pk_geo")),
    )
    op.create_index(op.f("ix_geo_geo"), "geo", ["geo"])
    op.create_table(
        "server_evidence",
        sa.Column("number", _ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("server", sa.String(), nullable=False),
        sa.Column("taken_at", types.Instant(timezone=True), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_server_evidence")),
    )
    op.create_index(op.f("ix_server_evidence_server"), "server_evidence", ["server"])
