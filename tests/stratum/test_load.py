"""A server that is behind asks for fewer shares instead of dropping any."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest
from structlog.testing import capture_logs

from tarazy.stratum import load as rules
from tarazy.stratum.load import BEHIND, CALM, CALM_SECONDS, MOST_DOUBLINGS, SETTLING_SECONDS, Load
from tests.stratum.house import EASY, NOW, Pool
from tests.stratum.test_server import Served, in_loop


def observe(load: Load, behind: float, begin: int, seconds: int) -> list[int]:
    """Tell a load every second the same; when it changed."""
    return [at for at in range(begin, begin + seconds) if load.observe(behind, float(at))]


def test_one_long_turn_is_no_load() -> None:
    """A second that came late, because of a long turn or a machine that stood still for an hour, changes nothing."""
    load = Load()
    observe(load, 0.0, 0, 60)
    assert observe(load, 3600.0, 60, 1) == []
    assert observe(load, 0.0, 61, 600) == []


def test_doubles_while_behind_and_no_faster_than_it_can_see() -> None:
    """Within seconds the first time, then only once the last doubling must have reached everybody; not for ever."""
    load = Load()
    changes = observe(load, BEHIND * 4, 0, 1_000)
    assert len(changes) == load.doublings == MOST_DOUBLINGS
    assert changes[0] <= 10
    assert all(later - earlier >= SETTLING_SECONDS for earlier, later in itertools.pairwise(changes))


@pytest.mark.parametrize("behind", [0.0, CALM / 2])
def test_comes_back_slowly(behind: float) -> None:
    """One doubling is taken back for ten minutes of calm."""
    load = Load()
    observe(load, 5.0, 0, 100)
    before = load.doublings
    changes = observe(load, behind, 100, 3_000)
    assert len(changes) == before
    assert load.doublings == 0
    assert changes[0] >= 100 + CALM_SECONDS
    assert all(later - earlier >= CALM_SECONDS for earlier, later in itertools.pairwise(changes))


def test_stays_between_calm_and_behind() -> None:
    """A server that just keeps up keeps what it has."""
    load = Load()
    observe(load, 5.0, 0, 5)
    before = load.doublings
    observe(load, 0.0, 5, 55)
    assert observe(load, (CALM + BEHIND) / 2, 60, 5_000) == []
    assert load.doublings == before == 1


def test_raises_difficulty_rather_than_dropping_shares() -> None:
    """C-054: under load every connection's next job is harder; shares of the jobs before keep their credit."""
    pool = Pool()
    clients = [pool.connect(f"acme.rig{number}") for number in range(3)]
    late = [client.job for client in clients]
    proofs = [client.solve() for client in clients]
    assert any(pool.board.behind(5.0, NOW + second) for second in range(10))
    assert [client.hear() for client in clients] == [[], [], []]
    pool.publish()
    for number, client in enumerate(clients):
        client.hear()
        assert client.difficulties == [2.0**EASY, 2.0 ** (EASY + 1)]
        assert client.job is not late[number]
        assert client.submit(proofs[number], f"acme.rig{number}") is True
        assert pool.journal.shares[-1].exponent == EASY
    assert pool.board.counters.accepted == 3
    assert sum(pool.board.counters.rejected.values()) == 0


def test_the_memory_of_a_name_is_without_load() -> None:
    """A connection that ends under load begins, in quieter times, where it was before."""
    pool = Pool()
    client = pool.connect("acme.rig07")
    for second in range(10):
        pool.board.behind(5.0, NOW + second)
    pool.publish()
    assert client.session.assignments.vardiff.exponent == EASY + 1
    client.session.close(pool.now)
    assert pool.board.recall("acme.rig07", pool.now) == EASY


@in_loop
async def test_a_real_server_notices_that_it_is_late() -> None:
    """The loop is held up for a while: the share interval doubles, with one line in the log."""
    with pytest.MonkeyPatch.context() as patch, capture_logs() as lines:
        patch.setattr(rules, "BEHIND", 0.05)
        served = Served()
        try:
            wire = await served.miner()
            for _ in range(10):
                time.sleep(0.7)  # what holds up the loop
                await asyncio.sleep(0.05)
                if served.server.board.limits.doublings:
                    break
            served.publish()
            announced = await wire.read()
        finally:
            served.server.stop()
    assert announced["params"] == [2.0 ** (EASY + 1)]
    assert [line["seconds"] for line in lines if line["event"] == "share_interval_changed"] == [12.0]
