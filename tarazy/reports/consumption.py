"""What each party used in a period, by metering point, source and price: registers and energy together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import Connection

from tarazy.accounting.energy.allocation import REST
from tarazy.accounting.energy.figures import Place, energy_by_meter, energy_by_party
from tarazy.accounting.energy.supply import UNCOVERED, Limit, draw, spread
from tarazy.accounting.fee.consumption import BOUGHT, Consumption
from tarazy.accounting.fee.rates import Source
from tarazy.accreditation.entries import EnergySource, Entry, Meter, MeterStatus, Site, Supply
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law.calendar import Period as LegalPeriod
from tarazy.config.law.calendar import day_start, legal_day

_SOURCES: dict[EnergySource, Source] = {
    EnergySource.GRID: "grid",
    EnergySource.BILATERAL: "bilateral",
    EnergySource.IMPORT: "import",
    EnergySource.OWN: "own",
    EnergySource.OWN_RENEWABLE: "own_renewable",
}
OF_ENERGY = (Site.register, Meter.register, Supply.register)
"""The registers that tell whose energy it is, of which source and at what price."""
_OUTGROWN = "more energy was allocated at {site} than its meters gave: derive its intervals again"


@dataclass(frozen=True, slots=True)
class Consumed:
    """A party's consumption, one item for each metering point, source, supply, price and state of the meter."""

    items: tuple[Consumption, ...]
    energy_wh: int
    rest_wh: int
    """Of it, what nobody's machines account for at sites of its own: cooling, losses, own use."""
    fault: str | None
    """Why the items do not tell the whole energy, where they do not."""


def place_of(registers: Registers, site: str) -> Place:
    """A site with every meter that the registers ever knew there."""
    return Place(site, registers.meters_by_site.get(site, ()))


def consumption_by_party(
    connection: Connection,
    registers: Registers,
    start: datetime,
    end: datetime,
    known_at: datetime,
    place: Place | None = None,
) -> dict[str, Consumed]:
    """The consumption of every party that was allocated energy in [start, end), as known at `known_at`.

    At every site, or at `place` alone.

    In each part of the period that `site_consumption` tells, a party has of everything in proportion to its energy;
    the parts of all parties and the rest add up to the site's, watt-hour for watt-hour. Where a rule shares a site's
    energy, the rest is its owner's.
    """
    items: defaultdict[str, defaultdict[Consumption, int]] = defaultdict(lambda: defaultdict(int))
    energy: defaultdict[str, int] = defaultdict(int)
    rests: defaultdict[str, int] = defaultdict(int)
    faults: dict[str, str] = {}
    for part in site_consumption(connection, registers, start, end, known_at, place):
        by_site: defaultdict[str, dict[str, int]] = defaultdict(dict)
        sites = registers.at(part.start).sites
        for (site, party), allocated in energy_by_party(connection, part.start, part.end, known_at, place).items():
            entry = sites.get(site)
            if party == REST and entry is not None and entry.energy_by is not None:
                party = entry.party
                rests[party] += allocated.energy_wh
            if party != REST and allocated.energy_wh:
                by_site[site][party] = by_site[site].get(party, 0) + allocated.energy_wh
                energy[party] += allocated.energy_wh
        for site, parties in by_site.items():
            whole = part.sites.get(site, [])
            try:
                table = spread(list(parties.values()), [item.energy_wh for item in whole])
            except ValueError:
                faults |= dict.fromkeys(parties, _OUTGROWN.format(site=site))
                continue
            for party, row in zip(parties, table, strict=True):
                for item, energy_wh in zip(whole, row, strict=True):
                    items[party][replace(item, energy_wh=0)] += energy_wh
    return {
        party: Consumed(_listed(items[party]), energy[party], rests[party], faults.get(party))
        for party in sorted(energy)
    }


def consumption_of(
    connection: Connection,
    registers: Registers,
    party: str,
    start: datetime,
    end: datetime,
    known_at: datetime,
    sites: Iterable[str],
) -> dict[str, Consumed]:
    """The consumption of one party at each of `sites` where it was allocated energy; the cost is that of the sites."""
    found = {}
    for site in sites:
        used = consumption_by_party(connection, registers, start, end, known_at, place_of(registers, site))
        if party in used:
            found[site] = used[party]
    return found


@dataclass(frozen=True, slots=True)
class Part:
    """What the sites used in [start, end), in which no register says anything else."""

    start: datetime
    end: datetime
    sites: Mapping[str, Sequence[Consumption]]


