"""FPPS: work by what it is worth, the fees of the chain's blocks, and what the reserve gave."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tarazy.database import types

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Work of before says not what it is worth; under FPPS it has the worth of its round's block."""
    op.create_table(
        "round_work",
        sa.Column("round", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("target", sa.String(length=64), nullable=False),
        sa.Column("subsidy", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("party", sa.String(length=64), nullable=False),
        sa.Column("weight", types.BigCount(length=40), nullable=False),
        sa.ForeignKeyConstraint(["round"], ["round.round"], name=op.f("fk_round_work_round_round")),
        sa.PrimaryKeyConstraint("round", "target", "subsidy", "party", name=op.f("pk_round_work")),
    )
    op.execute("INSERT INTO round_work SELECT round, '', 0, party, weight FROM round_weight")
    op.drop_table("round_weight")
    op.add_column("round", sa.Column("target", sa.String(length=64)))
    op.add_column("round", sa.Column("subsidy", sa.BigInteger()))
    op.add_column("round", sa.Column("fee_blocks", sa.Integer()))
    op.add_column("round", sa.Column("average_fee", sa.BigInteger()))
    op.add_column("distribution", sa.Column("reserve", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("distribution", sa.Column("average_fee", sa.BigInteger()))
    op.add_column("credit", sa.Column("fee", sa.BigInteger()))
    op.create_table(
        "paid_block",
        sa.Column("block_hash", sa.String(length=64), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("fees", sa.BigInteger(), nullable=False),
        sa.Column("proof", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("block_hash", name=op.f("pk_paid_block")),
    )
