"""Tables of the energy room. Rows are only appended: a correction is another row."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, text

from tarazy.database.types import BigCount, Instant, RowNumber, metadata

reading = Table(
    "reading",
    metadata,
    Column("reading", RowNumber, primary_key=True, autoincrement=True),
    Column("meter", String(64), nullable=False),
    Column("quantity", String(8), nullable=False, doc="active energy: 'import' or 'export'"),
    Column("at", Instant, nullable=False, doc="when the register was read"),
    Column("register_count", BigInteger, nullable=True, doc="as the meter shows it; null unless status is 'ok'"),
    Column("seconds", Integer, nullable=True, doc="not the register, but counts of the span that ended then"),
    Column("status", String(16), nullable=False, doc="'ok', or how it failed"),
    Column("source", String(16), nullable=False, doc="'modbus', 'mqtt', 'agent', 'file' or 'hand'"),
    Column("corrects", RowNumber, ForeignKey("reading.reading"), nullable=True, doc="the reading that it replaces"),
    Column("recorded_at", Instant, nullable=False),
    Index("ix_reading_meter", "meter", "at"),
    Index("uq_reading_corrects", "corrects", unique=True),
    Index(
        "uq_reading_meter",
        "meter",
        "quantity",
        "at",
        unique=True,
        sqlite_where=text("status = 'ok' AND corrects IS NULL"),
        postgresql_where=text("status = 'ok' AND corrects IS NULL"),
    ),
)
"""What a meter showed, or how it failed to. A correction names the reading that it replaces, at most one each."""

waiting = Table(
    "reading_waiting",
    metadata,
    Column("waiting", RowNumber, primary_key=True, autoincrement=True),
    Column("meter", String(64), nullable=False),
    Column("quantity", String(8), nullable=False),
    Column("at", Instant, nullable=False, doc="by the meter's clock, which is ahead"),
    Column("register_count", BigInteger, nullable=True),
    Column("seconds", Integer, nullable=True),
    Column("status", String(16), nullable=False),
    Column("source", String(16), nullable=False),
    Index("ix_reading_waiting_at", "at"),
)
"""Readings that came a little before their instant; removed when they are recorded or refused."""

due = Table(
    "reading_due",
    metadata,
    Column("due", RowNumber, primary_key=True, autoincrement=True),
    Column("meter", String(64), nullable=False),
    Column("since", Instant, nullable=False),
    Column("resumes", Boolean, nullable=False, default=False, doc="earlier intervals are done: go on exactly there"),
    Index("ix_reading_due_meter", "meter"),
)
"""From when on a meter's intervals are to be derived again; written with what calls for it, removed when done."""

