"""Difficulties: powers of two, known by their exponent, and the exact targets and weights they stand for."""

from __future__ import annotations

import math

DIFFICULTY_1_TARGET = 0xFFFF << 208
"""Target of difficulty 1."""
LOWEST_EXPONENT = -32
HIGHEST_EXPONENT = 64

_LARGEST_TARGET = 2**256 - 1


def target_of(exponent: int) -> int:
    """The largest hash, read as a little-endian integer, that is a share of difficulty 2**exponent."""
    if exponent >= 0:
        return DIFFICULTY_1_TARGET >> exponent
    return min(DIFFICULTY_1_TARGET << -exponent, _LARGEST_TARGET)


def weight_of(exponent: int) -> int:
    """What a share of difficulty 2**exponent counts: 2**(exponent + 32), about the hashes it stands for."""
    return 1 << (exponent - LOWEST_EXPONENT)


def hashes_of(weight: int) -> int:
    """Expected number of hashes behind a weight, rounded down: 2**48 / 0xFFFF for difficulty 1."""
    return (weight << 16) // 0xFFFF


def exponent_of(difficulty: float) -> int:
    """Exponent of the power of two nearest to a difficulty in ratio, within the limits of the wire.

    Raises ValueError unless it is a positive finite number.
    """
    if not 0 < difficulty < math.inf:
        raise ValueError("a difficulty is a positive finite number")
    mantissa, exponent = math.frexp(difficulty)
    return _within(exponent if mantissa > math.sqrt(0.5) else exponent - 1)


def exponent_at_least(difficulty: float) -> int:
    """Exponent of the smallest power of two that is not below a difficulty; errors as `exponent_of`."""
    if not 0 < difficulty < math.inf:
        raise ValueError("a difficulty is a positive finite number")
    mantissa, exponent = math.frexp(difficulty)
    return _within(exponent - 1 if mantissa == 0.5 else exponent)


def exponent_below(target: int) -> int:
    """Exponent of the largest power of two whose target is not below `target`: the difficulty of a block."""
    exponent = DIFFICULTY_1_TARGET.bit_length() - target.bit_length()
    if exponent < LOWEST_EXPONENT or target_of(exponent) < target:
        exponent -= 1
    return _within(exponent)


def _within(exponent: int) -> int:
    return max(LOWEST_EXPONENT, min(exponent, HIGHEST_EXPONENT))
