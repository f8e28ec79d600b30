"""The table of access tokens: only their digests are kept."""

from __future__ import annotations

from sqlalchemy import Column, String, Table

from tarazy.database.types import Instant, RowNumber, metadata

access_token = Table(
    "access_token",
    metadata,
    Column("token", RowNumber, primary_key=True, autoincrement=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("role", String, nullable=False),
    Column("party", String(64)),
    Column("site", String(64)),
    Column("created_at", Instant, nullable=False),
    Column("created_by", String, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("revoked_at", Instant),
)
