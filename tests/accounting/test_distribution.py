"""Distributions follow the fate of blocks; every satoshi has a place at every step."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, event, func, insert, select
from sqlalchemy.exc import IntegrityError

from tarazy.accounting import ledger, tables
from tarazy.accounting.blocks import (
    MATURITY,
    ON_CHAIN,
    Block,
    BlockState,
    BlockStateError,
    open_blocks,
    recent_blocks,
    set_block_state,
)
from tarazy.accounting.distribution import DistributionState, Reconciled, decided, reconcile
from tarazy.accounting.proof.record import Then, keep, proven, unproven
from tarazy.accounting.queries import Balance, balances_by_party, distributions
from tarazy.accounting.schemes import proportional
from tarazy.database.engine import open_engine
from tarazy.database.types import metadata
from tarazy.stratum.difficulty import weight_of
from tarazy.stratum.share import Verdict
from tests.accounting.books import FEE_PPM, REWARD, Gateway, at, observe_block, settle, share, standing, state

PARTIES = ("alpha", "beta", "gamma")


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway of three parties: alpha, beta and gamma are the names 1, 2 and 3."""
    opened = Gateway(tmp_path / "journal.sqlite", PARTIES)
    yield opened
    opened.close()


def three_rounds(engine: Engine, gateway: Gateway) -> list[str]:
    """Three rounds closed by blocks of heights 101, 102 and 103; each with other work."""
    found = []
    for height, exponents in ((101, (3, 1, 0)), (102, (0, 4, 2)), (103, (1, 1, 5))):
        gateway.write(*(share(name, exponent) for name, exponent in enumerate(exponents, 1)))
        found.append(gateway.find(height, name=1))
    with engine.begin() as connection:
        gateway.fold(connection)
    return found


def sound(connection: Connection) -> None:
    """Invariant 2 and the ledger's own: what stands adds up, and the accounts say the same."""
    assert ledger.check(connection) == []
    kept = ledger.balances(connection)
    assert sum(kept.values()) == 0
    table, credit = tables.distribution, tables.credit
    expected: dict[str, int] = {}

    def add(account: str, amount: int) -> None:
        expected[account] = expected.get(account, 0) + amount

    for row in connection.execute(select(table).where(table.c.state != DistributionState.REVERSED)):
        final = row.state == DistributionState.FINAL
        total = row.fee + row.remainder
        for part in connection.execute(select(credit).where(credit.c.distribution == row.distribution)):
            add((ledger.payable if final else ledger.immature)(part.party), part.amount)
            total += part.amount
        add(ledger.FEE if final else ledger.IMMATURE_FEE, row.fee)
        add(ledger.REMAINDER if final else ledger.IMMATURE_REMAINDER, row.remainder)
        add(ledger.REWARD, -row.reward)
        assert total == row.reward
    nonzero = {account: amount for account, amount in kept.items() if amount}
    assert nonzero == {account: amount for account, amount in expected.items() if amount}


def test_a_connected_block_is_divided(engine: Engine, gateway: Gateway) -> None:
    """Reward less fee goes to the round's work; it is immature, and a second look changes nothing."""
    first, _, _ = three_rounds(engine, gateway)
    assert settle(engine, at(0)) == Reconciled()
    assert len(settle(engine, at(1), **{first: 1}).booked) == 1
    assert settle(engine, at(2), **{first: 7}) == Reconciled()
    divided = proportional(REWARD, FEE_PPM, {"alpha": 9, "beta": 2, "gamma": 1})
    with engine.begin() as connection:
        assert standing(connection) == [(first, 1, 1, divided.fee, divided.remainder, divided.credits)]
        assert balances_by_party(connection)["alpha"] == Balance(immature=divided.credits["alpha"], payable=0)
        assert ledger.balance(connection, ledger.IMMATURE_FEE) == divided.fee
        sound(connection)


def test_maturity_makes_payable(engine: Engine, gateway: Gateway) -> None:
    """R-013: nothing is final before 100 confirmations; then credits, fee and remainder move together."""
    first, _, _ = three_rounds(engine, gateway)
    settle(engine, at(1), **{first: 1})
    assert settle(engine, at(2), **{first: MATURITY - 1}).finalised == ()
    assert len(settle(engine, at(3), **{first: MATURITY}).finalised) == 1
    assert settle(engine, at(4), **{first: MATURITY + 1}) == Reconciled()
    divided = proportional(REWARD, FEE_PPM, {"alpha": 9, "beta": 2, "gamma": 1})
    with engine.begin() as connection:
        assert balances_by_party(connection)["beta"] == Balance(immature=0, payable=divided.credits["beta"])
        assert ledger.balance(connection, ledger.FEE) == divided.fee
        assert ledger.balance(connection, ledger.REMAINDER) == divided.remainder
        sound(connection)


