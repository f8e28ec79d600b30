"""Work by site and names at several sites, as the ledger's tallies tell them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, insert

from tarazy.accounting import tables
from tarazy.accounting.workload import SharedName, shared_names, site_totals

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
STEP = timedelta(minutes=10)


def add(engine: Engine, party: str, workers: int, intervals: int) -> None:
    """So many workers of a party with work at two sites in each interval."""
    rows = [
        {
            "round": 1,
            "interval_start": NOON + number * STEP,
            "party": party,
            "account": party,
            "worker": f"rig{worker}",
            "site": site,
            "weight": 100,
            "shares": 2,
            "stale_weight": 0,
            "stale_shares": 0,
        }
        for worker in range(workers)
        for number in range(intervals)
        for site in ("a", "b")
    ]
    with engine.begin() as connection:
        connection.execute(insert(tables.tally), rows)


def test_many_names_hide_nobody(engine: Engine) -> None:
    """However many names a party has at two sites at a time, its own and those of others are found."""
    with engine.begin() as connection:
        connection.execute(insert(tables.round_), [{"round": 1, "opened_at": NOON}])
    add(engine, "crowd", 300, 3)
    add(engine, "other", 1, 2)
    with engine.begin() as connection:
        found = shared_names(connection, NOON, NOON + 3 * STEP, limit=100)
        totals = site_totals(connection, NOON, NOON + 3 * STEP)
    assert [row for row in found if row.party == "other"] == [SharedName("other", "other.rig0", 2, 2)]
    crowd = [row for row in found if row.party == "crowd"]
    assert len(crowd) == 100
    assert {row.intervals for row in crowd} == {3}
    assert [(row.party, row.site, row.workers, row.shares) for row in totals] == [
        ("crowd", "a", 300, 1800),
        ("crowd", "b", 300, 1800),
        ("other", "a", 1, 4),
        ("other", "b", 1, 4),
    ]
