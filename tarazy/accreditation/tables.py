"""Tables of the registers, all append-only and effective-dated, and of the audit log.

A register keeps every version of every entry. `valid_from` and `valid_to` say when a version holds in the
world (`valid_to` is the first instant at which it no longer does), `recorded_at` when the pool learned of it.
`corrects` names the entry in whose place a version stands. Which of the versions known at an instant is in force,
`snapshot.version_at` says. Rows are never changed or removed
(invariant 7).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Date,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    func,
    select,
)

from tarazy.database.types import Instant, RowNumber, metadata

WRITER_LOCK = 0x7461_7261_7A79
"""PostgreSQL advisory lock that lets one transaction at a time write registers or audit rows."""


def _register(name: str, *payload: Column[Any]) -> Table:
    """A register's table: its key column carries the register's own name."""
    return Table(
        name,
        metadata,
        Column("entry", RowNumber, primary_key=True, autoincrement=True),
        Column(name, String, nullable=False, index=True),
        *payload,
        Column("valid_from", Instant, nullable=False),
        Column("valid_to", Instant),
        Column("corrects", RowNumber),
        Column("why", String),
        Column("note", String),
        Column("recorded_at", Instant, nullable=False),
        Column("recorded_by", String, nullable=False),
    )


def _text(name: str, length: int | None = None) -> Column[str]:
    return Column(name, String(length), nullable=False)


party = _register(
    "party",
    _text("bin", 12),
    _text("kind"),
    _text("account"),
    _text("name_kk"),
    _text("name_ru"),
    _text("name_en"),
    _text("jurisdiction"),
    Column("contract", String),
    Column("contract_on", Date),
    Column("contact", String),
    Column("email", String),
    Column("phone", String),
)

wallet = _register("wallet", _text("party"), _text("address"), _text("status"))

licence = _register(
    "licence",
    _text("party"),
    _text("kind"),
    Column("issued_on", Date, nullable=False),
    _text("status"),
    Column("replaces", String),
    Column("reason", String),
)

site = _register(
    "site",
    _text("party"),
    _text("name"),
    _text("country", 2),
    _text("region"),
    _text("address"),
    Column("networks", JSON, nullable=False),
    Column("permitted_power_w", BigInteger, nullable=False),
    _text("status"),
    Column("coordinates", String),
    Column("grid_connection", String),
    Column("energy_by", String),
    Column("energy_parts", String),
    Column("energy_rest", String),
)

placement = _register("placement", _text("party"), _text("site"), _text("contract"), Column("contract_on", Date))

certificate = _register(
    "certificate",
    _text("issued_by"),
    Column("issued_on", Date, nullable=False),
    _text("status"),
    Column("register_entry", String),
)

server = _register(
    "server",
    _text("host"),
    _text("address"),
    _text("country", 2),
    _text("location"),
    Column("networks", JSON, nullable=False),
    Column("attested_by", String),
    Column("attested_on", Date),
)

equipment = _register(
    "equipment",
    _text("model"),
    _text("party"),
    _text("site"),
    Column("nominal_hash_rate_hs", BigInteger, nullable=False),
    Column("nominal_power_w", BigInteger, nullable=False),
    Column("register_entry", String),
)

meter = _register(
    "meter",
    _text("site"),
    _text("host"),
    Column("port", Integer, nullable=False),
    Column("unit", Integer, nullable=False),
    _text("profile"),
    _text("source"),
    Column("price_tiyn_per_kwh", Integer, nullable=False),
    _text("status"),
    Column("party", String),
    _text("read_by"),
)

supply = _register(
    "supply",
    _text("site"),
    _text("source"),
    Column("priority", Integer, nullable=False),
    Column("price_tiyn_per_kwh", Integer),
    Column("month_kwh", BigInteger),
    Column("supplier", String),
    Column("contract", String),
    Column("contract_on", Date),
)

quota = _register(
    "quota",
    _text("site"),
    _text("month", 7),
    Column("energy_kwh", BigInteger, nullable=False),
    _text("source"),
    Column("granted_by", String),
    Column("number", String),
    Column("granted_on", Date),
)

permit = _register(
    "permit",
    _text("party"),
    _text("issued_by"),
    Column("issued_on", Date, nullable=False),
    _text("application"),
    _text("platform"),
    _text("purpose"),
    _text("address"),
    _text("status"),
)

document = _register(
    "document",
    _text("of_register"),
    _text("of_key"),
    _text("title"),
    Column("number", String),
    Column("issued_by", String),
    Column("issued_on", Date),
    _text("digest", 64),
    _text("media_type"),
    Column("size", BigInteger, nullable=False),
)

finding = _register(
    "finding",
    _text("kind"),
    _text("severity"),
    _text("of_register"),
    _text("of_key"),
    Column("party", String),
    Column("site", String),
    Column("evidence", JSON, nullable=False),
    _text("state"),
    Column("owner", String),
    Column("blocks", Boolean, nullable=False),
)

geo = _register(
    "geo",
    _text("country", 2),
    _text("file"),
    _text("file_digest", 64),
    Column("dated_on", Date, nullable=False),
    _text("digest", 64),
    Column("ranges", BigInteger, nullable=False),
    Column("ipv4_addresses", BigInteger, nullable=False),
    Column("ipv6_subnets", BigInteger, nullable=False),
)

REGISTERS: dict[str, Table] = {
    table.name: table
    for table in (
        party,
        wallet,
        licence,
        site,
        placement,
        certificate,
        server,
        equipment,
        meter,
        supply,
        quota,
        permit,
        document,
        finding,
        geo,
    )
}
"""Every register by name, in an order in which no register refers to a later one."""

document_content = Table(
    "document_content",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("media_type", String, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("stored_at", Instant, nullable=False),
)
"""Files attached to entries, each once, by the SHA-256 of its content."""

expiry_warning = Table(
    "expiry_warning",
    metadata,
    Column("register", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("ends_at", Instant, primary_key=True),
    Column("within_days", Integer, primary_key=True, autoincrement=False),
    Column("warned_at", Instant, nullable=False),
)
"""What was warned of: each threshold before each end once."""

server_evidence = Table(
    "server_evidence",
    metadata,
    Column("number", RowNumber, primary_key=True, autoincrement=True),
    Column("server", String, nullable=False, index=True),
    Column("taken_at", Instant, nullable=False),
    Column("digest", String(64), nullable=False),
)
"""What the pool's servers proved about themselves, append-only; the content lies in `document_content`."""

audit = Table(
    "audit",
    metadata,
    Column("sequence", RowNumber, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False, index=True),
    Column("kind", String, nullable=False),
    Column("party", String),
    Column("account", String),
    Column("body", Text, nullable=False),
    Column("hashes", Text, nullable=False),
)
"""The audit log: row `sequence` is leaf `sequence` - 1 of its Merkle tree, and `hashes` holds, in hex and from the leaf
up, those of the full subtrees that it completes."""

audit_head = Table(
    "audit_head",
    metadata,
    Column("head", RowNumber, primary_key=True, autoincrement=True),
    Column("size", RowNumber, nullable=False),
    Column("at", Instant, nullable=False),
    Column("verifier", String, nullable=False),
    Column("note", Text, nullable=False),
)
"""Signed heads of the audit log's tree, as the signed notes that they are given away as."""


def lock_writers(connection: Connection) -> None:
    """Let this transaction alone write registers and the audit log until it ends.

    A reader that polls the highest entry number thereby never overlooks one that commits late. SQLite needs
    nothing: every transaction there begins with `BEGIN IMMEDIATE`.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(WRITER_LOCK)))
