"""The audit log as a Merkle tree: each row keeps the hashes of the subtrees it completes; signed heads."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from tarazy.database import types
from tarazy.database.schema import SchemaError

revision = "0002"
down_revision = "0001"

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Hash every row anew: the chain's hashes go, the tree's come.

    What the chain said last, and the first row that did not fit it, becomes a row itself: a chain that was broken must
    not become a tree that is whole without a word, and a report printed before names its head by the chain's hash.
    """
    op.add_column("audit", sa.Column("hashes", sa.Text(), nullable=False, server_default=""))
    columns = ("kind", "party", "account", "body", "previous_hash", "hash", "hashes")
    audit = sa.table(
        "audit", sa.column("sequence"), sa.column("at", types.Instant(timezone=True)), *map(sa.column, columns)
    )
    connection, done, last = op.get_bind(), 0, datetime.min.replace(tzinfo=UTC)
    open_subtrees: list[bytes] = []
    chain, broken = "0" * 64, None
    query = sa.select(audit).order_by(audit.c.sequence).limit(10_000)
    while rows := connection.execute(query.where(audit.c.sequence > done)).all():
        for row in rows:
            content = _content(row) if row.sequence == done + 1 else None
            if content is None:
                raise SchemaError(f"row {done + 1} of the audit log is missing or broken; restore it from a copy first")
            follows = hashlib.sha256((chain + content).encode()).hexdigest()
            if broken is None and (row.previous_hash, row.hash) != (chain, follows):
                broken = row.sequence
            done, last, chain = row.sequence, row.at, row.hash
            hashes = _completed(done, content, open_subtrees)
            connection.execute(audit.update().where(audit.c.sequence == done).values(hashes=hashes))
    if done:
        body = _canonical({"rows": done, "chain_hash": chain, "first_bad_row": broken})
        event = {"sequence": done + 1, "at": last, "kind": "audit-tree", "party": None, "account": None, "body": body}
        content = _canonical({**event, "at": _instant_text(last), "body": json.loads(body)})
        event["hashes"] = _completed(done + 1, content, open_subtrees)
        connection.execute(audit.insert().values(**event, previous_hash="", hash=""))
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


def _completed(sequence: int, content: str, open_subtrees: list[bytes]) -> str:
    """Hex of the hashes of the subtrees that a row completes."""
    made = [hashlib.sha256(b"\x00" + content.encode()).digest()]
    for level in range((sequence & -sequence).bit_length() - 1):
        made.append(hashlib.sha256(b"\x01" + open_subtrees.pop() + made[level]).digest())
    open_subtrees.append(made[-1])
    return b"".join(made).hex()


def _content(row: sa.Row[Any]) -> str | None:
    """What is hashed of a row; None when its body is none of ours."""
    try:
        body = json.loads(row.body)
    except (ValueError, RecursionError):
        return None
    names = {"sequence": row.sequence, "kind": row.kind, "party": row.party, "account": row.account}
    content = _canonical({**names, "at": _instant_text(row.at), "body": body})
    return content if f'"body":{row.body},"kind":' in content else None


def _instant_text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
