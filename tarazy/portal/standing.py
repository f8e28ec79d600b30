"""Where each party stands apart from a connection: whether it may mine, and its fee of the quarter so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tarazy.accounting.energy.figures import Energy, MeterEnergy
from tarazy.accounting.fee.consumption import Consumption, FeeError, consumption_of
from tarazy.accounting.fee.statement import compute_fee
from tarazy.accreditation.admission import judge
from tarazy.accreditation.entries import MeterStatus
from tarazy.accreditation.geo import Origin
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law import LawBook, NoRuleInForceError
from tarazy.config.law.calendar import Quarter
from tarazy.portal.facts import Fee


@dataclass(frozen=True, slots=True)
class Seat:
    """Where this server stands: its key in the register of servers, and its country."""

    server: str
    country: str


def admissions(registers: Registers, seat: Seat) -> dict[str, tuple[str, ...]]:
    """Party → reason codes against it, were it to connect from a site of its own. None: it is admitted."""
    found = {}
    for key, party in registers.parties.items():
        located = sorted(
            {site.site for site in registers.sites.values() if site.party == key}
            | {place.site for place in registers.placements.values() if place.party == key} & set(registers.sites)
        )
        decision = judge(registers, party.account, True, located, Origin.HOME, seat.server, seat.country)
        found[key] = tuple(str(reason) for reason in decision.reasons)
    return found


def energy_of_parties(energy: Mapping[tuple[str, str], Energy]) -> dict[str, Energy]:
    """(site, party) → watt-hours, summed over the sites of each party."""
    found: dict[str, Energy] = {}
    for (_, party), here in energy.items():
        before = found.get(party, Energy(0, 0, 0))
        estimates = (before.estimate_wh, here.estimate_wh)
        found[party] = Energy(
            before.energy_wh + here.energy_wh,
            None if None in estimates else sum(wh for wh in estimates if wh is not None),
            before.uncertain_wh + here.uncertain_wh,
        )
    return found


def fees(
    law: LawBook,
    now: datetime,
    registers: Registers,
    energy: Mapping[tuple[str, str], Energy],
    meters: Mapping[tuple[str, str], MeterEnergy],
) -> dict[str, Fee]:
    """Party → the digital-mining fee of the present quarter so far, or why there is none."""
    sources: dict[str, list[Consumption]] = {}
    for (site, key), measured in sorted(meters.items()):
        meter = registers.meters.get(key)
        if meter:
            sources.setdefault(site, []).append(
                Consumption(
                    key,
                    meter.source.value,
                    measured.energy_wh,
                    meter.price_tiyn_per_kwh,
                    meter.status is MeterStatus.OK,
                )
            )
    used: dict[str, list[Consumption]] = {}
    problems: dict[str, str] = {}
    for (site, party), here in energy.items():
        try:
            used.setdefault(party, []).extend(consumption_of(here.energy_wh, sources.get(site, [])))
        except FeeError:
            problems[party] = "incomplete"
    return {
        party: Fee(None, confirmed=False, problem=problems[party]) if party in problems else _fee(law, now, parts)
        for party, parts in used.items()
        if party
    }


def _fee(law: LawBook, now: datetime, consumption: list[Consumption]) -> Fee:
    quarter = Quarter.of(now)
    try:
        statement = compute_fee(law, quarter, consumption, quarter.start, now)
    except NoRuleInForceError:
        return Fee(None, confirmed=False, problem="no_rule")
    except FeeError:
        return Fee(None, confirmed=False, problem="incomplete")
    return Fee(statement.total_kzt, confirmed=statement.rule.confirmed, problem=None)
