"""Schemes, windows and fees in the ledger: what is in force when a round closes, whatever happens later."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from tarazy.accounting import tables
from tarazy.accounting.journal_file import UNKNOWN_FINDER, BlockRecord, JournalError
from tarazy.accounting.order import WINDOWS_KEPT
from tarazy.accounting.schemes import Schedule, Scheme, Terms, last_work, proportional
from tarazy.stratum.difficulty import weight_of
from tarazy.stratum.share import Verdict
from tests.accounting.books import FEE_PPM, REWARD, START, START_US, Gateway, at, settle, share, standing

PARTIES = ("alpha", "beta", "gamma")
ONE = weight_of(0)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway of three parties: alpha, beta and gamma are the names 1, 2 and 3."""
    opened = Gateway(tmp_path / "journal.sqlite", PARTIES)
    yield opened
    opened.close()


def pplns(window: int) -> Schedule:
    """PPLNS from the beginning."""
    return Schedule(Terms(FEE_PPM, scheme=Scheme.PPLNS, window=window))


def windows(engine: Engine) -> dict[int, dict[str, int]]:
    """Round → weight by party of its window."""
    found: dict[int, dict[str, int]] = {}
    with engine.begin() as connection:
        for row in connection.execute(select(tables.window_weight)):
            found.setdefault(row.round, {})[row.party] = row.weight
    return found


