"""Tables of cases: a row for each case, and its record, append-only (invariant 7)."""

from __future__ import annotations

from sqlalchemy import JSON, Column, ForeignKey, Integer, String, Table

from tarazy.database.types import Instant, RowNumber, metadata

case = Table(
    "case",
    metadata,
    Column("case", String(64), primary_key=True),
    Column("service", String(64), nullable=False),
    Column("party", String(64)),
    Column("opened_at", Instant, nullable=False),
    Column("opened_by", String, nullable=False),
)

case_event = Table(
    "case_event",
    metadata,
    Column("case", String(64), ForeignKey("case.case"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False),
    Column("at", Instant, nullable=False),
    Column("content", JSON, nullable=False),
    Column("attachments", JSON, nullable=False),
    Column("corrects", Integer),
    Column("why", String),
    Column("note", String),
    Column("register", String(32)),
    Column("register_key", String(64)),
    Column("entry", RowNumber),
    Column("recorded_at", Instant, nullable=False),
    Column("recorded_by", String, nullable=False),
)
"""`register`, `register_key` and `entry` name what a decision entered in a register."""
