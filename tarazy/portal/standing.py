"""Where each party stands apart from a connection: whether it may mine, and its fee of the quarter so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tarazy.accounting.energy.figures import Energy
from tarazy.accounting.fee.consumption import FeeError
from tarazy.accounting.fee.statement import compute_fee
from tarazy.accreditation.admission import Judge
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law import LawBook, NoRuleInForceError
from tarazy.config.law.calendar import Quarter
from tarazy.portal.facts import Fee
from tarazy.reports.consumption import Consumed


@dataclass(frozen=True, slots=True)
class Seat:
    """Where this server stands: its key in the register of servers, and its country."""

    server: str
    country: str


def admissions(registers: Registers, seat: Seat) -> dict[str, tuple[str, ...]]:
    """Party → reason codes against it, were it to connect from a site of its own. None: it is admitted."""
    found = {}
    judge = Judge(registers, seat.country)
    for key, party in registers.parties.items():
        decision = judge.decide_from_sites(party, registers.sites_by_party.get(key, ()), seat.server)
        found[key] = tuple(map(str, decision.reasons))
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


def fee_so_far(law: LawBook, quarter: Quarter, now: datetime, used: Consumed) -> Fee:
    """The digital-mining fee of a party for `quarter` up to `now`, as a report of that moment states it."""
    if used.fault is not None:
        return Fee(None, confirmed=False, problem="incomplete")
    try:
        statement = compute_fee(law, quarter, used.items, quarter.start, now)
    except NoRuleInForceError:
        return Fee(None, confirmed=False, problem="no_rule")
    except FeeError:
        return Fee(None, confirmed=False, problem="incomplete")
    return Fee(statement.total_kzt, confirmed=statement.rule.confirmed, problem=None)
