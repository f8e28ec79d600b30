"""The states that blocks, payout batches and deliveries went through, and every stop of payouts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tarazy.database.types import Instant, RowNumber

revision = "0032"
down_revision = "0031"

_BATCH, _DELIVERY = "'payout_batch', CAST(batch AS VARCHAR)", "'delivery', CAST(delivery AS VARCHAR)"
_KNOWN = (
    ("'block', block_hash, 'found', found_at AS at", "block"),
    ("'block', block_hash, state, state_at", "block WHERE state <> 'found'"),
    (f"{_BATCH}, 'proposed', proposed_at", "payout_batch"),
    (f"{_BATCH}, 'approved', approved_at", "payout_batch WHERE approved_at IS NOT NULL"),
    (f"{_BATCH}, 'signed', MIN(signed_at)", "payout_transaction GROUP BY batch"),
    (f"{_BATCH}, state, state_at", "payout_batch WHERE state NOT IN ('proposed', 'approved', 'signed')"),
    (f"{_DELIVERY}, 'proposed', proposed_at", "delivery"),
    (f"{_DELIVERY}, 'approved', approved_at", "delivery WHERE approved_at IS NOT NULL"),
    (f"{_DELIVERY}, state, state_at", "delivery WHERE state NOT IN ('proposed', 'approved')"),
)
"""What rows of before tell of their states: the first, those that have an instant of their own, and the present one."""


def upgrade() -> None:
    """Make the tables, and keep what is known of earlier states; a stop in force goes on."""
    op.create_table(
        "state_change",
        sa.Column("change", RowNumber, primary_key=True, autoincrement=True),
        sa.Column("thing", sa.String(16), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("at", Instant(), nullable=False),
    )
    op.create_index("ix_state_change_thing_key", "state_change", ["thing", "key", "change"])
    known = " UNION ALL ".join(f"SELECT {columns} FROM {rows}" for columns, rows in _KNOWN)  # noqa: S608 - our own words
    op.execute(f"INSERT INTO state_change (thing, key, state, at) {known} ORDER BY at")
    op.create_table(
        "payout_stop",
        sa.Column("stop", RowNumber, primary_key=True, autoincrement=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("language", sa.String(2)),
        sa.Column("stopped_at", Instant(), nullable=False),
        sa.Column("stopped_by", sa.String(), nullable=False),
        sa.Column("resumed_at", Instant()),
    )
    op.execute(
        "INSERT INTO payout_stop (why, language, stopped_at, stopped_by)"
        " SELECT stopped_why, stopped_language, stopped_at, stopped_by FROM payout_control"
        " WHERE stopped_why IS NOT NULL"
    )
    for name in ("stopped_why", "stopped_language", "stopped_at", "stopped_by"):
        op.drop_column("payout_control", name)
