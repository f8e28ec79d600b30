"""Who this server is in the registers, and what counts as evidence and as a finding."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from tarazy.config.settings.fields import Network, Section, like


class DemoAddress(Section):
    """A loopback network that the demo declares to lie in a country. Only with the embedded chain."""

    network: Network
    country: Annotated[str, like("[A-Z]{2}", "a country of ISO 3166, for example KZ")]

    @model_validator(mode="after")
    def _loopback(self) -> DemoAddress:
        if not self.network.is_loopback:
            raise ValueError("demo addresses are loopback networks, for example 127.0.0.1/32")
        return self


class EvidenceAges(Section):
    """Days after which a source's data counts as old: a finding, no refusal."""

    blocks: int = Field(default=365, ge=1)
    rir: int = Field(default=30, ge=1)
    mmdb: int = Field(default=60, ge=1)


EvidenceSource = Literal["blocks", "rir", "mmdb", "site"]


def _independent(value: tuple[EvidenceSource, ...]) -> tuple[EvidenceSource, ...]:
    if len(set(value)) < len(value):
        raise ValueError("names a source twice; remove one")
    if not set(value) - {"site"}:
        raise ValueError("must name at least one of blocks, rir, mmdb: a site's own word alone proves nothing")
    return value


class EvidenceSettings(Section):
    """Which sources tell where an address lies, and how many of them must agree."""

    rule: Literal["all", "majority", "any"] = "all"
    """Of the sources that know an address, how many must place it in the country."""
    sources: Annotated[tuple[EvidenceSource, ...], AfterValidator(_independent)] = ("blocks", "rir", "mmdb", "site")
    """Those that count; one of which nothing is recorded has no say."""
    maximum_age_days: EvidenceAges = EvidenceAges()
    time_url: Annotated[str, like(r"https?://[^\s@]+", "http:// or https:// and a host")] | None = None
    """A web server whose Date header the clock is compared with; none when absent."""


FindingName = Literal[
    "hash-rate",
    "no-equipment",
    "no-wallet",
    "worker-at-two-sites",
    "machine-twice",
    "no-placement",
    "no-own-site",
    "site-power",
    "site-networks",
    "licence-term",
    "bin-twice",
    "document-expired",
    "evidence-disagrees",
    "meter-silent",
    "meter-register",
    "meter-refused",
    "meter-stuck",
    "energy-quota",
    "drawn-power",
    "energy-floor",
    "energy-drift",
    "unit-price",
]


class FindingSettings(Section):
    """What is held against work and registers, and which of it keeps those concerned from mining."""

    blocking: tuple[FindingName, ...] = ()
    """Kinds whose open findings let nobody mine whom they concern; none unless the operator says so."""
    hash_rate_tolerance_percent: int = Field(default=10, ge=0, le=1000)
    """By how much machines may do more than their nominal rate."""
    best_machine_mj_per_th: int | None = Field(default=None, ge=1_000, le=100_000)
    """Millijoules a terahash that no machine in existence goes below, as tuned: the floor of what work takes. It holds
    for every day; when absent, the dated data that come with the program do."""
    window_hours: int = Field(default=6, ge=1, le=168)
    """Span of the work that is judged at a time."""
    patience_seconds: float = Field(default=300.0, ge=0, le=86_400)
    """How long something must be so, or be so no longer, before a finding is opened, or closed by itself."""


class AccreditationSettings(Section):
    """Who this server is in the registers, and the rule for loopback in a demo."""

    server: str
    """Key of this server in the register of servers."""
    demo_addresses: tuple[DemoAddress, ...] = ()
    evidence: EvidenceSettings = EvidenceSettings()
    findings: FindingSettings = FindingSettings()
    wallet_cooling_hours: int = Field(default=72, ge=1, le=8760)
    """Hours between the proposal of another payout address and the first instant it may be paid to."""

    @property
    def wallet_cooling(self) -> timedelta:
        """Time between the proposal of another payout address and the first instant it may be paid to."""
        return timedelta(hours=self.wallet_cooling_hours)

    @property
    def country(self) -> str:
        """Where sites, servers and miners must be; the address blocks and the law of no other country are shipped."""
        return "KZ"
