"""The types of legal rules, one per topic, in the shape in which the YAML files state them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag, model_validator

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Tenge = Annotated[int, Field(ge=0)]
Percent = Annotated[int, Field(ge=0, le=100)]


class Part(BaseModel):
    """A part of a rule: what stands in it is checked, and nothing else may."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class RuleReference:
    """What a figure prints about the rule it came from; `digest` fixes the wording that was used."""

    id: str
    digest: str
    act: str
    article: str | None
    source: tuple[str, ...]
    confirmed: bool
    assumed: bool
    note: str | None


class Rule(Part):
    """What every rule states about itself. Days are Kazakhstan calendar days, both ends included."""

    id: Slug
    topic: str
    valid_from: date
    valid_to: date | None
    act: str = Field(min_length=1)
    article: str | None
    source: tuple[str, ...] = Field(min_length=1)
    """Public addresses and descriptions of the texts in which the rule was read."""
    confirmed: bool
    """True only when the act's own text, in the wording for these dates, was read."""
    note: str | None = None
    confirmed_by: str | None = None
    confirmed_on: date | None = None
    assumed: bool = False
    """True for a rule of an assumption file: nobody has read such a rule in any act."""

    @model_validator(mode="after")
    def _consistent(self) -> Rule:
        if self.valid_to is not None and self.valid_to < self.valid_from:
            raise ValueError("valid_to lies before valid_from")
        if self.assumed and self.confirmed:
            raise ValueError("an assumed rule cannot be confirmed; write confirmed: no")
        return self

    @classmethod
    def topic_name(cls) -> str:
        """The topic that rules of this type have."""
        return str(get_args(cls.model_fields["topic"].annotation)[0])

    def in_force(self, day: date) -> bool:
        """Whether the rule applies on the Kazakhstan calendar day `day`."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of the rule's stated fields as canonical JSON (sorted keys, no spaces, UTF-8)."""
        fields = self.model_dump(mode="json", exclude_unset=True)
        text = json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def reference(self) -> RuleReference:
        """What to print beside a figure that this rule gave."""
        return RuleReference(
            id=self.id,
            digest=self.digest,
            act=self.act,
            article=self.article,
            source=self.source,
            confirmed=self.confirmed,
            assumed=self.assumed,
            note=self.note,
        )


class DigitalMiningFeeRule(Rule):
    """The digital-mining fee: `FlatFeeRule` or `LadderFeeRule`."""

    topic: Literal["digital_mining_fee"]
    rounding: Literal["whole_tenge_half_up_once"] = "whole_tenge_half_up_once"
    """Exact decimals throughout, one rounding of the total at the end."""


class FlatFeeRule(DigitalMiningFeeRule):
    """The fee as one rate for every kilowatt-hour, in tenge."""

    flat_rate: Tenge


class Ladder(Part):
    """Rates in tenge per kWh: `first_rate` in the first band, `step` less in each, then `last_rate`."""

    first_rate: Tenge
    step: Tenge
    last_from: Annotated[int, Field(ge=1)]
    last_rate: Tenge

    @model_validator(mode="after")
    def _falls_to_the_last(self) -> Ladder:
        if self.first_rate - self.step * (self.last_from - 1) < self.last_rate:
            raise ValueError("the ladder falls below last_rate before last_from is reached")
        return self


class SpecialRates(Part):
    """Rates in tenge per kWh that stand in for the ladder, and which of several applies."""

    own_generation: Tenge
    own_renewable: Tenge
    no_or_faulty_meter: Tenge
    several: Literal["highest"] = "highest"


class LadderFeeRule(DigitalMiningFeeRule):
    """The fee by bands. The ladder has several readings, so what it is read by and its bounds are data."""

    basis: Literal["average_price_kzt_per_kwh", "consumed_kwh"]
    bounds: Literal["lower_inclusive", "upper_inclusive"]
    ladder: Ladder
    special: SpecialRates
    weighting: Literal["energy"] = "energy"
    """The average price is weighted by energy."""
    highest_covers: Literal["metering_point_quarter"] = "metering_point_quarter"
    """What volume takes the highest of several rates."""
    faulty_covers: Literal["affected_intervals"] = "affected_intervals"
    """What volume takes the rate of a faulty meter."""


class DayAfter(Part):
    """A day counted from the end of a quarter or another period: day `day` of the `month`-th month after it."""

    month: Annotated[int, Field(ge=1, le=12)]
    day: Annotated[int, Field(ge=1, le=28)]


