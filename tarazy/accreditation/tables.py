"""Tables of the registers, all append-only and effective-dated, and of the audit log.

A register keeps every version of every entry. `valid_from` and `valid_to` say when a version holds in the
world (`valid_to` is the first instant at which it no longer does), `recorded_at` when the pool learned of it.
Which of the versions known at an instant is in force, `snapshot.version_at` says. Rows are never changed or removed
(invariant 7).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    Date,
    Integer,
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
        Column("recorded_at", Instant, nullable=False),
        Column("recorded_by", String, nullable=False),
        Column("note", String),
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
    _text("payout_address"),
)

licence = _register(
    "licence",
    _text("party"),
    _text("kind"),
    Column("issued_on", Date, nullable=False),
    _text("status"),
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
)

placement = _register("placement", _text("party"), _text("site"), _text("contract"))

certificate = _register(
    "certificate",
    _text("issued_by"),
    Column("issued_on", Date, nullable=False),
    _text("status"),
)

server = _register("server", _text("host"), _text("address"), _text("country", 2), _text("location"))

equipment = _register(
    "equipment",
    _text("model"),
    _text("party"),
    _text("site"),
    Column("efficiency_mj_per_th", BigInteger, nullable=False),
    Column("nominal_power_w", BigInteger, nullable=False),
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
)

REGISTERS: dict[str, Table] = {
    table.name: table for table in (party, licence, site, placement, certificate, server, equipment, meter)
}
"""Every register by name, in an order in which no register refers to a later one."""

audit = Table(
    "audit",
    metadata,
    Column("sequence", RowNumber, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False, index=True),
    Column("kind", String, nullable=False),
    Column("party", String),
    Column("account", String),
    Column("body", Text, nullable=False),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)


def lock_writers(connection: Connection) -> None:
    """Let this transaction alone write registers and the audit log until it ends.

    A reader that polls the highest entry number thereby never overlooks one that commits late. SQLite needs
    nothing: every transaction there begins with `BEGIN IMMEDIATE`.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(WRITER_LOCK)))