def site_consumption(
    connection: Connection,
    registers: Registers,
    start: datetime,
    end: datetime,
    known_at: datetime,
    place: Place | None = None,
) -> Iterator[Part]:
    """What each site used in the parts of [start, end), by metering point, source, supply and price.

    The period is cut where a month, or an entry of the register of meters, supplies or sites, begins or ends, so that
    each interval counts with what held when it began. A meter without an entry in force then counts as no control
    meter, with the source and price of its latest entry.
    What the main meters of a site bought is what its supplies gave, as `draw` says, if it has any; each meter has of
    each supply in proportion. Energy that none of them covers has no price.
    """
    entries = _entries(registers, place)
    supplies = any(isinstance(entry, Supply) for entry in entries)
    month = LegalPeriod.parse(f"{legal_day(start):%Y-%m}").start
    drawn: defaultdict[tuple[str, str], int] = defaultdict(int)
    for since, until in pairwise(_cuts(entries, {month, start, end} if supplies else {start, end}, supplies)):
        if legal_day(since).day == 1 and since == day_start(legal_day(since)):
            drawn.clear()
        then = registers.at(since)
        sites = _metered(connection, then, since, until, known_at, place)
        if supplies:
            sites = {site: _supplied(then, site, items, drawn) for site, items in sites.items()}
        if since >= start:
            yield Part(since, until, sites)


def _supplied(
    registers: Registers, site: str, items: Sequence[Consumption], drawn: defaultdict[tuple[str, str], int]
) -> list[Consumption]:
    """`items` with what was bought as the site's supplies gave it, which is added to `drawn`."""
    supplies = {row.supply: row for row in registers.supplies.values() if row.site == site}
    bought = [item for item in items if item.source in BOUGHT]
    if not supplies or not bought:
        return list(items)
    limits = [
        Limit(row.supply, row.priority, None if row.month_kwh is None else row.month_kwh * 1000)
        for row in supplies.values()
    ]
    before = {key: drawn[site, key] for key in supplies}
    given = draw(sum(item.energy_wh for item in bought), limits, before)
    for key, energy_wh in given.items():
        drawn[site, key] += energy_wh
    found = [item for item in items if item.source not in BOUGHT]
    for item, row in zip(bought, spread([item.energy_wh for item in bought], list(given.values())), strict=True):
        for key, energy_wh in zip(given, row, strict=True):
            if key == UNCOVERED:
                found.append(replace(item, energy_wh=energy_wh, price_tiyn_per_kwh=None))
                continue
            source = _SOURCES[supplies[key].source]
            price = supplies[key].price_tiyn_per_kwh if source in BOUGHT else None
            found.append(replace(item, source=source, energy_wh=energy_wh, price_tiyn_per_kwh=price, supply=key))
    return found


def _listed(items: Mapping[Consumption, int]) -> tuple[Consumption, ...]:
    used = (replace(item, energy_wh=energy) for item, energy in items.items() if energy)
    return tuple(sorted(used, key=_order))


def _order(item: Consumption) -> tuple[str, str, int, str, bool]:
    return item.point, item.source, item.price_tiyn_per_kwh or 0, item.supply or "", item.metered


def _metered(
    connection: Connection,
    registers: Registers,
    start: datetime,
    end: datetime,
    known_at: datetime,
    place: Place | None,
) -> dict[str, list[Consumption]]:
    """What the meters of each site gave, in the order of their keys."""
    found: defaultdict[str, list[Consumption]] = defaultdict(list)
    for (site, key), energy in sorted(energy_by_meter(connection, start, end, known_at, place).items()):
        meter = registers.meters.get(key)
        metered = meter is not None and meter.status is MeterStatus.OK
        for entry in (meter,) if meter else registers.versions_of(Meter.register, key)[:1]:
            if isinstance(entry, Meter):
                source = _SOURCES[entry.source]
                price = entry.price_tiyn_per_kwh if source in BOUGHT else None
                found[site].append(Consumption(key, source, energy.energy_wh, price, metered))
    return found


def _entries(registers: Registers, place: Place | None) -> list[Entry]:
    """Every version of an entry that tells whose energy it is, of which source and at what price."""
    if place is None:
        told = [registers.histories(kind.register).values() for kind in (Meter, Supply, Site)]
        return [entry for histories in told for versions in histories for entry in versions]
    meters = [registers.versions_of(Meter.register, key) for key in place.meters]
    of_site = [*meters, registers.versions_of(Site.register, place.site)]
    supplies = registers.histories(Supply.register).values()
    found = [entry for versions in supplies for entry in versions if getattr(entry, "site", None) == place.site]
    return [*found, *(entry for versions in of_site for entry in versions)]


def _cuts(entries: Sequence[Entry], limits: set[datetime], months: bool) -> list[datetime]:
    """`limits` and every instant between at which an entry begins or ends; where asked, also where a month does."""
    first, end = min(limits), max(limits)
    told = {instant for entry in entries for instant in (entry.valid_from, entry.valid_to) if instant is not None}
    if months:
        told |= set(_months(first, end))
    return sorted(limits | {instant for instant in told if first < instant < end})


def cuts(registers: Registers, start: datetime, end: datetime) -> set[datetime]:
    """Every instant between at which what is asked of the energy in [start, end) is asked in parts."""
    return set(_cuts(_entries(registers, None), {start, end}, months=True))


def _months(first: datetime, end: datetime) -> Iterator[datetime]:
    """The instants at which a calendar month begins, after `first` and before `end`."""
    month = LegalPeriod.parse(f"{legal_day(first):%Y-%m}")
    while month.end < end:
        yield month.end
        month = LegalPeriod.parse(f"{month.last_day + timedelta(days=1):%Y-%m}")
