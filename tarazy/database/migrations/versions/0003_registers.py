"""Registers: corrections, wallets apart from parties, documents, permits, and what an entry says of its holder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from tarazy.database import types

revision = "0003"
down_revision = "0002"

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_REGISTERS = ("party", "licence", "site", "placement", "certificate", "server", "equipment", "meter")
_ADDED = {
    "party": ("contract", "contract_on", "contact", "email", "phone"),
    "licence": ("replaces",),
    "site": ("coordinates", "grid_connection"),
    "placement": ("contract_on",),
    "certificate": ("register_entry",),
    "server": ("attested_by", "attested_on"),
    "equipment": ("register_entry",),
}


def upgrade() -> None:
    """Add the columns and tables, and carry over what was recorded."""
    for register in _REGISTERS:
        op.add_column(register, sa.Column("corrects", _ROW_NUMBER))
        op.add_column(register, sa.Column("why", sa.String()))
        for name in _ADDED.get(register, ()):
            op.add_column(register, sa.Column(name, sa.Date() if name.endswith("_on") else sa.String()))
    _add_filled("party", sa.Column("jurisdiction", sa.String(), nullable=False, server_default="KZ"))
    _add_filled("server", sa.Column("networks", sa.JSON(), nullable=False, server_default="[]"))
    _add_filled("equipment", sa.Column("nominal_hash_rate_hs", sa.BigInteger(), nullable=False, server_default="1"))
    _create_register("wallet", _text("party"), _text("address"), _text("status"))
    _create_register(
        "permit",
        _text("party"),
        _text("issued_by"),
        sa.Column("issued_on", sa.Date(), nullable=False),
        _text("application"),
        _text("platform"),
        _text("purpose"),
        _text("address"),
        _text("status"),
    )
    _create_register(
        "document",
        _text("of_register"),
        _text("of_key"),
        _text("title"),
        sa.Column("number", sa.String()),
        sa.Column("issued_by", sa.String()),
        sa.Column("issued_on", sa.Date()),
        _text("digest", 64),
        _text("media_type"),
        sa.Column("size", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "document_content",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("stored_at", types.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_document_content")),
    )
    connection = op.get_bind()
    for register in _REGISTERS:
        _name_corrections(connection, register)
    _move_addresses(connection)
    machines = _table(connection, "equipment")
    for row in connection.execute(sa.select(machines)):
        rate = max(1, row.nominal_power_w * 10**15 // row.efficiency_mj_per_th)
        connection.execute(machines.update().where(machines.c.entry == row.entry).values(nominal_hash_rate_hs=rate))
    op.drop_column("equipment", "efficiency_mj_per_th")
    op.drop_column("party", "payout_address")


def _text(name: str, length: int | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)


def _add_filled(register: str, column: sa.Column[Any]) -> None:
    """Add a column that older rows have the default in, and newer ones must fill."""
    op.add_column(register, column)
    with op.batch_alter_table(register) as table:
        table.alter_column(column.name, server_default=None)


def _create_register(name: str, *payload: sa.Column[Any]) -> None:
    op.create_table(
        name,
        sa.Column("entry", _ROW_NUMBER, autoincrement=True, nullable=False),
        _text(name),
        *payload,
        sa.Column("valid_from", types.Instant(timezone=True), nullable=False),
        sa.Column("valid_to", types.Instant(timezone=True)),
        sa.Column("corrects", _ROW_NUMBER),
        sa.Column("why", sa.String()),
        sa.Column("note", sa.String()),
        sa.Column("recorded_at", types.Instant(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("entry", name=op.f(f"pk_{name}")),
    )
    op.create_index(op.f(f"ix_{name}_{name}"), name, [name])


def _table(connection: sa.Connection, name: str) -> sa.Table:
    table = sa.Table(name, sa.MetaData(), autoload_with=connection)
    for column in table.columns:
        if isinstance(column.type, sa.DateTime):
            column.type = types.Instant(timezone=True)
    return table


def _versions(connection: sa.Connection, table: sa.Table) -> Iterator[Sequence[sa.Row[Any]]]:
    """All rows of each entry, the earliest recorded first."""
    grouped: dict[str, list[sa.Row[Any]]] = {}
    for row in connection.execute(sa.select(table).order_by(table.c.entry)):
        grouped.setdefault(row._mapping[table.name], []).append(row)
    yield from grouped.values()


def _name_corrections(connection: sa.Connection, register: str) -> None:
    """Say in so many words what used to follow from the order of rows.

    A row that held at the first instant of an earlier one took its place altogether; a row is added that takes the
    earlier one back, known since the same moment.
    """
    table = _table(connection, register)
    for rows in _versions(connection, table):
        for index, row in enumerate(rows):
            for later in rows[index + 1 :]:
                ends = later.valid_to
                if later.valid_from <= row.valid_from and (ends is None or row.valid_from < ends):
                    taken_back = {
                        **{name: value for name, value in row._mapping.items() if name != "entry"},
                        "valid_to": row.valid_from,
                        "corrects": row.entry,
                        "why": f"replaced by entry {later.entry}",
                        "recorded_at": later.recorded_at,
                        "recorded_by": later.recorded_by,
                    }
                    connection.execute(table.insert().values(taken_back))
                    break


def _move_addresses(connection: sa.Connection) -> None:
    """Each address that a party had becomes a wallet, approved since the row that named it first."""
    parties, wallets = _table(connection, "party"), _table(connection, "wallet")
    for rows in _versions(connection, parties):
        known: set[str] = set()
        address = None
        for row in rows:
            if row.corrects is not None or row.payout_address == address:
                continue
            address = row.payout_address
            known.add(address)
            moved = {
                "wallet": f"{row.party[:60]}-{len(known)}",
                "party": row.party,
                "address": address,
                "status": "approved",
                "valid_from": row.valid_from,
                "recorded_at": row.recorded_at,
                "recorded_by": row.recorded_by,
            }
            connection.execute(wallets.insert().values(moved))
