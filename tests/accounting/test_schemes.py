"""Dividing a reward: exact, order-free, checkable from one's own weight and the totals."""

from __future__ import annotations

import ast
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tarazy.accounting
from tarazy.accounting.schemes import proportional

# Each worked by hand: reward, fee in ppm, weights, then the fee, the credits, the remainder.
WORKED = [
    (313_734_567, 10_000, (5, 3, 1), 3_137_345, (172_554_012, 103_532_407, 34_510_802), 1),
    (100, 0, (1, 1, 1), 0, (33, 33, 33), 1),
    (100, 10_000, (1,), 1, (99,), 0),
    (99, 10_000, (1,), 0, (99,), 0),
    (1, 0, (1, 1), 0, (0, 0), 1),
    (0, 10_000, (4, 5), 0, (0, 0), 0),
    (2, 500_000, (1, 2), 1, (0, 0), 1),
    (10, 1_000_000, (1, 2), 10, (0, 0), 0),
    (10, 999_999, (1,), 9, (1,), 0),
    (7, 0, (3, 4), 0, (3, 4), 0),
    (7, 0, (4, 3), 0, (4, 3), 0),
    (8, 0, (3, 4), 0, (3, 4), 1),
    (312_500_000, 0, (1, 2), 0, (104_166_666, 208_333_333), 1),
    (312_500_000, 10_000, (1, 1), 3_125_000, (154_687_500, 154_687_500), 0),
    (312_500_000, 20_000, (1, 1, 1), 6_250_000, (102_083_333, 102_083_333, 102_083_333), 1),
    (5_000_000_000, 15_000, (999, 1), 75_000_000, (4_920_075_000, 4_925_000), 0),
    (5_000_000_000, 1, (1, 1, 1, 1), 5_000, (1_249_998_750,) * 4, 0),
    (1_000_000, 1, (1, 6), 1, (142_857, 857_142), 0),
    (625_000_001, 10_000, (2, 3, 7), 6_250_000, (103_125_000, 154_687_500, 360_937_500), 1),
    (100_000, 10_000, (2**96, 2**96, 2**95), 1_000, (39_600, 39_600, 19_800), 0),
    (2_100_000_000_000_000, 10_000, (1, 2**63), 21_000_000_000_000, (0, 2_078_999_999_999_999), 1),
]

weights = st.lists(st.integers(0, 2**90), max_size=30)
rewards = st.integers(0, 2_100_000_000_000_000)
fees = st.integers(0, 1_000_000)


def _named(values: list[int] | tuple[int, ...]) -> dict[str, int]:
    return {f"p{i:02}": value for i, value in enumerate(values)}


@pytest.mark.parametrize(("reward", "fee_ppm", "given_weights", "fee", "credits", "remainder"), WORKED)
def test_worked_examples(
    reward: int,
    fee_ppm: int,
    given_weights: tuple[int, ...],
    fee: int,
    credits: tuple[int, ...],
    remainder: int,
) -> None:
    """R-001: the example of the reference and twenty others match to the satoshi."""
    divided = proportional(reward, fee_ppm, _named(given_weights))
    assert (divided.fee, tuple(divided.credits.values()), divided.remainder) == (fee, credits, remainder)
    assert divided.total_weight == sum(given_weights)


@given(rewards, fees, weights)
def test_every_satoshi_has_a_place(reward: int, fee_ppm: int, values: list[int]) -> None:
    """R-002, invariant 2: fee, credits and remainder are the reward; the remainder is below the parties."""
    divided = proportional(reward, fee_ppm, _named(values))
    assert divided.reward == divided.fee + sum(divided.credits.values()) + divided.remainder == reward
    assert all(amount >= 0 for amount in divided.credits.values())
    if divided.total_weight:
        assert 0 <= divided.remainder < len(divided.credits)


def test_a_million_parties() -> None:
    """R-002: exact with 10^6 parties whose weights sum to more than 2^80."""
    divided = proportional(312_500_000, 10_000, {str(i): (i * 7919 % 10_007) << 60 for i in range(1_000_000)})
    assert divided.total_weight > 1 << 80
    assert divided.fee + sum(divided.credits.values()) + divided.remainder == 312_500_000
    assert 0 <= divided.remainder < 1_000_000


@given(rewards, fees, weights, st.randoms(use_true_random=False))
def test_order_does_not_matter(reward: int, fee_ppm: int, values: list[int], random: object) -> None:
    """R-003: any order of the parties gives the same result, in the same order."""
    items = list(_named(values).items())
    shuffled = items[:]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first, second = proportional(reward, fee_ppm, dict(items)), proportional(reward, fee_ppm, dict(shuffled))
    assert repr(first) == repr(second)


@given(rewards, fees, st.lists(st.integers(1, 2**90), min_size=2, max_size=30))
def test_more_work_never_earns_less(reward: int, fee_ppm: int, values: list[int]) -> None:
    """R-004: equal weights give equal credits, more weight never gives less."""
    credits = proportional(reward, fee_ppm, _named(values)).credits
    by_weight = sorted((weight, credits[party]) for party, weight in _named(values).items())
    for (less, small), (more, large) in pairwise(by_weight):
        assert small <= large
        assert less != more or small == large


@given(rewards, fees, st.integers(0, 5))
def test_no_work_is_carried(reward: int, fee_ppm: int, parties: int) -> None:
    """R-005: without weight nobody is credited, the net reward is carried and the total weight says so."""
    divided = proportional(reward, fee_ppm, _named([0] * parties))
    assert divided.credits == {}
    assert divided.total_weight == 0
    assert divided.remainder == reward - divided.fee


@given(rewards, fees, st.lists(st.integers(1, 2**90), min_size=1, max_size=10), st.data())
def test_splitting_gains_nothing(reward: int, fee_ppm: int, values: list[int], data: st.DataObject) -> None:
    """R-006: a party split in two gets at most one satoshi less, and never more."""
    part = data.draw(st.integers(0, values[0]))
    whole = proportional(reward, fee_ppm, _named(values)).credits["p00"]
    split = proportional(reward, fee_ppm, {**_named(values), "p00": part, "p00b": values[0] - part}).credits
    assert 0 <= whole - (split.get("p00", 0) + split.get("p00b", 0)) <= 1


@pytest.mark.parametrize(("reward", "fee_ppm", "weight"), [(-1, 0, 1), (1, -1, 1), (1, 1_000_001, 1), (1, 0, -1)])
def test_nonsense_is_refused(reward: int, fee_ppm: int, weight: int) -> None:
    """Negative amounts and a fee above the whole are errors, not results."""
    with pytest.raises(ValueError, match="not negative"):
        proportional(reward, fee_ppm, {"a": weight})


@pytest.mark.parametrize(
    "module", ["schemes", "distribution", "ledger", "rounds", "blocks", "upsert", "tables", "journal_file"]
)
def test_no_float_reaches_money(module: str) -> None:
    """R-007: no float, true division, `round` or `Decimal` in any module on the way of a distribution."""
    path = Path(tarazy.accounting.__file__).with_name(f"{module}.py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Constant(value=float() | complex()) | ast.Div():
                pytest.fail(f"{module}: {ast.dump(node)}")
            case ast.Name(id="float" | "Decimal") | ast.Call(func=ast.Name(id="round")):
                pytest.fail(f"{module}: {ast.dump(node)}")
            case ast.Import(names=[ast.alias(name="math" | "decimal" | "fractions")]):
                pytest.fail(f"{module}: {ast.dump(node)}")