def test_the_oldest_share_counts_in_part(engine: Engine, gateway: Gateway) -> None:
    """R-018: the window of three difficulties is exactly that; the share it cuts gives what is missing."""
    gateway.announce(101, difficulty=2)
    gateway.write(share(3, 1), share(1, 2), share(2, 0), share(3, 2, Verdict.STALE), share(2, -1))
    block_hash = gateway.find(101, name=3)
    with engine.begin() as connection:
        gateway.fold(connection, schedule=pplns(3))
    settle(engine, at(1), **{block_hash: 1})
    expected = {"alpha": 7 * ONE // 2, "beta": 3 * ONE // 2, "gamma": ONE}
    assert windows(engine) == {1: expected}
    divided = proportional(REWARD, FEE_PPM, expected)
    with engine.begin() as connection:
        assert standing(connection) == [(block_hash, 1, 1, divided.fee, divided.remainder, divided.credits)]
        row = connection.execute(select(tables.distribution)).one()
        assert (row.scheme, row.total_weight) == ("pplns", 6 * ONE)
        assert connection.scalar(select(tables.round_.c.window).where(tables.round_.c.round == 1)) == 6 * ONE


def test_a_short_history_divides_by_what_there_is(engine: Engine, gateway: Gateway) -> None:
    """R-018: before the window is full everybody in it gets a part of the whole reward, and nothing is set aside."""
    gateway.announce(101, difficulty=1_000)
    gateway.write(share(1, 1))
    block_hash = gateway.find(101, name=2)
    with engine.begin() as connection:
        gateway.fold(connection, schedule=pplns(2))
    settle(engine, at(1), **{block_hash: 1})
    divided = proportional(REWARD, FEE_PPM, {"alpha": 2, "beta": 1})
    with engine.begin() as connection:
        assert standing(connection) == [(block_hash, 1, 1, divided.fee, divided.remainder, divided.credits)]


@pytest.mark.parametrize("seed", range(3))
def test_windows_follow_the_order_of_record(sqlite_engine: Engine, tmp_path: Path, seed: int) -> None:
    """R-018: over rounds, gateways and folds of any size a window is the tail of one list of shares."""
    rng = random.Random(seed)
    gateways = [Gateway(tmp_path / f"{number}.sqlite", PARTIES, number) for number in (1, 2)]
    waiting: list[list[tuple[str, int]]] = [[], []]
    record: list[tuple[str, int]] = []
    expected = {}
    second = 0

    def keep() -> None:
        """Fold both, which have all that there is."""
        for each in gateways:
            each.mark(second)
        with sqlite_engine.begin() as connection:
            gateways[0].fold(connection, gateways[1], schedule=pplns(2))

    for height in range(1, 41):
        difficulty = rng.choice([10, 20, 40])
        for _ in range(rng.randrange(6)):
            second += 1
            which = rng.randrange(2)
            shares = [(rng.randint(1, 3), rng.randint(-3, 3)) for _ in range(rng.randrange(1, 12))]
            gateways[which].write(*(share(*each, second=second) for each in shares))
            waiting[which] += [(PARTIES[name - 1], weight_of(exponent)) for name, exponent in shares]
            if rng.random() < 0.4:
                keep()
                record += waiting[0] + waiting[1]
                waiting = [[], []]
        second += 1
        which = rng.randrange(2)
        gateways[which].announce(height, difficulty)
        gateways[which].find(height, name=1 + height % 3, second=second)
        keep()
        record += [*waiting[1 - which], *waiting[which], (PARTIES[height % 3], ONE)]
        waiting = [[], []]
        expected[height] = last_work(reversed(record), 2 * difficulty * ONE)
    assert windows(sqlite_engine) == expected
    assert sum(expected[40].values()) <= 80 * ONE
    for each in gateways:
        each.close()


def test_order_is_kept_no_longer_than_a_window_may_reach(engine: Engine, gateway: Gateway) -> None:
    """What is kept depends on the window, not on history; a difficulty that rises fourfold still finds its own."""
    kept = []
    for height in range(1, 41):
        gateway.announce(height, difficulty=1)
        gateway.find(height)
        with engine.begin() as connection:
            gateway.fold(connection, schedule=pplns(2))
            kept.append(connection.scalar(select(func.count()).select_from(tables.stretch)))
    assert set(kept[10:]) == {2 * WINDOWS_KEPT}
    gateway.announce(41, difficulty=4)
    gateway.find(41)
    with engine.begin() as connection:
        gateway.fold(connection, schedule=pplns(2))
    assert windows(engine)[41] == {"alpha": 8 * ONE}


def test_a_window_that_began_before_a_gap_is_not_used(engine: Engine, gateway: Gateway) -> None:
    """While no terms want it, no order is kept; when they do again it begins anew."""
    gateway.write(share(1, 5))
    with engine.begin() as connection:
        gateway.fold(connection, schedule=pplns(64))
    gateway.write(share(2, 5))
    with engine.begin() as connection:
        gateway.fold(connection)
    gateway.announce(101, difficulty=1)
    gateway.find(101, name=3)
    with engine.begin() as connection:
        gateway.fold(connection, schedule=pplns(64))
    assert windows(engine) == {1: {"gamma": ONE}}


def test_a_block_without_a_job_is_not_guessed(engine: Engine, gateway: Gateway) -> None:
    """A journal that does not know what the block had to meet is damaged; nothing of the fold remains."""
    gateway.find(101)
    with pytest.raises(JournalError, match="no job of it"), engine.begin() as connection:
        gateway.fold(connection, schedule=pplns(2))
    with engine.begin() as connection:
        assert connection.scalar(select(func.count()).select_from(tables.stretch)) == 0


def test_an_orphan_does_not_move_windows(engine: Engine, gateway: Gateway) -> None:
    """R-010: under PPLNS the other blocks pay the same as in a run that never saw the orphan."""
    found = []
    for height in (101, 102, 103):
        gateway.announce(height, difficulty=2)
        gateway.write(share(height % 3 + 1, 1))
        found.append(gateway.find(height, name=2))
    with engine.begin() as connection:
        gateway.fold(connection, schedule=pplns(2))
    one, two, three = found
    settle(engine, at(1), **{one: 3, two: 2, three: 1})
    with engine.begin() as connection:
        before = {item[0]: item[3:] for item in standing(connection)}
    settle(engine, at(2), **{two: -1})
    with engine.begin() as connection:
        assert [item[:3] for item in standing(connection)] == [(one, 1, 1), (three, 2, 3)]
        assert {item[0]: item[3:] for item in standing(connection)} == {one: before[one], three: before[three]}


@pytest.mark.parametrize(("finder", "credits", "remainder"), [(2, {"beta": 309_375_000}, 0), (None, {}, 309_375_000)])
def test_solo_pays_the_finder(
    engine: Engine, gateway: Gateway, finder: int | None, credits: dict[str, int], remainder: int
) -> None:
    """SOLO: the finder gets all after the fee, also for a share too late to be credited; unknown, it is carried."""
    gateway.write(share(1, 9))
    name = UNKNOWN_FINDER if finder is None else finder
    block_hash = gateway.find(101, name=name, verdict=Verdict.STALE) if finder else _by_nobody(gateway)
    with engine.begin() as connection:
        gateway.fold(connection, schedule=Schedule(Terms(FEE_PPM, scheme=Scheme.SOLO)))
    settle(engine, at(1), **{block_hash: 1})
    with engine.begin() as connection:
        assert standing(connection) == [(block_hash, 1, 1, 3_125_000, remainder, credits)]


def _by_nobody(gateway: Gateway) -> str:
    gateway.write(share(1), block=BlockRecord(bytes(32), 101, REWARD, gateway.sequence + 1, UNKNOWN_FINDER, START_US))
    return bytes(32).hex()


def test_terms_are_those_of_the_instant_the_block_was_found(engine: Engine, gateway: Gateway) -> None:
    """R-016: one fold over a change divides each round on its own terms, and a round booked anew on the same."""
    changes = (
        (START + timedelta(seconds=10), Terms(20_000, {"beta": 5_000})),
        (START + timedelta(seconds=20), Terms(0, scheme=Scheme.SOLO)),
    )
    schedule = Schedule(Terms(FEE_PPM), changes)
    found = []
    for height, second in ((101, 9.999), (102, 10), (103, 20)):
        gateway.write(share(1, 0, second=second), share(2, 1, second=second))
        found.append(gateway.find(height, name=3, second=second))
    with engine.begin() as connection:
        gateway.fold(connection, schedule=schedule)
    work = {"alpha": 1, "beta": 2, "gamma": 1}
    expected = [
        proportional(REWARD, FEE_PPM, work),
        proportional(REWARD, 20_000, work, {"beta": 5_000}),
        proportional(REWARD, 0, {"gamma": 1}),
    ]
    for minute, confirmations in enumerate((1, -1, 1)):
        settle(engine, at(minute), **dict.fromkeys(found, confirmations))
    with engine.begin() as connection:
        assert [item[3:] for item in standing(connection)] == [(d.fee, d.remainder, d.credits) for d in expected]
        assert len({item[3] for item in standing(connection)}) == 3
