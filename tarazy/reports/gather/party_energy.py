"""The statement of energy and fee of one party for a quarter: as `tarazy fee explain` derives it, and from what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection

from tarazy.accounting.energy.figures import (
    Energy,
    MeterEnergy,
    Place,
    energy_by_meter,
    energy_by_party,
    energy_by_submeter,
)
from tarazy.accounting.fee.consumption import BOUGHT, Consumption, FeeError, average_price_kzt
from tarazy.accreditation.entries import Meter, MeterStatus, Site
from tarazy.accreditation.fields import parts_of
from tarazy.accreditation.registers import as_of as registers_as_of
from tarazy.accreditation.snapshot import Registers, standing, version_at
from tarazy.config.law import LawBook
from tarazy.config.law.calendar import Period, Quarter
from tarazy.reports.consumption import Consumed, consumption_of, place_of
from tarazy.reports.content import Due, Fee, Pool, Records
from tarazy.reports.content import Period as Span
from tarazy.reports.explained import sites_of
from tarazy.reports.gather.coins import days_of, names_of, people, person_of
from tarazy.reports.gather.fee import contracts_of, due_of, fee_of, six_places
from tarazy.reports.gather.law import fee_rules
from tarazy.reports.gather.records import numbered
from tarazy.reports.gather.registers import audit_head
from tarazy.reports.gather.statement import StatementError
from tarazy.reports.party_energy import Drawn, EnergyStatement, Gap, MeterUse, Sharing, SiteUse

FORMAT = 1
"""Version of the statement's JSON."""
_NOTHING = Energy(0, 0, 0)
_UNUSED = Consumed((), 0, 0, None)


def gather_party_energy(
    connection: Connection, party: str, period: Period, as_of: datetime, pool: Pool, book: LawBook, known_at: datetime
) -> EnergyStatement:
    """The statement of `party` for the quarter `period`, up to `as_of` (aware) and as known at `known_at`.

    Raises `StatementError` for a party that nobody registered or another period.
    """
    quarter = Quarter.of(period.start)
    if (quarter.first_day, quarter.last_day) != (period.first_day, period.last_day):
        raise StatementError(f"energy and fee are of a quarter; {period} is none, write it like {quarter}")
    known = known_at - datetime.resolution
    registered = people(registers := registers_as_of(connection, as_of, known))
    if party not in registered:
        raise StatementError(f"no party {party} is registered; see `tarazy register show party`")
    days = days_of(period, as_of)
    then = registers.at(days.end - datetime.resolution)
    keys = sites_of(registers, party)
    used = consumption_of(connection, registers, party, days.start, days.end, known, keys)
    whole = _together(used.values())
    span = Span(str(quarter), days.start, days.end, days.complete)
    fee = fee_of(book, then, span, party, whole)
    due = due_of(book, quarter)
    every = [_site(connection, then, party, key, span, known, used.get(key, _UNUSED)) for key in keys]
    sites = tuple(each for each in every if each.meters or each.site in then.sites_by_party.get(party, ()))
    meters = [each for row in sites for each in row.meters]
    told = {party, *(each.owner for each in sites)}
    return EnergyStatement(
        kind="energy",
        format=FORMAT,
        as_of=as_of,
        known_at=known_at,
        days=days,
        pool=pool,
        names=names_of(row for row in registered.values() if row.party in told),
        person=person_of(registers, registered[party]),
        sites=sites,
        drawn=tuple(_drawn(whole.items, contracts_of(registers))),
        average_price_kzt=_average(whole),
        fee=fee,
        due=due,
        gaps=tuple(_gaps(sites, whole, fee, due)),
        rules=fee_rules(book, quarter.last_day),
        audit=audit_head(connection, known_at),
        source=(
            Records("interval", sum(each.measured + each.estimated + each.missing for each in meters)),
            numbered("meter", (then.meters[each.meter].entry for each in meters if each.meter in then.meters)),
            numbered("site", (row.entry for each in sites for row in registers.versions_of(Site.register, each.site))),
        ),
    )


def _average(used: Consumed) -> Decimal | None:
    try:
        return six_places(average_price_kzt(used.items))
    except FeeError:
        return None  # told by the gap `no_price`


def _together(used: Iterable[Consumed]) -> Consumed:
    """What a party used at all its sites."""
    every = list(used)
    items = sorted((item for each in every for item in each.items), key=lambda item: item.point)
    fault = next((each.fault for each in every if each.fault), None)
    return Consumed(tuple(items), sum(each.energy_wh for each in every), sum(each.rest_wh for each in every), fault)


