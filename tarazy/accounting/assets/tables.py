"""Tables of what becomes of the coins: their values, their sale, the record of what was distributed."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Date, ForeignKey, Index, Integer, String, Table, Text, text

from tarazy.database.types import Instant, RowNumber, metadata

_FIRST = text("corrects IS NULL")

value_file = Table(
    "value_file",
    metadata,
    Column("file", RowNumber, primary_key=True, autoincrement=True),
    Column("name", String(255), nullable=False),
    Column("digest", String(64), nullable=False, doc="SHA-256 of the file"),
    Column("source", Text, nullable=False, doc="who published it, and where"),
    Column("imported_at", Instant, nullable=False),
    Column("imported_by", String(64), nullable=False),
)
"""Files of values that were imported."""

asset_value = Table(
    "asset_value",
    metadata,
    Column("entry", RowNumber, primary_key=True, autoincrement=True),
    Column("file", RowNumber, ForeignKey("value_file.file"), nullable=False),
    Column("asset", String(32), nullable=False),
    Column("day", Date, nullable=False, doc="legal day"),
    Column("value_kzt", String(40), nullable=False, doc="tenge for one whole coin, exact decimal"),
    Column("corrects", RowNumber, nullable=True, unique=True, doc="entry in whose place this one stands"),
    Column("why", Text, nullable=True),
    Index("ix_asset_value_asset", "asset", "day"),
    Index("uq_asset_value_day", "asset", "day", unique=True, sqlite_where=_FIRST, postgresql_where=_FIRST),
)
"""What one coin was worth on a day. Never changed: a correction is a new row."""

asset_sale = Table(
    "asset_sale",
    metadata,
    Column("entry", RowNumber, primary_key=True, autoincrement=True),
    Column("party", String(64), nullable=False),
    Column("exchange", String(128), nullable=False),
    Column("exchange_licence", String(64), nullable=True, doc="of the AIFC; null where it has none"),
    Column("deal", String(64), nullable=False, doc="number of the deal at the exchange"),
    Column("asset", String(32), nullable=False),
    Column("quantity", BigInteger, nullable=False, doc="satoshi; 0 in a correction takes the sale back"),
    Column("sold_at", Instant, nullable=False),
    Column("document", String(64), nullable=True, doc="SHA-256 of the deal's document, kept in document_content"),
    Column("corrects", RowNumber, nullable=True, unique=True, doc="entry in whose place this one stands"),
    Column("why", Text, nullable=True),
    Column("recorded_at", Instant, nullable=False),
    Column("recorded_by", String(64), nullable=False),
    CheckConstraint("quantity > 0 OR quantity = 0 AND corrects IS NOT NULL", name="quantity"),
    Index("ix_asset_sale_sold_at", "sold_at"),
    Index("uq_asset_sale_deal", "exchange", "deal", unique=True, sqlite_where=_FIRST, postgresql_where=_FIRST),
)
"""Coins that miners sold, by deal. Never changed: a correction is a new row."""

issued_record = Table(
    "issued_record",
    metadata,
    Column("start", Instant, primary_key=True),
    Column("end", Instant, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False, doc="from 1; each corrects the one before"),
    Column("as_of", Instant, nullable=False, doc="the moment it speaks of"),
    Column("digest", String(64), nullable=False, doc="SHA-256 of its canonical JSON"),
    Column("why", Text, nullable=True, doc="why it corrects the version before"),
    Column("issued_at", Instant, nullable=False),
    Column("issued_by", String(64), nullable=False),
)
"""Versions of the record of distributed assets of each period. A version is never changed."""
