"""Tables of the energy room. Rows are only appended: a correction is a row with a higher version."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table

from tarazy.database.types import BigCount, Instant, RowNumber, metadata

reading = Table(
    "reading",
    metadata,
    Column("reading", RowNumber, primary_key=True, autoincrement=True),
    Column("meter", String(64), nullable=False),
    Column("at", Instant, nullable=False, doc="when the register was read"),
    Column("register_wh", BigInteger, nullable=True, doc="cumulative watt-hours; null unless status is 'ok'"),
    Column("status", String(16), nullable=False, doc="'ok', 'exception', 'silent', 'refused' or 'garbage'"),
    Column("recorded_at", Instant, nullable=False),
    Index("ix_reading_meter", "meter", "at"),
)
"""What a meter answered, or how it failed to."""

interval = Table(
    "interval",
    metadata,
    Column("meter", String(64), primary_key=True),
    Column("interval_start", Instant, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("site", String(64), nullable=False),
    Column("seconds", Integer, nullable=False),
    Column("energy_wh", BigInteger, nullable=False),
    Column("quality", String(16), nullable=False, doc="'measured', 'estimated' or 'missing'"),
    Column("recorded_at", Instant, nullable=False),
    Index("ix_interval_interval_start", "interval_start", "site"),
)
"""Watt-hours of one meter in one interval, derived from its readings."""

allocation = Table(
    "allocation",
    metadata,
    Column("site", String(64), primary_key=True),
    Column("interval_start", Instant, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("party", String(64), primary_key=True, doc="'' is the rest that no party's work accounts for"),
    Column("seconds", Integer, nullable=False),
    Column("energy_wh", BigInteger, nullable=False),
    Column("estimate_wh", BigInteger, nullable=True, doc="from work and efficiency; null when that is unknown"),
    Column("weight", BigCount, nullable=False),
    Column("quality", String(16), nullable=False, doc="the worst quality among the site's meters"),
    Column("recorded_at", Instant, nullable=False),
    Index("ix_allocation_interval_start", "interval_start", "site"),
)
"""A site's watt-hours of one interval among its parties; every version is complete and adds up."""
