"""What the statement of energy and fee says, without language or layout. Plain values, as in `content`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tarazy.reports.coins import Days, Person
from tarazy.reports.content import AuditHead, Due, Fee, Pool, Records, RulesSection


@dataclass(frozen=True, slots=True)
class MeterUse:
    """A main meter of a site, or a sub-meter of the party there, over the quarter."""

    meter: str
    submeter: bool
    source: str | None
    """What it measures and how it stands, as registered at the end; None where it is not registered any more."""
    status: str | None
    energy_wh: int
    measured: int
    """Intervals by quality."""
    estimated: int
    missing: int


@dataclass(frozen=True, slots=True)
class Sharing:
    """How the site's energy that no sub-meter tells is shared, from an instant on."""

    since: datetime
    by: str | None
    """`work`, `power` or `fixed`; None: all of it in proportion to accepted work, and the rest is nobody's."""
    part_percent: Decimal | None
    """The party's, where parts are agreed."""
    rest: str | None
    """Whose the rest is: `owner` or `parties`."""


@dataclass(frozen=True, slots=True)
class SiteUse:
    """A site where the party has energy, machines, or a right to have them."""

    site: str
    name: str
    owner: str | None
    metered_wh: int
    """Of its main meters."""
    allocated_wh: int
    """Of it, to the party."""
    rest_wh: int
    """Of the rest, the party's as the owner of the site."""
    uncertain_wh: int
    """The part of `allocated_wh` from intervals that were estimated or missing."""
    submetered_wh: int | None
    """What the party's sub-meters showed; None where it has none."""
    sharing: tuple[Sharing, ...]
    meters: tuple[MeterUse, ...]


@dataclass(frozen=True, slots=True)
class Drawn:
    """The party's energy from one source, supply and price."""

    source: str
    supply: str | None
    contract: str | None
    price_tiyn_per_kwh: int | None
    """None where nothing is bought, or where no price is entered."""
    energy_wh: int
    cost_kzt: Decimal | None
    """Exact: energy × price."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that is missing, or that makes a figure less than certain; a reader is told what to do."""

    code: str
    of: str | None
    """The site or the meters that it is about."""
    count: int | None


@dataclass(frozen=True, slots=True)
class EnergyStatement:
    """The energy and the fee of one party in a legal quarter, as it was known at `known_at`."""

    kind: str
    format: int
    as_of: datetime
    known_at: datetime
    """Up to when records are taken into account; `as_of` unless asked otherwise."""
    days: Days
    pool: Pool
    names: Mapping[str, Mapping[str, str]]
    person: Person
    sites: tuple[SiteUse, ...]
    drawn: tuple[Drawn, ...]
    average_price_kzt: Decimal | None
    """Tenge per kWh of the energy bought, to six decimals, half up; None where nothing was, or a price is missing."""
    fee: Fee
    """Its energy is `allocated_wh` and `rest_wh` of all sites."""
    due: Due | None
    """None where no rule on it is entered."""
    gaps: tuple[Gap, ...]
    rules: RulesSection
    audit: AuditHead | None
    source: tuple[Records, ...]