def test_final_in_block_order(engine: Engine, gateway: Gateway) -> None:
    """R-013: a mature block waits until every earlier block is decided."""
    one, two, three = three_rounds(engine, gateway)
    assert settle(engine, at(1), **{two: MATURITY + 1, three: MATURITY}).finalised == ()
    assert settle(engine, at(2), **{one: MATURITY - 1}).finalised == ()
    with engine.begin() as connection:
        assert [item[:3] for item in standing(connection)] == [(one, 1, 1), (two, 2, 2), (three, 3, 3)]
    assert len(settle(engine, at(3), **{one: -1}).finalised) == 2
    with engine.begin() as connection:
        assert [item[:3] for item in standing(connection)] == [(two, 1, 2), (three, 3, 3)]
        sound(connection)


def test_a_block_nobody_has_told_of_keeps_its_round(engine: Engine, gateway: Gateway) -> None:
    """A later block does not take the work of one whose fate is open; it does once that one is lost."""
    one, two, _ = three_rounds(engine, gateway)
    settle(engine, at(1), **{two: 1})
    with engine.begin() as connection:
        assert [item[:3] for item in standing(connection)] == [(two, 2, 2)]
    settle(engine, at(2), **{one: None})
    with engine.begin() as connection:
        assert [item[:3] for item in standing(connection)] == [(two, 1, 2)]
        sound(connection)


def _block(number: int, height: int, block_state: BlockState, confirmations: int = 0) -> Block:
    return Block(str(number), height, number, 1, "alpha", "rig", at(0), block_state, confirmations, 1, at(0))


@pytest.mark.parametrize(("height", "settled"), [(102, 3), (103, 3), (104, 0), (105, 0)])
def test_an_orphan_above_a_mature_block_may_return(height: int, settled: int) -> None:
    """R-013: a block off the chain is decided only when the main chain stands 100 blocks on its height."""
    blocks = [
        _block(1, height, BlockState.ORPHANED),
        _block(2, 101, BlockState.MATURE, MATURITY + 2),
        _block(3, 103, BlockState.MATURE, MATURITY),
        _block(4, 104, BlockState.SUBMITTED),
        _block(5, 101, BlockState.MATURE, MATURITY + 2),
    ]
    assert [block.round for block in decided(blocks)] == list(range(1, settled + 1))


def test_an_orphan_in_the_middle(engine: Engine, gateway: Gateway, tmp_path: Path) -> None:
    """R-010: its round joins the next, and the figures equal a run that never had the block."""
    one, two, three = three_rounds(engine, gateway)
    settle(engine, at(1), **{one: 3, two: 2, three: 1})
    changed = settle(engine, at(2), **{two: -1})
    assert (len(changed.reversed), len(changed.booked)) == (2, 1)
    merged = proportional(REWARD, FEE_PPM, {"alpha": 1 + 1 + 2 + 1, "beta": 16 + 2, "gamma": 4 + 32})
    alone = proportional(REWARD, FEE_PPM, {"alpha": 9, "beta": 2, "gamma": 1})
    with engine.begin() as connection:
        assert standing(connection) == [
            (one, 1, 1, alone.fee, alone.remainder, alone.credits),
            (three, 2, 3, merged.fee, merged.remainder, merged.credits),
        ]
        assert state(connection, two) is BlockState.ORPHANED
        sound(connection)
    settle(engine, at(3), **{one: MATURITY + 2, three: MATURITY})
    with engine.begin() as connection:
        assert ledger.balance(connection, ledger.payable("gamma")) == alone.credits["gamma"] + merged.credits["gamma"]
        assert ledger.balance(connection, ledger.immature("gamma")) == 0
        sound(connection)


def test_an_orphan_returns(engine: Engine, gateway: Gateway) -> None:
    """R-011: after orphan and return the standing figures are those of a run without either."""
    one, two, three = three_rounds(engine, gateway)
    settle(engine, at(1), **{one: 3, two: 2, three: 1})
    with engine.begin() as connection:
        before, balances = standing(connection), ledger.balances(connection)
    settle(engine, at(2), **{two: -1, three: -1})
    with engine.begin() as connection:
        assert [item[0] for item in standing(connection)] == [one]
    settle(engine, at(3), **{two: 2, three: 1})
    with engine.begin() as connection:
        assert standing(connection) == before
        assert ledger.balances(connection) == balances
        sound(connection)


