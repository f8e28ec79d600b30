"""Powers of two and the numbers they stand for."""

from __future__ import annotations

import math

import pytest

from tarazy.stratum.difficulty import (
    DIFFICULTY_1_TARGET,
    exponent_at_least,
    exponent_below,
    exponent_of,
    hashes_of,
    target_of,
    weight_of,
)

EXPONENTS = range(-32, 65)


def test_target_is_difficulty_one_divided_exactly() -> None:
    """A target is T1 / 2**exponent rounded down, never above 256 bits."""
    for exponent in EXPONENTS:
        exact = DIFFICULTY_1_TARGET * 2**32 // 2 ** (exponent + 32)
        assert target_of(exponent) == min(exact, 2**256 - 1)


def test_weight_doubles_with_difficulty() -> None:
    """The lowest difficulty weighs one hash; difficulty 1 stands for 2**48 / 0xFFFF hashes."""
    assert weight_of(-32) == 1
    assert all(weight_of(e + 1) == 2 * weight_of(e) for e in range(-32, 64))
    assert hashes_of(weight_of(0)) == 2**48 // 0xFFFF == 4_295_032_833


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_powers_of_two_are_their_own_nearest(exponent: int) -> None:
    """Exact powers of two keep their exponent, both ways of rounding."""
    assert exponent_of(2.0**exponent) == exponent_at_least(2.0**exponent) == exponent


def test_wishes_go_to_the_nearest_power_in_ratio() -> None:
    """C-058: the border between two powers is their geometric mean; minimums go up instead."""
    assert exponent_of(math.sqrt(2) * 0.999) == 0
    assert exponent_of(math.sqrt(2) * 1.001) == 1
    assert exponent_of(0.0001) == -13
    assert exponent_at_least(1.001) == 1
    assert exponent_of(1e300) == 64
    assert exponent_of(1e-300) == -32


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, -math.inf])
def test_no_difficulty(value: float) -> None:
    """C-063: zero, negative and not finite numbers are no difficulties."""
    with pytest.raises(ValueError, match="positive finite"):
        exponent_of(value)
    with pytest.raises(ValueError, match="positive finite"):
        exponent_at_least(value)


def test_network_difficulty_is_rounded_down() -> None:
    """C-062: the largest power of two whose target is not below the block's."""
    for exponent in EXPONENTS:
        assert exponent_below(target_of(exponent)) == exponent
    for exponent in range(-31, 64):
        assert exponent_below(target_of(exponent) - 1) == exponent
        assert exponent_below(target_of(exponent) + 1) == exponent - 1
