"""Readings as the meter counts, with their quantity, source and corrections; devices of meters; carried remainders."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tarazy.database import types

revision = "0016"
down_revision = "0015"

_OF_HUNDRED_WH = """UPDATE reading SET register_count = register_count / 100
    WHERE meter IN (SELECT meter FROM meter WHERE profile = 'generic-uint32-100wh')"""
_FIRST = sa.text("status = 'ok' AND corrects IS NULL")


def upgrade() -> None:
    """Add them; what was read so far was imported energy, in watt-hours."""
    with op.batch_alter_table("reading") as table:
        table.alter_column("register_wh", new_column_name="register_count")
        table.add_column(sa.Column("quantity", sa.String(8), nullable=False, server_default="import"))
        table.add_column(sa.Column("source", sa.String(16), nullable=False, server_default="modbus"))
        table.add_column(sa.Column("seconds", sa.Integer(), nullable=True))
        table.add_column(sa.Column("corrects", types.RowNumber, nullable=True))
        table.create_foreign_key(op.f("fk_reading_corrects_reading"), "reading", ["corrects"], ["reading"])
    op.execute(_OF_HUNDRED_WH)
    with op.batch_alter_table("reading") as table:
        table.alter_column("quantity", server_default=None)
        table.alter_column("source", server_default=None)
        table.create_index("uq_reading_corrects", ["corrects"], unique=True)
        table.create_index(
            "uq_reading_meter",
            ["meter", "quantity", "at"],
            unique=True,
            sqlite_where=_FIRST,
            postgresql_where=_FIRST,
        )
    op.create_table(
        "reading_due",
        sa.Column("due", types.RowNumber, autoincrement=True, nullable=False),
        sa.Column("meter", sa.String(64), nullable=False),
        sa.Column("since", types.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("due", name=op.f("pk_reading_due")),
    )
    op.create_index("ix_reading_due_meter", "reading_due", ["meter"])
    op.create_table(
        "meter_device",
        sa.Column("device", types.RowNumber, autoincrement=True, nullable=False),
        sa.Column("meter", sa.String(64), nullable=False),
        sa.Column("since", types.Instant(timezone=True), nullable=False),
        sa.Column("serial", sa.String(64), nullable=True),
        sa.Column("profile", sa.String(64), nullable=False),
        sa.Column("ct_ratio", sa.String(40), nullable=False),
        sa.Column("vt_ratio", sa.String(40), nullable=False),
        sa.Column("maximum_power_w", sa.BigInteger(), nullable=True),
        sa.Column("initial_import", sa.BigInteger(), nullable=True),
        sa.Column("final_import", sa.BigInteger(), nullable=True),
        sa.Column("initial_export", sa.BigInteger(), nullable=True),
        sa.Column("final_export", sa.BigInteger(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("recorded_by", sa.String(64), nullable=False),
        sa.Column("recorded_at", types.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("device", name=op.f("pk_meter_device")),
    )
    op.create_index("ix_meter_device_meter", "meter_device", ["meter", "since"])
    op.add_column("interval", sa.Column("remainder", sa.Text(), nullable=True))
