"""What miners may write into passwords and numbers, and how it is read: nothing lenient."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from tarazy.stratum.difficulty import DIFFICULTY_1_TARGET

LARGEST_DIFFICULTY = 2.0**63

_DECIMAL = re.compile(r"[0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40}", re.ASCII)
_HEX = re.compile(r"[0-9a-fA-F]{1,64}", re.ASCII)


class PasswordOptions(NamedTuple):
    """Difficulties asked for in a password."""

    wish: float | None
    minimum: float | None


def password_options(password: object) -> PasswordOptions:
    """Read `d=`, `diff=` and `md=`; everything else is ignored."""
    found: dict[str, float] = {}
    if isinstance(password, str):
        for option in re.split("[,;]", password)[:16]:
            key, _, text = option.strip().partition("=")
            value = difficulty_wish(text)
            if value is not None:
                found[key] = value
    return PasswordOptions(found.get("d", found.get("diff")), found.get("md"))


def difficulty_wish(value: object) -> float | None:
    """A difficulty given as a JSON number or as decimal digits; None if it is none (C-063)."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value <= LARGEST_DIFFICULTY else None


def target_wish(value: object) -> float | None:
    """The difficulty of a target given as 64 hex digits; None if it is none."""
    if not isinstance(value, str) or len(value) != 64 or not _HEX.fullmatch(value):
        return None
    target = int(value, 16)
    return difficulty_wish(DIFFICULTY_1_TARGET / target) if target else None


def version_mask(options: dict[str, Any]) -> int:
    """The mask a miner offers in mining.configure: 1 to 8 hex digits, all bits if absent."""
    value = options.get("version-rolling.mask", "ffffffff")
    if not isinstance(value, str) or len(value) > 8 or not _HEX.fullmatch(value):
        return 0
    return int(value, 16)
