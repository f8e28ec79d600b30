"""Meter profiles: how a kind of meter states its energy register, as YAML in `profiles/`."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from tarazy.config.yaml_file import YamlFileError, read_yaml

DIRECTORY = Path(__file__).parent / "profiles"
"""Where the profiles lie that come with the program."""

_MOST_WH = 2**63 - 1  # what a database column of 64 bits holds; nine million terawatt-hours
_WORDS = {"uint16": 1, "uint32": 2, "uint64": 4}


class ProfileError(Exception):
    """A meter profile is missing or wrong. One line for each fault: file, path inside it, what is wrong."""


def _exact(value: Any) -> Any:
    if isinstance(value, float):
        raise ValueError('write a fraction as text, for example "1/10"')
    try:
        return Fraction(value)
    except (TypeError, ValueError, ZeroDivisionError):
        raise ValueError('must be a number such as "1", "100" or "1/10"') from None


class Profile(BaseModel):
    """Where a meter keeps its cumulative register and what a count of it means."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    registers: Literal["holding", "input"]
    address: Annotated[int, Field(ge=0, le=65535)]
    datatype: Literal["uint16", "uint32", "uint64"]
    word_order: Literal["big", "little"]
    wh_per_count: Annotated[Fraction, BeforeValidator(_exact), Field(gt=0)]
    rollover_counts: Annotated[int, Field(gt=1)] | None = None
    """Count at which the register starts again from 0; the datatype's own range when absent."""
    maximum_power_w: Annotated[int, Field(gt=0)]
    """Power that the feeder cannot exceed: a register that grows faster is not believed."""

    @model_validator(mode="after")
    def _fits(self) -> Profile:
        if self.rollover_counts is not None and self.rollover_counts > 1 << (16 * self.words):
            raise ValueError(f"rollover_counts is beyond the range of {self.datatype}")
        return self

    @property
    def words(self) -> int:
        """How many 16-bit registers the value takes."""
        return _WORDS[self.datatype]

    @property
    def counts(self) -> int:
        """Number of values the register runs through before it starts again."""
        return self.rollover_counts or 1 << (16 * self.words)

    def register_wh(self, words: Sequence[int]) -> int | None:
        """The register in whole watt-hours (rounded down); None when `words` cannot be a value of it.

        All ones is how meters say "not available". Because of the rounding a rollover may cost one watt-
        hour when the register's range is not a whole number of them.
        """
        ordered = words if self.word_order == "big" else words[::-1]
        count = 0
        for word in ordered:
            count = count << 16 | word
        if len(words) != self.words or count >= self.counts or count == (1 << (16 * self.words)) - 1:
            return None
        register_wh = self.in_wh(count)
        return register_wh if register_wh <= _MOST_WH else None

    def in_wh(self, count: int) -> int:
        """Whole watt-hours of `count` counts, rounded down."""
        return count * self.wh_per_count.numerator // self.wh_per_count.denominator

    def words_of(self, count: int) -> list[int]:
        """The 16-bit words in which a meter of this kind states `count`, after any rollovers."""
        count %= self.counts
        words = [count >> (16 * place) & 0xFFFF for place in range(self.words)]
        return words if self.word_order == "little" else words[::-1]


def known_profiles() -> list[str]:
    """Names of the profiles that come with the program."""
    return sorted(path.stem for path in DIRECTORY.glob("*.yaml"))


def is_usable(name: str) -> bool:
    """Whether there is a sound profile of that name."""
    try:
        load_profile(name)
    except ProfileError:
        return False
    return True


@cache
def load_profile(name: str, directory: Path = DIRECTORY) -> Profile:
    """The profile in `<name>.yaml`. Raises `ProfileError`."""
    known = sorted(path.stem for path in directory.glob("*.yaml"))
    if name not in known:
        raise ProfileError(f"{directory}: no meter profile {name!r}; known: {', '.join(known) or 'none'}")
    path = directory / f"{name}.yaml"
    try:
        return Profile.model_validate(read_yaml(path))
    except YamlFileError as error:
        raise ProfileError(str(error)) from None
    except ValidationError as error:
        faults = [
            f"{path}: {'.'.join(map(str, fault['loc'])) or '(top level)'}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()
        ]
        raise ProfileError("\n".join(faults)) from None
