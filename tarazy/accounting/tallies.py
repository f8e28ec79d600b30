"""Tallies: the work of a round by interval, party, account, worker and site, and the parties' weights in it."""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from operator import itemgetter
from typing import Any, TypeAlias

from sqlalchemy import BindParameter, Connection, Delete, Table, bindparam, delete, select

from tarazy.accounting import tables
from tarazy.accounting.journal_file import SHARE, JournalReader, Segment, required_job, required_names
from tarazy.accounting.upsert import upsert_many
from tarazy.accounting.worth import Worth, worth_of
from tarazy.stratum.difficulty import weight_of
from tarazy.stratum.ports import NameRecord
from tarazy.stratum.share import Verdict

FEW_WORKERS = 20_000
"""Up to so many a fold asks for their tallies by name; beyond, for all of the interval."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AT = struct.Struct(">Q34x")
_JOB = struct.Struct(">12xQ22x")
_COUNTED = struct.Struct(">8xI28xbB")
"""Of `SHARE`: the time; the job; name, exponent and verdict."""

_PLACE = ("party", "account", "worker", "site")
_SITE = ("party", "site", "heaviest")
_COUNTS = ("weight", "shares", "stale_weight", "stale_shares")

Place: TypeAlias = tuple[str, str, str, str]
"""Party, account, worker and site of a tally."""


@dataclass(slots=True)
class Done:
    """What a tally counts."""

    weight: int = 0
    shares: int = 0
    stale_weight: int = 0
    stale_shares: int = 0

    def __neg__(self) -> Done:
        return Done(-self.weight, -self.shares, -self.stale_weight, -self.stale_shares)

    def include(self, other: Done) -> None:
        """Count what another one counts, too."""
        self.weight += other.weight
        self.shares += other.shares
        self.stale_weight += other.stale_weight
        self.stale_shares += other.stale_shares


Work: TypeAlias = dict[datetime, dict[Place, Done]]
"""By the start of the interval."""

_Counts: TypeAlias = dict[int, Counter[tuple[int, int, int]]]
"""By interval since 1970: number of shares by name, exponent and verdict."""


def work_in(reader: JournalReader, segments: Iterable[Segment], interval_seconds: int) -> dict[Worth, Work]:
    """The work of some shares of a journal, by what they are worth. Raises `JournalError` where it is damaged."""

    @cache
    def worth_of_job(number: int) -> Worth:
        return worth_of(required_job(reader, number))

    done = {}
    for worth, some in _by_worth(segments, worth_of_job).items():
        counts = _count(some, interval_seconds)
        numbers = {name for counted in counts.values() for name, _, _ in counted}
        done[worth] = _work_of(counts, required_names(reader, numbers), interval_seconds)
    return done


def negative(done: Mapping[Worth, Work]) -> dict[Worth, Work]:
    """What takes work away when it is added."""
    return {
        worth: {start: {place: -each for place, each in tallies.items()} for start, tallies in work.items()}
        for worth, work in done.items()
    }


def _by_worth(segments: Iterable[Segment], worth_of_job: Callable[[int], Worth]) -> dict[Worth, list[Segment]]:
    """The shares of `segments` by what they are worth; `worth_of_job` tells it of a job's number.

    Where a segment holds shares of several, its parts keep the number of its first share.
    """
    parted: defaultdict[Worth, list[Segment]] = defaultdict(list)
    for segment in segments:
        worths = {job: worth_of_job(job) for job in {job for (job,) in _JOB.iter_unpack(segment.shares)}}
        several = sorted(set(worths.values()))
        if len(several) == 1:
            parted[several[0]].append(segment)
            continue
        for worth in several:
            places = (at for at in range(0, len(segment.shares), SHARE.size))
            own = [
                segment.shares[at : at + SHARE.size]
                for at in places
                if worths[_JOB.unpack_from(segment.shares, at)[0]] == worth
            ]
            parted[worth].append(Segment(segment.first_sequence, len(own), b"".join(own)))
    return dict(parted)


def _count(segments: Iterable[Segment], interval_seconds: int) -> _Counts:
    """The shares of `segments`."""
    length = interval_seconds * 1_000_000
    counts: defaultdict[int, Counter[tuple[int, int, int]]] = defaultdict(Counter)
    for segment in segments:
        instants = [at_us for (at_us,) in _AT.iter_unpack(segment.shares)]
        if instants and min(instants) // length == max(instants) // length:
            counts[instants[0] // length].update(_COUNTED.iter_unpack(segment.shares))
        else:
            for at_us, counted in zip(instants, _COUNTED.iter_unpack(segment.shares), strict=True):
                counts[at_us // length][counted] += 1
    return counts


def _work_of(counts: _Counts, names: Mapping[int, NameRecord], interval_seconds: int) -> Work:
    """The work of each tally. Shares rejected for other reasons than being stale count for nothing."""
    work: Work = {}
    for interval, counted in counts.items():
        tallies: dict[Place, Done] = {}
        of_name: dict[int, Done] = {}
        for (number, exponent, verdict), shares in counted.items():
            if verdict != _ACCEPTED and verdict != _STALE:
                continue
            done = of_name.get(number)
            if done is None:
                name = names[number]
                place = (name.party, name.account, name.worker, name.site)
                done = of_name[number] = tallies.setdefault(place, Done())
            if verdict == _ACCEPTED:
                done.weight += shares * weight_of(exponent)
                done.shares += shares
            else:
                done.stale_weight += shares * weight_of(exponent)
                done.stale_shares += shares
        if tallies:
            work[_EPOCH + timedelta(seconds=interval * interval_seconds)] = tallies
    return work


def add(connection: Connection, number: int, done: Mapping[Worth, Work]) -> None:
    """Add work of each worth to the tallies of round `number` and to its parties' work; negative work takes away.

    `done` is used up: it holds sums afterwards.
    """
    if not done:
        return
    weights: dict[tuple[str, int], Counter[str]] = {}
    for worth, work in done.items():
        of_worth = weights[f"{worth.target:064x}", worth.subsidy] = Counter()
        for tallies in work.values():
            for (party, *_), each in tallies.items():
                of_worth[party] += each.weight
    for start, tallies in _together(done.values()).items():
        of_sites = _of_sites(tallies)
        _add_present(connection, number, start, tallies)
        rows = [
            (number, start, *place, each.weight, each.shares, each.stale_weight, each.stale_shares)
            for place, each in sorted(tallies.items(), key=itemgetter(0))  # neighbours share a page of the database
        ]
        _store(connection, tables.tally, rows, len(_COUNTS))
        _add_to_sites(connection, number, start, of_sites, _heaviest(tallies))
    parties = set().union(*weights.values())
    query = _PARTIES
    wanted: dict[str, object] = {"number": number}
    if len(parties) <= FEW_WORKERS:
        query, targets = _SOME_PARTIES, {target for target, _ in weights}
        wanted |= {"targets": targets, "subsidies": {subsidy for _, subsidy in weights}, "parties": parties}
    for target, subsidy, party, weight in connection.execute(query, wanted).all():
        if party in weights.get((target, subsidy), ()):
            weights[target, subsidy][party] += weight
    changed = [
        (number, *worth, party, weight) for worth, of_worth in weights.items() for party, weight in of_worth.items()
    ]
    _store(connection, tables.round_work, changed, 1)


def _of_sites(tallies: Mapping[Place, Done]) -> dict[tuple[str, str], Done]:
    """The same by party and site."""
    sums: dict[tuple[str, str], Done] = {}
    for (party, _, _, site), each in tallies.items():
        done = sums.get((party, site))
        if done is None:
            done = sums[party, site] = Done()
        done.weight += each.weight
        done.shares += each.shares
        done.stale_weight += each.stale_weight
        done.stale_shares += each.stale_shares
    return sums


def _heaviest(tallies: Mapping[Place, Done]) -> dict[tuple[str, str], int]:
    """By party and site, the most that a worker's share means in the mean, rounded up."""
    heaviest: dict[tuple[str, str], int] = {}
    for (party, _, _, site), each in tallies.items():
        if each.shares:
            mean = -(-each.weight // each.shares)
            if mean > heaviest.get((party, site), 0):
                heaviest[party, site] = mean
    return heaviest


def _add_to_sites(
    connection: Connection,
    number: int,
    start: datetime,
    sums: Mapping[tuple[str, str], Done],
    heaviest: Mapping[tuple[str, str], int],
) -> None:
    """Add `sums` to those of the sites."""
    before = dict.fromkeys(sums, 0)
    for party, site, most, *counts in connection.execute(_SITES, {"number": number, "start": start}):
        if (party, site) in sums:
            before[party, site] = most
            sums[party, site].include(Done(*counts))
    rows = [
        (number, start, *place, most, each.weight, each.shares, each.stale_weight, each.stale_shares)
        for place, each in sorted(sums.items(), key=itemgetter(0))
        for most in [max(before[place], heaviest.get(place, 0))]
    ]
    _store(connection, tables.site_tally, rows, len(_COUNTS))


def _together(works: Iterable[Work]) -> Work:
    """One work that is the sum of all, made of the first."""
    first, *others = works
    for work in others:
        for start, tallies in work.items():
            into = first.setdefault(start, {})
            for place, each in tallies.items():
                if into.setdefault(place, each) is not each:
                    into[place].include(each)
    return first


def _store(connection: Connection, table: Table, rows: list[tuple[Any, ...]], counts: int) -> None:
    """Keep the rows that count something in their last `counts` columns; the others have no place in the table."""
    upsert_many(connection, table, [row for row in rows if any(row[-counts:])])
    empty = [row for row in rows if not any(row[-counts:])]
    if empty:
        names = [f"key_{column.name}" for column in table.primary_key]
        connection.execute(_deletion(table), [dict(zip(names, row, strict=False)) for row in empty])


@cache
def _deletion(table: Table) -> Delete:
    return delete(table).where(*(column == bindparam(f"key_{column.name}") for column in table.primary_key))


def _add_present(connection: Connection, number: int, start: datetime, tallies: Mapping[Place, Done]) -> None:
    """Add what the tallies hold so far. It is done here, because SQLite has no integers of this size."""
    query = _TALLIES
    wanted: dict[str, object] = {"number": number, "start": start}
    if len(tallies) <= FEW_WORKERS:
        query = _SOME_TALLIES
        wanted |= {"parties": {place[0] for place in tallies}, "workers": {place[2] for place in tallies}}
    for party, account, worker, site, *counts in connection.execute(query, wanted):
        each = tallies.get((party, account, worker, site))
        if each is not None:
            each.include(Done(*counts))


def _any_of(name: str) -> BindParameter[Any]:
    return bindparam(name, expanding=True)


_TALLIES = select(*(tables.tally.c[name] for name in _PLACE + _COUNTS)).where(
    tables.tally.c.round == bindparam("number"), tables.tally.c.interval_start == bindparam("start")
)
_SOME_TALLIES = _TALLIES.where(
    tables.tally.c.party.in_(_any_of("parties")), tables.tally.c.worker.in_(_any_of("workers"))
)
_SITES = select(*(tables.site_tally.c[name] for name in _SITE + _COUNTS)).where(
    tables.site_tally.c.round == bindparam("number"), tables.site_tally.c.interval_start == bindparam("start")
)
_PARTIES = select(*(column for column in tables.round_work.c if column.name != "round")).where(
    tables.round_work.c.round == bindparam("number")
)
_SOME_PARTIES = _PARTIES.where(
    tables.round_work.c.target.in_(_any_of("targets")),
    tables.round_work.c.subsidy.in_(_any_of("subsidies")),
    tables.round_work.c.party.in_(_any_of("parties")),
)
_ACCEPTED = int(Verdict.ACCEPTED)
_STALE = int(Verdict.STALE)
