"""What a line means, by the standard library alone: the model that the codec and the session are held against."""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

DEEPEST = 400
"""Brackets on a line up to which the model follows: deeper nesting is refused by some readers and not by others."""
_ALWAYS_ANSWERED = ("mining.configure", "mining.subscribe", "mining.authorize", "mining.submit")


class Owed(NamedTuple):
    """A request that must be answered: under which id, and its method."""

    ident: Any
    method: Any


def followed(line: bytes) -> bool:
    """Whether the model knows what to make of a line."""
    return line.count(b"[") + line.count(b"{") <= DEEPEST


def parsed(line: bytes) -> tuple[Any] | None:
    """The value on a line, read strictly; None for what is no JSON, is not in UTF-8 or repeats a key."""
    try:
        value = json.loads(
            line.decode("utf-8"), object_pairs_hook=_members, parse_constant=_refused, parse_float=_finite
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except ValueError:
        return None
    return (value,)


def owed(line: bytes) -> Owed | None:
    """The answer owed to a line, if there is one."""
    if line in (b"", b"\r"):
        return None
    value = parsed(line)
    if value is None or not isinstance(value[0], dict):
        return Owed(None, None)
    message = value[0]
    ident = message.get("id")
    if isinstance(ident, bool | list | dict):
        return Owed(None, None)
    if "method" not in message or message["method"] == "pong":
        return None
    method = message["method"]
    if ident is not None or not isinstance(method, str) or method in _ALWAYS_ANSWERED:
        return Owed(ident, method)
    return None


def same(one: Any, other: Any) -> bool:
    """Equal in value and in kind; an integer beyond 64 bits may have become the nearest float."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and type(other) is int:
        return abs(other) >= 1 << 63 and one == float(other)
    return type(one) is type(other) and bool(one == other)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key stands twice")
    return members


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError("out of range")
    return value
