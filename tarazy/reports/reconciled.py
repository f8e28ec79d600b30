"""Faults of meters, and energy of the sites held against their work, carried from the accounts to findings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from tarazy.accounting.energy.best_machine import BestMachine, best_machine
from tarazy.accounting.energy.faults import Fault
from tarazy.accounting.energy.figures import Place, energy_by_party, site_intervals
from tarazy.accounting.energy.reconciliation import CONFOUNDERS, Drift, drift, least_wh
from tarazy.accounting.workload import intervals_before, site_totals, site_weights
from tarazy.accreditation.entries import FindingKind, Severity
from tarazy.accreditation.findings import Condition
from tarazy.accreditation.plausibility import HEAVIER_SHARES, SiteWork
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law.calendar import day_start, legal_day
from tarazy.reports.consumption import place_of
from tarazy.stratum.difficulty import hashes_of

DAYS = 60
"""Legal days before today that drift is looked for in; the first of them are the baseline."""
_UNCERTAIN_PERCENT = 5
"""Of a day's energy; with more that is estimated or missing the day says nothing."""


_METER_FINDINGS = {
    "silent": (FindingKind.METER_SILENT, Severity.WARNING),
    "register": (FindingKind.METER_REGISTER, Severity.SERIOUS),
    "refused": (FindingKind.METER_REFUSED, Severity.WARNING),
    "stuck": (FindingKind.METER_STUCK, Severity.SERIOUS),
}


def of_meter(fault: Fault) -> Condition:
    """The finding that a fault of a meter is."""
    kind, severity = _METER_FINDINGS[fault.kind]
    return Condition(kind, severity, "meter", fault.meter.meter, None, fault.meter.site, fault.evidence)


@dataclass(frozen=True, slots=True)
class SiteDay:
    """Energy of a site on a legal day: by its main meters, and by its work on the registered machines."""

    day: date
    metered_wh: int
    expected_wh: int

    @property
    def ratio(self) -> float:
        """Metered over expected."""
        return self.metered_wh / self.expected_wh


@dataclass(frozen=True, slots=True)
class Floor:
    """Energy that a site's meters gave in a window, and the least that its work can have taken."""

    metered_wh: int
    least_wh: int
    machine: BestMachine
    """The best one of the window's last day."""

    @property
    def broken(self) -> bool:
        """Whether no machine could have done it."""
        return self.metered_wh < self.least_wh


@dataclass(frozen=True, slots=True)
class FloorRule:
    """What the floor is taken by."""

    best_mj_per_th: int | None
    """That no machine in existence goes below; None: as the dated data says."""
    window: timedelta


def site_work(connection: Connection, since: datetime, until: datetime) -> list[SiteWork]:
    """Work of each party at each site in the intervals that begin in [since, until)."""
    return [
        SiteWork(
            row.party,
            row.site,
            hashes_of(int(row.weight)),
            row.shares,
            hashes_of(int(row.heaviest)),
            row.workers,
            row.busiest,
            hashes_of(int(row.busiest_weight)),
        )
        for row in site_totals(connection, since, until)
    ]


def site_days(
    connection: Connection, today: date, known_at: datetime, place: Place | None = None
) -> dict[str, list[SiteDay]]:
    """Site → its days before `today`, in order; of every site, or of `place` alone.

    A day is left out where nobody worked, machines of a party that did are not registered, or much is not measured.
    """
    found: defaultdict[str, list[SiteDay]] = defaultdict(list)
    for ago in range(DAYS, 0, -1):
        day = today - timedelta(days=ago)
        metered: defaultdict[str, int] = defaultdict(int)
        uncertain: defaultdict[str, int] = defaultdict(int)
        expected: defaultdict[str, list[int | None]] = defaultdict(list)
        start, end = day_start(day), day_start(day + timedelta(days=1))
        for (site, _), energy in energy_by_party(connection, start, end, known_at, place).items():
            metered[site] += energy.energy_wh
            uncertain[site] += energy.uncertain_wh
            expected[site].append(energy.estimate_wh)
        for site, estimates in expected.items():
            known = [estimate for estimate in estimates if estimate is not None]
            measured = uncertain[site] * 100 <= _UNCERTAIN_PERCENT * metered[site]
            if measured and sum(known) > 0 and len(known) == len(estimates):
                found[site].append(SiteDay(day, metered[site], sum(known)))
    return dict(found)


