"""`tarazy bench vardiff`: what vardiff does with machines of every size, by simulation. No network, no clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from statistics import fmean, pvariance
from typing import Any

from tarazy.pool.bench.simulated import HASHES, Firmware, Machine, Simulation, ideal_difficulty

HASHRATES = tuple(10.0 ** (9 + half / 2) for half in range(13))
"""Hashes per second: 1 GH/s to 1 PH/s, two to a decade."""
OFFSETS = (-12, -9, -6, -3, 0, 3, 6, 9, 12)
"""How wrong a start is tried: steps of two, above zero too hard."""
START = 16
SHARE_INTERVAL = 6.0
REACHED = 1.5
"""Steps from the ideal difficulty within which a share rate counts as reached: for a goal of 10, 3.5 to 28 a minute."""
DAY = 86_400.0
_SETTLING = 120
_WARM_UP = 600.0
"""Seconds after which a machine is steady; also what one is written with that does not reach its rate by then."""
_RESTED = (600.0, 1_800.0)
_WATCHED = 3_000


def run_vardiff_bench(*, runs: int, days: float, seed: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """All experiments: `runs` machines for each wrong start, `days` for each hash rate and firmware."""
    settling = []
    for offset in OFFSETS:
        progress(f"start {offset:+d} steps off")
        settling.append(_settling(offset, runs, seed))
    rates = []
    for hashrate in HASHRATES:
        progress(f"{hashrate:.3g} H/s for {days:g} days")
        rates.append(_rate(hashrate, days, runs, seed))
    progress("a pause")
    return {
        "share_interval": SHARE_INTERVAL,
        "start": START,
        "runs": runs,
        "days": days,
        "seed": seed,
        "settling": settling,
        "rates": rates,
        "firmware": [_fairness(firmware, runs, seed) for firmware in Firmware],
        "pause": _pause(runs, seed),
    }


def _settling(offset: int, runs: int, seed: int) -> dict[str, Any]:
    """The first two minutes of machines whose ideal difficulty lies anywhere between two powers of two."""
    tracks, minutes, within = [], [], 0
    for run in range(runs):
        ideal = START - offset + (run + 0.5) / runs - 0.5
        simulation = Simulation(Machine(2.0**ideal * HASHES / SHARE_INTERVAL), seed + run, start=START)
        simulation.run(_SETTLING)
        track = [exponent - ideal for exponent in _sampled(simulation.changes, range(0, _SETTLING + 1, 2))]
        tracks.append(track)
        within += abs(track[30]) <= REACHED
        minutes.append(sum(at >= 60 for at in simulation.shares))
    return {
        "offset": offset,
        "within_a_minute": round(within / runs, 3),
        "second_minute": [quantile(minutes, part) for part in (0.05, 0.5, 0.95)],
        "seconds": list(range(0, _SETTLING + 1, 2)),
        "steps": _bands(tracks),
    }


def _rate(hashrate: float, days: float, runs: int, seed: int) -> dict[str, Any]:
    """A machine of one size: how long until its rate is reached, and how it is held."""
    ideal = math.log2(ideal_difficulty(hashrate, SHARE_INTERVAL))
    reached = []
    for run in range(runs):
        young = Simulation(Machine(hashrate), seed + run, start=START, minimum=0)
        young.run(_WARM_UP)
        near = [at for at, exponent in young.changes if abs(exponent - ideal) <= REACHED]
        reached.append(near[0] if near else _WARM_UP)
    old = Simulation(Machine(hashrate), seed, start=START, minimum=0)
    old.run(_WARM_UP + days * DAY)
    minutes = [0] * math.ceil(days * DAY / 60)
    for at in old.shares:
        if at >= _WARM_UP:
            minutes[int((at - _WARM_UP) / 60)] += 1
    return {
        "hashrate": hashrate,
        "difficulty": 2.0**old.exponent,
        "seconds_to_reach": [round(quantile(reached, part), 1) for part in (0.5, 0.95)],
        "shares_per_minute": round(fmean(minutes), 2),
        "variance": round(pvariance(minutes), 2),
        "minutes": [quantile(minutes, part) for part in (0.05, 0.5, 0.95)],
        "changes_per_day": round(sum(at >= _WARM_UP for at, _ in old.changes) / days, 2),
    }


def _fairness(firmware: Firmware, runs: int, seed: int) -> dict[str, Any]:
    """The credit for a hash, over machines and wrong starts of every size: 1 is what was worked."""
    credit, expected, rejected, shares = 0.0, 0.0, 0, 0
    for run in range(runs):
        for offset in OFFSETS:
            hashrate = 2.0 ** (START - offset) * HASHES / SHARE_INTERVAL
            simulation = Simulation(Machine(hashrate, firmware), seed + run, start=START)
            simulation.run(3_600.0)
            ideal = ideal_difficulty(hashrate, SHARE_INTERVAL)
            credit += simulation.credit / ideal
            expected += simulation.hashes / HASHES / ideal
            rejected += simulation.rejected
            shares += len(simulation.shares)
    return {
        "firmware": firmware.value,
        "credit_per_hash": round(credit / expected, 4),
        "shares": shares,
        "rejected": round(rejected / (shares + rejected), 5),
    }


def _pause(runs: int, seed: int) -> dict[str, Any]:
    """A machine that stops for 20 minutes and goes on."""
    times = range(0, _WATCHED + 1, 20)
    tracks = []
    for run in range(runs):
        machine = Machine(2.0**START * HASHES / SHARE_INTERVAL, pause=_RESTED, known=True)
        simulation = Simulation(machine, seed + run, start=START, minimum=0)
        simulation.run(_WATCHED)
        tracks.append([exponent - float(START) for exponent in _sampled(simulation.changes, times)])
    return {"paused": list(_RESTED), "seconds": list(times), "steps": _bands(tracks)}


def _sampled(changes: Sequence[tuple[float, int]], times: Sequence[int]) -> Iterator[int]:
    """The exponent in force at each of the times."""
    spans = [*pairwise(changes), (changes[-1], (math.inf, 0))]
    at = 0
    for time in times:
        while spans[at][1][0] <= time:
            at += 1
        yield spans[at][0][1]


def _bands(tracks: list[list[float]]) -> dict[str, list[float]]:
    columns = list(zip(*tracks, strict=True))
    return {
        name: [round(quantile(column, part), 2) for column in columns]
        for name, part in (("p5", 0.05), ("p50", 0.5), ("p95", 0.95))
    }


def quantile(values: Sequence[float], part: float) -> float:
    """The value that `part` of the values do not exceed."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]
