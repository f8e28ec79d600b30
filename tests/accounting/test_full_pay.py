"""FPPS: every share is paid by its own worth, whatever becomes of the block, and the reserve bears the difference."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from fractions import Fraction
from math import floor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from tarazy.accounting import ledger, tables
from tarazy.accounting.history import credits_of
from tarazy.accounting.journal_file import JournalError
from tarazy.accounting.payouts import batches
from tarazy.accounting.payouts.machine import Limits, PayoutError
from tarazy.accounting.payouts.unbooked import book_own
from tarazy.accounting.reserve import Reserve, draw, fund, reserve
from tarazy.accounting.schemes import Schedule, Scheme, Terms, average_fee, from_reserve, per_share, proportional
from tarazy.accounting.worth import HALVING_BLOCKS, Worth, subsidy
from tarazy.stratum.difficulty import DIFFICULTY_1_TARGET, weight_of
from tarazy.stratum.share import Verdict
from tests.accounting.books import FEE_PPM, REWARD, START, Gateway, at, job, price_rounds, settle, share, standing

ONE = weight_of(0)
SUBSIDY = 5_000_000_000
FEES = (10, 20, 31)
FPPS = Schedule(Terms(FEE_PPM, scheme=Scheme.FPPS, fee_blocks=144))

worths = st.builds(Worth, st.integers(1, DIFFICULTY_1_TARGET), st.integers(0, SUBSIDY))
works = st.dictionaries(worths, st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 2**90)), max_size=4)
rates = st.integers(0, 1_000_000)


def test_by_hand() -> None:
    """Two difficulties, the first of 1,000 and the second of 2,000; subsidy 3.125, average fee 0.125, fee 2 %.

    a: 8 of the first are 8/1000 of 325,000,000, 2,600,000; 3 of the second are 487,500; less 61,750 of fee.
    b: 1 of the second is 162,500, less 3,250 of fee. A block of 312,500,001 leaves 309,250,001 for the reserve.
    """
    first, second = (Worth(DIFFICULTY_1_TARGET // each, 312_500_000) for each in (1_000, 2_000))
    work = {first: {"a": 8 * ONE}, second: {"b": ONE, "a": 3 * ONE}}
    paid = from_reserve(312_500_001, 20_000, 12_500_000, work)
    # Targets are whole numbers, so a thousand difficulties are a little more than that: each part is rounded down.
    assert per_share(12_500_000, work) == {"a": 2_600_000 - 1 + 487_500 - 1, "b": 162_500 - 1}
    assert paid.withheld == {"a": 61_749, "b": 3_249}
    assert paid.credits == {"a": 3_087_498 - 61_749, "b": 162_499 - 3_249}
    assert (paid.fee, paid.remainder, paid.reserve) == (64_998, 0, 3_249_997 - 312_500_001)
    assert paid.total_weight == 12 * ONE


@given(st.integers(0, 2**51), rates, st.integers(0, 2**30), works, st.dictionaries(st.sampled_from("abc"), rates))
def test_every_satoshi_has_a_place(
    reward: int, fee_ppm: int, average: int, work: dict[Worth, dict[str, int]], fees: dict[str, int]
) -> None:
    """R-002, R-003, invariant 2: reward and reserve are fee and credits, whatever the order and the block."""
    paid = from_reserve(reward, fee_ppm, average, work, fees)
    assert paid.reward + paid.reserve == paid.fee + sum(paid.credits.values()) + paid.remainder
    assert all(amount >= 0 for amount in (*paid.credits.values(), *paid.withheld.values()))
    turned = {worth: dict(reversed(weights.items())) for worth, weights in reversed(work.items())}
    assert repr(from_reserve(reward, fee_ppm, average, turned, fees)) == repr(paid)
    unlucky = from_reserve(0, fee_ppm, average, work, fees)
    assert (unlucky.credits, unlucky.fee, unlucky.reserve) == (paid.credits, paid.fee, paid.reserve + reward)


@given(worths, st.integers(0, 2**30), st.integers(0, 2**80), st.integers(1, 50), rates)
def test_pay_follows_work_and_nobody_else(worth: Worth, average: int, weight: int, times: int, fee_ppm: int) -> None:
    """So many times the work earns so many times the pay, up to rounding; what others do changes nothing."""
    once = per_share(average, {worth: {"a": weight}})["a"]
    many = per_share(average, {worth: {"a": weight * times, "b": 7 * weight}})["a"]
    assert 0 <= many - once * times < times
    alone = from_reserve(0, fee_ppm, average, {worth: {"a": weight}}).credits["a"]
    assert from_reserve(9, fee_ppm, average, {worth: {"b": 1, "a": weight}}).credits["a"] == alone
    assert once == floor(Fraction((worth.subsidy + average) * weight * worth.target, DIFFICULTY_1_TARGET * ONE))


def test_the_average_is_rounded_down() -> None:
    """The fees of blocks, those without any included."""
    assert (average_fee(FEES), average_fee([0, 0, 5]), average_fee([])) == (20, 1, 0)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway of two parties: alpha and beta are the names 1 and 2."""
    opened = Gateway(tmp_path / "journal.sqlite", ("alpha", "beta"))
    yield opened
    opened.close()


