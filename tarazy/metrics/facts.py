"""What the exporter may ask of a running server: plain values, one dataclass for each source.

A source is a callable that returns such a record. It is called at each scrape, in the exporter's thread: it
reads plain counters and never a database. Mappings hold every known label value from the start, so that
`rate()` sees the first event. No field has room for a BIN, a wallet, a worker name or an address (invariant
12).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class GatewayFacts:
    """The Stratum listener."""

    shares: Mapping[str, int] = field(default_factory=dict)
    """Judged shares by result, `accepted` or the reason of rejection."""
    difficulty: Mapping[str, float] = field(default_factory=dict)
    """Sum of their credited difficulty, by the same results."""
    connections: int = 0
    ready_connections: int = 0
    """Connections that have an admitted account and receive jobs."""
    devices: Mapping[str, int] = field(default_factory=dict)
    """These by the kind of device they say they are, from a closed set."""
    refusals: Mapping[str, int] = field(default_factory=dict)
    """Refused admissions by reason code."""
    limit_hits: Mapping[str, int] = field(default_factory=dict)
    """Limits that peers reached, by limit."""
    interval_doublings: int = 0
    """How often the share interval is doubled because the server is behind."""
    certificate_ends: Mapping[str, float] = field(default_factory=dict)
    """When the certificate of a TLS port ends, Unix time, by the port's number in the settings, from 1."""


@dataclass(frozen=True, slots=True)
class AdmissionFacts:
    """The gate."""

    decisions: Mapping[str, int] = field(default_factory=dict)
    """Decisions since the start by result, `admitted` or `refused`."""
    unwritten: int = 0
    """Rows of the audit log that the ledger could not take yet."""


@dataclass(frozen=True, slots=True)
class JournalFacts:
    """The share journal of a gateway."""

    commits: int = 0
    commit_seconds: float = 0.0
    shares: int = 0
    healthy: bool = True


@dataclass(frozen=True, slots=True)
class ChainFacts:
    """What is being mined on."""

    tip_height: int = 0
    template_height: int = 0
    template_age_seconds: float = 0.0
    nodes_up: Mapping[str, bool] = field(default_factory=dict)
    """Whether a node is well, by its number in the settings, from 1."""
    failovers: int = 0
    """How often another node took over."""
    work_delay_seconds: float = 0.0
    """Between hearing of the newest block and the first work on it."""
    template_refused: bool = False
    """The chain said that it would not take the blocks being mined."""


@dataclass(frozen=True, slots=True)
class AccountingFacts:
    """The books as last read by the office."""

    blocks: Mapping[str, int] = field(default_factory=dict)
    """Blocks of ours by state."""
    rounds: int = 0
    """Rounds closed."""
    unfolded_shares: int = 0
    """Shares in the journals of all gateways that are not folded yet."""
    hashrate: float = 0.0
    """Hashes per second of the whole pool, estimated from accepted work."""
    round_age_seconds: float = 0.0
    """How long the open round is open."""
    awaited_gateways: int = 0
    """Gateways whose journals a found block waits for."""


@dataclass(frozen=True, slots=True)
class PayoutFacts:
    """What was divided and paid, as last read by the office. All parties together."""

    satoshi: Mapping[str, int] = field(default_factory=dict)
    """On the accounts of the ledger, by kind."""
    distributions: Mapping[str, int] = field(default_factory=dict)
    """By state."""
    unrecorded: int = 0
    """Final distributions that are not in the audit log, and so not paid."""
    stopped: bool = False
    """Nothing is prepared, signed or sent."""
    batches: Mapping[str, int] = field(default_factory=dict)
    """Batches under way by state."""
    batch_age_seconds: Mapping[str, float] = field(default_factory=dict)
    """How long the batch that came to this state first is in it, by state; 0 without one."""
    troubled: int = 0
    """Batches under way that a node does not take."""
    held: int = 0
    """Parties whose payments are held."""
    difference: int = 0
    """Satoshi that the wallet had over the books at the latest check."""


@dataclass(frozen=True, slots=True)
class EnergyFacts:
    """Metered energy as last read by the office."""

    power_watts: Mapping[str, float] = field(default_factory=dict)
    """Mean power of the last two intervals, by site; of those whose main meters all tell it."""
    readings: Mapping[str, int] = field(default_factory=dict)
    """Readings that came in since the start, by what became of them."""
    reading_age_seconds: Mapping[str, float] = field(default_factory=dict)
    """How long ago the meter that gave a good reading longest ago did, by site; who never gave one is in none."""
    missing_intervals: Mapping[str, int] = field(default_factory=dict)
    """Intervals of the last hour with something missing, all meters together, by site."""
    waiting: Mapping[str, int] = field(default_factory=dict)
    """Readings that an agent still had to push when it pushed last, by site."""


@dataclass(frozen=True, slots=True)
class AttentionFacts:
    """What waits for somebody, as last looked for."""

    findings: Mapping[str, int] = field(default_factory=dict)
    """Open findings by kind."""
    expiring: Mapping[str, int] = field(default_factory=dict)
    """What ends within so many legal days, by the days."""
    cases: Mapping[str, int] = field(default_factory=dict)
    """Warnings of terms of open cases by severity."""
    quota_used: Mapping[str, float] = field(default_factory=dict)
    """Part of its quota of the month that a site took, the fullest one, by site."""
    parties: Mapping[str, int] = field(default_factory=dict)
    """Registered parties, `admitted` and `refused` as they would be now from a site of their own."""
    evidence: Mapping[str, int] = field(default_factory=dict)
    """What is wanting in the evidence of where this server stands, by code."""


@dataclass(frozen=True, slots=True)
class WorkFacts:
    """What a process does again and again."""

    up: Mapping[str, bool] = field(default_factory=dict)
    """Whether it succeeded the last time, by name."""


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """The schedule of reports and their delivery, as last looked for."""

    standing: Mapping[str, int] = field(default_factory=dict)
    """Reports of the schedule by how they stand against their last day."""
    unbuilt: int = 0
    """Those that should be built and are not, and those that cannot be planned."""
    deliveries: Mapping[str, int] = field(default_factory=dict)
    """Deliveries by state."""
    stuck: int = 0
    """Those that may have arrived, have no receipt and wait for a person."""
    waiting_seconds: float = 0.0
    """Since when the one that waits longest for its receipt is approved."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The callables behind the series. A process without a role leaves its source out."""

    gateway: Callable[[], GatewayFacts] | None = None
    admission: Callable[[], AdmissionFacts] | None = None
    journal: Callable[[], JournalFacts] | None = None
    chain: Callable[[], ChainFacts] | None = None
    accounting: Callable[[], AccountingFacts] | None = None
    payouts: Callable[[], PayoutFacts] | None = None
    energy: Callable[[], EnergyFacts] | None = None
    attention: Callable[[], AttentionFacts] | None = None
    reports: Callable[[], ReportFacts] | None = None
    work: Callable[[], WorkFacts] | None = None
