"""The audit log as a Merkle tree: each row keeps the hashes of the subtrees it completes; signed heads."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC
from typing import Any

import sqlalchemy as sa
from alembic import op

from tarazy.database import types

revision = "0002"
down_revision = "0001"

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Hash every row anew: the chain's hashes go, the tree's come."""
    op.add_column("audit", sa.Column("hashes", sa.Text(), nullable=False, server_default=""))
    columns = ("kind", "party", "account", "body", "hashes")
    audit = sa.table(
        "audit", sa.column("sequence"), sa.column("at", types.Instant(timezone=True)), *map(sa.column, columns)
    )
    connection, done = op.get_bind(), 0
    open_subtrees: list[bytes] = []
    query = sa.select(audit).order_by(audit.c.sequence).limit(10_000)
    while rows := connection.execute(query.where(audit.c.sequence > done)).all():
        for row in rows:
            done = row.sequence
            made = [_leaf(row)]
            for level in range((done & -done).bit_length() - 1):
                made.append(hashlib.sha256(b"\x01" + open_subtrees.pop() + made[level]).digest())
            open_subtrees.append(made[-1])
            hashes = b"".join(made).hex()
            connection.execute(audit.update().where(audit.c.sequence == done).values(hashes=hashes))
    with op.batch_alter_table("audit") as table:
        table.alter_column("hashes", server_default=None)
        table.drop_column("previous_hash")
        table.drop_column("hash")
    op.create_table(
        "audit_head",
        sa.Column("head", _ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("size", _ROW_NUMBER, nullable=False),
        sa.Column("at", types.Instant(timezone=True), nullable=False),
        sa.Column("verifier", sa.String(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("head", name=op.f("pk_audit_head")),
    )


def _leaf(row: sa.Row[Any]) -> bytes:
    content = {
        "sequence": row.sequence,
        "at": row.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "kind": row.kind,
        "party": row.party,
        "account": row.account,
        "body": json.loads(row.body),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(b"\x00" + text.encode()).digest()
