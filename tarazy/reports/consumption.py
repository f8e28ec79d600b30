"""What each party used in a period, by metering point, source and price: registers and energy together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

from sqlalchemy import Connection

from tarazy.accounting.energy.allocation import REST
from tarazy.accounting.energy.figures import energy_by_meter, energy_by_party
from tarazy.accounting.fee.consumption import BOUGHT, Consumption, FeeError, consumption_of
from tarazy.accounting.fee.rates import Source
from tarazy.accreditation.entries import EnergySource, Meter, MeterStatus
from tarazy.accreditation.snapshot import Registers

_SOURCES: dict[EnergySource, Source] = {
    EnergySource.GRID: "grid",
    EnergySource.BILATERAL: "bilateral",
    EnergySource.IMPORT: "import",
    EnergySource.OWN: "own",
    EnergySource.OWN_RENEWABLE: "own_renewable",
}


@dataclass(frozen=True, slots=True)
class Consumed:
    """A party's consumption, one item for each metering point, source, price and state of the meter."""

    items: tuple[Consumption, ...]
    energy_wh: int
    fault: str | None
    """Why the items do not tell the whole energy, where they do not."""


def consumption_by_party(
    connection: Connection, registers: Registers, start: datetime, end: datetime, known_at: datetime
) -> dict[str, Consumed]:
    """The consumption of every party that was allocated energy in [start, end), as known at `known_at`.

    The period is cut where an entry of the register of meters begins or ends, so that each interval counts
    with the price, source and status that its meter had when it began. A meter without an entry in force then
    counts as no control meter, with the source and price of its latest entry.
    """
    items: defaultdict[str, defaultdict[Consumption, int]] = defaultdict(lambda: defaultdict(int))
    energy: defaultdict[str, int] = defaultdict(int)
    faults: dict[str, str] = {}
    for since, until in pairwise(_cuts(registers, start, end)):
        meters = _metered(connection, registers.at(since), since, until, known_at)
        for (site, party), part in energy_by_party(connection, since, until, known_at).items():
            if party == REST or not part.energy_wh:
                continue
            energy[party] += part.energy_wh
            try:
                for item in consumption_of(part.energy_wh, meters[site]):
                    items[party][replace(item, energy_wh=0)] += item.energy_wh
            except FeeError as error:
                faults[party] = str(error)
    return {party: Consumed(_listed(items[party]), energy[party], faults.get(party)) for party in sorted(energy)}


def _listed(items: Mapping[Consumption, int]) -> tuple[Consumption, ...]:
    used = (replace(item, energy_wh=energy) for item, energy in items.items() if energy)
    order = sorted(used, key=lambda item: (item.point, item.source, item.price_tiyn_per_kwh or 0, item.metered))
    return tuple(order)


def _metered(
    connection: Connection, registers: Registers, start: datetime, end: datetime, known_at: datetime
) -> defaultdict[str, list[Consumption]]:
    """What the meters of each site gave, in the order of their keys."""
    found: defaultdict[str, list[Consumption]] = defaultdict(list)
    for (site, key), energy in sorted(energy_by_meter(connection, start, end, known_at).items()):
        meter = registers.meters.get(key)
        metered = meter is not None and meter.status is MeterStatus.OK
        for entry in (meter,) if meter else registers.versions_of(Meter.register, key)[:1]:
            if isinstance(entry, Meter):
                source = _SOURCES[entry.source]
                price = entry.price_tiyn_per_kwh if source in BOUGHT else None
                found[site].append(Consumption(key, source, energy.energy_wh, price, metered))
    return found


def _cuts(registers: Registers, start: datetime, end: datetime) -> list[datetime]:
    inside = {
        instant
        for meter in registers.latest(Meter)
        for entry in registers.versions_of(Meter.register, meter.meter)
        for instant in (entry.valid_from, entry.valid_to)
        if instant is not None and start < instant < end
    }
    return [start, *sorted(inside), end]
