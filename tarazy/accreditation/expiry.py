"""What ends soon, by the legal calendar: pure functions of the registers at an instant."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from operator import itemgetter

from tarazy.accreditation.entries import (
    Certificate,
    Document,
    DocumentStatus,
    Entry,
    Equipment,
    Licence,
    Placement,
    Quota,
    SiteStatus,
    WalletStatus,
)
from tarazy.accreditation.snapshot import Registers, standing, version_at
from tarazy.config.law.calendar import Period, day_start, legal_day

THRESHOLDS = (90, 30, 7)
"""Legal days before an end at which is warned."""
EXPIRING = (
    "party",
    "licence",
    "site",
    "placement",
    "certificate",
    "server",
    "equipment",
    "meter",
    "supply",
    "permit",
    "document",
)
"""The registers that are looked at."""

_OVER = frozenset({DocumentStatus.REVOKED, SiteStatus.WITHDRAWN, WalletStatus.REJECTED})
"""Statuses of what ended for good; what is suspended comes back."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Something that ends, of a register or not: a token, a term of a case."""

    register: str
    """Name of its register; otherwise what it is: `token`, `case`."""
    key: str
    ends_at: datetime
    """First instant at which it no longer holds."""
    party: str | None = None
    entry: int | None = None
    """Number of the version that ends, if it is a register's."""

    @property
    def last_day(self) -> date:
        """The last legal day on which it holds, be it for a part of the day."""
        return legal_day(self.ends_at - timedelta(microseconds=1))


@dataclass(frozen=True, slots=True)
class Expiry:
    """Something that ends soon."""

    ending: Ending
    days_left: int
    """Legal days from today to its last: 0 on the last day itself."""

    @property
    def within_days(self) -> int:
        """The lowest threshold crossed, of what ends within the highest."""
        return min(days for days in THRESHOLDS if self.days_left <= days)


def expiries(registers: Registers, others: Iterable[Ending] = (), days: int = THRESHOLDS[0]) -> list[Expiry]:
    """All that holds at `registers.valid_at` and ends within so many legal days, the nearest first.

    What is renewed in time is no part of it: a licence that another one replaces without a gap, any later version, a
    further placement of the party at the site, a document of the same title on the same entry, another certificate.
    Machines of a party at a site count together: they end when the last one does. `others` is what no register tells.
    """
    now = registers.valid_at
    today = legal_day(now)
    horizon = day_start(today + timedelta(days=days + 1))
    found = [_ending(register, group, now, horizon) for register, group in _groups(registers, now, horizon)]
    endings = [*(ending for ending in found if ending is not None), *others]
    soon = [Expiry(each, (each.last_day - today).days) for each in endings if now < each.ends_at <= horizon]
    return sorted(soon, key=lambda each: (each.ending.ends_at, each.ending.register, each.ending.key))


def quota_endings(registers: Registers) -> Iterator[Ending]:
    """The ends of the months up to which each site has a quota of each energy without a gap, from today's month on."""
    held: dict[tuple[str, str], dict[str, Quota]] = {}
    for quota in registers.latest(Quota):
        held.setdefault((quota.site, quota.source.value), {})[quota.month] = quota
    for months in held.values():
        month, last = Period.parse(f"{legal_day(registers.valid_at):%Y-%m}"), None
        while str(month) in months:
            last, month = month, Period.parse(f"{month.last_day + timedelta(days=1):%Y-%m}")
        if last is not None:
            quota = months[str(last)]
            yield Ending(Quota.register, quota.key, last.end, None, quota.entry)


_Versions = Sequence[Entry]


def _groups(registers: Registers, now: datetime, horizon: datetime) -> Iterator[tuple[str, list[_Versions]]]:
    """What stands in for each other, of each register, as the versions of each entry."""
    for register in EXPIRING:
        grouped: dict[Hashable, list[_Versions]] = {}
        lasting: set[Hashable] = set()
        for key, versions in registers.histories(register).items():
            group = _group(registers, versions[0])
            if len(versions) == 1 and _lasts(versions[0], now, horizon):
                lasting.add(group)
            else:
                grouped.setdefault(group or key, []).append(versions)
        yield from ((register, members) for group, members in grouped.items() if group not in lasting)


def _lasts(entry: Entry, now: datetime, horizon: datetime) -> bool:
    return _good(entry) and entry.valid_from <= now and (entry.valid_to is None or entry.valid_to > horizon)


def _good(entry: Entry | None) -> bool:
    return entry is not None and getattr(entry, "status", None) not in _OVER


def _group(registers: Registers, entry: Entry) -> Hashable:
    """Entries of a register with the same group stand in for each other."""
    if isinstance(entry, Licence):
        return _first_of_line(registers, entry)
    if isinstance(entry, Certificate):
        return "the pool's"
    if isinstance(entry, Placement | Equipment):
        return entry.party, entry.site
    if isinstance(entry, Document):
        return entry.of_register, entry.of_key, entry.title
    return entry.key


def _first_of_line(registers: Registers, licence: Licence) -> str:
    """The licence that this one was issued anew for, and so on to the first."""
    seen = {licence.licence}
    while licence.replaces is not None:
        if licence.replaces in seen:
            return min(seen)
        seen.add(licence.replaces)
        earlier = registers.versions_of("licence", licence.replaces)
        if not earlier or not isinstance(earlier[0], Licence):
            return licence.replaces
        licence = earlier[0]
    return licence.licence


def _ending(register: str, members: Sequence[_Versions], now: datetime, horizon: datetime) -> Ending | None:
    """The first instant from now to the horizon at which none of the members is good; None when there is none.

    A member is looked at only where one of its own versions begins or ends: there may be 100,000.
    """
    current = [version_at(versions, now) for versions in members]
    good = {index for index, entry in enumerate(current) if _good(entry)}
    if not good:
        return None
    instants = {
        (instant, index)
        for index, versions in enumerate(members)
        for entry in standing(versions)
        for instant in (entry.valid_from, entry.valid_to)
        if instant is not None and now < instant <= horizon
    }
    for instant, changing in groupby(sorted(instants), key=itemgetter(0)):
        before = {}
        for _, index in changing:
            then = version_at(members[index], instant)
            if index in good:
                before[index] = current[index]
            (good.add if _good(then) else good.discard)(index)
            current[index] = then
        if not good:
            last = max((entry for entry in before.values() if entry is not None), key=lambda row: row.entry)
            return Ending(register, last.key, instant, getattr(last, "party", None), last.entry)
    return None
