"""Vardiff against miners simulated with a clock of their own."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from tarazy.stratum.vardiff import DifficultyLimits, DifficultyRules, Vardiff

INTERVAL = 6.0


def limits(minimum: int = -16, maximum: int = 48, start: int = 16, ceiling: int = 64) -> DifficultyLimits:
    """Limits with a goal of one share in 6 s."""
    return DifficultyLimits(DifficultyRules(minimum, maximum, start, INTERVAL), ceiling)


class Simulation:
    """A miner whose shares come at random, a look every 15 s, a job every 30 s, hurried ones within a second."""

    def __init__(self, vardiff: Vardiff, ideal: float, seed: int) -> None:
        """`ideal`: difficulty, as a power of two, at which the miner would meet the goal exactly."""
        self.vardiff, self.ideal = vardiff, ideal
        self.random = random.Random(seed)
        self.now = 0.0
        self.changes: list[tuple[float, int]] = []

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        rate = 0.0
        share = look = job = 0.0
        look, job = self.now + 15, self.now + 30
        share = math.inf
        stale = True
        while self.now < end:
            if stale:
                rate = 2.0 ** (self.ideal - self.vardiff.exponent) / INTERVAL
                share = self.now + self.random.expovariate(rate) if rate > 1e-12 else math.inf
                stale = False
            self.now = min(share, look, job)
            if self.now == job:
                before = self.vardiff.exponent
                if self.vardiff.take(self.now) != before:
                    self.changes.append((self.now, self.vardiff.exponent))
                    stale = True
                job = self.now + 30
            elif self.now == look:
                self.vardiff.check(self.now)
                look = self.now + 15
            else:
                self.vardiff.share(self.vardiff.exponent, self.now)
                share = self.now + self.random.expovariate(rate)
            if self.vardiff.hurried:
                job = min(job, self.now + 1)


@pytest.mark.parametrize(("known", "exponents"), [(True, [13, 10, 7, 4, 1, 0]), (False, [13, 7, 1, 0])])
def test_silence_lowers_step_by_step_to_the_floor(known: bool, exponents: list[int]) -> None:
    """C-059: a silent miner comes down within 110 s, again and again, and never below the floor.

    One that never sent a share comes down in larger steps.
    """
    vardiff = Vardiff(limits(minimum=0), 0.0)
    vardiff.begin(16 if known else None, 0.0)
    simulation = Simulation(vardiff, -1000.0, 1)
    simulation.run(1200)
    times = [0.0] + [at for at, _ in simulation.changes]
    assert all(later - earlier <= 110 for earlier, later in itertools.pairwise(times))
    assert [exponent for _, exponent in simulation.changes] == exponents
    assert vardiff.lowest
    assert vardiff.settled


@pytest.mark.parametrize("seed", range(5))
def test_flood_raises_within_ten_seconds(seed: int) -> None:
    """C-060: 64 times too easy is over in 10 s."""
    simulation = Simulation(Vardiff(limits(), 0.0), 22.0, seed)
    simulation.run(10)
    assert abs(simulation.vardiff.exponent - 22) <= 1
    assert simulation.changes[0][0] < 10


def test_steady_miner_is_left_alone() -> None:
    """C-061: between 0.71 and 1.41 of the goal, at most two changes a day on average."""
    days = 0
    changes = 0
    for seed, ideal in enumerate([15.5, 15.75, 16.0, 16.25, 16.5]):
        simulation = Simulation(Vardiff(limits(), 0.0), ideal, seed)
        simulation.run(3 * 86_400)
        days += 3
        changes += len(simulation.changes)
    assert changes / days <= 2


@pytest.mark.parametrize(("too_hard", "seconds"), [(3, 180), (6, 330)])
def test_too_hard_settles(too_hard: int, seconds: float) -> None:
    """Eight and 64 times too hard is put right in minutes even where another hash rate was known."""
    vardiff = Vardiff(limits(), 0.0)
    vardiff.begin(16, 0.0)
    simulation = Simulation(vardiff, 16.0 - too_hard, 3)
    simulation.run(seconds)
    assert abs(simulation.vardiff.exponent - (16 - too_hard)) <= 1


def test_ceiling_and_floor() -> None:
    """C-062: the network's difficulty is a ceiling, and on an easier chain the pool's minimum wins."""
    simulation = Simulation(Vardiff(limits(ceiling=18), 0.0), 30.0, 1)
    simulation.run(300)
    assert simulation.vardiff.exponent == 18
    easy_chain = limits(minimum=2, ceiling=-13)
    vardiff = Vardiff(easy_chain, 0.0)
    assert vardiff.exponent == 2
    vardiff.suggest(-13)
    assert vardiff.take(0.0) == 2


def test_wish_is_a_floor_until_silence() -> None:
    """A wish is taken at the next job; slow shares do not lower it, silence does."""
    vardiff = Vardiff(limits(), 0.0)
    vardiff.suggest(20)
    assert vardiff.exponent == 16
    assert vardiff.take(0.0) == 20
    vardiff.share(20, 1.0)
    vardiff.check(300.0)
    assert vardiff.take(300.0) == 20
    vardiff.check(600.0)
    assert vardiff.take(600.0) == 17


def test_own_minimum_holds_also_in_silence() -> None:
    """C-064: the miner's minimum is a hard floor; above the pool's maximum it is refused."""
    vardiff = Vardiff(limits(maximum=48), 0.0)
    assert vardiff.raise_floor(20)
    assert vardiff.take(0.0) == 20
    for at in range(0, 2000, 15):
        vardiff.check(float(at))
        assert vardiff.take(float(at)) == 20
    assert not vardiff.raise_floor(49)
    assert vardiff.floor == 20


def test_start() -> None:
    """The last known value, at least the wish, else the wish, else the setting."""
    for last, wish, expected in (
        (None, None, 16),
        (10, None, 10),
        (None, 12, 12),
        (10, 12, 12),
        (20, 12, 20),
    ):
        vardiff = Vardiff(limits(), 0.0)
        if wish is not None:
            vardiff.suggest(wish)
        vardiff.begin(last, 0.0)
        assert vardiff.take(0.0) == expected


def test_old_shares_count_at_their_own_difficulty() -> None:
    """C-055: after a raise, shares of the old job are small change, not a flood."""
    vardiff = Vardiff(limits(), 0.0)
    vardiff.suggest(22)
    vardiff.take(0.0)
    for _ in range(100):
        vardiff.share(16, 0.1)
    assert vardiff.wanted == 22


def test_a_few_early_shares_are_no_reason_to_raise() -> None:
    """A burst of three, as after a stall of the network, changes nothing even while nothing is known."""
    vardiff = Vardiff(limits(), 0.0)
    vardiff.begin(None, 0.0)
    for _ in range(3):
        vardiff.share(16, 0.0)
    assert vardiff.wanted == 16
    vardiff.share(16, 0.0)
    assert vardiff.wanted == 22


def test_a_raise_uses_what_comes_until_it_is_sent() -> None:
    """The first guess of a flood is rough; until the next job every share makes it better."""
    vardiff = Vardiff(limits(), 0.0)
    vardiff.begin(None, 0.0)
    for number in range(1, 61):
        vardiff.share(16, number / 2.0)
    assert vardiff.take(30.0) == 16 + round(math.log2(60 / 5))


def test_settles_at_what_its_shares_tell() -> None:
    """Sixteen shares without cause for alarm: the nearest power of two, and from then on strong evidence only."""
    for interval, expected in ((6.0, 16), (3.3, 17), (10.0, 15)):
        vardiff = Vardiff(limits(), 0.0)
        vardiff.begin(None, 0.0)
        for number in range(1, 17):
            assert not vardiff.settled
            vardiff.share(16, number * interval)
            vardiff.check(number * interval)
        assert vardiff.settled
        assert vardiff.take(16 * interval) == expected


def test_what_is_known_at_the_start_is_believed() -> None:
    """A remembered difficulty or a wish is left only on strong evidence: silence of 77 s, not of 9."""
    for last, wish in ((16, None), (None, 16), (None, None)):
        vardiff = Vardiff(limits(), 0.0)
        if wish is not None:
            vardiff.suggest(wish)
        vardiff.begin(last, 0.0)
        known = last is not None or wish is not None
        assert vardiff.settled is known
        vardiff.check(10.0)
        assert (vardiff.wanted == 16) is known
        vardiff.check(78.0)
        assert vardiff.wanted == 13


def test_load_moves_goal_and_difficulty_together() -> None:
    """Each doubling doubles difficulty and share interval with the next job, so that a steady miner stays steady."""
    shared = limits()
    vardiff = Vardiff(shared, 0.0)
    vardiff.begin(16, 0.0)
    shared.doublings = 2
    assert vardiff.exponent == 16
    assert vardiff.take(30.0) == 18
    assert vardiff.lasting == 16
    for number in range(1, 200):
        at = 30.0 + number * INTERVAL * 4
        vardiff.share(18, at)
        vardiff.check(at)
        assert vardiff.take(at) == 18
    shared.doublings = 0
    assert vardiff.take(at) == 16
    assert vardiff.lasting == 16


def test_load_does_not_pass_the_ceiling() -> None:
    """C-062: what the network's difficulty does not allow, load does not either; the way back ends where it began."""
    shared = limits(ceiling=17)
    vardiff = Vardiff(shared, 0.0)
    vardiff.begin(16, 0.0)
    shared.doublings = 3
    assert vardiff.take(1.0) == 17
    shared.doublings = 0
    assert vardiff.take(2.0) == 16