def _found(gateway: Gateway, height: int, difficulty: int = 8, reward: int = REWARD) -> str:
    """A round of two units of work by alpha and a block by beta's share of one."""
    number = job(height, difficulty).number
    gateway.announce(height, difficulty)
    gateway.write(share(1, 1, job_number=number), share(2, 5, Verdict.STALE, job_number=number))
    return gateway.find(height, name=2, reward=reward, job_number=number)


def _paid(difficulty: int = 8, reward: int = REWARD) -> tuple[int, dict[str, int], int]:
    """What such a round pays: fee, credits, and what the reserve gives."""
    work = {Worth(DIFFICULTY_1_TARGET // difficulty, SUBSIDY): {"alpha": 2 * ONE, "beta": ONE}}
    paid = from_reserve(reward, FEE_PPM, average_fee(FEES), work)
    return paid.fee, paid.credits, paid.reserve


def _fold(engine: Engine, gateway: Gateway, schedule: Schedule = FPPS) -> None:
    with engine.begin() as connection:
        gateway.fold(connection, schedule=schedule)
        price_rounds(connection, *FEES)


def test_an_orphan_is_paid_by_the_reserve(engine: Engine, gateway: Gateway) -> None:
    """R-010, R-011: the round of a block that left the chain is paid alike; its reward goes in when it returns."""
    one, two = _found(gateway, 101), _found(gateway, 102)
    _fold(engine, gateway)
    fee, credits, gives = _paid()
    for minute, confirmations in enumerate((1, -1, 2, -1)):
        settle(engine, at(minute), **{one: confirmations, two: 1})
        with engine.begin() as connection:
            stands = standing(connection)
            missing = REWARD if confirmations < 0 else 0
            assert reserve(connection) == Reserve(0, -2 * gives - missing)
        assert stands == [(one, 1, 1, fee, 0, credits), (two, 2, 2, fee, 0, credits)]
    settle(engine, at(9), **{two: 150})
    with engine.begin() as connection:
        assert ledger.check(connection) == []
        assert reserve(connection) == Reserve(-2 * gives - REWARD, 0)
        assert ledger.balance(connection, ledger.payable("alpha")) == 2 * credits["alpha"]
        told = credits_of(connection, connection.scalars(select(tables.distribution.c.distribution)), "beta")
        assert {each.fee for each in told} == {_fee_of_beta()}


def _fee_of_beta() -> int:
    owed = per_share(average_fee(FEES), {Worth(DIFFICULTY_1_TARGET // 8, SUBSIDY): {"beta": ONE}})["beta"]
    return owed * FEE_PPM // 1_000_000


def test_a_round_waits_for_its_average_fee(engine: Engine, gateway: Gateway) -> None:
    """Nothing is guessed: without the chain's fees nothing is booked, and nothing behind it becomes final."""
    change = Schedule(FPPS.first, ((START + timedelta(seconds=10), Terms(FEE_PPM)),))
    one = _found(gateway, 101)
    gateway.announce(102, 8)
    gateway.write(share(1, 0, second=20))
    two = gateway.find(102, second=20)
    with engine.begin() as connection:
        gateway.fold(connection, schedule=change)
    assert not settle(engine, at(1), **{one: 110, two: 109}).finalised
    with engine.begin() as connection:
        assert [item[:3] for item in standing(connection)] == [(two, 2, 2)]
        price_rounds(connection, *FEES)
    assert len(settle(engine, at(2)).finalised) == 2
    with engine.begin() as connection:
        assert [item[:3] for item in standing(connection)] == [(one, 1, 1), (two, 2, 2)]


def test_difficulty_and_subsidy_change_within_a_round(engine: Engine, gateway: Gateway) -> None:
    """R-019: shares before a retarget and a halving are paid by what was in force then, also where one commit has both.

    What lies behind a cut takes its worth along into the next round.
    """
    before, after = job(HALVING_BLOCKS - 1, 4), job(HALVING_BLOCKS, 16)
    assert subsidy(before.height, HALVING_BLOCKS) == 2 * subsidy(after.height, HALVING_BLOCKS)
    for each, difficulty in ((before, 4), (after, 16)):
        gateway.announce(each.height, difficulty)
    gateway.write(share(1, 0, job_number=before.number), share(1, 1, job_number=after.number))
    one = gateway.find(after.height, name=2, job_number=after.number)
    gateway.write(share(2, 3, job_number=before.number))
    two = _found(gateway, after.height + 1, 16)
    _fold(engine, gateway)
    settle(engine, at(1), **{one: 2, two: 1})
    old, new = Worth(before.target, SUBSIDY), Worth(after.target, SUBSIDY // 2)
    rounds = (
        {old: {"alpha": ONE}, new: {"alpha": 2 * ONE, "beta": ONE}},
        {old: {"beta": 8 * ONE}, new: {"alpha": 2 * ONE, "beta": ONE}},
    )
    paid = [from_reserve(REWARD, FEE_PPM, average_fee(FEES), work) for work in rounds]
    with engine.begin() as connection:
        assert [item[3:] for item in standing(connection)] == [(each.fee, 0, each.credits) for each in paid]


def test_changes_between_the_schemes(engine: Engine, gateway: Gateway) -> None:
    """R-016: PROP, FPPS and PROP by date; the orphaned round of PROP goes to FPPS, that of FPPS to nobody else."""
    terms = (
        (START + timedelta(seconds=10), FPPS.first),
        (START + timedelta(seconds=30), Terms(FEE_PPM)),
    )
    found = []
    for height, second in ((101, 1), (102, 11), (103, 21), (104, 31)):
        number = job(height, 8).number
        gateway.announce(height, 8)
        gateway.write(share(1, 1, second=second, job_number=number))
        found.append(gateway.find(height, name=2, second=second, job_number=number))
    _fold(engine, gateway, Schedule(Terms(FEE_PPM), terms))
    settle(engine, at(1), **dict(zip(found, (-1, 3, -1, 1), strict=True)))
    work = {"alpha": 2 * ONE, "beta": ONE}
    twice = {Worth(DIFFICULTY_1_TARGET // 8, SUBSIDY): {party: 2 * weight for party, weight in work.items()}}
    both = from_reserve(REWARD, FEE_PPM, average_fee(FEES), twice)
    fee, credits, _ = _paid()
    last = proportional(REWARD, FEE_PPM, work)
    with engine.begin() as connection:
        assert standing(connection) == [
            (found[1], 1, 2, both.fee, 0, both.credits),
            (found[2], 3, 3, fee, 0, credits),
            (found[3], 4, 4, last.fee, last.remainder, last.credits),
        ]
        assert ledger.check(connection) == []


def test_the_reserve_is_funded_drawn_and_never_hidden(engine: Engine, gateway: Gateway) -> None:
    """A short reserve stops proposals until the operator funds it; only what is not spoken for can be drawn."""
    one = _found(gateway, 101, difficulty=1, reward=1)
    _fold(engine, gateway)
    settle(engine, at(1), **{one: 100})
    _, credits, gives = _paid(1, 1)
    limits, day = Limits(1, 500, 10**12, 10**12, 10**12), (at(0), at(60))
    with engine.begin() as connection:
        assert reserve(connection) == Reserve(-gives, 0)
        with pytest.raises(PayoutError, match=f"short of {gives} satoshi"):
            batches.propose(connection, at(2), "desk", {}, limits, day, unproven=True)
        with pytest.raises(ledger.LedgerError, match="account own has 0 satoshi"):
            fund(connection, 1, "own", "", at(2))
        book_own(connection, gives + 5, "", "deposit", at(2))
        fund(connection, gives + 5, "own", "reserve", at(2))
        assert batches.propose(connection, at(2), "desk", {}, limits, day, unproven=True)[0] is None
        with pytest.raises(ledger.LedgerError, match="has 5 satoshi"):
            draw(connection, 6, "too much", at(3))
        draw(connection, 5, "back", at(3))
        assert (reserve(connection).final, ledger.balance(connection, ledger.OWN)) == (0, 5)
        assert ledger.check(connection) == []
        assert ledger.in_wallet(connection) == 1 + gives + 5
        assert ledger.balance(connection, ledger.payable("alpha")) == credits["alpha"]


def test_a_block_without_a_job_is_not_guessed(engine: Engine, gateway: Gateway) -> None:
    """A journal that does not know what the block had to meet is damaged; nothing of the fold remains."""
    gateway.find(101)
    with pytest.raises(JournalError, match="no job of it"), engine.begin() as connection:
        gateway.fold(connection, schedule=FPPS)
