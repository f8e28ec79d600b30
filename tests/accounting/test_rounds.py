"""Folding: each share counts once, in the round its sequence number says, whatever dies whenever."""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, select

from tarazy.accounting import tables
from tarazy.accounting.cursors import FoldError, cursor_of
from tarazy.accounting.journal_file import BlockRecord, JournalError, JournalReader
from tarazy.accounting.queries import work_by_site_interval
from tarazy.stratum.difficulty import weight_of
from tarazy.stratum.share import ShareRecord, Verdict
from tests.accounting.books import FEE_PPM, INTERVAL, START, START_US, Gateway, close_rounds, require_site_sums, share

UNIT = weight_of(0)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway of three parties: alpha, beta and gamma are the names 1, 2 and 3."""
    opened = Gateway(tmp_path / "journal.sqlite", ["alpha", "beta", "gamma"])
    yield opened
    opened.close()


def weights(connection: Connection) -> dict[tuple[int, str], int]:
    """Credited weight by round and party; the tallies agree with the rounds' own sums."""
    kept: dict[tuple[int, str], int] = {}
    for row in connection.execute(select(tables.round_work)):
        kept[row.round, row.party] = kept.get((row.round, row.party), 0) + row.weight
    summed: dict[tuple[int, str], int] = {}
    for row in connection.execute(select(tables.tally)):
        if row.weight:
            summed[row.round, row.party] = summed.get((row.round, row.party), 0) + row.weight
    assert kept == summed
    require_site_sums(connection)
    return kept


def test_shares_are_counted_once(engine: Engine, gateway: Gateway) -> None:
    """Folding again finds nothing; new shares add to the same tallies, by interval of the share's time."""
    gateway.write(share(1, 0), share(1, 3), share(2, -32), share(1, 0, second=INTERVAL))
    with engine.begin() as connection:
        assert gateway.take_in(connection).shares == 4
    with engine.begin() as connection:
        assert gateway.take_in(connection).shares == 0
    gateway.write(share(1, 1, second=1))
    with engine.begin() as connection:
        assert gateway.take_in(connection).shares == 1
        assert weights(connection) == {(1, "alpha"): 12 * UNIT, (1, "beta"): 1}
        rows = connection.execute(select(tables.tally).order_by(tables.tally.c.interval_start)).all()
    by_interval = {(row.interval_start, row.party): (row.weight, row.shares) for row in rows}
    assert by_interval == {
        (START, "alpha"): (11 * UNIT, 3),
        (START, "beta"): (1, 1),
        (START + timedelta(seconds=INTERVAL), "alpha"): (UNIT, 1),
    }


def test_weights_beyond_64_bits(engine: Engine, gateway: Gateway) -> None:
    """Sums of work are exact however large."""
    for _ in range(3):
        gateway.write(*[share(1, 64)] * 5, share(1, -32))
        with engine.begin() as connection:
            gateway.take_in(connection)
    with engine.begin() as connection:
        assert weights(connection) == {(1, "alpha"): 15 * 2**96 + 3}


def test_only_accepted_shares_carry_weight(engine: Engine, gateway: Gateway) -> None:
    """Stale work is kept apart; shares rejected for any other reason count for nothing."""
    gateway.write(*(share(1, 2, verdict) for verdict in Verdict))
    with engine.begin() as connection:
        gateway.take_in(connection)
        row = connection.execute(select(tables.tally)).one()
    assert (row.weight, row.shares, row.stale_weight, row.stale_shares) == (4 * UNIT, 1, 4 * UNIT, 1)