def test_rivals_share_one_reward(engine: Engine, gateway: Gateway) -> None:
    """R-012: of two blocks at one height the survivor pays the work of both rounds, and only its reward is divided."""
    gateway.write(share(1, 2))
    first = gateway.find(101, name=1)
    gateway.write(share(2, 3))
    second = gateway.find(101, name=2, reward=REWARD + 1)
    with engine.begin() as connection:
        gateway.fold(connection)
    settle(engine, at(1), **{first: 1, second: -1})
    with engine.begin() as connection:
        assert [item[:3] for item in standing(connection)] == [(first, 1, 1)]
    settle(engine, at(2), **{first: -1, second: 2})
    divided = proportional(REWARD + 1, FEE_PPM, {"alpha": 5, "beta": 9})
    with engine.begin() as connection:
        assert standing(connection) == [(second, 1, 2, divided.fee, divided.remainder, divided.credits)]
        assert ledger.balance(connection, ledger.REWARD) == -(REWARD + 1)
        sound(connection)


def test_what_was_earned_before_a_withdrawal_stays(engine: Engine, gateway: Gateway) -> None:
    """R-017: shares refused after an admission was withdrawn count for nothing, those before it are paid in full."""
    gateway.write(share(1, 2), share(2, 1), share(1, 5, Verdict.UNAUTHORIZED))
    block_hash = gateway.find(101, name=2)
    with engine.begin() as connection:
        gateway.fold(connection)
    settle(engine, at(1), **{block_hash: MATURITY})
    divided = proportional(REWARD, FEE_PPM, {"alpha": 4, "beta": 3})
    with engine.begin() as connection:
        assert ledger.balance(connection, ledger.payable("alpha")) == divided.credits["alpha"] > 0


def test_as_it_was_known(engine: Engine, gateway: Gateway) -> None:
    """Invariant 6: what was known at an instant is told the same after reversals and maturity."""
    one, two, three = three_rounds(engine, gateway)
    settle(engine, at(1), **{one: 3, two: 2, three: 1})
    with engine.begin() as connection:
        then = distributions(connection, at(0), at(1))
    settle(engine, at(2), **{two: -1})
    settle(engine, at(3), **{one: MATURITY + 2, three: MATURITY})
    with engine.begin() as connection:
        assert distributions(connection, at(0), at(1)) == then
        assert [item.state for item in then] == ["immature"] * 3
        later = distributions(connection, at(0), at(9))
        assert [item.state for item in later] == ["final", "reversed", "reversed", "final"]
        assert [(item.first_round, item.last_round) for item in later] == [(1, 1), (2, 2), (3, 3), (2, 3)]
        assert distributions(connection, at(2), at(9)) == later[3:]


def test_a_round_without_credited_work(engine: Engine, gateway: Gateway) -> None:
    """R-005: nobody is credited; what is left of the reward after the fee is carried, and the row says so."""
    block_hash = gateway.find(9, verdict=1)
    with engine.begin() as connection:
        gateway.fold(connection)
    settle(engine, at(1), **{block_hash: 1})
    with engine.begin() as connection:
        assert standing(connection) == [(block_hash, 1, 1, 3_125_000, 309_375_000, {})]
        assert connection.scalar(select(tables.distribution.c.total_weight)) == 0
        sound(connection)


def test_a_block_without_reward(engine: Engine, gateway: Gateway) -> None:
    """A reward of nothing is divided into nothings, without a ledger entry."""
    block_hash = gateway.find(9, reward=0)
    with engine.begin() as connection:
        gateway.fold(connection)
    settle(engine, at(1), **{block_hash: 1})
    settle(engine, at(2), **{block_hash: -1})
    with engine.begin() as connection:
        assert standing(connection) == []
        assert connection.scalar(select(func.count()).select_from(tables.ledger_entry)) == 0