def _site(
    connection: Connection, registers: Registers, party: str, key: str, span: Span, known: datetime, used: Consumed
) -> SiteUse:
    place, bounds = place_of(registers, key), (span.start, span.end, known)
    meters = energy_by_meter(connection, *bounds, place)
    own = energy_by_party(connection, *bounds, place).get((key, party), _NOTHING)
    versions = registers.versions_of(Site.register, key)
    site = version_at(versions, registers.valid_at) or next(iter(versions), None)
    return SiteUse(
        site=key,
        name=site.name if isinstance(site, Site) else key,
        owner=site.party if isinstance(site, Site) else None,
        metered_wh=sum(each.energy_wh for each in meters.values()),
        allocated_wh=own.energy_wh,
        rest_wh=used.rest_wh,
        uncertain_wh=own.uncertain_wh,
        submetered_wh=energy_by_submeter(connection, *bounds, place).get((key, party)),
        sharing=tuple(_sharing(registers, party, key, span)),
        meters=(
            *(_meter(registers, meter, False, each) for (_, meter), each in meters.items()),
            *_submeters(connection, registers, party, place, span, known),
        ),
    )


def _submeters(
    connection: Connection, registers: Registers, party: str, place: Place, span: Span, known: datetime
) -> Iterator[MeterUse]:
    """The party's own, by the register of meters."""
    for (_, meter), each in energy_by_meter(connection, span.start, span.end, known, place, main=False).items():
        versions = registers.versions_of(Meter.register, meter)
        if any(isinstance(entry, Meter) and entry.party == party for entry in versions):
            yield _meter(registers, meter, True, each)


def _meter(registers: Registers, key: str, submeter: bool, used: MeterEnergy) -> MeterUse:
    entry = registers.meters.get(key)
    return MeterUse(
        meter=key,
        submeter=submeter,
        source=entry.source.value if entry else None,
        status=entry.status.value if entry else None,
        energy_wh=used.energy_wh,
        measured=used.intervals.get("measured", 0),
        estimated=used.intervals.get("estimated", 0),
        missing=used.intervals.get("missing", 0),
    )


def _sharing(registers: Registers, party: str, key: str, span: Span) -> Iterator[Sharing]:
    """The rules of a site in the period, each told where it differs from the one before."""
    versions = registers.versions_of(Site.register, key)
    begins = {entry.valid_from for entry in standing(versions)} | {entry.valid_to for entry in standing(versions)}
    instants = sorted({span.start, *(each for each in begins if each is not None and span.start < each < span.end)})
    before: tuple[object, ...] | None = None
    for instant in instants:
        site = version_at(versions, instant)
        if not isinstance(site, Site):
            continue
        parts = parts_of(site.energy_parts) if site.energy_parts else {}
        rest = None if site.energy_by is None else site.energy_rest.value if site.energy_rest else "owner"
        told = (
            site.energy_by.value if site.energy_by else None,
            Decimal(parts[party]).scaleb(-2) if party in parts else None,
            rest,
        )
        if told != before:
            yield Sharing(instant, *told)
        before = told


def _drawn(items: Iterable[Consumption], contracts: Mapping[str, str | None]) -> Iterator[Drawn]:
    sums: defaultdict[tuple[str, str, int | None], int] = defaultdict(int)
    for item in items:
        sums[item.source, item.supply or "", item.price_tiyn_per_kwh] += item.energy_wh
    for (source, supply, price), energy_wh in sorted(sums.items(), key=lambda row: (*row[0][:2], row[0][2] or 0)):
        yield Drawn(
            source=source,
            supply=supply or None,
            contract=contracts.get(supply),
            price_tiyn_per_kwh=price,
            energy_wh=energy_wh,
            cost_kzt=None if price is None else Decimal(energy_wh * price).scaleb(-5),
        )


def _gaps(sites: Iterable[SiteUse], used: Consumed, fee: Fee, due: Due | None) -> Iterator[Gap]:
    """What is missing, in the order in which somebody would look for it."""
    sites = tuple(sites)
    if not sites:
        yield Gap("no_site", None, None)
    for site in sites:
        main = [each for each in site.meters if not each.submeter]
        if not main:
            yield Gap("no_meter", site.site, None)
        if faulty := [each.meter for each in main if each.status not in (None, MeterStatus.OK.value)]:
            yield Gap("faulty_meter", ", ".join(faulty), None)
        for code in ("missing", "estimated"):
            if count := sum(getattr(each, code) for each in site.meters):
                yield Gap(f"{code}_intervals", site.site, count)
    if sites and not used.energy_wh:
        yield Gap("no_energy", None, None)
    unpriced = [item for item in used.items if item.source in BOUGHT and item.price_tiyn_per_kwh is None]
    if unpriced:
        yield Gap("no_price", ", ".join(sorted({item.supply or item.point for item in unpriced})), None)
    if fee.missing is not None:
        yield Gap("no_rule", None, None)
    elif fee.fault is not None and not unpriced:
        yield Gap("fault", fee.fault, None)
    if due is None:
        yield Gap("no_due_rule", None, None)
