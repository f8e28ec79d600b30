"""The chain over the shares, the salts of the parties, and what final distributions are verified against."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the three tables."""
    op.create_table(
        "party_salt",
        sa.Column("party", sa.String(64), nullable=False),
        sa.Column("salt", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("party", name=op.f("pk_party_salt")),
    )
    op.create_table(
        "chain_link",
        sa.Column("gateway", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.String(64), nullable=False),
        sa.Column("head", sa.String(64), nullable=False),
        sa.Column("note", sa.Text()),
        sa.PrimaryKeyConstraint("gateway", "first", name=op.f("pk_chain_link")),
    )
    op.create_table(
        "round_proof",
        sa.Column("distribution", _ROW_NUMBER, autoincrement=False, nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("audit_row", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["distribution"],
            ["distribution.distribution"],
            name=op.f("fk_round_proof_distribution_distribution"),
        ),
        sa.PrimaryKeyConstraint("distribution", name=op.f("pk_round_proof")),
        sa.UniqueConstraint("round", name=op.f("uq_round_proof_round")),
    )
