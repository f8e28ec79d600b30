"""Work by site and names at several sites, as the ledger's tallies tell them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, insert

from tarazy.accounting import tables, tallies
from tarazy.accounting.tallies import Done
from tarazy.accounting.workload import SharedName, SiteWeight, shared_names, site_totals, site_weights
from tarazy.accounting.worth import Worth

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


def test_weights_of_sites_bound_those_of_their_workers(engine: Engine) -> None:
    """Exact sums by site, whoever worked there; the heaviest mean of a share is no less than any worker's."""
    with engine.begin() as connection:
        connection.execute(insert(tables.round_), [{"round": number, "opened_at": NOON} for number in (1, 2)])
        for number, start, party, worker, site, weight, shares in (
            (1, NOON, "a", "x", "s", 2**90 + 1, 3),
            (1, NOON, "a", "y", "s", 10, 10),
            (2, NOON, "b", "x", "s", 2**70, 1),
            (1, NOON, "a", "x", "s", 5, 100),
            (1, NOON + STEP, "a", "x", "t", 7, 2),
            (1, NOON + 2 * STEP, "a", "x", "s", 2**99, 1),
        ):
            done = {(party, party, worker, site): Done(weight, shares)}
            tallies.add(connection, number, {Worth(1, 1): {start: done}})
        assert site_weights(connection, NOON, NOON + 2 * STEP) == {
            "s": SiteWeight(2**90 + 2**70 + 16, -(-(2**90 + 1) // 3)),
            "t": SiteWeight(7, 4),
        }
        assert list(site_weights(connection, NOON, NOON + 2 * STEP, "t")) == ["t"]
