"""What the sites took in a month, carried from the accounts to where it is held against what is permitted."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime

from sqlalchemy import Connection

from tarazy.accounting.energy.figures import Place, peak_power
from tarazy.accounting.fee.consumption import BOUGHT
from tarazy.accreditation.quotas import MonthUse, Unpriced
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law.calendar import Period
from tarazy.reports.consumption import site_consumption


def month_use(
    connection: Connection,
    registers: Registers,
    month: Period,
    now: datetime,
    place: Place | None = None,
    known_at: datetime | None = None,
) -> MonthUse:
    """Energy by source and highest power of the part of `month` that had passed at `now`, as known then or later."""
    known_at = known_at or now
    end = max(month.start, min(month.end, now))
    energy: Counter[tuple[str, str]] = Counter()
    without: defaultdict[str, Counter[str]] = defaultdict(Counter)
    passed = end > month.start
    for part in site_consumption(connection, registers, month.start, end, known_at, place) if passed else ():
        for site, items in part.sites.items():
            for item in items:
                energy[site, item.source] += item.energy_wh
                if item.source in BOUGHT and item.price_tiyn_per_kwh is None and item.energy_wh:
                    without[site][item.point] += item.energy_wh
    unpriced = {site: Unpriced(points.total(), tuple(sorted(points))) for site, points in without.items()}
    return MonthUse(str(month), energy, peak_power(connection, month.start, end, known_at, place), unpriced)
