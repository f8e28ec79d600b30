"""Energy metered in a period and its division among the parties."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from sqlalchemy import Connection

from tarazy.accounting.energy.allocation import REST
from tarazy.accounting.energy.figures import MeterEnergy, energy_by_meter, energy_by_party, energy_by_submeter
from tarazy.reports.content import EnergySection, PartyEnergy, Period, Records, SiteEnergy


def gather_energy(connection: Connection, period: Period, known_at: datetime) -> EnergySection:
    """Energy of every site and of every party at it, as known at `known_at`."""
    meters = energy_by_meter(connection, period.start, period.end, known_at)
    below = energy_by_submeter(connection, period.start, period.end, known_at)
    parties: defaultdict[str, list[PartyEnergy]] = defaultdict(list)
    for (site, party), part in sorted(energy_by_party(connection, period.start, period.end, known_at).items()):
        if party != REST:
            own = below.get((site, party))
            parties[site].append(PartyEnergy(party, part.energy_wh, part.estimate_wh, part.uncertain_wh, own))
    by_site: defaultdict[str, list[MeterEnergy]] = defaultdict(list)
    for (site, _), item in sorted(meters.items()):
        by_site[site].append(item)
    return EnergySection(
        sites=tuple(_site(site, items, parties[site]) for site, items in sorted(by_site.items())),
        source=(Records("interval", sum(sum(item.intervals.values()) for item in meters.values())),),
    )


def _site(site: str, meters: list[MeterEnergy], parties: list[PartyEnergy]) -> SiteEnergy:
    metered = sum(meter.energy_wh for meter in meters)
    allocated = sum(party.energy_wh for party in parties)
    return SiteEnergy(
        site=site,
        metered_wh=metered,
        allocated_wh=allocated,
        unallocated_wh=metered - allocated,
        measured=sum(meter.intervals.get("measured", 0) for meter in meters),
        estimated=sum(meter.intervals.get("estimated", 0) for meter in meters),
        missing=sum(meter.intervals.get("missing", 0) for meter in meters),
        parties=tuple(parties),
    )
