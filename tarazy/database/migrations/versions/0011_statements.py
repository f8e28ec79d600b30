"""Values of assets, sales, issued records of distributed assets; ledger entries are found by their instant."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tarazy.database import types

revision = "0011"
down_revision = "0010"

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_FIRST = sa.text("corrects IS NULL")


def upgrade() -> None:
    """Create the tables and the index."""
    op.create_index("ix_ledger_entry_at", "ledger_entry", ["at"])
    op.create_table(
        "value_file",
        sa.Column("file", _ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("imported_at", types.Instant(timezone=True), nullable=False),
        sa.Column("imported_by", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("file", name=op.f("pk_value_file")),
    )
    op.create_table(
        "asset_value",
        sa.Column("entry", _ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("file", _ROW_NUMBER, nullable=False),
        sa.Column("asset", sa.String(32), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("value_kzt", sa.String(40), nullable=False),
        sa.Column("corrects", _ROW_NUMBER, nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["file"], ["value_file.file"], name=op.f("fk_asset_value_file_value_file")),
        sa.PrimaryKeyConstraint("entry", name=op.f("pk_asset_value")),
        sa.UniqueConstraint("corrects", name=op.f("uq_asset_value_corrects")),
    )
    op.create_index("ix_asset_value_asset", "asset_value", ["asset", "day"])
    op.create_index(
        "uq_asset_value_day",
        "asset_value",
        ["asset", "day"],
        unique=True,
        sqlite_where=_FIRST,
        postgresql_where=_FIRST,
    )
    op.create_table(
        "asset_sale",
        sa.Column("entry", _ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("party", sa.String(64), nullable=False),
        sa.Column("exchange", sa.String(128), nullable=False),
        sa.Column("exchange_licence", sa.String(64), nullable=True),
        sa.Column("deal", sa.String(64), nullable=False),
        sa.Column("asset", sa.String(32), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("sold_at", types.Instant(timezone=True), nullable=False),
        sa.Column("document", sa.String(64), nullable=True),
        sa.Column("corrects", _ROW_NUMBER, nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("recorded_at", types.Instant(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.String(64), nullable=False),
        sa.CheckConstraint(
            "quantity > 0 OR quantity = 0 AND corrects IS NOT NULL", name=op.f("ck_asset_sale_quantity")
        ),
        sa.PrimaryKeyConstraint("entry", name=op.f("pk_asset_sale")),
        sa.UniqueConstraint("corrects", name=op.f("uq_asset_sale_corrects")),
    )
    op.create_index("ix_asset_sale_sold_at", "asset_sale", ["sold_at"])
    op.create_index(
        "uq_asset_sale_deal",
        "asset_sale",
        ["exchange", "deal"],
        unique=True,
        sqlite_where=_FIRST,
        postgresql_where=_FIRST,
    )
    op.create_table(
        "issued_record",
        sa.Column("start", types.Instant(timezone=True), nullable=False),
        sa.Column("end", types.Instant(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("as_of", types.Instant(timezone=True), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("issued_at", types.Instant(timezone=True), nullable=False),
        sa.Column("issued_by", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("start", "end", "version", name=op.f("pk_issued_record")),
    )
