"""Tables of payouts: batches, what they pay and settle, the signed transactions, holds, and who may pay."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    Text,
    text,
)

from tarazy.database.types import Instant, RowNumber, metadata

_LIVE, _CONFIRMED, _IN_FORCE = text("live"), text("confirmed_at IS NOT NULL"), text("released_at IS NULL")

batch = Table(
    "payout_batch",
    metadata,
    Column("batch", RowNumber, primary_key=True, autoincrement=True),
    Column("state", String(16), nullable=False, doc="a BatchState"),
    Column("amount", BigInteger, nullable=False, doc="what its payees receive"),
    Column("proposed_at", Instant, nullable=False),
    Column("proposed_by", String, nullable=False),
    Column("approved_at", Instant),
    Column("approved_by", String),
    Column("psbt", Text, doc="the transaction that waits for its signatures, base64 (BIP174)"),
    Column("exported_at", Instant, doc="when that transaction was first given away to be signed"),
    Column("trouble", Text, doc="why it does not go on, in the node's words"),
    Column("abandon_asked_by", String, doc="the first of the two who give it up"),
    Column("state_at", Instant, nullable=False),
    Column("audit_row", BigInteger, doc="which row of the audit log tells what it pays; null until it is signed"),
    Index("ix_payout_batch_state", "state"),
    Index("ix_payout_batch_proposed_at", "proposed_at"),
)
"""Payments that one transaction makes."""

payout = Table(
    "payout",
    metadata,
    Column("batch", RowNumber, ForeignKey("payout_batch.batch"), primary_key=True, autoincrement=False),
    Column("party", String(64), primary_key=True),
    Column("address", String(128), nullable=False, doc="as it was in force when the batch was proposed"),
    Column("script", String(256), nullable=False, doc="of the address, hex"),
    Column("amount", BigInteger, nullable=False),
    CheckConstraint("amount > 0", name="amount"),
    Index("ix_payout_party_address", "party", "address", "batch"),
)
"""What a batch pays to a party: frozen when it was proposed."""

payout_credit = Table(
    "payout_credit",
    metadata,
    Column("batch", RowNumber, primary_key=True, autoincrement=False),
    Column("distribution", RowNumber, primary_key=True, autoincrement=False),
    Column("party", String(64), primary_key=True),
    Column("live", Boolean, nullable=False, doc="false once the batch is abandoned"),
    ForeignKeyConstraint(["batch", "party"], ["payout.batch", "payout.party"]),
    ForeignKeyConstraint(["distribution", "party"], ["credit.distribution", "credit.party"]),
    Index(
        "uq_payout_credit_distribution_party",
        "distribution",
        "party",
        unique=True,
        sqlite_where=_LIVE,
        postgresql_where=_LIVE,
    ),
)
"""The credits that a payment settles: each is in at most one batch that is not abandoned."""

transaction = Table(
    "payout_transaction",
    metadata,
    Column("txid", String(64), primary_key=True, doc="as displayed"),
    Column("batch", RowNumber, ForeignKey("payout_batch.batch"), nullable=False),
    Column("raw", Text, nullable=False, doc="signed, hex"),
    Column("fee", BigInteger, nullable=False),
    Column("signed_at", Instant, nullable=False),
    Column("confirmed_at", Instant),
    Index("ix_payout_transaction_batch", "batch", "signed_at"),
    Index(
        "uq_payout_transaction_batch",
        "batch",
        unique=True,
        sqlite_where=_CONFIRMED,
        postgresql_where=_CONFIRMED,
    ),
)
"""The outbox: signed transactions, later ones replacing earlier ones of their batch. One of a batch can confirm."""

hold = Table(
    "payout_hold",
    metadata,
    Column("hold", RowNumber, primary_key=True, autoincrement=True),
    Column("party", String(64), nullable=False),
    Column("why", Text, nullable=False),
    Column("language", String(2), doc="which the reason is written in; null where nobody said"),
    Column("held_at", Instant, nullable=False),
    Column("held_by", String, nullable=False),
    Column("released_at", Instant),
    Column("released_by", String),
    Column("released_why", Text),
    Index("ix_payout_hold_party", "party"),
    Index("uq_payout_hold_party_why", "party", "why", unique=True, sqlite_where=_IN_FORCE, postgresql_where=_IN_FORCE),
)
"""Payments kept back, each until somebody decides."""

control = Table(
    "payout_control",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("token", BigInteger, nullable=False, doc="of the payer that took over last"),
    Column("payer", String, nullable=False),
    Column("checked_at", Instant),
    Column("difference", BigInteger, doc="what the wallet had over the books, at the latest check"),
    CheckConstraint("id = 1", name="id"),
)
"""One row: who pays, and what the latest check found."""

stop = Table(
    "payout_stop",
    metadata,
    Column("stop", RowNumber, primary_key=True, autoincrement=True),
    Column("why", Text, nullable=False, doc="why nothing is paid"),
    Column("language", String(2), doc="as that of a hold"),
    Column("stopped_at", Instant, nullable=False),
    Column("stopped_by", String, nullable=False),
    Column("resumed_at", Instant, doc="null while it lasts"),
)
"""When nothing was paid, and why; who let payments go again, and why, is in the audit log."""
