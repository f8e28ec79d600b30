"""The best machine that could exist on a day: dated data, for the floor of what work takes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from tarazy.config.yaml_file import read_yaml

_SHIPPED = Path(__file__).with_name("best_machines.yaml")


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    since: date = Field(alias="from")
    machine: str
    nameplate: Annotated[int, Field(ge=1_000, le=100_000)]
    least: Annotated[int, Field(ge=1_000, le=100_000)]
    source: str
    confirmed: bool


@dataclass(frozen=True, slots=True)
class BestMachine:
    """What no machine goes below, and where that is from."""

    mj_per_th: int
    """Millijoules a terahash, as tuned."""
    machine: str
    since: date | None
    source: str
    confirmed: bool


def best_machine(day: date, override: int | None = None) -> BestMachine:
    """The one of a legal day; `override` is the setting `best_machine_mj_per_th`, which holds for every day."""
    if override is not None:
        return BestMachine(override, "-", None, "setting best_machine_mj_per_th", confirmed=False)
    row = min((row for row in _rows() if row.since <= day), key=lambda row: row.least)
    return BestMachine(row.least, row.machine, row.since, row.source, row.confirmed)


@cache
def _rows() -> tuple[_Row, ...]:
    rows = TypeAdapter(list[_Row]).validate_python(read_yaml(_SHIPPED))
    return tuple(sorted(rows, key=lambda row: row.since))
