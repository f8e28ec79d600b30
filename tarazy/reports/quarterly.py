"""What the report on quarterly information says, without language or layout; as `coins`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tarazy.reports.coins import Days, Person
from tarazy.reports.content import AuditHead, Pool, Records, RulesSection


@dataclass(frozen=True, slots=True)
class Known:
    """What the pool itself knows of a party's quarter."""

    energy_wh: int | None
    """Allocated by its meters; None where the pool measured nothing."""
    machines: int
    """In the register at the quarter's end."""
    power_w: int


@dataclass(frozen=True, slots=True)
class ToldLine:
    """What a party told, in its newest version; see `accreditation.quarterly.Told`."""

    version: int
    recorded_at: datetime
    why: str | None
    energy_wh: int
    investment_kzt: int
    jobs: int
    machines: int
    power_w: int


@dataclass(frozen=True, slots=True)
class QuarterlyLine:
    """One party: what it told, None where it told nothing, beside what the pool knows."""

    person: Person
    told: ToldLine | None
    known: Known


@dataclass(frozen=True, slots=True)
class QuarterlyReport:
    """What parties told of a quarter, as it was known at `known_at`."""

    kind: str
    format: int
    as_of: datetime
    known_at: datetime
    days: Days
    pool: Pool
    names: Mapping[str, Mapping[str, str]]
    party: str | None
    """The party that the report is of; None: of all."""
    lines: tuple[QuarterlyLine, ...]
    rules: RulesSection
    """None is entered: what the present rules ask is not known."""
    audit: AuditHead | None
    source: tuple[Records, ...]
