"""What the portal knows at one moment, as plain values between the queries and the views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tarazy.accounting.blocks import Block
from tarazy.accounting.energy.figures import Energy, SiteInterval
from tarazy.accounting.queries import Balance, BookedDistribution, Work
from tarazy.accreditation.snapshot import Registers
from tarazy.reports.attention import Notice


@dataclass(frozen=True, slots=True)
class Live:
    """What only the running server knows. Instants are aware UTC."""

    pool_name: str
    demo: bool
    """Parties, sites and meters are made up."""
    demo_sign_in: bool
    """Anybody on this machine may sign in as one of the demo's users."""
    test_chain: bool
    """The chain is not for real coins."""
    started_at: datetime
    stratum_url: str
    connections: int | None
    ready_connections: int | None
    """Connections that receive jobs. None, as the former, where the gateways are processes of their own."""
    tip_height: int | None
    """None before the first template."""
    template_height: int | None
    template_at: datetime | None
    """None, as the height, before the first template and where the gateways are processes of their own."""
    health: Mapping[str, bool]
    """Part → whether it works; known parts: journal, chain, database, meters, certificate."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Refused admissions of one account for the same reasons in the last 24 hours."""

    account: str
    party: str | None
    reasons: tuple[str, ...]
    count: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class MeterState:
    """The last answer of a meter."""

    meter: str
    site: str
    status: str
    """A reading's status, `faulty` as registered, or `none` before the first."""
    read_at: datetime | None


@dataclass(frozen=True, slots=True)
class Fee:
    """The digital-mining fee of a party in the present quarter so far."""

    tenge: int | None
    confirmed: bool
    problem: str | None
    """Code of why there is no figure."""


FOLDED = Fee(None, confirmed=False, problem="folded")
"""Of a moment inside a day of which only the sum is kept."""


@dataclass(frozen=True, slots=True)
class Present:
    """What changes by the second."""

    registers: Registers
    admissions: Mapping[str, tuple[str, ...]]
    """Party → reason codes; none when it is admitted."""
    window_seconds: float
    work: Mapping[str, Work]
    """By party, in the window of the present hash rate."""
    balances: Mapping[str, Balance]
    open_round: tuple[int, datetime] | None
    blocks: Sequence[Block]
    block_counts: Mapping[str, int]
    distributions: Sequence[BookedDistribution]
    distribution_count: int
    meters: Sequence[MeterState]
    power_w: Mapping[str, int | None]
    """By site."""


@dataclass(frozen=True, slots=True)
class Day:
    """The last 24 hours."""

    work: Mapping[str, Work] = field(default_factory=dict)
    series: Mapping[str, Mapping[datetime, float]] = field(default_factory=dict)
    """Party → start of the interval → accepted weight."""
    site_intervals: Sequence[SiteInterval] = ()
    estimates: Mapping[datetime, int] = field(default_factory=dict)
    """Start of the interval → watt-hours that the work of all parties stands for."""
    energy: Mapping[tuple[str, str], Energy] | None = field(default_factory=dict)
    """(site, party) → watt-hours; party '' is what nobody's work accounts for. None: in a day known as a whole only."""
    refusals: Sequence[Refusal] = ()
    last_decision: int = 0
    """Row of the audit log that tells of the newest admission or refusal; 0: there is none."""


@dataclass(frozen=True, slots=True)
class QuarterSoFar:
    """The present legal quarter up to now."""

    quarter: str
    energy: Mapping[str, Energy]
    """By party."""
    fees: Mapping[str, Fee]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything one answer is made of."""

    now: datetime
    interval_seconds: int
    present: Present
    day: Day
    quarter: QuarterSoFar
    attention: Sequence[Notice] = ()
    """What waits for somebody, the most severe first."""
    past: bool = False
    """Whether `now` is a moment of before."""
