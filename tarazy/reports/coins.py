"""What the reports on coins say, without language or layout: statements, sales, distributed assets, distributions.

Plain values, as in `content`; the canonical JSON of each is the document, and every PDF and XLSX a rendering of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from tarazy.reports.content import AuditHead, Block, Credit, Pool, Records, RulesSection


@dataclass(frozen=True, slots=True)
class Days:
    """The legal days that a statement or record is of: from `start` (included) to `end` (excluded)."""

    name: str
    """`2026`, `2026-Q4`, `2026-11`, or both days."""
    first_day: date
    last_day: date
    start: datetime
    end: datetime
    """The end of the last day; the report's moment where that is earlier."""
    complete: bool
    """Whether the period was over at the report's moment."""


@dataclass(frozen=True, slots=True)
class Person:
    """A registered party, with the licence that holds at the report's moment, or held last."""

    party: str
    bin: str
    licence: str | None
    licence_issued_on: date | None


@dataclass(frozen=True, slots=True)
class RoundWork:
    """A party's work in a round that closed in the period."""

    round: int
    closed_at: datetime
    height: int
    shares: int
    stale_shares: int
    weight: int
    total_weight: int
    """Of all parties."""


@dataclass(frozen=True, slots=True)
class CreditLine:
    """A party's part of a distribution that was booked, became final or was reversed in the period."""

    distribution: int
    height: int
    block_hash: str
    first_round: int
    last_round: int
    scheme: str
    reward: int
    weight: int
    total_weight: int
    fee_ppm: int
    """The party's fee."""
    fee: int
    """The party's part of the pool's fee: what was withheld from it where parties pay fees of their own, else the
    fee by its share of the work, rounded down."""
    amount: int
    state: str
    booked_at: datetime
    final_at: datetime | None
    reversed_at: datetime | None


@dataclass(frozen=True, slots=True)
class AccountLine:
    """An account over the period: opening + moved = closing, in satoshi."""

    account: str
    opening: int
    moved: Mapping[str, int]
    """Sums by kind of booking."""
    closing: int


@dataclass(frozen=True, slots=True)
class MovementLine:
    """What one booking added to one account of the party."""

    entry: int
    at: datetime
    kind: str
    reference: str
    account: str
    amount: int


@dataclass(frozen=True, slots=True)
class ValueLine:
    """Coins of one day in tenge, or why there is no figure."""

    what: str
    """`credit`: a distribution that became final; `payout`: what was paid out."""
    reference: str
    """Number of the distribution or of the ledger entry."""
    day: date
    satoshi: int
    value_day: date
    value_kzt: Decimal | None
    """Tenge for one coin, as published for `value_day`."""
    amount_kzt: Decimal | None
    """Rounded once, to whole tiyn, half up."""
    absent: str | None
    rule: str | None
    """Id of the rule in the report's list of rules."""


@dataclass(frozen=True, slots=True)
class ValueSource:
    """A published file that values were taken from."""

    name: str
    digest: str
    source: str
    imported_at: datetime


@dataclass(frozen=True, slots=True)
class Valuation:
    """Coins in tenge, with the files that the values came from."""

    lines: tuple[ValueLine, ...]
    credited_kzt: Decimal | None
    """Sum of the credits' lines; None where one of them has no figure."""
    paid_kzt: Decimal | None
    moved_days_unknown: bool
    """Whether a day lies in a year whose moved days off are not entered."""
    files: tuple[ValueSource, ...]


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the period; money in satoshi."""

    shares: int
    stale_shares: int
    credited: int
    """Of the distributions that became final in the period."""
    fee: int
    """The party's part of the pool's fee in them."""
    paid: int


@dataclass(frozen=True, slots=True)
class Statement:
    """What one party worked, was credited and paid in a period, as it was known at `known_at`."""

    kind: str
    format: int
    as_of: datetime
    known_at: datetime
    """Up to when records are taken into account; `as_of` unless asked otherwise."""
    days: Days
    pool: Pool
    names: Mapping[str, Mapping[str, str]]
    person: Person
    totals: Totals
    rounds: tuple[RoundWork, ...]
    credits: tuple[CreditLine, ...]
    accounts: tuple[AccountLine, ...]
    movements: tuple[MovementLine, ...]
    valuation: Valuation
    rules: RulesSection
    audit: AuditHead | None
    source: tuple[Records, ...]


@dataclass(frozen=True, slots=True)
class SaleLine:
    """A sale as it stood recorded."""

    entry: int
    exchange: str
    exchange_licence: str | None
    deal: str
    asset: str
    quantity: int
    sold_at: datetime
    document: str | None
    """SHA-256 of the deal's document; None: it is missing."""


@dataclass(frozen=True, slots=True)
class ObligationLine:
    """The obligation of a party on one base, in satoshi."""

    base: str
    amount: int
    required: int | None
    """None: no rule says how much."""
    through_aifc: int
    missing: int | None


