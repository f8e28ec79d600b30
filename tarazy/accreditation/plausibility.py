"""Work held against the machines registered for it. Pure; the accounts give their tallies as plain values.

A share is a lottery ticket: over a time in which a party's machines make an expected work of μ, the work of the shares
that come is a sum of Poisson many parts, none heavier than b. By Bennett's inequality (G. Bennett, 1962) such a sum
reaches μ·(1 + u) with a probability of at most exp(-μ/b · ((1 + u)·ln(1 + u) - u)), whatever the parts. A hash rate is
found too high only where this bound, with the nominal rate and the tolerance on top as the expected one, is below
`FALSE_ALARMS_PER_DAY` over all the windows that end in a day.

One worker's rate is never above what the machines can do unless its party's at the site is, so the latter is judged,
and the busiest worker named.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from tarazy.accreditation.entries import Equipment, FindingKind, Severity
from tarazy.accreditation.findings import Condition, listed
from tarazy.accreditation.snapshot import Registers, standing, version_at

FALSE_ALARMS_PER_DAY = 1e-6
"""For each party at each site, as long as its machines do what is registered and no more."""
HEAVIER_SHARES = 4
"""How many times as heavy as the heaviest mean of a worker's interval a single share may be: vardiff moves within."""
_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)
_FAR_TOO_MUCH = 2


@dataclass(frozen=True, slots=True)
class SiteWork:
    """Work of a party at a site, in expected hashes."""

    party: str
    site: str
    hashes: int
    shares: int
    heaviest: int
    """Of the workers and intervals, the heaviest mean of a share."""
    workers: int
    busiest: str
    """The worker with the most work, with its account."""
    busiest_hashes: int


@dataclass(frozen=True, slots=True)
class SharedName:
    """One worker name with work at several sites in the same interval."""

    party: str
    worker: str
    """With its account."""
    sites: int
    intervals: int


@dataclass(frozen=True, slots=True)
class Work:
    """What was done in [since, until), whole intervals of the accounts."""

    since: datetime
    until: datetime
    interval: timedelta
    sites: Sequence[SiteWork]
    shared: Sequence[SharedName]
    """Those with the most such intervals; not all need be here."""


_MOVES = 1
"""Intervals with work at two sites that a move from one to the other explains."""


def implausibilities(registers: Registers, work: Work, tolerance_percent: int) -> list[Condition]:
    """What of the work does not go with the registers.

    `tolerance_percent`: by how much machines may do more than their nominal rate.
    """
    return [
        *_rates(registers, work, tolerance_percent),
        *_without_wallet(registers, work),
        *_names_at_two_sites(work),
    ]


def chance_exponent(hashes: float, expected: float, heaviest: float) -> float:
    """Natural logarithm of a bound on the probability that chance alone brings so much more than is expected."""
    if hashes <= expected:
        return 0.0
    if expected <= 0:
        return -math.inf
    ratio = hashes / expected
    return -expected / heaviest * (ratio * math.log(ratio) - ratio + 1)


def capacities(registers: Registers, since: datetime, until: datetime) -> dict[tuple[str, str], tuple[int, int]]:
    """Hashes that the machines of each party at each site could have done in [since, until), and how many they are.

    A machine counts where and as long as it was registered there.
    """
    hashes: Counter[tuple[str, str]] = Counter()
    machines: Counter[tuple[str, str]] = Counter()
    whole = (until - since) // _MICROSECOND
    for versions in registers.histories("equipment").values():
        if len(versions) == 1 and _covers(versions[0], since, until):
            parts = [(versions[0], whole)]
        else:
            parts = list(_parts(standing(versions), since, until))
        for entry, microseconds in parts:
            if isinstance(entry, Equipment):
                hashes[entry.party, entry.site] += entry.nominal_hash_rate_hs * microseconds
        for place in {(entry.party, entry.site) for entry, _ in parts if isinstance(entry, Equipment)}:
            machines[place] += 1
    return {place: (done // 1_000_000, machines[place]) for place, done in hashes.items()}


def _covers(entry: Any, since: datetime, until: datetime) -> bool:
    return entry.valid_from <= since and (entry.valid_to is None or entry.valid_to >= until)


def _parts(versions: Sequence[Any], since: datetime, until: datetime) -> Iterator[tuple[Any, int]]:
    """The versions in force between two instants, each with its microseconds."""
    told = {instant for entry in versions for instant in (entry.valid_from, entry.valid_to) if instant is not None}
    cuts = sorted({since, until, *(instant for instant in told if since < instant < until)})
    for begin, end in pairwise(cuts):
        entry = version_at(versions, begin)
        if entry is not None:
            yield entry, (end - begin) // _MICROSECOND


def _rates(registers: Registers, work: Work, tolerance_percent: int) -> Iterator[Condition]:
    able = capacities(registers, work.since, work.until)
    seconds = (work.until - work.since).total_seconds()
    allowed = math.log(FALSE_ALARMS_PER_DAY * (work.interval / _DAY))
    for row in work.sites:
        if not row.hashes:
            continue
        nominal, machines = able.get((row.party, row.site), (0, 0))
        place = ("party", row.party, row.party, row.site)
        evidence: dict[str, Any] = {
            "hash_rate_hs": int(row.hashes / seconds),
            "hours": round(seconds / 3600) or 1,
            "until": work.until.isoformat(),
            "workers": row.workers,
            "shares": row.shares,
        }
        if not machines:
            yield Condition(FindingKind.NO_EQUIPMENT, Severity.SERIOUS, *place, evidence)
            continue
        expected = nominal * (100 + tolerance_percent) / 100
        if chance_exponent(row.hashes, expected, max(1, row.heaviest) * HEAVIER_SHARES) < allowed:
            severity = Severity.SERIOUS if row.hashes > _FAR_TOO_MUCH * expected else Severity.WARNING
            evidence |= {
                "nominal_hs": int(nominal / seconds),
                "machines": machines,
                "tolerance_percent": tolerance_percent,
                "busiest": row.busiest,
                "busiest_hs": int(row.busiest_hashes / seconds),
            }
            yield Condition(FindingKind.HASH_RATE, severity, *place, evidence)


def _without_wallet(registers: Registers, work: Work) -> Iterator[Condition]:
    done: Counter[str] = Counter()
    for row in work.sites:
        done[row.party] += row.hashes
    for party in sorted(done):
        if done[party] and party not in registers.wallet_by_party:
            seconds = (work.until - work.since).total_seconds()
            evidence: dict[str, Any] = {"hash_rate_hs": int(done[party] / seconds), "hours": round(seconds / 3600) or 1}
            yield Condition(FindingKind.NO_WALLET, Severity.WARNING, "party", party, party, evidence=evidence)


def _names_at_two_sites(work: Work) -> Iterator[Condition]:
    by_party: dict[str, list[SharedName]] = defaultdict(list)
    for name in work.shared:
        if name.sites > 1 and name.intervals > _MOVES:
            by_party[name.party].append(name)
    for party, names in sorted(by_party.items()):
        evidence: dict[str, Any] = {"workers": listed([name.worker for name in names]), "count": len(names)}
        yield Condition(FindingKind.WORKER_AT_TWO_SITES, Severity.WARNING, "party", party, party, evidence=evidence)