device = Table(
    "meter_device",
    metadata,
    Column("device", RowNumber, primary_key=True, autoincrement=True),
    Column("meter", String(64), nullable=False),
    Column("since", Instant, nullable=False, doc="when it was fitted, or its transformers were"),
    Column("serial", String(64), nullable=True),
    Column("profile", String(64), nullable=False),
    Column("ct_ratio", String(40), nullable=False, doc="of the current transformers, an exact fraction"),
    Column("vt_ratio", String(40), nullable=False, doc="of the voltage transformers, an exact fraction"),
    Column("maximum_power_w", BigInteger, nullable=True, doc="what the feeder can carry; null: the profile's"),
    Column("initial_import", BigInteger, nullable=True, doc="count of the register when it was fitted"),
    Column("final_import", BigInteger, nullable=True, doc="last count of the device before it"),
    Column("initial_export", BigInteger, nullable=True),
    Column("final_export", BigInteger, nullable=True),
    Column("why", Text, nullable=True),
    Column("recorded_by", String(64), nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Index("ix_meter_device_meter", "meter", "since"),
)
"""The device that stands at a metering point from an instant on; of two for one instant the later recorded holds."""

interval = Table(
    "interval",
    metadata,
    Column("meter", String(64), primary_key=True),
    Column("interval_start", Instant, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("site", String(64), nullable=False),
    Column("party", String(64), nullable=True, doc="of a sub-meter; null: a main meter of the site"),
    Column("seconds", Integer, nullable=False),
    Column("energy_wh", BigInteger, nullable=False),
    Column("remainder", Text, nullable=True, doc="exact fraction of a watt-hour carried on; null: none"),
    Column("quality", String(16), nullable=False, doc="'measured', 'estimated' or 'missing'"),
    Column("recorded_at", Instant, nullable=False),
    Index("ix_interval_site", "site", "interval_start"),
)
"""Imported watt-hours of one meter in one interval, derived from its readings."""

allocation = Table(
    "allocation",
    metadata,
    Column("site", String(64), primary_key=True),
    Column("interval_start", Instant, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("party", String(64), primary_key=True, doc="'' is the rest that no party accounts for"),
    Column("seconds", Integer, nullable=False),
    Column("energy_wh", BigInteger, nullable=False),
    Column("estimate_wh", BigInteger, nullable=True, doc="from work and efficiency; null when that is unknown"),
    Column("weight", BigCount, nullable=False),
    Column("quality", String(16), nullable=False, doc="the worst quality among the site's meters"),
    Column("recorded_at", Instant, nullable=False),
)
"""A site's watt-hours of one interval among its parties; every version is complete and adds up."""

settled = Table(
    "meter_settled",
    metadata,
    Column("meter", String(64), primary_key=True),
    Column("until", Instant, nullable=False, doc="its intervals are derived up to here"),
    Column("folded_until", Instant, nullable=True, doc="up to here only figures of days are left"),
    Column("remainder", Text, nullable=True, doc="of a watt-hour, what the last folded interval carried on"),
)
"""How far a meter is: the one table here whose rows change."""

site_day = Table(
    "site_day",
    metadata,
    Column("site", String(64), primary_key=True),
    Column("day_start", Instant, primary_key=True, doc="of a legal day, or of a part of one"),
    Column("day_end", Instant, nullable=False),
    Column("state", String(8), nullable=False, doc="'open', 'summed' or 'folded'"),
    Column("whole_at", Instant, nullable=True, doc="when the last of it was recorded first; null: open"),
)
"""Where the energy of a site's days is told: no two overlap, and every interval and allocation lies in one.

open: by its intervals alone. summed: by figures of the day as well, which tell the same, as known at `whole_at` or
later. folded: by those alone. Whatever changes an interval of a summed day opens it in the same transaction.
"""

meter_day = Table(
    "meter_day",
    metadata,
    Column("meter", String(64), primary_key=True),
    Column("day_start", Instant, primary_key=True, doc="of a legal day"),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("site", String(64), primary_key=True),
    Column("party", String(64), primary_key=True, doc="of a sub-meter; '': a main meter of the site"),
    Column("quality", String(16), primary_key=True),
    Column("day_end", Instant, nullable=False),
    Column("intervals", Integer, nullable=False),
    Column("energy_wh", BigInteger, nullable=False),
    Column("first_at", Instant, nullable=False, doc="when something of the day was recorded first"),
    Column("recorded_at", Instant, nullable=False, doc="from when on the day was known like this"),
    Index("ix_meter_day_site", "site", "day_start"),
)
"""What the intervals of a meter were on a summed legal day; each version is one that was known once."""

allocation_day = Table(
    "allocation_day",
    metadata,
    Column("site", String(64), primary_key=True),
    Column("day_start", Instant, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("party", String(64), primary_key=True),
    Column("day_end", Instant, nullable=False),
    Column("intervals", Integer, nullable=False),
    Column("energy_wh", BigInteger, nullable=False),
    Column("estimate_wh", BigInteger, nullable=True),
    Column("estimates", Integer, nullable=False, doc="intervals with an estimate"),
    Column("uncertain_wh", BigInteger, nullable=False, doc="of energy_wh, from intervals that were not measured"),
    Column("first_at", Instant, nullable=False),
    Column("recorded_at", Instant, nullable=False),
)
"""What a site's parties had on a summed legal day."""

peak_day = Table(
    "peak_day",
    metadata,
    Column("site", String(64), primary_key=True),
    Column("day_start", Instant, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("day_end", Instant, nullable=False),
    Column("power_w", BigInteger, nullable=False),
    Column("at", Instant, nullable=False, doc="when the first interval of that power began"),
    Column("first_at", Instant, nullable=False),
    Column("recorded_at", Instant, nullable=False),
)
"""The highest mean power of an interval over a site's main meters on a summed legal day."""

machine_power = Table(
    "machine_power",
    metadata,
    Column("site", String(64), primary_key=True),
    Column("at", Instant, primary_key=True),
    Column("asked", Integer, nullable=False),
    Column("answered", Integer, nullable=False),
    Column("telling", Integer, nullable=False, doc="of those, how many told a power"),
    Column("power_w", BigInteger, nullable=False),
    Column("recorded_at", Instant, nullable=False),
)
"""What the machines of a site say that they draw: a hint, read by nothing that is owed or reported."""
