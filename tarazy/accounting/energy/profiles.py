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

_MOST = 2**63  # counts fit a database column of 64 bits
_WORDS = {"uint16": 1, "uint32": 2, "uint64": 4, "int32": 2, "int64": 4}


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
    """What a count of a meter's energy register means."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    wh_per_count: Annotated[Fraction, BeforeValidator(_exact), Field(gt=0)]
    rollover_counts: Annotated[int, Field(gt=1, le=_MOST)] | None = None
    """Count at which the register starts again from 0; the datatype's own range when absent."""
    maximum_power_w: Annotated[int, Field(gt=0, le=_MOST)]
    """Power that the feeder cannot exceed: a register that grows faster is not believed."""

    @property
    def counts(self) -> int:
        """Number of values the register runs through before it starts again."""
        return self.rollover_counts or _MOST

    def in_wh(self, count: int) -> int:
        """Whole watt-hours of `count` counts, rounded down."""
        return count * self.wh_per_count.numerator // self.wh_per_count.denominator


class ModbusProfile(Profile):
    """Where a meter keeps its cumulative register, and how it is asked for it."""

    registers: Literal["holding", "input"]
    """Read with function code 3 or 4."""
    address: Annotated[int, Field(ge=0, le=65535)]
    """Of imported active energy."""
    export_address: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Of exported active energy, in the same form; None where the meter has none or nobody needs it."""
    datatype: Literal["uint16", "uint32", "uint64", "int32", "int64"]
    word_order: Literal["big", "little"]

    @model_validator(mode="after")
    def _fits(self) -> ModbusProfile:
        if self.rollover_counts is not None and self.rollover_counts > self._range:
            raise ValueError(f"rollover_counts is beyond the range of {self.datatype}")
        return self

    @property
    def words(self) -> int:
        """How many 16-bit registers the value takes."""
        return _WORDS[self.datatype]

    @property
    def _range(self) -> int:
        return 1 << (16 * self.words - self.datatype.startswith("int"))

    @property
    def counts(self) -> int:
        """Number of values the register runs through before it starts again."""
        return self.rollover_counts or self._range

    def count_of(self, words: Sequence[int]) -> int | None:
        """The register's count; None when `words` cannot be a value of it.

        All ones is how meters say "not available"; of signed values every negative one is.
        """
        ordered = words if self.word_order == "big" else words[::-1]
        count = 0
        for word in ordered:
            count = count << 16 | word
        if len(words) != self.words or count >= self.counts or count == (1 << (16 * self.words)) - 1:
            return None
        return count if count < _MOST else None

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


def load_modbus_profile(name: str, directory: Path = DIRECTORY) -> ModbusProfile:
    """The profile of that name, of a meter that is read over Modbus. Raises `ProfileError`."""
    profile = load_profile(name, directory)
    if not isinstance(profile, ModbusProfile):
        raise ProfileError(f"{directory / name}.yaml: no registers: a meter of this kind is not read over Modbus")
    return profile


@cache
def load_profile(name: str, directory: Path = DIRECTORY) -> Profile:
    """The profile in `<name>.yaml`; a meter that is not read over Modbus has one without `registers`.

    Raises `ProfileError`.
    """
    known = sorted(path.stem for path in directory.glob("*.yaml"))
    if name not in known:
        raise ProfileError(f"{directory}: no meter profile {name!r}; known: {', '.join(known) or 'none'}")
    path = directory / f"{name}.yaml"
    try:
        told = read_yaml(path)
        kind = ModbusProfile if isinstance(told, dict) and "registers" in told else Profile
        return kind.model_validate(told)
    except YamlFileError as error:
        raise ProfileError(str(error)) from None
    except ValidationError as error:
        faults = [
            f"{path}: {'.'.join(map(str, fault['loc'])) or '(top level)'}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()
        ]
        raise ProfileError("\n".join(faults)) from None
