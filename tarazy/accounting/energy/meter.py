"""A meter, and what its register showed: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Quantity = Literal["import", "export"]
"""Active energy into the site, or out of it."""

Unfit = Literal["future", "too_old", "impossible", "contradicts"]
"""Why a reading that came in by itself was not taken."""

Status = Literal["ok", "exception", "silent", "refused", "garbage", "stale", "withdrawn", Unfit]
"""ok; an error answer; no answer in time; no connection; an answer that cannot be a register value; a message of
unknown age; a reading that a correction takes away; one that was not taken, at about the time when it came."""

Source = Literal["modbus", "mqtt", "agent", "file", "hand"]
"""How a reading came in."""


@dataclass(frozen=True)
class Meter:
    """A meter as the register of meters has it: where it stands, where it answers, of which kind it is."""

    meter: str
    site: str
    host: str
    port: int
    unit: int
    profile: str
    party: str | None = None
    """Whose machines alone it measures, below the site's main meters; None: it is one of those."""
    pushed: bool = False
    """Whether its readings are to come in by themselves, over MQTT or from an agent."""
    since: datetime | None = None
    """When it was entered so in the register."""


@dataclass(frozen=True)
class Reading:
    """What a meter's cumulative register showed at an instant; `register_count` only when the status is ok."""

    meter: str
    at: datetime
    register_count: int | None
    status: Status
    quantity: Quantity = "import"
    source: Source = "modbus"
    seconds: int | None = None
    """Where a meter gives the counts of spans instead of its register: those of the span that ended at the instant."""
