"""What an accreditation report says, without language or layout.

Plain values: satoshi, watt-hours, tenge, UTC instants. The canonical JSON of `AccreditationReport` is the
report; every PDF is a rendering of it that prints its digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Records:
    """Stored records that figures were taken from, as they were known at the report's `as_of`."""

    table: str
    count: int
    numbers: tuple[tuple[int, int], ...] = ()
    """Ranges, both ends included, of the rows' own numbers; empty for rows that are known by their period."""


@dataclass(frozen=True, slots=True)
class Period:
    """The span that sums are over: from `start` (included) to `end` (excluded), within one legal quarter."""

    quarter: str
    """For example `2026-Q4`; legal quarters are Asia/Almaty."""
    start: datetime
    end: datetime
    complete: bool
    """Whether `end` is the quarter's."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Who the report is about."""

    name: str
    country: str
    server: str
    """Key of the server that built the report."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate of accreditation as the register had it."""

    number: str
    issued_by: str
    issued_on: date
    status: str
    valid_from: datetime
    valid_to: datetime | None


@dataclass(frozen=True, slots=True)
class Server:
    """A server of the pool; the location is what the operator registered."""

    server: str
    host: str
    address: str
    country: str
    location: str
    valid_from: datetime
    valid_to: datetime | None


@dataclass(frozen=True, slots=True)
class PoolSection:
    """The pool's accreditation and its servers at the stated moment."""

    certificates: tuple[Certificate, ...]
    servers: tuple[Server, ...]
    source: tuple[Records, ...]


@dataclass(frozen=True, slots=True)
class Licence:
    """A miner's licence as the register had it."""

    number: str
    kind: str
    issued_on: date
    last_day: date | None
    status: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Site:
    """A data centre for digital mining."""

    site: str
    owner: str
    name: str
    country: str
    region: str
    address: str
    networks: tuple[str, ...]
    permitted_power_w: int
    status: str


@dataclass(frozen=True, slots=True)
class Miner:
    """A registered party and whether it may mine at the stated moment."""

    party: str
    bin: str
    kind: str
    licence: Licence | None
    """The licence that the decision rests on."""
    sites: tuple[str, ...]
    """Sites from which the miner may mine; when refused, those it has."""
    equipment: int
    nominal_power_w: int
    admitted: bool
    reasons: tuple[str, ...]
    """Reason codes of the refusal; empty when admitted."""


@dataclass(frozen=True, slots=True)
class MinersSection:
    """Who may mine, from where and on what, at the stated moment."""

    miners: tuple[Miner, ...]
    sites: tuple[Site, ...]
    source: tuple[Records, ...]


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How often one reason was given in the period; a refusal with several reasons counts for each."""

    reason: str
    refusals: int


@dataclass(frozen=True, slots=True)
class RefusedLogin:
    """Refusals of one account in the period. `party` is empty where no registered party has that account."""

    login: str
    """Account and worker as the latest of them was named; empty where logins were counted together."""
    party: str
    reasons: tuple[str, ...]
    refusals: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class AdmissionSection:
    """Decisions on admission in the period, from the hash-chained audit log."""

    admissions: int
    refusals: int
    refusals_of_strangers_not_told_apart: int
    """The part of `refusals` that the log counted together: logins invented faster than it tells apart."""
    reasons: tuple[ReasonCount, ...]
    refused: tuple[RefusedLogin, ...]
    refused_not_listed: int
    """Refused logins of nobody registered beyond those listed; the audit log holds them."""
    source: tuple[Records, ...]


@dataclass(frozen=True, slots=True)
class Credit:
    """A party's part of one distribution."""

    party: str
    weight: int
    amount: int


