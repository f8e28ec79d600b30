"""How a reward is divided. Pure functions of integers: the same input gives the same result everywhere.

A scheme says whose work counts: that of the rounds (PROP), of a window before the block (PPLNS), or the finder
alone (SOLO). The division itself is the same for all of them. FPPS divides nothing: each share has its own worth, and
the pool's reserve gives what the reward lacks or takes what it has more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tarazy.accounting.worth import Worth
from tarazy.stratum.difficulty import DIFFICULTY_1_TARGET, weight_of

PPM = 1_000_000


class Scheme(StrEnum):
    """Whose work a block pays."""

    PROP = "prop"
    """All since the pool's last block."""
    PPLNS = "pplns"
    """The last of it, as much as a number of network difficulties."""
    SOLO = "solo"
    """The finder alone."""
    FPPS = "fpps"
    """Every share by its own worth, whether or not the block stays."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is in force when a round closes, for the whole of it."""

    fee_ppm: int
    """The pool's fee in parts per million."""
    fees: Mapping[str, int] = field(default_factory=dict)
    """Parties with a fee of their own."""
    scheme: Scheme = Scheme.PROP
    window: int | None = None
    """Of PPLNS: network difficulties of work."""
    fee_blocks: int | None = None
    """Of FPPS: blocks of the chain whose transaction fees are averaged."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The terms over time: those of the beginning, and the later ones by the instant they come into force."""

    first: Terms
    later: tuple[tuple[datetime, Terms], ...] = ()
    """In order of time."""

    def at(self, instant: datetime) -> Terms:
        """The terms in force at an instant."""
        return next((terms for since, terms in reversed(self.later) if since <= instant), self.first)

    def from_(self, instant: datetime) -> list[Terms]:
        """The terms in force at an instant, and those announced."""
        return [self.at(instant), *(terms for since, terms in self.later if since > instant)]

    def windowed(self) -> bool:
        """Whether any of them wants the order of record kept."""
        return any(terms.scheme is Scheme.PPLNS for terms in (self.first, *(terms for _, terms in self.later)))


@dataclass(frozen=True, slots=True)
class Distribution:
    """A divided reward: `reward + reserve == fee + sum(credits.values()) + remainder`, in satoshi (invariant 2)."""

    reward: int
    fee: int
    credits: dict[str, int]
    """Every party with work, in order of its key; a credit can be 0."""
    remainder: int
    """What rounding leaves, less than one satoshi a party. Without any work: the whole net reward."""
    total_weight: int
    """0 says that nobody had work to be credited for."""
    reserve: int = 0
    """What the pool's reserve gives, of FPPS alone; below zero it takes."""
    withheld: Mapping[str, int] = field(default_factory=dict)
    """Of FPPS: each party's part of the fee."""


def proportional(
    reward: int, fee_ppm: int, weights: Mapping[str, int], fees: Mapping[str, int] | None = None
) -> Distribution:
    """Divide `reward` satoshi by weight, after the pool's fee in parts per million.

    One fee is taken from the whole. With `fees`, parties with one of their own, each part pays its own fee.
    Fees and credits are rounded down and the rest is carried, so a party checks its credit from its own weight
    and the totals alone. Without any weight nobody is credited and what a fee of the whole leaves is the remainder.
    Raises `ValueError` for a negative reward or weight, or a fee outside 0 to 1,000,000.
    """
    rates = (fee_ppm, *(fees or {}).values())
    if reward < 0 or not all(0 <= rate <= PPM for rate in rates) or any(weight < 0 for weight in weights.values()):
        raise ValueError("reward and weights are not negative, and the fee is at most 1,000,000 ppm")
    total = sum(weights.values())
    due = sorted((party, weight) for party, weight in weights.items() if weight)
    if fees and total:
        gross = {party: reward * weight // total for party, weight in due}
        taken = {party: amount * fees.get(party, fee_ppm) // PPM for party, amount in gross.items()}
        credits = {party: amount - taken[party] for party, amount in gross.items()}
        return Distribution(reward, sum(taken.values()), credits, reward - sum(gross.values()), total)
    fee = reward * fee_ppm // PPM
    net = reward - fee
    credits = {party: net * weight // total for party, weight in due}
    return Distribution(reward, fee, credits, net - sum(credits.values()), total)


def window_weight(difficulties: int, target: int) -> int:
    """Weight of so many network difficulties, rounded down; `target` is the one that the block had to meet."""
    return difficulties * DIFFICULTY_1_TARGET * weight_of(0) // target


def last_work(newest_first: Iterable[tuple[str, int]], limit: int) -> dict[str, int]:
    """Weight by party of the newest shares, given as party and weight: exactly `limit`, the oldest share in part.

    Less only when there is less.
    """
    weights: Counter[str] = Counter()
    for party, weight in newest_first:
        if limit <= 0:
            break
        weights[party] += min(weight, limit)
        limit -= weight
    return dict(weights)


def average_fee(fees: Collection[int]) -> int:
    """The average of what blocks paid in transaction fees, rounded down; 0 of none."""
    return sum(fees) // len(fees) if fees else 0


def per_share(fee: int, work: Mapping[Worth, Mapping[str, int]]) -> dict[str, int]:
    """What FPPS owes each party before the pool's fee, whether or not a block was found, in order of its key.

    `fee` is the published average of transaction fees a block, `work` is weight by party for each worth. Rounded down
    once a party and worth, never a share.
    """
    owed: Counter[str] = Counter()
    for worth, weights in work.items():
        for party, weight in weights.items():
            owed[party] += (worth.subsidy + fee) * weight * worth.target // (DIFFICULTY_1_TARGET * weight_of(0))
    return dict(sorted(owed.items()))


def from_reserve(
    reward: int,
    fee_ppm: int,
    average: int,
    work: Mapping[Worth, Mapping[str, int]],
    fees: Mapping[str, int] | None = None,
) -> Distribution:
    """Pay work by FPPS; `reward` is what the block brought, 0 for one that did not stay, `average` as in `per_share`.

    Each party's own fee is rounded down. Raises `ValueError` as `proportional` does.
    """
    rates = (fee_ppm, *(fees or {}).values())
    amounts = (reward, average, *(weight for weights in work.values() for weight in weights.values()))
    if min(amounts) < 0 or not all(0 <= rate <= PPM for rate in rates):
        raise ValueError("reward and weights are not negative, and the fee is at most 1,000,000 ppm")
    owed = per_share(average, work)
    withheld = {party: amount * (fees or {}).get(party, fee_ppm) // PPM for party, amount in owed.items()}
    credits = {party: amount - withheld[party] for party, amount in owed.items()}
    total = sum(weight for weights in work.values() for weight in weights.values())
    fee = sum(withheld.values())
    return Distribution(reward, fee, credits, 0, total, sum(owed.values()) - reward, withheld)
