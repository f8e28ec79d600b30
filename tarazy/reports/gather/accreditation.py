"""The accreditation report, section by section."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from tarazy.accreditation.registers import as_of as registers_as_of
from tarazy.config.law import LawBook
from tarazy.config.law.calendar import Quarter, legal_day
from tarazy.reports.consumption import OF_ENERGY
from tarazy.reports.content import AccreditationReport, MinersSection, Pool, PoolSection
from tarazy.reports.gather.energy import gather_energy
from tarazy.reports.gather.fee import gather_fee
from tarazy.reports.gather.law import gather_rules
from tarazy.reports.gather.records import period_until
from tarazy.reports.gather.registers import (
    audit_head,
    gather_accreditation,
    gather_admission,
    gather_miners,
    names_of,
)
from tarazy.reports.gather.rewards import gather_rewards

FORMAT = 2
"""Version of the report's JSON; a change of its shape takes the next number."""


def gather(
    connection: Connection, as_of: datetime, pool: Pool, book: LawBook, known_at: datetime | None = None
) -> AccreditationReport:
    """The accreditation report at `as_of` (aware), with the sums of the legal quarter up to it.

    It holds nothing that was recorded at `known_at` (`as_of` when None) or after, so it is the same whenever it is
    gathered (invariant 6). Between the two it takes up corrections and late readings; blocks stand as at `as_of`.
    """
    period = period_until(as_of)
    known_at = known_at or as_of
    known = known_at - datetime.resolution
    quarter = Quarter.parse(period.quarter)
    names, accreditation, miners = _registered(connection, pool, as_of, known)
    return AccreditationReport(
        kind="accreditation",
        format=FORMAT,
        as_of=as_of,
        known_at=known_at,
        period=period,
        pool=pool,
        names=names,
        accreditation=accreditation,
        miners=miners,
        admission=gather_admission(connection, period),
        rewards=gather_rewards(connection, period, as_of - datetime.resolution),
        energy=gather_energy(connection, period, known),
        fee=gather_fee(connection, registers_as_of(connection, as_of, known, OF_ENERGY), book, period, known),
        rules=gather_rules(book, legal_day(as_of), quarter.last_day),
        audit=audit_head(connection, known_at),
    )


def _registered(
    connection: Connection, pool: Pool, as_of: datetime, known: datetime
) -> tuple[dict[str, dict[str, str]], PoolSection, MinersSection]:
    """What all registers tell; they are let go of before the sums are gathered, for a country's are large."""
    registers = registers_as_of(connection, as_of, known)
    return names_of(registers), gather_accreditation(registers), gather_miners(registers, pool)
