"""Tables of the accounting room. Money is satoshi; weight is about the hashes a share stands for.

Tallies, round weights and account balances grow in place; everything else is appended, and what changes
about a row (a block's state, a distribution's fate) carries the instant of the change.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    event,
    false,
    text,
)

from tarazy.accounting.guards import POSTGRESQL, SQLITE
from tarazy.database.types import BigCount, Instant, RowNumber, metadata

gateway = Table(
    "gateway",
    metadata,
    Column("gateway", Integer, primary_key=True, autoincrement=False),
    Column("journal", BigInteger, nullable=False, doc="identity of the journal folded"),
    Column("sequence", BigInteger, nullable=False, doc="last share folded"),
    Column("block", BigInteger, nullable=False, doc="last block of the journal that closed its round"),
    Column("certain", BigInteger, nullable=False, doc="up to here no share lies behind a block still to come"),
    Column("recorded", BigInteger, nullable=False, doc="last share in the order of record, and in the chain"),
    Column("lost_at", Instant, nullable=True, doc="an operator's word: rounds wait for it no longer"),
)
"""How far each gateway's journal is folded."""

late = Table(
    "late",
    metadata,
    Column("gateway", Integer, primary_key=True, autoincrement=False),
    Column("first_sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("lost_at", Instant, nullable=False, doc="when its gateway was declared lost"),
    Column("folded_at", Instant, nullable=False),
)
"""Shares that a lost gateway delivered after all. They belong to the round that was open then, as its cut says."""

round_ = Table(
    "round",
    metadata,
    Column("round", Integer, primary_key=True, autoincrement=False, doc="counts from 1"),
    Column("opened_at", Instant, nullable=False),
    Column("closed_at", Instant, nullable=True, doc="null for the open round, which is the last one"),
    Column("block_hash", String(64), nullable=True),
    Column("gateway", Integer, nullable=True, doc="the finder's"),
    Column("cut", JSON, nullable=True, doc="gateway → last share inside"),
    Column("fee_ppm", Integer, nullable=True, doc="the pool's fee in force when the round closed"),
    Column("fees", JSON, nullable=True, doc="party → fee of its own, as far as there were any"),
    Column("scheme", String(16), nullable=True, doc="in force then; null for PROP before there was a choice"),
    Column("window", BigCount, nullable=True, doc="PPLNS: the weight that the window may hold"),
    Column("target", String(64), nullable=True, doc="FPPS: the network's when its block was found, hex"),
    Column("subsidy", BigInteger, nullable=True, doc="FPPS: of its block"),
    Column("fee_blocks", Integer, nullable=True, doc="FPPS: blocks before its block whose fees are averaged"),
    Column("average_fee", BigInteger, nullable=True, doc="FPPS: that average; null until the chain has told it"),
    Column("window_place", BigInteger, nullable=True, doc="PPLNS: where in the order of record its window begins"),
    Column("archived_at", Instant, nullable=True, doc="since when its shares are in archives on disk"),
)
"""Work between two found blocks. Rounds whose block left the main chain are merged only in distributions."""

tally = Table(
    "tally",
    metadata,
    Column("round", Integer, ForeignKey("round.round"), primary_key=True, autoincrement=False),
    Column("interval_start", Instant, primary_key=True),
    Column("party", String(64), primary_key=True),
    Column("account", String(128), primary_key=True),
    Column("worker", String(128), primary_key=True),
    Column("site", String(64), primary_key=True),
    Column("weight", BigCount, nullable=False),
    Column("shares", BigInteger, nullable=False),
    Column("stale_weight", BigCount, nullable=False),
    Column("stale_shares", BigInteger, nullable=False),
    Index("ix_tally_interval_start", "interval_start", "site"),
    Index("ix_tally_party", "party", "interval_start"),
)
"""Work by worker, site and interval of the share's time. Stale work earns nothing but used energy."""

site_tally = Table(
    "site_tally",
    metadata,
    Column("round", Integer, ForeignKey("round.round"), primary_key=True, autoincrement=False),
    Column("interval_start", Instant, primary_key=True),
    Column("party", String(64), primary_key=True),
    Column("site", String(64), primary_key=True),
    Column("heaviest", BigCount, nullable=False, doc="the most that a worker's share ever meant in the mean"),
    Column("weight", BigCount, nullable=False),
    Column("shares", BigInteger, nullable=False),
    Column("stale_weight", BigCount, nullable=False),
    Column("stale_shares", BigInteger, nullable=False),
    Index("ix_site_tally_party", "party", "interval_start"),
    Index("ix_site_tally_interval_start", "interval_start", "site"),
)
"""Sums of `tally` over the workers of a party at a site, written with them: what months are told by, and energy is held
against."""

rejection = Table(
    "rejection",
    metadata,
    Column("interval_start", Instant, primary_key=True, doc="of the interval in which they were counted"),
    Column("gateway", Integer, primary_key=True, autoincrement=False),
    Column("process", BigInteger, primary_key=True, autoincrement=False, doc="when it started, Unix microseconds"),
    Column("party", String(64), primary_key=True),
    Column("account", String(128), primary_key=True, doc="'' with the worker: of names beyond what is told apart"),
    Column("worker", String(128), primary_key=True),
    Column("site", String(64), primary_key=True),
    Column("reason", String(32), primary_key=True),
    Column("shares", BigInteger, nullable=False),
    Index("ix_rejection_party", "party", "interval_start"),
)
"""Shares that were answered with an error, by name and reason: told to miners for a month, and read by nothing owed."""

round_work = Table(
    "round_work",
    metadata,
    Column("round", Integer, ForeignKey("round.round"), primary_key=True, autoincrement=False),
    Column("target", String(64), primary_key=True, doc="the network's, hex; empty for work folded before it was kept"),
    Column("subsidy", BigInteger, primary_key=True, autoincrement=False, doc="of the block that was worked on"),
    Column("party", String(64), primary_key=True),
    Column("weight", BigCount, nullable=False),
)
"""Credited work of a party in a round, the sum of its tallies: dividing costs no more than the parties.

A round has work of several worths when the network's difficulty or the subsidy changes in it.
"""

stretch = Table(
    "stretch",
    metadata,
    Column("stretch", RowNumber, primary_key=True, autoincrement=True, doc="its place in the order of record"),
    Column("weight", BigCount, nullable=False),
    Column("weights", JSON, nullable=False, doc="party → credited work"),
    Column("shares", LargeBinary, nullable=False, doc="the credited shares in order, see order.py"),
)
"""Work in the order of record, kept while PPLNS needs it and as long as a window may reach it."""

window_weight = Table(
    "window_weight",
    metadata,
    Column("round", Integer, ForeignKey("round.round"), primary_key=True, autoincrement=False),
    Column("party", String(64), primary_key=True),
    Column("weight", BigCount, nullable=False),
)
"""PPLNS: work of a party in the window that ends with the round."""

block = Table(
    "block",
    metadata,
    Column("block_hash", String(64), primary_key=True, doc="as displayed"),
    Column("height", Integer, nullable=False),
    Column("round", Integer, ForeignKey("round.round"), nullable=False, unique=True),
    Column("gateway", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False, doc="last share inside the round, as the gateway said"),
    Column("party", String(64), nullable=False, doc="the finder"),
    Column("worker", String(128), nullable=False),
    Column("found_at", Instant, nullable=False),
    Column("state", String(16), nullable=False, doc="a BlockState"),
    Column("confirmations", Integer, nullable=False, doc="0 before the chain has it"),
    Column("reward", BigInteger, nullable=False, doc="what the coinbase pays the pool"),
    Column("state_at", Instant, nullable=False),
    Index("ix_block_found_at", "found_at"),
)
"""Blocks found here; each closes one round."""

_STANDING, _DUE = text("state <> 'reversed'"), text("due")

distribution = Table(
    "distribution",
    metadata,
    Column("distribution", RowNumber, primary_key=True, autoincrement=True),
    Column("block_hash", String(64), ForeignKey("block.block_hash"), nullable=False),
    Column("first_round", Integer, nullable=False),
    Column("last_round", Integer, nullable=False),
    Column("reward", BigInteger, nullable=False),
    Column("scheme", String(16), nullable=False, server_default="prop"),
    Column("fee_ppm", Integer, nullable=False),
    Column("fees", JSON, nullable=True, doc="party → fee of its own; with any, each part pays its own fee"),
    Column("fee", BigInteger, nullable=False),
    Column("remainder", BigInteger, nullable=False),
    Column("total_weight", BigCount, nullable=False),
    Column("reserve", BigInteger, nullable=False, server_default="0", doc="FPPS: what the reserve gave; signed"),
    Column("average_fee", BigInteger, nullable=True, doc="FPPS: by which its shares were paid"),
    Column("state", String(16), nullable=False, doc="'immature', 'final' or 'reversed'"),
    Column("booked_at", Instant, nullable=False),
    Column("final_at", Instant, nullable=True),
    Column("reversed_at", Instant, nullable=True),
    Index(
        "uq_distribution_block_hash",
        "block_hash",
        unique=True,
        sqlite_where=_STANDING,
        postgresql_where=_STANDING,
    ),
    Index(
        "uq_distribution_first_round",
        "first_round",
        unique=True,
        sqlite_where=_STANDING,
        postgresql_where=_STANDING,
    ),
    Index("ix_distribution_state", "state", "last_round"),
    Index("ix_distribution_booked_at", "booked_at"),
)
"""A block's reward over one or more rounds. At most one stands for a block, and one begins at a round."""

credit = Table(
    "credit",
    metadata,
    Column(
        "distribution",
        RowNumber,
        ForeignKey("distribution.distribution"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("party", String(64), primary_key=True),
    Column("weight", BigCount, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("fee", BigInteger, nullable=True, doc="FPPS: its part of the fee; else it follows from the reward"),
    Column("due", Boolean, nullable=False, server_default=false(), doc="final, and in no payout batch that stands"),
    Index("ix_credit_due", "distribution", "party", sqlite_where=_DUE, postgresql_where=_DUE),
)
"""A party's part of a distribution."""

paid_block = Table(
    "paid_block",
    metadata,
    Column("block_hash", String(64), primary_key=True, doc="as displayed"),
    Column("previous", String(64), nullable=False),
    Column("height", Integer, nullable=False),
    Column("fees", BigInteger, nullable=False, doc="what its coinbase pays out beyond the subsidy"),
    Column("proof", JSON, nullable=False, doc="header, coinbase without witness, merkle branch, in hex"),
)
"""Blocks of the chain, whoever found them, whose fees FPPS averages."""

party_salt = Table(
    "party_salt",
    metadata,
    Column("party", String(64), primary_key=True),
    Column("salt", String(64), nullable=False, doc="hex; told to the party only"),
)
"""What hides a party behind its alias and commitments in published records."""

chain_link = Table(
    "chain_link",
    metadata,
    Column("gateway", Integer, primary_key=True, autoincrement=False),
    Column("first", BigInteger, primary_key=True, autoincrement=False, doc="sequence number of its first share"),
    Column("last", BigInteger, nullable=False),
    Column("root", String(64), nullable=False),
    Column("head", String(64), nullable=False),
    Column("note", Text, nullable=True, doc="the head as it was signed; null where a later one covers it"),
    Column("place", BigInteger, nullable=True, doc="in the order of record, with others; null where none was kept"),
    Index("ix_chain_link_place", "place"),
)
"""The chain over a gateway's shares, link by link, written in the transaction that folds them."""

round_proof = Table(
    "round_proof",
    metadata,
    Column("distribution", RowNumber, ForeignKey("distribution.distribution"), primary_key=True, autoincrement=False),
    Column("round", Integer, nullable=False, unique=True, doc="its last round, by which it is asked for"),
    Column("record", Text, nullable=False, doc="canonical JSON, as in the audit log"),
    Column("audit_row", BigInteger, nullable=False, doc="which row of the audit log that is"),
)
"""What a final distribution is verified against. Written once, with the row of the audit log."""

ledger_entry = Table(
    "ledger_entry",
    metadata,
    Column("entry", RowNumber, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("reference", String(128), nullable=False, doc="what it is about, such as a distribution's number"),
    Column("note", Text, nullable=False),
    Index("ix_ledger_entry_reference", "kind", "reference"),
    Index("ix_ledger_entry_at", "at"),
)
"""One booking. Never changed: a correction is a new entry. It is inserted after its postings and closes them."""

ledger_posting = Table(
    "ledger_posting",
    metadata,
    Column(
        "entry",
        RowNumber,
        ForeignKey("ledger_entry.entry", deferrable=True, initially="DEFERRED"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("account", String(96), primary_key=True),
    Column("amount", BigInteger, nullable=False, doc="signed; the postings of an entry add up to zero"),
    CheckConstraint("amount <> 0", name="amount"),
    Index("ix_ledger_posting_account", "account", "entry"),
)
"""What an entry adds to an account."""

ledger_account = Table(
    "ledger_account",
    metadata,
    Column("account", String(96), primary_key=True),
    Column("balance", BigInteger, nullable=False, doc="the sum of its postings"),
)
"""Balances, kept beside the postings so that asking for one does not add up history."""

for _dialect, _statements in (("sqlite", SQLITE), ("postgresql", POSTGRESQL)):
    for _statement in _statements:
        _guard = DDL(_statement)  # type: ignore[no-untyped-call]
        event.listen(ledger_posting, "after_create", _guard.execute_if(dialect=_dialect))