class WorkingDaysAfter(Part):
    """A day counted from the end of a period: the so many-th working day after it."""

    working_days: Annotated[int, Field(ge=1, le=250)]


def _counted_in(told: Any) -> str:
    names = told if isinstance(told, Mapping) else getattr(told, "model_fields_set", ())
    return "<working>" if "working_days" in names else "<month>"


Deadline = Annotated[
    Annotated[DayAfter, Tag("<month>")] | Annotated[WorkingDaysAfter, Tag("<working>")], Discriminator(_counted_in)
]
Frequency = Literal["month", "quarter", "year"]
Shift = Literal["next_working_day", "none"]
"""Whether a deadline on a non-working day moves."""


class FeeDueRule(Rule):
    """When the fee of a quarter is declared and paid."""

    topic: Literal["digital_mining_fee_due"]
    declare: DayAfter | None
    """None: no declaration is due."""
    pay: DayAfter
    shift_if_non_working: Shift | None
    """Null: whether a deadline on a non-working day moves is unknown."""


class MinerLicenceRule(Rule):
    """Terms of a miner's licence."""

    topic: Literal["miner_licence"]
    term_years: Annotated[int, Field(ge=1)]
    last_day: Literal["day_before_anniversary"]
    """How the term is counted; our reading, the conservative one."""
    suspension_months_minimum: Annotated[int, Field(ge=1)]
    suspension_months_maximum: Annotated[int, Field(ge=1)]
    kinds: dict[Literal["I", "II"], str]


class MiningAdmissionRule(Rule):
    """What must hold for anyone to mine."""

    topic: Literal["mining_admission"]
    requires: tuple[Literal["licensed_miner", "mining_data_centre", "accredited_pool"], ...]


class PoolAccreditationRule(Rule):
    """What is known of a pool's accreditation; null is unknown, not "none"."""

    topic: Literal["pool_accreditation"]
    servers_in: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    information_security: Literal["required"]
    term_years: int | None


class ObligatorySaleRule(Rule):
    """The least share to sell through exchanges licensed in the AIFC."""

    topic: Literal["obligatory_sale"]
    minimum_percent: Percent
    bases: tuple[Literal["sold", "mined"], ...] = Field(min_length=1)
    """What the percentage is taken of: sources disagree, so the share is shown on every base."""
    debtor: Literal["miner", "miner_and_pool"] | None
    period: Literal["month", "quarter", "year"] | None


class MeteringIntervalRule(Rule):
    """How often commercial metering data are taken."""

    topic: Literal["metering_interval"]
    minutes: Annotated[int, Field(ge=1)]


class DistributionColumn(Part):
    """A column of the form on distributed assets: its heading, and what it is filled in with."""

    heading: str = Field(min_length=1)
    holds: Literal[
        "number",
        "bin",
        "name",
        "licence",
        "licence_issued_on",
        "wallet",
        "distributed_on",
        "asset",
        "quantity_btc",
        "quantity_satoshi",
        "fee_btc",
        "fee_satoshi",
        "value_kzt",
        "amount_kzt",
        "pool",
    ]


class PeriodicReportRule(Rule):
    """A report that is due again and again; null is unknown."""

    frequency: Frequency | None
    deadline: Deadline | None
    shift_if_non_working: Shift | None = None


class AccreditationReportRule(PeriodicReportRule):
    """The pool's report on its accreditation."""

    topic: Literal["accreditation_report"]


class SaleReportRule(PeriodicReportRule):
    """The report on obligatory sales."""

    topic: Literal["sale_report"]


class QuarterlyReportRule(PeriodicReportRule):
    """The report on what miners told of a quarter."""

    topic: Literal["quarterly_report"]


class DistributionReportRule(PeriodicReportRule):
    """The form on distributed assets that a pool sends to the state."""

    topic: Literal["distribution_report"]
    sender: Literal["pool"]
    delivery: str | None
    fields: tuple[DistributionColumn, ...] | None
    """The form's fields in order, as far as they are known."""
    fields_complete: bool


class AssetValuationRule(Rule):
    """Where the value of a mined coin comes from."""

    topic: Literal["asset_valuation"]
    publisher: str
    price_source: str
    statistic: Literal["weighted_average_of_the_day"]
    non_working_day: Literal["preceding_working_day"]
    value_on: Literal["date_of_receipt"]
    assets: tuple[str, ...] | None
