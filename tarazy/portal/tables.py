"""The tables of who may use the portal: of tokens, invitations and sessions only digests are kept."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table

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
    Column("scope", String(16), doc="a Scope; null: all that the role may"),
    Column("created_at", Instant, nullable=False),
    Column("created_by", String, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("revoked_at", Instant),
)

portal_user = Table(
    "portal_user",
    metadata,
    Column("user", RowNumber, primary_key=True, autoincrement=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("role", String, nullable=False),
    Column("party", String(64)),
    Column("invited_at", Instant, nullable=False),
    Column("invited_by", String, nullable=False),
    Column("invitation", String(64), unique=True),
    Column("invitation_ends_at", Instant),
    Column("secret", String),
    Column("password", String),
    Column("last_step", BigInteger, nullable=False, server_default="0"),
    Column("joined_at", Instant),
    Column("removed_at", Instant),
)
"""`secret` is sealed, `password` an argon2id hash, `last_step` that of the last accepted code."""

portal_session = Table(
    "portal_session",
    metadata,
    Column("session", RowNumber, primary_key=True, autoincrement=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("name", String(64), nullable=False, index=True),
    Column("begun_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False, index=True),
)
