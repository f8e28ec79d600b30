"""Dividing a reward: exact, order-free, checkable from one's own weight and the totals."""

from __future__ import annotations

import ast
import hashlib
import time
from collections import Counter
from fractions import Fraction
from functools import cache
from itertools import accumulate, pairwise
from math import floor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tarazy
from tarazy.accounting.schemes import last_work, per_share, proportional, window_weight
from tarazy.accounting.worth import Worth
from tarazy.stratum.difficulty import DIFFICULTY_1_TARGET, weight_of

# Worked apart from the code: reward, fee in ppm, weights, then the fee, the credits, the remainder.
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
    assert fee == floor(reward * Fraction(fee_ppm, 1_000_000))
    assert credits == tuple(floor(Fraction(weight * (reward - fee), sum(given_weights))) for weight in given_weights)


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


def test_a_hundred_thousand_parties_take_no_second() -> None:
    """A division costs what its parties cost, and little: under a second of the processor."""
    work = {f"party-{i}": i * 7919 + 1 for i in range(100_000)}
    begun = time.process_time()
    proportional(312_500_000, 10_000, work, {"party-7": 0})
    assert time.process_time() - begun < 1


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


# Reward, fee in ppm, weights, fees of their own.
WITH_FEES = [
    (313_734_567, 10_000, (5, 3, 1), {"p01": 0}),
    (313_734_567, 10_000, (5, 3, 1), {"p00": 5_000, "p02": 20_000}),
    (100, 0, (1, 1, 1), {"p00": 1_000_000}),
    (1, 10_000, (1, 1), {"p00": 0}),
    (312_500_000, 20_000, (2**96, 1, 2**80), {"p01": 1}),
    (5_000_000_000, 15_000, (999, 1), {"elsewhere": 0}),
    (0, 15_000, (999, 1), {"p00": 0}),
]


@pytest.mark.parametrize(("reward", "fee_ppm", "given_weights", "fees"), WITH_FEES)
def test_fees_of_their_own(reward: int, fee_ppm: int, given_weights: tuple[int, ...], fees: dict[str, int]) -> None:
    """R-001: with other fees for some, each part pays its own, as fractions computed apart say."""
    divided = proportional(reward, fee_ppm, _named(given_weights), fees)
    gross = {p: floor(Fraction(reward * w, sum(given_weights))) for p, w in _named(given_weights).items()}
    taken = {p: floor(g * Fraction(fees.get(p, fee_ppm), 1_000_000)) for p, g in gross.items()}
    assert divided.credits == {p: gross[p] - taken[p] for p in gross}
    assert divided.fee == sum(taken.values())
    assert divided.remainder == reward - sum(gross.values())


@given(rewards, fees, weights, st.dictionaries(st.sampled_from(["p00", "p01", "p02", "p40"]), fees, min_size=1))
def test_every_satoshi_has_a_place_with_fees(reward: int, fee_ppm: int, values: list[int], own: dict[str, int]) -> None:
    """R-002, R-003: the identity, the bound of the remainder and the order hold with fees by party."""
    divided = proportional(reward, fee_ppm, _named(values), own)
    assert divided.reward == divided.fee + sum(divided.credits.values()) + divided.remainder == reward
    assert all(amount >= 0 for amount in divided.credits.values())
    if divided.total_weight:
        assert 0 <= divided.remainder < len(divided.credits)
    backwards = dict(reversed(_named(values).items()))
    assert repr(proportional(reward, fee_ppm, backwards, own)) == repr(divided)


@given(rewards, fees, weights, st.integers(2, 2**40))
def test_only_the_ratio_of_weights_counts(reward: int, fee_ppm: int, values: list[int], scale: int) -> None:
    """Another unit of weight gives the same amounts."""
    first = proportional(reward, fee_ppm, _named(values))
    other = proportional(reward, fee_ppm, _named([value * scale for value in values]))
    assert (first.fee, first.credits, first.remainder) == (other.fee, other.credits, other.remainder)


def test_the_same_bytes_everywhere() -> None:
    """R-003: a thousand parties, to the byte as on the machine where this was first written."""
    divided = proportional(313_734_567, 10_000, {f"p{i}": pow(3, i, 2**89) for i in range(1_000)}, {"p7": 0})
    digest = hashlib.sha256(repr(divided).encode()).hexdigest()
    assert digest == "24c8da8fb0f89394fcf3002e79fcad97141069b24e399c465dfab4ddf9e1b518"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 64)), max_size=40), st.integers(0, 2**66))
def test_the_window_is_exact(shares: list[tuple[str, int]], limit: int) -> None:
    """R-018: the newest work up to the limit, the oldest share in part; less if there is less."""
    newest_first = [(party, 1 << exponent) for party, exponent in shares]
    weights = last_work(newest_first, limit)
    ends = list(accumulate((weight for _, weight in newest_first), initial=0))
    expected = Counter[str]()
    for (party, _), (begin, end) in zip(newest_first, pairwise(ends), strict=True):
        expected[party] += max(0, min(end, limit) - begin)
    assert +Counter(weights) == +expected
    assert sum(weights.values()) == min(limit, ends[-1])


