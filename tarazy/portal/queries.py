"""Reads the ledger database for the portal. Every function takes a connection and reads one span of time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, select

from tarazy.accounting import queries as accounts
from tarazy.accounting import tables
from tarazy.accounting.blocks import recent_blocks
from tarazy.accounting.energy.figures import Energy, FoldedError, energy_by_party, estimates, site_intervals
from tarazy.accounting.energy.meter import Meter as MeterPoint
from tarazy.accounting.energy.newest import last_answers
from tarazy.accounting.energy.steps import site_power_w
from tarazy.accounting.queries import (
    BookedDistribution,
    Work,
    balances_by_party,
    block_counts,
    open_round,
    present_work,
    rough_weight,
)
from tarazy.accreditation.decisions import ADMITTED, DecisionSummary, decisions_between
from tarazy.accreditation.entries import MeterStatus
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law import LawBook
from tarazy.config.law.calendar import Quarter
from tarazy.portal.facts import FOLDED, Day, MeterState, Present, QuarterSoFar, Refusal
from tarazy.portal.moments import Told
from tarazy.portal.standing import Seat, admissions, energy_of_parties, fee_so_far
from tarazy.reports.consumption import consumption_by_party

LISTED = 500
"""Rows of a list that are read; the API pages within them."""
DAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Past:
    """A moment of before, and the start of the interval that was running then."""

    told: Told
    ended: datetime


def present(
    connection: Connection, registers: Registers, seat: Seat, interval_seconds: int, now: datetime, past: Past | None
) -> Present:
    """What changes by the second, now or as it was; `now` is then up to when that is told."""
    until = None if past is None else past.told.until
    work, window = present_work(connection, now, interval_seconds, ended=past is not None)
    found, count = distributions(connection, now)
    meters = {row.meter: (row.site, row.status is MeterStatus.FAULTY) for row in registers.meters.values()}
    return Present(
        registers=registers,
        admissions=admissions(registers, seat),
        window_seconds=window,
        work=work,
        balances=balances_by_party(connection, until),
        open_round=open_round(connection, until),
        blocks=recent_blocks(connection, LISTED, until),
        block_counts=block_counts(connection, until),
        distributions=found,
        distribution_count=count,
        meters=meter_states(connection, meters, past),
        power_w=_power_now(connection, registers, interval_seconds, now)
        if past is None
        else _power_then(connection, interval_seconds, past),
    )


def _power_now(
    connection: Connection, registers: Registers, interval_seconds: int, now: datetime
) -> dict[str, int | None]:
    points = [
        MeterPoint(row.meter, row.site, row.host, row.port, row.unit, row.profile)
        for row in registers.meters.values()
        if row.party is None
    ]
    return site_power_w(connection, points, now, 2 * interval_seconds)


def _power_then(connection: Connection, interval_seconds: int, past: Past) -> dict[str, int | None]:
    """The mean power of each site over the last interval that had ended."""
    start = past.ended - timedelta(seconds=interval_seconds)
    return {
        each.site: None if each.quality == "missing" else each.energy_wh * 3600 // each.seconds
        for each in site_intervals(connection, start, past.ended, past.told.known_at)
    }


def quarter_so_far(
    connection: Connection, registers: Registers, law: LawBook, now: datetime, known_at: datetime | None = None
) -> QuarterSoFar:
    """Energy and fees of the legal quarter up to `now`; no figures where `now` lies in a day that is folded."""
    quarter = Quarter.of(now)
    try:
        energy = energy_by_party(connection, quarter.start, now, known_at)
        consumed = consumption_by_party(connection, registers, quarter.start, now, known_at or now)
    except FoldedError:
        return QuarterSoFar(str(quarter), {}, dict.fromkeys(registers.parties, FOLDED))
    return QuarterSoFar(
        str(quarter),
        energy_of_parties(energy),
        {party: fee_so_far(law, quarter, now, used) for party, used in consumed.items()},
    )


def day_of_work(connection: Connection, now: datetime, past: Past | None = None) -> Day:
    """Work and energy of the last 24 hours; of a moment of before, of the intervals that had ended."""
    sums, since = tables.site_tally, now - DAY
    end, known_at = (now + DAY, None) if past is None else (past.ended, past.told.known_at)
    query = (
        select(
            sums.c.party,
            sums.c.interval_start,
            rough_weight(sums).label("weight"),
            func.sum(sums.c.shares).label("shares"),
            func.sum(sums.c.stale_shares).label("stale_shares"),
        )
        .where(sums.c.interval_start >= since, sums.c.interval_start < end)
        .group_by(sums.c.party, sums.c.interval_start)
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
    decisions = decisions_between(connection, since, now + DAY if past is None else past.told.until)
    return Day(
        work=work,
        series=series,
        site_intervals=site_intervals(connection, since, end, known_at),
        estimates=estimates(connection, since, end, known_at),
        energy=_unless_folded(connection, since, end, known_at),
        refusals=refusals(decisions),
        last_decision=max((row.last_sequence for row in decisions), default=0),
    )


def _unless_folded(
    connection: Connection, since: datetime, end: datetime, known_at: datetime | None
) -> dict[tuple[str, str], Energy] | None:
    try:
        return energy_by_party(connection, since, end, known_at)
    except FoldedError:
        return None


def distributions(connection: Connection, now: datetime) -> tuple[list[BookedDistribution], int]:
    """The newest distributions booked by `now`, newest first, and the number of all."""
    booked_at = tables.distribution.c.booked_at
    last_listed = select(booked_at).where(booked_at <= now).order_by(booked_at.desc()).offset(LISTED - 1).limit(1)
    since = connection.scalar(last_listed) or datetime.fromtimestamp(0, UTC)
    counted = select(func.count()).select_from(tables.distribution).where(booked_at <= now)
    total = connection.scalar(counted) or 0
    return accounts.distributions(connection, since, now)[: -LISTED - 1 : -1], total


def refusals(decisions: Iterable[DecisionSummary]) -> list[Refusal]:
    """Those of `decisions` that turned somebody away, by account and reasons, newest first."""
    found = [
        Refusal(row.account, row.party or None, row.reasons, row.count, row.last)
        for row in decisions
        if row.kind != ADMITTED
    ]
    return sorted(found, key=lambda refusal: refusal.last_at, reverse=True)[:LISTED]


def meter_states(
    connection: Connection, meters: Mapping[str, tuple[str, bool]], past: Past | None = None
) -> list[MeterState]:
    """The last answer of each meter about its import register; meter → (site, whether it is registered as faulty)."""
    moment = () if past is None else (past.told.valid_at, past.told.known_at)
    answers = last_answers(connection, meters, *moment)
    return [
        MeterState(
            meter,
            site,
            "faulty" if faulty else answers[meter].status if meter in answers else "none",
            answers[meter].at if meter in answers else None,
        )
        for meter, (site, faulty) in sorted(meters.items())
    ]
