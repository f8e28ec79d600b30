"""What each party tells of a quarter: energy, planned investment, jobs and equipment. Drafts until it is submitted.

What was submitted is never changed: a correction is the next version, and says why. Which form the authority takes it
in is not known; the fields are those of the repealed rules, see docs/law.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime

from sqlalchemy import JSON, Column, Connection, Index, Integer, String, Table, Text, delete, insert, select

from tarazy.accreditation import audit
from tarazy.accreditation.audit import AuditEvent
from tarazy.accreditation.tables import lock_writers
from tarazy.config.law.calendar import Quarter
from tarazy.database.types import Instant, metadata

LONGEST_WHY = 500
HIGHEST = 10**15
"""Largest figure that is taken: no answer of a country is beyond it, and every script counts it exactly."""

quarterly_draft = Table(
    "quarterly_draft",
    metadata,
    Column("party", String(64), primary_key=True),
    Column("quarter", String(7), primary_key=True),
    Column("told", JSON, nullable=False),
    Column("saved_at", Instant, nullable=False),
    Column("saved_by", String(64), nullable=False),
)
"""What a party has not submitted yet. The one table here whose rows change."""

quarterly_information = Table(
    "quarterly_information",
    metadata,
    Column("party", String(64), primary_key=True),
    Column("quarter", String(7), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False, doc="from 1; each corrects the one before"),
    Column("told", JSON, nullable=False, doc="the fields of `Told`"),
    Column("why", Text, nullable=True, doc="what a later version corrects"),
    Column("recorded_at", Instant, nullable=False),
    Column("recorded_by", String(64), nullable=False),
    Index("ix_quarterly_information_quarter", "quarter"),
)
"""What was submitted, version by version. Never changed."""


class QuarterlyError(ValueError):
    """Information that is not taken. The text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a party tells of a quarter. Whole numbers from 0 on."""

    energy_wh: int
    """Consumed in the quarter."""
    investment_kzt: int
    """Planned investment, tenge."""
    jobs: int
    machines: int
    """Mining machines at the quarter's end."""
    power_w: int
    """Their nominal power."""


FIELDS = tuple(field.name for field in fields(Told))


@dataclass(frozen=True, slots=True)
class Submitted:
    """One version of what a party told of a quarter."""

    party: str
    quarter: str
    version: int
    told: Told
    why: str | None
    recorded_at: datetime
    recorded_by: str


def told_of(given: Mapping[str, object]) -> Told:
    """Figures from a form or a file. Raises `QuarterlyError`."""
    absent = [name for name in FIELDS if name not in given]
    if absent:
        raise QuarterlyError(f"{', '.join(absent)}: missing; give a whole number, 0 for none")
    for name in FIELDS:
        value = given[name]
        if type(value) is not int or not 0 <= value <= HIGHEST:
            raise QuarterlyError(f"{name}: a whole number from 0 to {HIGHEST} is expected")
    return Told(**{name: value for name in FIELDS if type(value := given[name]) is int})


def require_over(quarter: Quarter, now: datetime) -> None:
    """Raise `QuarterlyError` unless the quarter is over."""
    if now < quarter.end:
        raise QuarterlyError(f"{quarter} is not over; submit it from {quarter.end.isoformat()} on")


def save_draft(connection: Connection, party: str, quarter: Quarter, told: Told, now: datetime, by: str) -> None:
    """Keep what a party has entered so far in place of its draft before."""
    lock_writers(connection)
    _drop_draft(connection, party, quarter)
    values = {"party": party, "quarter": str(quarter), "told": asdict(told), "saved_at": now, "saved_by": by}
    connection.execute(insert(quarterly_draft).values(**values))


def submit(
    connection: Connection, party: str, quarter: Quarter, told: Told, why: str | None, now: datetime, by: str
) -> Submitted:
    """Record the next version, put it into the audit log, and drop the draft.

    Raises `QuarterlyError` for a quarter that is not over, a correction without a reason, and where nothing differs.
    """
    require_over(quarter, now)
    lock_writers(connection)
    before = versions(connection, party, quarter)
    why = (why or "").strip() or None
    if before and before[-1].told == told:
        raise QuarterlyError(f"version {before[-1].version} of {quarter} says the same already")
    if before and why is None:
        raise QuarterlyError(f"version {before[-1].version} of {quarter} was submitted; say why this corrects it")
    if why is not None and not before:
        raise QuarterlyError("a first version corrects nothing; leave why empty")
    if why is not None and len(why) > LONGEST_WHY:
        raise QuarterlyError(f"why: at most {LONGEST_WHY} characters")
    made = Submitted(party, str(quarter), len(before) + 1, told, why, now, by)
    connection.execute(insert(quarterly_information).values(**{**_row(made), "recorded_at": now}))
    _drop_draft(connection, party, quarter)
    audit.append(connection, [AuditEvent("quarterly-information", _row(made), party=party)], now)
    return made


def _row(made: Submitted) -> dict[str, object]:
    row = asdict(made)
    del row["recorded_at"]
    return row


def _drop_draft(connection: Connection, party: str, quarter: Quarter) -> None:
    table = quarterly_draft
    connection.execute(delete(table).where(table.c.party == party, table.c.quarter == str(quarter)))


def draft(connection: Connection, party: str, quarter: Quarter) -> Told | None:
    """What a party has entered and not submitted."""
    table = quarterly_draft
    query = select(table.c.told).where(table.c.party == party, table.c.quarter == str(quarter))
    kept = connection.scalar(query)
    return Told(**kept) if kept else None


def versions(
    connection: Connection, party: str | None, quarter: Quarter, known_at: datetime | None = None
) -> list[Submitted]:
    """Every version of a quarter as known at an instant, of one party or of all, in order of parties and versions."""
    table = quarterly_information
    query = select(table).where(table.c.quarter == str(quarter)).order_by(table.c.party, table.c.version)
    if party is not None:
        query = query.where(table.c.party == party)
    if known_at is not None:
        query = query.where(table.c.recorded_at <= known_at)
    return [
        Submitted(**{**row, "told": Told(**row["told"])}) for row in map(dict, connection.execute(query).mappings())
    ]


def newest(connection: Connection, quarter: Quarter, known_at: datetime | None = None) -> dict[str, Submitted]:
    """The newest version of each party that submitted a quarter."""
    return {each.party: each for each in versions(connection, None, quarter, known_at)}
