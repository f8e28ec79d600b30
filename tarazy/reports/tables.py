"""Tables of the reports' room: what the office built by its schedule, and the outbox of what is delivered."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    text,
)

from tarazy.database.types import Instant, RowNumber, metadata

_LIVE, _OPEN = text("state <> 'abandoned'"), text("ended_at IS NULL")

scheduled_report = Table(
    "scheduled_report",
    metadata,
    Column("kind", String(32), primary_key=True),
    Column("start", Instant, primary_key=True),
    Column("end", Instant, primary_key=True),
    Column("name", String(200), doc="of its JSON file; null until it is built"),
    Column("digest", String(64), doc="SHA-256 of that"),
    Column("built_at", Instant),
    Column("trouble", Text, doc="why it is not built, or not signed or put into the outbox"),
    Column("tried_at", Instant, nullable=False),
)
"""Reports of the schedule, one for each period that has ended."""

delivery = Table(
    "delivery",
    metadata,
    Column("delivery", RowNumber, primary_key=True, autoincrement=True),
    Column("profile", String(32), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("period", String(32), nullable=False),
    Column("name", String(200), nullable=False, doc="of the document's JSON file"),
    Column("digest", String(64), nullable=False, doc="SHA-256 of that"),
    Column("key", String(64), nullable=False, doc="idempotency key"),
    Column("method", String(8), nullable=False),
    Column("url", Text, nullable=False),
    Column("headers", JSON, nullable=False, doc="without those that hold secrets"),
    Column("media_type", String(100), nullable=False),
    Column("body", LargeBinary, nullable=False, doc="what is sent, to the byte"),
    Column("body_digest", String(64), nullable=False),
    Column("state", String(16), nullable=False, doc="a DeliveryState"),
    Column("state_at", Instant, nullable=False),
    Column("proposed_at", Instant, nullable=False),
    Column("proposed_by", String, nullable=False),
    Column("approved_at", Instant),
    Column("approved_by", String),
    Column("attempts", Integer, nullable=False, doc="begun so far"),
    Column("next_at", Instant, doc="when the next may begin; null while it waits for a person"),
    Column("trouble", Text, doc="why it does not go on"),
    Column("receipt", String(200), doc="the receipt's number"),
    Column("received_at", Instant),
    Index("ix_delivery_state", "state"),
    Index("uq_delivery_profile_digest", "profile", "digest", unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE),
)
"""The outbox: what is sent is read from here. One delivery of a document to a recipient stands."""

delivery_attempt = Table(
    "delivery_attempt",
    metadata,
    Column("delivery", RowNumber, ForeignKey("delivery.delivery"), primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False, doc="from 1"),
    Column("way", String(8), nullable=False, doc="'send' or 'ask'"),
    Column("begun_at", Instant, nullable=False),
    Column("until", Instant, nullable=False, doc="when it has surely ended, whatever became of its process"),
    Column("ended_at", Instant),
    Column("outcome", String(16), doc="an Outcome; null while it goes on"),
    Column("status", Integer, doc="of HTTP"),
    Column("words", Text),
    Column("answer", LargeBinary, doc="of a receipt, to the byte"),
    Index("uq_delivery_attempt_delivery", "delivery", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
)
"""Attempts, written before anything is sent. At most one of a delivery goes on."""
