"""How the books are kept, miners are paid and meters are read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tarazy.config.settings.chain import NodeSettings
from tarazy.config.settings.fields import Section, like
from tarazy.config.settings.mqtt import MqttSettings


class ArchiveSettings(Section):
    """How long raw shares are kept. Nothing is ever deleted unless the operator says so."""

    keep_days: int | None = Field(default=None, ge=1)
    """Days after a round closed for which its archives are kept; for ever when absent."""
    journal_days: int | None = Field(default=None, ge=1)
    """Days after which archived shares leave the journals; never when absent."""


class AccountingSettings(Section):
    """How the books are kept."""

    archive: ArchiveSettings = ArchiveSettings()


class EnergySettings(Section):
    """How meters are read."""

    poll_seconds: float = Field(default=60.0, ge=0.2, le=900)
    interval_seconds: int = Field(default=900, ge=5, le=3600)
    """Length of the intervals energy is divided in; 900 is the 15 minutes of Kazakhstan's metering rules."""
    mqtt: MqttSettings | None = None
    """Where meters with `read_by` mqtt are heard; none is when absent."""

    keep_detail_days: int | None = Field(default=None, ge=0)
    """Days after the last one to declare and pay a quarter's fee for which its readings and intervals are kept; then
    they are folded into figures of days. For ever when absent."""

    @model_validator(mode="after")
    def _divides_hour(self) -> EnergySettings:
        if 3600 % self.interval_seconds:
            raise ValueError("interval_seconds must divide an hour evenly")
        return self


class PayoutSettings(Section):
    """How miners are paid. Amounts are satoshi."""

    wallet: Annotated[str, like(r"[\w.-]{1,64}", "the wallet's name: letters, digits, `_`, `.` and `-`")]
    """Name of the node's wallet that holds the rewards, watching only where it does not sign."""
    node: NodeSettings | None = None
    """The node with the wallet; the chain's first one when absent."""
    signing: Literal["offline", "wallet"] = "offline"
    """Whether batches are exported and signed elsewhere, or signed by the node's wallet: for small balances only."""
    threshold: int = Field(default=100_000, ge=1)
    """Least payment; what is less stays due."""
    first_payment: int | None = Field(default=0, ge=0)
    """The first payment to an address takes credits up to so much, and at least the oldest that reach the threshold;
    the rest follows when it is confirmed. null: a first payment is like any other."""
    maximum_outputs: int = Field(default=500, ge=1, le=500)
    """Most payments in a batch."""
    batch_limit: int = Field(default=1_000_000_000, ge=1)
    """Most that a batch pays."""
    day_limit: int = Field(default=5_000_000_000, ge=1)
    """Most that the batches proposed on one day pay."""
    maximum_fee: int = Field(default=200_000, ge=1)
    """Most that the network may get for a batch; it is the pool's cost."""
    confirmation_blocks: int = Field(default=6, ge=1, le=1008)
    """Within how many blocks a payment is to confirm: the network fee follows from it."""
    every_hours: int | None = Field(default=None, ge=1, le=8760)
    """How often the server proposes a batch; by command alone when absent."""
