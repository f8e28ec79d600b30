"""What the sites took in a month, carried from the accounts to where it is held against what is permitted."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from tarazy.accounting.energy.figures import Place, peak_power
from tarazy.accreditation.quotas import MonthUse
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law.calendar import Period
from tarazy.reports.consumption import energy_by_source


def month_use(
    connection: Connection, registers: Registers, month: Period, known_at: datetime, place: Place | None = None
) -> MonthUse:
    """Energy by source and highest power of the part of `month` that had passed at `known_at`, as known then."""
    end = max(month.start, min(month.end, known_at))
    energy = energy_by_source(connection, registers, month.start, end, known_at, place) if end > month.start else {}
    return MonthUse(
        str(month),
        {(site, source): used for site, sources in energy.items() for source, used in sources.items()},
        peak_power(connection, month.start, end, known_at, place),
    )