@dataclass(frozen=True, slots=True)
class PartySales:
    """One party's sales of the year and what it still has to sell."""

    person: Person
    obligations: tuple[ObligationLine, ...]
    sales: tuple[SaleLine, ...]
    without_document: int


@dataclass(frozen=True, slots=True)
class SaleReport:
    """The share of coins sold through AIFC exchanges in a year, by party, as it was known at `known_at`."""

    kind: str
    format: int
    as_of: datetime
    known_at: datetime
    """Up to when records are taken into account; `as_of` unless asked otherwise."""
    days: Days
    pool: Pool
    names: Mapping[str, Mapping[str, str]]
    party: str | None
    """The party that the report is of; None: of all."""
    minimum_percent: int | None
    parties: tuple[PartySales, ...]
    rules: RulesSection
    audit: AuditHead | None
    source: tuple[Records, ...]


@dataclass(frozen=True, slots=True)
class FormColumn:
    """A column of the authority's form, and what it is filled in with."""

    heading: str
    holds: str


@dataclass(frozen=True, slots=True)
class DistributedRow:
    """Coins that became a miner's own on one legal day. What is not known is None."""

    number: int
    party: str
    bin: str | None
    name: Mapping[str, str]
    licence: str | None
    licence_issued_on: date | None
    wallet: str | None
    distributed_on: date
    asset: str
    quantity: int
    """Satoshi."""
    fee: int
    """The party's part of the pool's fee, satoshi."""
    value_kzt: Decimal | None
    value_day: date
    amount_kzt: Decimal | None
    distributions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Corrected:
    """The version that a version stands in place of, and why."""

    version: int
    as_of: datetime
    digest: str
    """SHA-256 of its canonical JSON."""
    why: str


@dataclass(frozen=True, slots=True)
class DistributedRecord:
    """One version of the record of distributed assets of a period."""

    kind: str
    format: int
    as_of: datetime
    version: int
    corrects: Corrected | None
    days: Days
    pool: Pool
    names: Mapping[str, Mapping[str, str]]
    columns: tuple[FormColumn, ...]
    """The form as far as the rule knows it."""
    columns_complete: bool
    rows: tuple[DistributedRow, ...]
    rules: RulesSection
    audit: AuditHead | None
    source: tuple[Records, ...]


@dataclass(frozen=True, slots=True)
class Divided:
    """A distribution: credits + fee + remainder carried on = reward + what the reserve gave (invariant 2)."""

    distribution: int
    block_hash: str
    height: int
    first_round: int
    last_round: int
    scheme: str
    reward: int
    reserve: int
    """What the reserve of FPPS gave; below zero what it took."""
    credited: int
    fee_ppm: int
    fee: int
    remainder: int
    total_weight: int
    state: str
    """`immature`, `final` or `reversed` at the report's moment."""
    booked_at: datetime
    credits: tuple[Credit, ...]


@dataclass(frozen=True, slots=True)
class DividedSums:
    """Sums over the distributions that were not reversed, in satoshi: reward + reserve = credited + fee + remainder."""

    reward: int
    reserve: int
    credited: int
    fee: int
    remainder: int


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """What a final distribution is verified against, as it stands in the audit log."""

    round: int
    distribution: int
    audit_row: int
    share_root: str
    sum_root: str
    shares: int


@dataclass(frozen=True, slots=True)
class PayoutLine:
    """What a batch pays to a party."""

    party: str
    address: str
    amount: int


@dataclass(frozen=True, slots=True)
class BatchLine:
    """A batch of payouts as it stood at the report's moment."""

    batch: int
    state: str
    """`proposed`, `approved`, `signed` (sent or about to be), `confirmed` or `abandoned`."""
    amount: int
    proposed_at: datetime
    txid: str | None
    """Of the confirmed transaction, else of the newest; None before there is one."""
    network_fee: int | None
    signed_at: datetime | None
    confirmed_at: datetime | None
    audit_row: int | None
    """Row of the audit log that tells what it pays."""
    payouts: tuple[PayoutLine, ...]


@dataclass(frozen=True, slots=True)
class RewardsReport:
    """How the rewards of a period were divided and paid, as it was known at `known_at`."""

    kind: str
    format: int
    as_of: datetime
    known_at: datetime
    """Up to when records are taken into account; `as_of` unless asked otherwise."""
    days: Days
    pool: Pool
    names: Mapping[str, Mapping[str, str]]
    rounds: tuple[Block, ...]
    """The blocks found, each of which closed a round."""
    distributions: tuple[Divided, ...]
    """Those booked in the period."""
    totals: DividedSums
    accounts: tuple[AccountLine, ...]
    """The whole ledger over the period, parties' accounts together."""
    batches: tuple[BatchLine, ...]
    """Those proposed, signed, confirmed or abandoned in the period."""
    records: tuple[RoundRecord, ...]
    unrecorded: tuple[int, ...]
    """Last rounds of the distributions that were not reversed and have no record yet."""
    rules: RulesSection
    audit: AuditHead | None
    source: tuple[Records, ...]
