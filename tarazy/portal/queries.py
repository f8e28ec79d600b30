"""Reads the ledger database for the portal. Every function takes a connection and reads one span of time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, select

from tarazy.accounting import queries as accounts
from tarazy.accounting import tables
from tarazy.accounting.energy import tables as energy_tables
from tarazy.accounting.energy.figures import energy_by_party, site_intervals
from tarazy.accounting.queries import BookedDistribution, Work, rough_weight
from tarazy.accreditation.decisions import ADMITTED, DecisionSummary, decisions_between
from tarazy.portal.facts import Day, MeterState, Refusal

LISTED = 500
"""Rows of a list that are read; the API pages within them."""
DAY = timedelta(hours=24)


def day_of_work(connection: Connection, now: datetime) -> Day:
    """Work and energy of the last 24 hours."""
    tally, since = tables.tally, now - DAY
    query = (
        select(
            tally.c.party,
            tally.c.interval_start,
            rough_weight.label("weight"),
            func.sum(tally.c.shares).label("shares"),
            func.sum(tally.c.stale_shares).label("stale_shares"),
        )
        .where(tally.c.interval_start >= since)
        .group_by(tally.c.party, tally.c.interval_start)
    )
    work: dict[str, Work] = {}
    series: dict[str, dict[datetime, float]] = {}
    for row in connection.execute(query):
        series.setdefault(row.party, {})[row.interval_start] = row.weight
        before = work.get(row.party, Work())
        work[row.party] = Work(
            before.weight + row.weight,
            before.shares + int(row.shares),
            before.stale_shares + int(row.stale_shares),
        )
    end = now + DAY
    decisions = decisions_between(connection, since, end)
    return Day(
        work=work,
        series=series,
        site_intervals=site_intervals(connection, since, end),
        estimates=_estimates(connection, since),
        energy=energy_by_party(connection, since, end),
        refusals=refusals(decisions),
        last_decision=max((row.last_sequence for row in decisions), default=0),
    )


def _estimates(connection: Connection, since: datetime) -> dict[datetime, int]:
    table = energy_tables.allocation
    newest = (
        select(table.c.site, table.c.interval_start, func.max(table.c.version).label("version"))
        .where(table.c.interval_start >= since)
        .group_by(table.c.site, table.c.interval_start)
        .subquery()
    )
    same = (table.c.site == newest.c.site) & (table.c.interval_start == newest.c.interval_start)
    query = (
        select(table.c.interval_start, func.sum(table.c.estimate_wh).label("estimate_wh"))
        .join(newest, same & (table.c.version == newest.c.version))
        .group_by(table.c.interval_start)
    )
    return {
        row.interval_start: int(row.estimate_wh) for row in connection.execute(query) if row.estimate_wh is not None
    }


def distributions(connection: Connection, now: datetime) -> tuple[list[BookedDistribution], int]:
    """The newest distributions, newest first, and the number of all."""
    booked_at = tables.distribution.c.booked_at
    last_listed = select(booked_at).order_by(booked_at.desc()).offset(LISTED - 1).limit(1)
    since = connection.scalar(last_listed) or datetime.fromtimestamp(0, UTC)
    total = connection.scalar(select(func.count()).select_from(tables.distribution)) or 0
    return accounts.distributions(connection, since, now)[: -LISTED - 1 : -1], total


def refusals(decisions: Iterable[DecisionSummary]) -> list[Refusal]:
    """Those of `decisions` that turned somebody away, by account and reasons, newest first."""
    found = [
        Refusal(row.account, row.party or None, row.reasons, row.count, row.last)
        for row in decisions
        if row.kind != ADMITTED
    ]
    return sorted(found, key=lambda refusal: refusal.last_at, reverse=True)[:LISTED]


def meter_states(connection: Connection, meters: Mapping[str, tuple[str, bool]]) -> list[MeterState]:
    """The last answer of each meter about its import register; meter → (site, whether it is registered as faulty)."""
    table = energy_tables.reading
    states = []
    for meter, (site, faulty) in sorted(meters.items()):
        query = select(table.c.status, table.c.at).where(table.c.meter == meter, table.c.quantity == "import")
        row = connection.execute(query.order_by(table.c.at.desc()).limit(1)).first()
        status = "faulty" if faulty else row.status if row else "none"
        states.append(MeterState(meter, site, status, row.at if row else None))
    return states
