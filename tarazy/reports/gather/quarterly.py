"""What parties told of a quarter, beside what the pool's own records say of it."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from sqlalchemy import Connection

from tarazy.accounting.energy.figures import FoldedError, energy_by_party
from tarazy.accreditation.quarterly import Submitted, newest
from tarazy.accreditation.registers import as_of as registers_as_of
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law.calendar import Period, Quarter
from tarazy.reports.content import Pool, Records, RulesSection
from tarazy.reports.gather.coins import days_of, names_of, people, person_of
from tarazy.reports.gather.registers import audit_head
from tarazy.reports.gather.statement import StatementError
from tarazy.reports.quarterly import Known, QuarterlyLine, QuarterlyReport, ToldLine

FORMAT = 1
"""Version of the report's JSON."""


def gather_quarterly(
    connection: Connection,
    party: str | None,
    period: Period,
    as_of: datetime,
    pool: Pool,
    known_at: datetime | None = None,
) -> QuarterlyReport:
    """The information of `party`, or of every party that told something or is registered at the quarter's end.

    Raises `StatementError` for a party that nobody registered or another period.
    """
    try:
        quarter = Quarter.parse(str(period))
    except ValueError:
        raise StatementError(f"the information is of a quarter; {period} is none, write it like 2026-Q3") from None
    known_at = known_at or as_of
    known = known_at - datetime.resolution
    days = days_of(period, as_of)
    registers = registers_as_of(connection, days.end - datetime.resolution, known)
    registered = people(registers)
    if party is not None and party not in registered:
        raise StatementError(f"no party {party} is registered; see `tarazy register show party`")
    told = newest(connection, quarter, known)
    wanted = {party} if party else {*told, *registers.parties}
    facts = known_of(connection, registers, quarter, known)
    return QuarterlyReport(
        kind="quarterly",
        format=FORMAT,
        as_of=as_of,
        known_at=known_at,
        days=days,
        pool=pool,
        names=names_of(row for row in registered.values() if row.party in wanted),
        party=party,
        lines=tuple(
            QuarterlyLine(person_of(registers, registered[key]), _told(told.get(key)), facts.get(key, NOTHING_KNOWN))
            for key in sorted(wanted & registered.keys())
        ),
        rules=RulesSection((), ()),
        audit=audit_head(connection, known_at),
        source=(Records("quarterly_information", sum(key in wanted for key in told)),),
    )


NOTHING_KNOWN = Known(None, 0, 0)


def known_of(connection: Connection, registers: Registers, quarter: Quarter, known_at: datetime) -> dict[str, Known]:
    """What the pool knows of a quarter by party: energy, and the machines in force in `registers`."""
    energy: Counter[str] = Counter()
    try:
        found = energy_by_party(connection, quarter.start, quarter.end, known_at)
    except FoldedError:  # not as known then: no figure rather than another one
        found = {}
    for (_, party), part in found.items():
        energy[party] += part.energy_wh
    machines: Counter[str] = Counter()
    power: Counter[str] = Counter()
    for machine in registers.equipment.values():
        machines[machine.party] += 1
        power[machine.party] += machine.nominal_power_w
    return {party: Known(energy.get(party), machines[party], power[party]) for party in {*energy, *machines} - {""}}


def _told(submitted: Submitted | None) -> ToldLine | None:
    if submitted is None:
        return None
    told = submitted.told
    return ToldLine(
        version=submitted.version,
        recorded_at=submitted.recorded_at,
        why=submitted.why,
        energy_wh=told.energy_wh,
        investment_kzt=told.investment_kzt,
        jobs=told.jobs,
        machines=told.machines,
        power_w=told.power_w,
    )
