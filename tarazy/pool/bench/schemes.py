"""`tarazy bench schemes`: how much pay varies under each scheme, and what hopping earns, by simulation.

Time is the pool's work in steps of a thousandth of the network's difficulty; blocks come as chance has it. Every
reward is divided by the pool's own function.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from statistics import pstdev
from typing import Any

from tarazy.accounting.schemes import per_share, proportional
from tarazy.accounting.worth import Worth
from tarazy.stratum.difficulty import DIFFICULTY_1_TARGET, weight_of

STEPS = 1_000
REWARD = 312_500_000
WINDOWS = (1, 2, 8)
"""Of PPLNS, in network difficulties."""
SHIFTS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Work of the pool while a machine runs, in network difficulties: as many blocks as are to be expected."""
PART = 100
"""The machine is one part of so many of the pool."""
LEAVING = (0.1, 0.2, 0.3, 0.435, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0)
"""Age of a round, in network difficulties, at which a hopper goes elsewhere until the next block."""
_SMALL = 1_000
"""A hopper that changes nothing by itself: one part of so many."""
_BEFORE = 12
_WORTH = Worth(DIFFICULTY_1_TARGET, REWARD)


def run_schemes_bench(*, runs: int, rounds: int, seed: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """All experiments: `runs` machines for each length of a shift, `rounds` blocks for each hopper."""
    rng = random.Random(seed)  # noqa: S311 - a simulation
    shifts = []
    for length in SHIFTS:
        progress(f"shifts of {length:g}")
        shifts.append({"length": length, "deviation": _shift(length, runs, rng)})
    progress("hoppers")
    lengths = list(_gaps(rng, rounds))
    hopping = [{"leaves": age, "earns": _hopper(lengths, round(age * STEPS))} for age in LEAVING]
    return {"runs": runs, "rounds": rounds, "seed": seed, "part": PART, "shifts": shifts, "hopping": hopping}


def _gaps(rng: random.Random, count: int) -> Iterator[int]:
    """Steps from block to block."""
    for _ in range(count):
        yield 1 + int(rng.expovariate(1 / STEPS))


def _pay(own: int, all_work: int, part: int) -> int:
    """Satoshi of a machine, one part of so many, that worked `own` of the steps that a block pays."""
    credits = proportional(REWARD, 0, {"machine": own, "others": part * all_work - own}).credits
    return credits.get("machine", 0)


def _shift(length: float, runs: int, rng: random.Random) -> dict[str, float]:
    """Standard deviation of what a machine is paid for one shift, as part of the fair pay, by scheme."""
    end = round(length * STEPS)
    paid: dict[str, list[int]] = {"prop": [], **{f"pplns {window}": [] for window in WINDOWS}, "solo": [], "fpps": []}
    for _ in range(runs):
        blocks = [-_BEFORE * STEPS]
        while blocks[-1] < end + max(WINDOWS) * STEPS:
            blocks.extend(blocks[-1] + gap for gap in _gaps(rng, 1))
        inside = [block for block in blocks if 0 < block <= end]
        paid["prop"].append(sum(_pay(_overlap(a, b, end), b - a, PART) for a, b in pairwise(blocks)))
        for window in WINDOWS:
            span = window * STEPS
            ends = (block for block in blocks if 0 < block < end + span)
            paid[f"pplns {window}"].append(sum(_pay(_overlap(b - span, b, end), span, PART) for b in ends))
        paid["solo"].append(sum(REWARD for _ in inside if rng.randrange(PART) == 0))
        paid["fpps"].append(per_share(0, {_WORTH: {"machine": end * weight_of(0)}})["machine"])
    fair = REWARD * length / PART
    return {scheme: round(pstdev(values) / fair, 4) for scheme, values in paid.items()}


def _overlap(begin: int, end: int, shift: int) -> int:
    return max(0, min(end, shift) - max(begin, 0))


def _hopper(lengths: Sequence[int], leaves: int) -> dict[str, float]:
    """What a hopper earns under each scheme, elsewhere at fair pay included; 1 is what staying earns."""
    present = [min(length, leaves) for length in lengths]
    time = sum(lengths)
    fair = REWARD / (_SMALL * STEPS)
    away = fair * (time - sum(present))
    earned = {"prop": sum(_pay(own, length, _SMALL) for own, length in zip(present, lengths, strict=True))}
    for window in WINDOWS:
        within = _within(lengths, present, window * STEPS)
        earned[f"pplns {window}"] = sum(_pay(own, window * STEPS, _SMALL) for own in within)
    return {scheme: round((pay + away) / (fair * time), 4) for scheme, pay in earned.items()}


def _within(lengths: Sequence[int], present: Sequence[int], window: int) -> Iterator[int]:
    """For each block the hopper's steps in the window before it: it is there at the beginning of each round."""
    for last in range(len(lengths)):
        left, own = window, 0
        for number in range(last, -1, -1):
            absent = lengths[number] - present[number]
            own += max(0, min(left, lengths[number]) - absent)
            left -= lengths[number]
            if left <= 0:
                break
        yield own