@dataclass(frozen=True, slots=True)
class Distribution:
    """The division of one block's reward: credits + fee + remainder carried on = reward (invariant 2)."""

    number: int
    block_hash: str
    height: int
    found_at: datetime
    first_round: int
    last_round: int
    reward: int
    fee_ppm: int
    fee: int
    remainder: int
    total_weight: int
    state: str
    """`immature`, `final` or `reversed` at the stated moment."""
    booked_at: datetime
    credits: tuple[Credit, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A block that the pool found in the period."""

    block_hash: str
    height: int
    round: int
    found_at: datetime
    state: str
    party: str


@dataclass(frozen=True, slots=True)
class PartyEarnings:
    """Sums of a party's credits over the period's distributions that were not reversed, in satoshi."""

    party: str
    final: int
    immature: int


@dataclass(frozen=True, slots=True)
class RewardSection:
    """Blocks found and rewards divided in the period."""

    blocks: tuple[Block, ...]
    distributions: tuple[Distribution, ...]
    earnings: tuple[PartyEarnings, ...]
    reward: int
    fee: int
    source: tuple[Records, ...]


@dataclass(frozen=True, slots=True)
class PartyEnergy:
    """A party's part of a site's energy in the period."""

    party: str
    energy_wh: int
    estimate_wh: int | None
    """From work and equipment efficiency; none where any interval has no estimate."""
    uncertain_wh: int
    """The part of `energy_wh` from intervals that were estimated or missing."""
    submetered_wh: int | None
    """What its sub-meters there showed; none where it has none."""


@dataclass(frozen=True, slots=True)
class SiteEnergy:
    """Energy of one site in the period: metered = allocated + unallocated."""

    site: str
    metered_wh: int
    allocated_wh: int
    unallocated_wh: int
    measured: int
    """Intervals of its meters by quality."""
    estimated: int
    missing: int
    parties: tuple[PartyEnergy, ...]


@dataclass(frozen=True, slots=True)
class EnergySection:
    """Energy metered and its division among the parties in the period."""

    sites: tuple[SiteEnergy, ...]
    source: tuple[Records, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A legal rule as it was used; the digest fixes its wording in the rules file."""

    id: str
    digest: str
    topic: str
    valid_from: date
    valid_to: date | None
    act: str
    article: str | None
    source: tuple[str, ...]
    confirmed: bool
    assumed: bool
    note: str | None


@dataclass(frozen=True, slots=True)
class MissingRule:
    """No rule of the topic covers the day, so nothing is computed. The nearest rules by id."""

    topic: str
    day: date
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class FeeLine:
    """One line of a fee: quantity × rate = amount, in tenge."""

    site: str
    meter: str
    source: str
    """Where the electricity came from."""
    supply: str | None
    """Key of the supply that gave it, where the site's supplies are registered."""
    contract: str | None
    """Number of that supply's contract, if it is entered."""
    ground: str
    """Why the rate applies to this quantity by itself."""
    energy_wh: int
    price_tiyn_per_kwh: int | None
    rate_kzt: int
    """The rate that applies: the highest of those that meet at the metering point."""
    split_rate_kzt: int
    """The rate of the quantity by itself; shown beside, not owed."""
    amount_kzt: Decimal
    rule: str
    """Id of the rule in the report's list of rules."""


@dataclass(frozen=True, slots=True)
class Fee:
    """The digital-mining fee of one party for the period, or why it is not computed."""

    party: str
    energy_wh: int
    average_price_kzt: Decimal | None
    """Tenge per kWh of the energy bought, to six decimals, half up; the rates rest on the exact quotient."""
    exact_kzt: Decimal | None
    amount_kzt: int | None
    """Whole tenge: `exact_kzt` rounded once, half up."""
    lines: tuple[FeeLine, ...]
    missing: MissingRule | None
    fault: str | None
    """What is wrong with the data, in English, where that keeps the fee from being computed."""


@dataclass(frozen=True, slots=True)
class Due:
    """When the quarter's fee is declared (none: no declaration is due) and paid."""

    declare: date | None
    pay: date
    rule: str
    """Id of the rule in the report's list of rules."""


@dataclass(frozen=True, slots=True)
class FeeSection:
    """Fees of the period. The miner declares and pays; the pool gives the figures."""

    fees: tuple[Fee, ...]
    due: Due | None
    """None where no rule on it is entered."""
    source: tuple[Records, ...]


@dataclass(frozen=True, slots=True)
class RulesSection:
    """The rules the report rests on, and the topics for which none is entered."""

    rules: tuple[Rule, ...]
    missing: tuple[MissingRule, ...]


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The audit log at the stated moment: how many entries, and the root of the Merkle tree over them (hex)."""

    size: int
    root: str


@dataclass(frozen=True, slots=True)
class AccreditationReport:
    """The accreditation report of the pool at `as_of`, as everything was known at `known_at`."""

    kind: str
    format: int
    as_of: datetime
    known_at: datetime
    """Up to when records are taken into account; `as_of` unless asked otherwise."""
    period: Period
    pool: Pool
    names: Mapping[str, Mapping[str, str]]
    """Name of every party in each language, former parties included."""
    accreditation: PoolSection
    miners: MinersSection
    admission: AdmissionSection
    rewards: RewardSection
    energy: EnergySection
    fee: FeeSection
    rules: RulesSection
    audit: AuditHead | None