def site_drift(days: Sequence[SiteDay]) -> Drift | None:
    """The drift at the end of a site's days."""
    return drift([each.ratio for each in days])


def drifts(days: Mapping[str, Sequence[SiteDay]]) -> list[Condition]:
    """Sites whose energy for their work moved away from their own baseline."""
    found: list[Condition] = []
    for site, own in days.items():
        moved = site_drift(own)
        if moved is None or not moved.drifts:
            continue
        evidence: dict[str, int | str | list[str] | list[int]] = {
            "percent": round(100 * moved.moved),
            "since": own[-moved.days].day.isoformat(),
            "baseline": f"{moved.baseline:.3f}",
            "spread_percent": f"{100 * moved.spread:.1f}",
            "days": moved.days,
            "confounders": list(CONFOUNDERS),
        }
        found.append(Condition(FindingKind.ENERGY_DRIFT, Severity.WARNING, "site", site, None, site, evidence))
    return found


def floors(
    connection: Connection,
    since: datetime,
    until: datetime,
    best_mj_per_th: int | None = None,
    only: str | None = None,
) -> dict[str, Floor]:
    """Site → its floor in [since, until), of all or of one; only where its meters measured all of that time.

    `best_mj_per_th` holds instead of the dated data, if given.
    """
    best = best_machine(legal_day(until), best_mj_per_th)
    found: dict[str, Floor] = {}
    for site, work in site_weights(connection, since, until, only).items():
        intervals = site_intervals(connection, since, until, site=site)
        told = timedelta(seconds=sum(item.seconds for item in intervals))
        if told == until - since and all(item.quality == "measured" for item in intervals):
            heaviest = HEAVIER_SHARES * hashes_of(work.heaviest)
            least = least_wh(hashes_of(work.weight), heaviest, best.mj_per_th)
            found[site] = Floor(sum(item.energy_wh for item in intervals), least, best)
    return found


def below_floor(
    connection: Connection, since: datetime, until: datetime, best_mj_per_th: int | None = None
) -> list[Condition]:
    """Sites whose meters gave less than any machine needs for their work."""
    hours = round((until - since) / timedelta(hours=1)) or 1
    return [
        Condition(
            FindingKind.ENERGY_FLOOR,
            Severity.SERIOUS,
            "site",
            site,
            None,
            site,
            {
                "hours": hours,
                "until": until.isoformat(),
                "metered_kwh": floor.metered_wh // 1000,
                "least_kwh": floor.least_wh // 1000,
                "best_mj_per_th": floor.machine.mj_per_th,
                "best_machine": floor.machine.machine,
                "confounders": ["work of machines outside the site"],
            },
        )
        for site, floor in floors(connection, since, until, best_mj_per_th).items()
        if floor.broken
    ]


def reconciliation(
    connection: Connection, registers: Registers, site: str, rule: FloorRule, now: datetime, interval_seconds: int
) -> dict[str, Any]:
    """A site's energy held against its work, by day, by drift and by the floor, as plain values."""
    place, step = place_of(registers, site), timedelta(seconds=interval_seconds)
    days = site_days(connection, legal_day(now), now, place).get(site, [])
    since, until = intervals_before(now - step, rule.window, interval_seconds)
    floor = floors(connection, since, until, rule.best_mj_per_th, site).get(site)
    moved = site_drift(days)
    return {
        "site": site,
        "days": [{**asdict(each), "ratio": f"{each.ratio:.4f}"} for each in days],
        "drift": moved and {**{name: f"{value:.4f}" for name, value in asdict(moved).items()}, "drifts": moved.drifts},
        "floor": floor and {"since": since, "until": until, **asdict(floor), "broken": floor.broken},
        "confounders": CONFOUNDERS,
    }
