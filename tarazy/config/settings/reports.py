"""Reports that the office builds by itself, and where documents are delivered to."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from tarazy.config.law.rules import Deadline, Frequency, Shift
from tarazy.config.settings.fields import Section

OF_A_QUARTER = frozenset({"accreditation", "quarterly"})
"""Kinds of report that know no other period."""


class ScheduledReport(Section):
    """A report that the office builds when a period has ended. What a rule in force says goes before what is set."""

    kind: Literal["accreditation", "distributed", "sale", "quarterly", "rewards"]
    since: date
    """A day of the first period that is reported."""
    every: Frequency | None = None
    """How often, where no rule says it."""
    deadline: Deadline | None = None
    """By when, where no rule says it."""
    shift_if_non_working: Shift | None = None
    """Of that deadline."""
    after_working_days: int = Field(default=0, ge=0, le=250)
    """Working days after the period until it is built: for what is published later, such as values."""
    deliver_to: str | None = None
    """Name of the delivery profile; it is delivered nowhere when absent."""

    @model_validator(mode="after")
    def _whole_quarters(self) -> ScheduledReport:
        if self.kind in OF_A_QUARTER and self.every not in (None, "quarter"):
            raise ValueError(f"the report {self.kind} is of a quarter: write every: quarter")
        return self


class ReportSettings(Section):
    """What is built and delivered without being asked."""

    profiles: tuple[Path, ...] = ()
    """Files of the delivery profiles, relative to the settings file."""
    schedule: tuple[ScheduledReport, ...] = ()

    @model_validator(mode="after")
    def _once(self) -> ReportSettings:
        kinds = [each.kind for each in self.schedule]
        if len(set(kinds)) < len(kinds):
            raise ValueError("schedule: each kind of report stands there once")
        return self
