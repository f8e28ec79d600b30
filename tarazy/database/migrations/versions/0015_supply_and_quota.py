"""The registers of supplies and of quotas of energy."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from tarazy.database import types

revision = "0015"
down_revision = "0014"

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create both tables."""
    _register(
        "supply",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("price_tiyn_per_kwh", sa.Integer()),
        sa.Column("month_kwh", sa.BigInteger()),
        sa.Column("supplier", sa.String()),
        sa.Column("contract", sa.String()),
        sa.Column("contract_on", sa.Date()),
    )
    _register(
        "quota",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("energy_kwh", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("granted_by", sa.String()),
        sa.Column("number", sa.String()),
        sa.Column("granted_on", sa.Date()),
    )


def _register(name: str, *payload: sa.Column[Any]) -> None:
    op.create_table(
        name,
        sa.Column("entry", _ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column(name, sa.String(), nullable=False),
        *payload,
        sa.Column("valid_from", types.Instant(timezone=True), nullable=False),
        sa.Column("valid_to", types.Instant(timezone=True)),
        sa.Column("corrects", _ROW_NUMBER),
        sa.Column("why", sa.String()),
        sa.Column("note", sa.String()),
        sa.Column("recorded_at", types.Instant(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("entry", name=op.f(f"pk_{name}")),
    )
    op.create_index(op.f(f"ix_{name}_{name}"), name, [name])
