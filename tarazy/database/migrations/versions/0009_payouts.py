"""Payouts: batches, what they pay and settle, signed transactions, holds, and who may pay."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tarazy.database import types

revision = "0009"
down_revision = "0008"

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "payout_batch",
        sa.Column("batch", _ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        _instant("proposed_at", nullable=False),
        sa.Column("proposed_by", sa.String(), nullable=False),
        _instant("approved_at"),
        sa.Column("approved_by", sa.String()),
        sa.Column("psbt", sa.Text()),
        _instant("exported_at"),
        sa.Column("trouble", sa.Text()),
        sa.Column("abandon_asked_by", sa.String()),
        _instant("state_at", nullable=False),
        sa.PrimaryKeyConstraint("batch", name=op.f("pk_payout_batch")),
    )
    op.create_index(op.f("ix_payout_batch_state"), "payout_batch", ["state"])
    op.create_index(op.f("ix_payout_batch_proposed_at"), "payout_batch", ["proposed_at"])
    op.create_table(
        "payout",
        sa.Column("batch", _ROW_NUMBER, autoincrement=False, nullable=False),
        sa.Column("party", sa.String(64), nullable=False),
        sa.Column("address", sa.String(128), nullable=False),
        sa.Column("script", sa.String(256), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_payout_amount")),
        sa.ForeignKeyConstraint(["batch"], ["payout_batch.batch"], name=op.f("fk_payout_batch_payout_batch")),
        sa.PrimaryKeyConstraint("batch", "party", name=op.f("pk_payout")),
    )
    op.create_table(
        "payout_credit",
        sa.Column("batch", _ROW_NUMBER, autoincrement=False, nullable=False),
        sa.Column("distribution", _ROW_NUMBER, autoincrement=False, nullable=False),
        sa.Column("party", sa.String(64), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch", "party"], ["payout.batch", "payout.party"], name=op.f("fk_payout_credit_batch_party_payout")
        ),
        sa.ForeignKeyConstraint(
            ["distribution", "party"],
            ["credit.distribution", "credit.party"],
            name=op.f("fk_payout_credit_distribution_party_credit"),
        ),
        sa.PrimaryKeyConstraint("batch", "distribution", "party", name=op.f("pk_payout_credit")),
    )
    _create_partial_index("payout_credit", ["distribution", "party"], "live")
    op.create_table(
        "payout_transaction",
        sa.Column("txid", sa.String(64), nullable=False),
        sa.Column("batch", _ROW_NUMBER, nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("fee", sa.BigInteger(), nullable=False),
        _instant("signed_at", nullable=False),
        _instant("confirmed_at"),
        sa.ForeignKeyConstraint(
            ["batch"], ["payout_batch.batch"], name=op.f("fk_payout_transaction_batch_payout_batch")
        ),
        sa.PrimaryKeyConstraint("txid", name=op.f("pk_payout_transaction")),
    )
    op.create_index(op.f("ix_payout_transaction_batch"), "payout_transaction", ["batch", "signed_at"])
    _create_partial_index("payout_transaction", ["batch"], "confirmed_at IS NOT NULL")
    op.create_table(
        "payout_hold",
        sa.Column("hold", _ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("party", sa.String(64), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        _instant("held_at", nullable=False),
        sa.Column("held_by", sa.String(), nullable=False),
        _instant("released_at"),
        sa.Column("released_by", sa.String()),
        sa.Column("released_why", sa.Text()),
        sa.PrimaryKeyConstraint("hold", name=op.f("pk_payout_hold")),
    )
    op.create_index(op.f("ix_payout_hold_party"), "payout_hold", ["party"])
    _create_partial_index("payout_hold", ["party", "why"], "released_at IS NULL")
    op.create_table(
        "payout_control",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("payer", sa.String(), nullable=False),
        sa.Column("stopped_why", sa.Text()),
        _instant("stopped_at"),
        sa.Column("stopped_by", sa.String()),
        _instant("checked_at"),
        sa.Column("difference", sa.BigInteger()),
        sa.CheckConstraint("id = 1", name=op.f("ck_payout_control_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout_control")),
    )


def _instant(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, types.Instant(timezone=True), nullable=nullable)


def _create_partial_index(table: str, columns: list[str], where: str) -> None:
    """Unique among the rows that `where` names."""
    op.create_index(
        op.f(f"uq_{table}_{'_'.join(columns)}"),
        table,
        columns,
        unique=True,
        sqlite_where=sa.text(where),
        postgresql_where=sa.text(where),
    )
