"""What the list of what ends says, without language or layout. Plain values, as in `content`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from tarazy.reports.coins import Days
from tarazy.reports.content import AuditHead, Pool, Records, RulesSection


@dataclass(frozen=True, slots=True)
class ExpiringLine:
    """An entry of a register that ends, and that nothing follows."""

    register: str
    key: str
    entry: int
    """Number of the version that ends."""
    party: str | None
    """Whom it concerns: whose it is, or the owner of its site; None where it is the pool's."""
    site: str | None
    named: str | None
    """By what people know it, beside its key: number of a contract, title of a document, month of a quota."""
    of_register: str | None
    """For a document, the register of the entry that it belongs to."""
    of_key: str | None
    last_day: date
    """The last legal day on which it holds."""
    days_left: int
    """Legal days from the report's to the last one: 0 on it."""


@dataclass(frozen=True, slots=True)
class ExpiringReport:
    """What ends in the days ahead of `as_of`, as it was known at `known_at`."""

    kind: str
    format: int
    as_of: datetime
    known_at: datetime
    """Up to when records are taken into account; `as_of` unless asked otherwise."""
    ahead_days: int
    days: Days
    """The legal days in which the ends lie."""
    pool: Pool
    names: Mapping[str, Mapping[str, str]]
    sites: Mapping[str, str]
    """Names of the sites of the list."""
    lines: tuple[ExpiringLine, ...]
    """By last day."""
    rules: RulesSection
    audit: AuditHead | None
    source: tuple[Records, ...]
