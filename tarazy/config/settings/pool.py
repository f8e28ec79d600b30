"""Who the pool is, and the terms on which it divides."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, model_validator

from tarazy.config.settings.fields import Section, like

FeePpm = Annotated[int, Field(ge=0, le=1_000_000)]
"""A fee in parts per million of a reward; 10000 is 1 %."""


class TermsSettings(Section):
    """How the rewards of the rounds are divided that close from an instant on."""

    since: AwareDatetime
    scheme: Literal["prop", "pplns", "solo", "fpps"] = "prop"
    window: int | None = Field(default=None, ge=1, le=64)
    """Of PPLNS alone: the work of so many network difficulties takes part."""
    fee_blocks: int | None = Field(default=None, ge=1, le=2016)
    """Of FPPS alone: the transaction fees of so many blocks of the chain are averaged; 144 is a day."""
    fee_ppm: FeePpm
    fees: dict[str, FeePpm] = Field(default={})
    """Parties that pay another fee, by key. With any, each part pays its own fee."""

    @model_validator(mode="after")
    def _of_one_scheme(self) -> TermsSettings:
        if (self.scheme == "pplns") != (self.window is not None):
            raise ValueError("window: pplns needs one, such as 2, and no other scheme has one")
        if (self.scheme == "fpps") != (self.fee_blocks is not None):
            raise ValueError("fee_blocks: fpps needs them, such as 144, and no other scheme has them")
        return self


class PoolSettings(Section):
    """Who the pool is and what it takes."""

    name: str = Field(min_length=1, max_length=100)
    coinbase_tag: Annotated[str, like(r"[\x20-\x7e]{0,20}", "at most 20 characters of printable ASCII")] = "/tarazy/"
    payout_address: str
    """Address on the pool's chain that receives every block reward."""
    fee_ppm: FeePpm = 10_000
    """The pool's fee on proportional rewards, until the first of `terms`."""
    terms: tuple[TermsSettings, ...] = ()
    """Later terms in order of time. They touch only rounds that close after their instant."""

    @model_validator(mode="after")
    def _terms_in_order(self) -> PoolSettings:
        instants = [each.since for each in self.terms]
        if instants != sorted(set(instants)):
            raise ValueError("terms: each must come into force after the one before it")
        return self
