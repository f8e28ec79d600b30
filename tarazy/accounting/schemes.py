"""How a reward is divided. Pure functions of integers: the same input gives the same result everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Distribution:
    """A divided reward: `reward == fee + sum(credits.values()) + remainder`, in satoshi (invariant 2)."""

    reward: int
    fee: int
    credits: dict[str, int]
    """Every party with work, in order of its key; a credit can be 0."""
    remainder: int
    """What rounding leaves, less than one satoshi a party. Without any work: the whole net reward."""
    total_weight: int
    """0 says that nobody had work to be credited for."""


def proportional(reward: int, fee_ppm: int, weights: Mapping[str, int]) -> Distribution:
    """Divide `reward` satoshi by weight, after the pool's fee in parts per million (PROP).

    Fee and credits are rounded down and the rest is carried, so a party checks its credit from its own weight
    and the totals alone. Without any weight nobody is credited and the net reward is the remainder.
    Raises `ValueError` for a negative reward or weight, or a fee outside 0 to 1,000,000.
    """
    if reward < 0 or not 0 <= fee_ppm <= PPM or any(weight < 0 for weight in weights.values()):
        raise ValueError("reward and weights are not negative, and the fee is at most 1,000,000 ppm")
    fee = reward * fee_ppm // PPM
    net = reward - fee
    total = sum(weights.values())
    credits = {party: net * weight // total for party, weight in sorted(weights.items()) if weight}
    return Distribution(reward, fee, credits, net - sum(credits.values()), total)
