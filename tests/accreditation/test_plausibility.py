"""Work held against machines: what chance explains is no finding, what it does not explain is found."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from tarazy.accreditation.entries import Entry, FindingKind, Severity, Wallet, WalletStatus
from tarazy.accreditation.findings import LISTED, Condition
from tarazy.accreditation.plausibility import (
    FALSE_ALARMS_PER_DAY,
    SharedName,
    SiteWork,
    Work,
    capacities,
    chance_exponent,
    implausibilities,
)
from tests.accreditation.world import NOW, START, machine, registers, world

HOURS = 6
SINCE = NOW - timedelta(hours=HOURS)
SECONDS = HOURS * 3600
NOMINAL = 200 * 10**12
SHARE = 6 * NOMINAL
"""Hashes behind a share of one machine, which sends one in six seconds."""
INTERVAL = timedelta(minutes=15)


def wallet(owner: str) -> Wallet:
    """An approved address."""
    address = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
    return Wallet(wallet=owner, party=owner, address=address, status=WalletStatus.APPROVED, valid_from=START)


def site_work(rate: float, *, owner: str = "guest", heaviest: int = SHARE) -> SiteWork:
    """A party's work at `rate` hashes per second over the window, in shares of one weight."""
    hashes = int(rate * SECONDS)
    return SiteWork(owner, "site-host", hashes, hashes // heaviest, heaviest, 1, f"{owner}.rig-1", hashes)


def found(
    *rows: SiteWork, shared: Sequence[SharedName] = (), entries: Sequence[Entry] | None = None
) -> list[Condition]:
    """What is found in the small world with these tallies."""
    known = registers([*world(), wallet("guest")] if entries is None else entries)
    return implausibilities(known, Work(SINCE, NOW, INTERVAL, rows, shared), 20)


def test_what_the_machines_can_do_is_no_finding() -> None:
    """The nominal rate, the tolerance, and what chance adds to it over six hours."""
    for part in (0.5, 1.0, 1.2, 1.35):
        assert found(site_work(part * NOMINAL)) == []


def test_twice_the_machines_is_found_within_the_window() -> None:
    """With what was measured, what is possible, and the busiest worker; far more is serious."""
    (condition,) = found(site_work(2 * NOMINAL))
    assert (condition.kind, condition.severity) == (FindingKind.HASH_RATE, Severity.WARNING)
    assert condition.key == "hash-rate:party:guest:site-host"
    assert condition.evidence == {
        "hash_rate_hs": 2 * NOMINAL,
        "nominal_hs": NOMINAL,
        "machines": 1,
        "tolerance_percent": 20,
        "hours": HOURS,
        "until": NOW.isoformat(),
        "workers": 1,
        "shares": 2 * SECONDS // 6,
        "busiest": "guest.rig-1",
        "busiest_hs": 2 * NOMINAL,
    }
    assert found(site_work(3 * NOMINAL))[0].severity is Severity.SERIOUS


def test_few_heavy_shares_prove_nothing() -> None:
    """Five shares in six hours at twice the rate may well be luck."""
    assert found(site_work(2 * NOMINAL, heaviest=2 * NOMINAL * SECONDS // 5)) == []


def test_a_large_fleet_is_judged_more_closely() -> None:
    """A thousand machines: chance adds next to nothing, so three percent above the tolerance are enough."""
    fleet = [*world(), wallet("guest"), *(machine(f"M{n}", "guest", "site-host") for n in range(999))]
    assert found(site_work(1.195 * 1000 * NOMINAL), entries=fleet) == []
    assert [each.kind for each in found(site_work(1.23 * 1000 * NOMINAL), entries=fleet)] == [FindingKind.HASH_RATE]


def test_a_machine_counts_where_and_as_long_as_it_was_registered() -> None:
    """Half the window here and half at another site, one that came for an hour, one that was taken back."""
    moved = replace(machine("SN-1", "guest", "elsewhere"), valid_from=NOW - timedelta(hours=3))
    hour = replace(machine("SN-2", "guest", "site-host"), valid_from=SINCE, valid_to=SINCE + timedelta(hours=1))
    wrong = machine("SN-3", "guest", "site-host")
    taken_back = replace(wrong, valid_to=START, corrects=11, why="not theirs")
    known = registers([*world(), moved, hour, wrong, taken_back])
    assert [row.entry for row in known.versions_of("equipment", "SN-3")] == [12, 11]
    assert capacities(known, SINCE, NOW) == {
        ("guest", "site-host"): (NOMINAL * 3600 * (3 + 1), 2),
        ("guest", "elsewhere"): (NOMINAL * 3600 * 3, 1),
    }


def test_work_without_machines_or_without_an_address() -> None:
    """A party with work at a site where it has no machine, and one that nobody can pay."""
    conditions = found(site_work(1.0, owner="host"))
    assert [(each.kind, each.key) for each in conditions] == [
        (FindingKind.NO_EQUIPMENT, "no-equipment:party:host:site-host"),
        (FindingKind.NO_WALLET, "no-wallet:party:host"),
    ]
    assert found(site_work(0.0, owner="host")) == []


def test_a_name_at_two_sites_is_found_and_a_move_is_not() -> None:
    """One interval with work at both is a move. A hundred thousand names are one finding of bounded size."""
    assert found(shared=[SharedName("guest", "guest.rig-1", 2, 1)]) == []
    names = [SharedName("guest", f"guest.{'x' * 100}{n}", 2, 2) for n in range(100_000)]
    (condition,) = found(shared=names)
    assert condition.evidence is not None
    assert (condition.kind, condition.evidence["count"]) == (FindingKind.WORKER_AT_TWO_SITES, 100_000)
    assert len(condition.evidence["workers"]) == LISTED  # type: ignore[arg-type]


def _window(draw: random.Random, expected: float, weights: Sequence[float]) -> float:
    """Work of a window: of each weight, Poisson many shares, each weight with an equal part of the expected work."""
    total = 0.0
    for weight in weights:
        mean = expected / len(weights) / weight
        at = draw.expovariate(1.0)
        while at < mean:
            total += weight
            at += draw.expovariate(1.0)
    return total


@pytest.mark.parametrize("weights", [(1.0,), (4.0, 1.0, 0.25), (1.0, 0.01)])
def test_the_bound_holds_in_simulation(weights: Sequence[float]) -> None:
    """Honest machines: windows that the bound calls rarer than p are rarer than p; shares of one weight and of many."""
    draw = random.Random(130)
    expected, runs = 30.0, 4_000
    exponents = [
        chance_exponent(total, expected, max(weights))
        for total in (_window(draw, expected, weights) for _ in range(runs))
    ]
    for probability in (0.3, 0.1, 0.03, 0.01):
        alarms = sum(exponent < math.log(probability) for exponent in exponents)
        assert alarms <= probability * runs
    assert sum(exponent < math.log(0.3) for exponent in exponents) > 0


def test_a_year_of_honest_farms_makes_no_alarm_and_a_cheat_is_found() -> None:
    """Vardiff as it is: a machine that starts with shares far too heavy, one at the full tolerance, for a year.

    The same machine with half as much again as the tolerance allows is found in every window.
    """
    draw = random.Random(169)
    allowed = math.log(FALSE_ALARMS_PER_DAY / 96)
    expected = 1.2 * NOMINAL * SECONDS
    light = SHARE / 8
    for factor, wanted in ((1.0, 0), (1.7, 400)):
        alarms = 0
        for _ in range(400):
            steady = _window(draw, factor * expected * 0.97, [SHARE])
            started = _window(draw, factor * expected * 0.03, [8 * light, light])
            exponent = chance_exponent(steady + started, expected, 4 * SHARE)
            alarms += exponent < allowed
        assert alarms == wanted