def test_the_fee_is_that_of_the_closing_round(engine: Engine, gateway: Gateway) -> None:
    """R-016: a change of the fee touches only rounds closed later, also if earlier ones are booked again."""
    gateway.write(share(1))
    one = gateway.find(101)
    with engine.begin() as connection:
        gateway.fold(connection, fee_ppm=0)
    two = gateway.find(102)
    with engine.begin() as connection:
        gateway.fold(connection, fee_ppm=500_000)
    settle(engine, at(1), **{one: 2, two: 1})
    settle(engine, at(2), **{one: -1, two: -1})
    settle(engine, at(3), **{one: 2, two: 1})
    with engine.begin() as connection:
        assert [item[3] for item in standing(connection)] == [0, REWARD // 2]


def test_one_distribution_stands_for_a_block(engine: Engine, gateway: Gateway) -> None:
    """R-032: the database refuses a second standing distribution of a block, or from the same round on."""
    one, two, _ = three_rounds(engine, gateway)
    settle(engine, at(1), **{one: 1})
    with engine.begin() as connection:
        row = connection.execute(select(tables.distribution)).one()._asdict()
    del row["distribution"]
    for change in ({"first_round": 2}, {"block_hash": two}):
        with pytest.raises(IntegrityError), engine.begin() as connection:
            connection.execute(insert(tables.distribution).values(**row | change))
    with engine.begin() as connection:
        connection.execute(insert(tables.distribution).values(**row | {"state": DistributionState.REVERSED}))


def test_impossible_states_are_refused(engine: Engine, gateway: Gateway) -> None:
    """A step back, a state against its confirmations, and an unknown block are named and change nothing."""
    one, two, three = three_rounds(engine, gateway)
    with engine.begin() as connection:
        assert set_block_state(connection, one, BlockState.SUBMITTED, 0, at(1))
        assert set_block_state(connection, one, BlockState.CONNECTED, 1, at(1))
        for block_hash, wrong, confirmations, text in (
            (one, BlockState.SUBMITTED, 0, "is connected and cannot become submitted"),
            (one, BlockState.REJECTED, 0, "is connected and cannot become rejected"),
            (two, BlockState.MATURE, 99, "cannot be mature with 99 confirmations"),
            (two, BlockState.CONNECTED, 100, "cannot be connected with 100 confirmations"),
            (two, BlockState.CONNECTED, 0, "cannot be connected with 0 confirmations"),
            ("00" * 32, BlockState.CONNECTED, 1, "is not known here"),
        ):
            with pytest.raises(BlockStateError, match=text):
                set_block_state(connection, block_hash, wrong, confirmations, at(2))
        assert state(connection, one) is BlockState.CONNECTED
        assert state(connection, two) is BlockState.FOUND
        assert set_block_state(connection, three, BlockState.REJECTED, 0, at(2))
        with pytest.raises(BlockStateError, match="is rejected and cannot become unknown"):
            observe_block(connection, three, None, at(3))
        assert state(connection, three) is BlockState.REJECTED
        assert observe_block(connection, three, 4, at(4))
        assert [(b.height, b.confirmations) for b in recent_blocks(connection, 2)] == [(103, 4), (102, 0)]


def test_settled_blocks_stay_settled(engine: Engine, gateway: Gateway) -> None:
    """Once a final distribution covers a block, another fate of it is an alarm, not a booking."""
    one, two, three = three_rounds(engine, gateway)
    settle(engine, at(1), **{one: 200, two: -1, three: 198})
    with engine.begin() as connection:
        for block_hash, confirmations in ((one, -1), (two, 5), (three, None)):
            with pytest.raises(BlockStateError, match="for people to decide"):
                observe_block(connection, block_hash, confirmations, at(2))
        assert not observe_block(connection, one, 201, at(2))


def test_what_had_a_record_then(engine: Engine, gateway: Gateway) -> None:
    """A distribution waits for its record from when it is final until the row of the audit log that tells it."""
    one, *_ = three_rounds(engine, gateway)
    settle(engine, at(1), **{one: 5})
    settle(engine, at(5), **{one: 200})
    with engine.begin() as connection:
        (number,) = unproven(connection)
        keep(connection, {"distribution": number, "round": 1}, audit_row=7)
        asked = (None, Then(at(4), 0), Then(at(5), 6), Then(at(5), 7))
        assert [unproven(connection, then) for then in asked] == [[], [], [number], []]
        assert [proven(connection, [1, 2], then) for then in asked] == [{1}, set(), set(), {1}]


def test_cost_does_not_grow_with_history(engine: Engine, gateway: Gateway) -> None:
    """Reconciling reads and writes as much after forty settled blocks as after one."""
    counts: list[int] = []

    @event.listens_for(engine, "before_cursor_execute")
    def _count(*_: object) -> None:
        counts[-1] += 1

    for height in range(101, 141):
        block_hash = gateway.find(height)
        counts.append(0)
        with engine.begin() as connection:
            gateway.fold(connection)
        settle(engine, at(1), **{block_hash: MATURITY})
        with engine.begin() as connection:
            assert open_blocks(connection) == []
    assert max(counts[1:]) <= counts[0]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("share"), st.integers(1, 3), st.integers(-32, 64), st.sampled_from([0, 0, 0, 1, 3])),
        st.tuples(st.just("block"), st.integers(1, 3), st.sampled_from([0, 1]), st.integers(0, 5_000_000_000)),
        st.tuples(st.just("fold"), st.integers(1, 5)),
        st.tuples(st.just("fate"), st.integers(0, 9), st.sampled_from([-1, None, 1, 2, 50, 99, 100, 105])),
        st.tuples(st.just("bury")),
    ),
    min_size=8,
    max_size=40,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_any_history_is_exact(steps: list[tuple[object, ...]]) -> None:
    """Invariant 2: after any shares, blocks, orphans and returns, each step balances and the end is as if
    straight.

    What finally stands equals the division of the work between the blocks that stayed, computed from the list
    of shares alone.
    """
    with tempfile.TemporaryDirectory() as directory:
        engine = open_engine(f"sqlite:///{directory}/ledger.db")
        metadata.create_all(engine)
        gateway = Gateway(Path(directory) / "journal.sqlite", PARTIES)
        try:
            _History(engine, gateway).play(steps)
        finally:
            gateway.close()
            engine.dispose()