@pytest.mark.parametrize("limit", [1, 2, 1000])
def test_the_solving_share_is_inside_the_next_outside(engine: Engine, gateway: Gateway, limit: int) -> None:
    """R-008: a round ends with the solving share, also inside a commit, whatever the size of the batches."""
    block = BlockRecord(bytes(31) + b"\1", 5, 100, 2, 2, START_US)
    gateway.write(share(1), share(2), share(3), block=block)
    gateway.write(share(3))
    solved = gateway.find(6, name=1)
    gateway.write(share(2))
    with engine.begin() as connection:
        closed = []
        for _ in range(6):
            gateway.take_in(connection, limit)
            closed += close_rounds(connection, gateway)
        assert closed == ["01" + "00" * 31, solved]
        assert weights(connection) == {
            (1, "alpha"): UNIT, (1, "beta"): UNIT,
            (2, "gamma"): 2 * UNIT, (2, "alpha"): UNIT, (3, "beta"): UNIT,
        }  # fmt: skip
        rounds = connection.execute(select(tables.round_).order_by(tables.round_.c.round)).all()
        found = connection.execute(select(tables.block).order_by(tables.block.c.height)).all()
    assert [(r.block_hash, r.cut, r.fee_ppm) for r in rounds] == [
        (closed[0], {"1": 2}, FEE_PPM), (solved, {"1": 5}, FEE_PPM), (None, None, None),
    ]  # fmt: skip
    assert [(b.round, b.party, b.height, b.reward, b.state) for b in found] == [
        (1, "beta", 5, 100, "found"), (2, "alpha", 6, 312_500_000, "found"),
    ]  # fmt: skip


@pytest.mark.parametrize("verdict", [Verdict.STALE, Verdict.LOW_DIFFICULTY, Verdict.UNAUTHORIZED])
def test_an_uncredited_share_closes_a_round(engine: Engine, gateway: Gateway, verdict: Verdict) -> None:
    """R-014: a block whose share earns nothing closes the round like any other."""
    gateway.write(share(1))
    gateway.find(5, name=2, verdict=verdict)
    gateway.write(share(3))
    with engine.begin() as connection:
        gateway.fold(connection)
        assert weights(connection) == {(1, "alpha"): UNIT, (2, "gamma"): UNIT}


def test_a_block_whose_commit_lost_its_shares(engine: Engine, gateway: Gateway) -> None:
    """A block outlives a failed commit; its round ends before the next share that is on disk."""
    gateway.write(share(1))
    gateway.sequence += 3
    gateway.write(block=BlockRecord(bytes(32), 5, 100, 4, 2, START_US))
    with engine.begin() as connection:
        assert len(gateway.fold(connection)) == 1
        assert gateway.fold(connection) == []
    gateway.write(share(2))
    with engine.begin() as connection:
        gateway.fold(connection)
        assert weights(connection) == {(1, "alpha"): UNIT, (2, "beta"): UNIT}


def test_a_block_before_any_share(engine: Engine, gateway: Gateway) -> None:
    """The first round can close without work."""
    gateway.write(block=BlockRecord(bytes(32), 5, 100, 0, 2, START_US))
    with engine.begin() as connection:
        gateway.fold(connection)
        assert connection.scalar(select(tables.block.c.round)) == 1
        assert weights(connection) == {}


class Killed(BaseException):
    """Stands for the end of the process at this statement."""