@pytest.mark.parametrize(("difficulty", "window"), [(1, 1), (1, 2), (3, 2), (134_000_000_000_000, 8), (2**70, 64)])
def test_the_window_of_a_difficulty(difficulty: int, window: int) -> None:
    """R-018: so many network difficulties, by the exact target and not by a rounded quotient."""
    target = DIFFICULTY_1_TARGET // difficulty
    exact = Fraction(window * DIFFICULTY_1_TARGET * weight_of(0), target)
    assert window_weight(window, target) == floor(exact)


def test_pay_per_share_over_a_retarget() -> None:
    """R-019: each period is paid by its own target and rounded once; a block's work of either earns a block's pay."""
    easy, hard = DIFFICULTY_1_TARGET // 1_000, DIFFICULTY_1_TARGET // 1_300
    pay = 312_500_000 + 1_234_567
    work = {
        easy: {"a": 700 * weight_of(0), "b": 1},
        hard: {"a": 5 * weight_of(0), "c": window_weight(1, hard), "d": 0},
    }
    due: dict[str, int] = {}
    for target, weights in work.items():
        for party, weight in weights.items():
            expected = Fraction(pay * weight * target, DIFFICULTY_1_TARGET * weight_of(0))
            due[party] = due.get(party, 0) + floor(expected)
    assert per_share(1_234_567, {Worth(target, 312_500_000): weights for target, weights in work.items()}) == due
    assert due["c"] in (pay, pay - 1)
    assert due["b"] == due["d"] == 0


@given(st.integers(0, 2**40), st.lists(st.integers(0, 2**90), max_size=12))
def test_pay_per_share_is_of_sums(pay: int, values: list[int]) -> None:
    """R-019: paying the sum of a period never pays less than its shares one by one, and the order is nothing to it."""
    worth = Worth(DIFFICULTY_1_TARGET // 10**14, pay)
    whole = per_share(0, {worth: {"a": sum(values)}})["a"]
    single = sum(per_share(0, {worth: {"a": value}})["a"] for value in values)
    assert 0 <= whole - single <= len(values)


def test_no_float_reaches_money() -> None:
    """R-007: no float, true division, `round`, `math` or `Decimal` in whatever folding and dividing may call."""
    roots = {"distribution": "reconcile", "folding": "fold", "rounds": "close_round"}
    reached = _call_graph(*((f"tarazy.accounting.{module}", name) for module, name in roots.items()))
    names = {f"{module.rpartition('.')[2]}.{name}" for module, name in reached}
    assert {"schemes.proportional", "order.window_before_now", "ledger.post", "difficulty.weight_of"} <= names
    for place, body in reached.items():
        for node in ast.walk(body):
            match node:
                case ast.Constant(value=float() | complex()) | ast.Div():
                    pytest.fail(f"{place}: {ast.dump(node)}")
                case ast.Name(id="float" | "Decimal" | "Fraction" | "math") | ast.Call(func=ast.Name(id="round")):
                    pytest.fail(f"{place}: {ast.dump(node)}")


def _call_graph(*roots: tuple[str, str]) -> dict[tuple[str, str], ast.AST]:
    """Every function, class and constant of ours that the roots name, directly or through others."""
    reached: dict[tuple[str, str], ast.AST] = {}
    waiting = list(roots)
    while waiting:
        place = waiting.pop()
        if place in reached:
            continue
        defined, imported = _module(place[0])
        if place[1] in defined:
            reached[place] = defined[place[1]]
            for node in ast.walk(defined[place[1]]):
                if isinstance(node, ast.Name):
                    waiting.append(imported.get(node.id, (place[0], node.id)))
                elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                    waiting.append((".".join(imported.get(node.value.id, ("", ""))), node.attr))
    return reached


@cache
def _module(name: str) -> tuple[dict[str, ast.AST], dict[str, tuple[str, str]]]:
    """What a module of ours defines, and whence it has its other names."""
    path = Path(tarazy.__file__).parent.joinpath(*name.split(".")[1:]).with_suffix(".py")
    if not name.startswith("tarazy.") or not path.exists():
        return {}, {}
    defined: dict[str, ast.AST] = {}
    imported: dict[str, tuple[str, str]] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name=own) | ast.ClassDef(name=own):
                defined[own] = node
            case ast.Assign(targets=[ast.Name(id=own)]) | ast.AnnAssign(target=ast.Name(id=own)):
                defined[own] = node
            case ast.ImportFrom(module=str(module), names=names):
                imported.update((alias.asname or alias.name, (module, alias.name)) for alias in names)
    return defined, imported
