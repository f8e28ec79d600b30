"""What a setting may be: values that several sections use, and the section itself."""

from __future__ import annotations

import math
import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_T = TypeVar("_T")
LAST_PORT = 65535

Port = Annotated[int, Field(ge=0, le=LAST_PORT)]
"""A TCP port; 0 lets the system choose one."""


def _power_of_two(value: float) -> float:
    mantissa, exponent = math.frexp(value)
    if mantissa != 0.5 or not -32 <= exponent - 1 <= 64:
        raise ValueError("must be a power of two from 2^-32 to 2^64, for example 1, 65536 or 0.0009765625")
    return value


Difficulty = Annotated[float, Field(gt=0), AfterValidator(_power_of_two)]
"""A share difficulty: an exact power of two (invariant 11)."""


def _network(value: object) -> IPv4Network | IPv6Network:
    try:
        return ip_network(str(value))
    except ValueError as error:
        raise ValueError(f"{error}; write a network like 127.0.0.1/32") from None


def _listening_address(value: str) -> str:
    if value != "localhost":
        try:
            ip_address(value)
        except ValueError:
            raise ValueError("must be an address of this machine, for example 127.0.0.1 or 0.0.0.0") from None
    return value


def not_empty(value: tuple[_T, ...]) -> tuple[_T, ...]:
    """A list with something in it."""
    if not value:
        raise ValueError("must have at least one entry")
    return value


def like(pattern: str, told: str) -> AfterValidator:
    """Text of one form; `told` says which."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"must be {told}")
        return value

    return AfterValidator(check)


Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
"""An IP network; bits beyond its prefix are an error."""

ListeningAddress = Annotated[str, AfterValidator(_listening_address)]
"""An IP address to listen on, or localhost."""


class Section(BaseModel):
    """A part of the file: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)