def test_killed_anywhere_it_is_done_over(engine: Engine, gateway: Gateway, tmp_path: Path) -> None:
    """Whatever statement folding or closing dies at, nothing of it remains, and the next one counts everything once."""
    second = Gateway(tmp_path / "second.sqlite", ["delta"], 2)
    gateway.write(share(1), share(2, 5))
    with engine.begin() as connection:
        gateway.fold(connection, second)
    gateway.find(5, name=3)
    gateway.write(share(1, second=1), share(2, verdict=Verdict.STALE, second=1))
    second.write(share(second=-1), share(second=1), share(second=2))
    left = [0]

    @event.listens_for(engine, "before_cursor_execute")
    def _die(*_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    def counted() -> dict[tuple[int, str], int]:
        left[0] = -1
        with engine.connect() as connection:
            return weights(connection)

    def die_everywhere(act: Callable[[Connection], object]) -> int:
        """How many statements it has, at each of which it was killed."""
        before = counted()
        for statements in itertools.count(2):  # the first begins the transaction on SQLite
            try:
                with engine.begin() as connection:
                    left[0] = statements
                    act(connection)
                    if left[0] > 0:
                        break
            except Killed:
                assert counted() == before
        left[0] = -1
        return statements

    assert die_everywhere(gateway.take_in) > 6
    assert die_everywhere(second.take_in) > 6
    assert die_everywhere(lambda connection: close_rounds(connection, gateway, second)) > 12
    assert counted() == {
        (1, "alpha"): UNIT, (1, "beta"): 32 * UNIT, (1, "gamma"): UNIT, (1, "delta"): UNIT,
        (2, "alpha"): UNIT, (2, "delta"): 2 * UNIT,
    }  # fmt: skip
    with engine.begin() as connection:
        assert gateway.fold(connection, second) == []
        assert len(connection.execute(select(tables.tally).where(tables.tally.c.shares == 0)).all()) == 1
    second.close()


def test_random_batches_equal_one(engine: Engine, gateway: Gateway, tmp_path: Path) -> None:
    """However commits and folds interleave, the rounds are those of the sequence numbers."""
    chance = random.Random(5)
    expected: dict[tuple[int, str], int] = {}
    number = 1
    for height in range(120):
        shares = [
            share(chance.randint(1, 3), chance.randint(-4, 4), second=chance.randint(0, 5000))
            for _ in range(chance.randint(0, 4))
        ]
        gateway.write(*shares)
        for record in shares:
            _add(expected, number, record)
        if chance.random() < 0.2:
            gateway.find(height, name=2)
            _add(expected, number, share(2))
            number += 1
        if chance.random() < 0.5:
            with engine.begin() as connection:
                gateway.take_in(connection, limit=chance.randint(1, 9))
                close_rounds(connection, gateway)
    with engine.begin() as connection:
        gateway.fold(connection)
        assert weights(connection) == expected


def _add(expected: dict[tuple[int, str], int], number: int, record: ShareRecord) -> None:
    key = number, ("alpha", "beta", "gamma")[record.name - 1]
    expected[key] = expected.get(key, 0) + weight_of(record.exponent)


def test_many_workers(engine: Engine, tmp_path: Path) -> None:
    """Tallies grow in place also when a fold asks for all of the interval at once."""
    gateway = Gateway(tmp_path / "many.sqlite", [f"p{i}" for i in range(1200)])
    for shares in ([share(n) for n in range(1, 1201)], [share(7)], [share(n, 1) for n in range(1, 1201)]):
        gateway.write(*shares)
        with engine.begin() as connection:
            gateway.take_in(connection)
    with engine.begin() as connection:
        found = weights(connection)
    assert found.pop((1, "p6")) == 4 * UNIT
    assert set(found.values()) == {3 * UNIT}
    gateway.close()


def test_another_journal_is_refused(engine: Engine, gateway: Gateway, tmp_path: Path) -> None:
    """T-25, T-27: another journal is told by its identity, however long it has grown; nothing of it is counted."""
    gateway.write(share(1), share(1))
    with engine.begin() as connection:
        gateway.take_in(connection)
    other = Gateway(tmp_path / "other.sqlite", ["alpha"])
    other.write(share(1), share(1), share(1))
    with engine.begin() as connection, pytest.raises(FoldError, match="is not the journal of gateway"):
        other.fold(connection)
    other.close()


def test_an_older_copy_of_the_journal_is_refused(engine: Engine, gateway: Gateway, tmp_path: Path) -> None:
    """T-27: the right journal as it was before: folding says what is missing."""
    gateway.write(share(1))
    copy = tmp_path / "copy.sqlite"
    with closing(sqlite3.connect(gateway.file.path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    gateway.write(share(1))
    with engine.begin() as connection:
        gateway.take_in(connection)
    reader = JournalReader(copy, 1)
    with engine.begin() as connection, pytest.raises(FoldError, match="ends at share 1, but 2 are folded"):
        cursor_of(connection, reader, 1)
    reader.close()


def test_a_share_without_a_name_is_damage(engine: Engine, gateway: Gateway) -> None:
    """A share of a name that the journal does not have stops the fold with the number."""
    gateway.write(share(4))
    with engine.begin() as connection, pytest.raises(JournalError, match="name 4"):
        gateway.take_in(connection)


def test_work_for_pages_and_energy(engine: Engine, gateway: Gateway) -> None:
    """Work by site and interval is the accepted work of each party."""
    gateway.write(share(1), share(2, 1), share(2, 1), share(3, 5, Verdict.STALE), share(1, 4, second=INTERVAL))
    with engine.begin() as connection:
        gateway.take_in(connection)
        after = START + timedelta(seconds=INTERVAL)
        assert work_by_site_interval(connection, "site", START, after) == {"alpha": UNIT, "beta": 4 * UNIT}
        assert work_by_site_interval(connection, "elsewhere", START, after) == {}