class _History:
    """Plays steps on real files and keeps, beside, the plain list that the end is compared with."""

    def __init__(self, engine: Engine, gateway: Gateway) -> None:
        self.engine = engine
        self.gateway = gateway
        self.work: list[dict[str, int]] = [{}]
        self.blocks: list[tuple[str, int]] = []

    def play(self, steps: list[tuple[object, ...]]) -> None:
        for number, (kind, *arguments) in enumerate([*steps, ("fold", 10**6)]):
            with self.engine.begin() as connection:
                getattr(self, f"_{kind}")(connection, *arguments)
            with self.engine.begin() as connection:
                reconcile(connection, at(number))
                assert reconcile(connection, at(number)) == Reconciled()
                sound(connection)
        with self.engine.begin() as connection:
            assert standing(connection) == self._straight(connection)

    def _share(self, _: Connection, name: int, exponent: int, verdict: int) -> None:
        self.gateway.write(share(name, exponent, verdict))
        self._credit(name, exponent, verdict)

    def _block(self, _: Connection, name: int, verdict: int, reward: int) -> None:
        found = self.gateway.find(len(self.blocks) + 1, name=name, verdict=verdict, reward=reward)
        self._credit(name, 0, verdict)
        self.blocks.append((found, reward))
        self.work.append({})

    def _credit(self, name: int, exponent: int, verdict: int) -> None:
        if verdict == 0:
            party = PARTIES[name - 1]
            self.work[-1][party] = self.work[-1].get(party, 0) + weight_of(exponent)

    def _fold(self, connection: Connection, limit: int) -> None:
        self.gateway.fold(connection, limit=limit)

    def _fate(self, connection: Connection, index: int, confirmations: int | None) -> None:
        blocks = open_blocks(connection)
        if index < len(blocks):
            observe_block(connection, blocks[index].block_hash, confirmations, at(0))

    def _bury(self, connection: Connection) -> None:
        for block in open_blocks(connection):
            if block.state in ON_CHAIN:
                observe_block(connection, block.block_hash, MATURITY + len(self.blocks), at(0))

    def _straight(self, connection: Connection) -> list[tuple[str, int, int, int, int, dict[str, int]]]:
        expected, pool, first = [], dict[str, int](), 1
        for number, (block_hash, reward) in enumerate(self.blocks, 1):
            for party, weight in self.work[number - 1].items():
                pool[party] = pool.get(party, 0) + weight
            fate = state(connection, block_hash)
            if fate in ON_CHAIN:
                divided = proportional(reward, FEE_PPM, pool)
                expected.append((block_hash, first, number, divided.fee, divided.remainder, divided.credits))
            if fate in ON_CHAIN or fate is BlockState.FOUND:
                pool, first = {}, number + 1
        return expected
