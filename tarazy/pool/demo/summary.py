"""What happened in a run of the demo, as plain data for scripts."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import func, select

from tarazy.accounting import tables
from tarazy.accounting.blocks import recent_blocks
from tarazy.accounting.distribution import DistributionState
from tarazy.accounting.energy.figures import energy_by_party
from tarazy.accounting.energy.intervals import floor_to
from tarazy.accounting.proof.record import recorded
from tarazy.accounting.queries import distributions
from tarazy.accreditation.decisions import REFUSED, decisions_between
from tarazy.config.settings import Settings
from tarazy.database.engine import open_engine, reader

_MOST_BLOCKS = 10_000


def summarise(settings: Settings, since: datetime, metrics: str, reports: list[str]) -> dict[str, Any]:
    """The run that began at `since`: blocks, shares, refusals, distributions that stand, energy, reports.

    A distribution's `record` is null until its block is final.
    """
    now = datetime.now(UTC) + timedelta(seconds=1)
    begun = floor_to(since, settings.energy.interval_seconds)
    engine = open_engine(settings.database_url)
    with reader(engine).begin() as connection:
        blocks = [block for block in recent_blocks(connection, _MOST_BLOCKS) if block.found_at >= since]
        booked = distributions(connection, since, now)
        refused = [row for row in decisions_between(connection, since, now) if row.kind == REFUSED]
        energy = energy_by_party(connection, begun, now)
        table = tables.tally
        query = select(table.c.party, func.sum(table.c.shares)).where(table.c.interval_start >= begun)
        records = recorded(connection, since)
        by_party = {party: int(shares) for party, shares in connection.execute(query.group_by(table.c.party))}
    engine.dispose()
    energy_wh: dict[str, int] = {}
    for (_, party), amount in energy.items():
        if party:
            energy_wh[party] = energy_wh.get(party, 0) + amount.energy_wh
    return {
        "started_at": since.isoformat(timespec="seconds"),
        "ended_at": now.isoformat(timespec="seconds"),
        "blocks": [
            {**asdict(block), "found_at": block.found_at.isoformat(), "state_at": block.state_at.isoformat()}
            for block in reversed(blocks)
        ],
        "shares": {**_shares(metrics), "by_party": by_party},
        "refused": [
            {
                "login": f"{row.account}.{row.worker}",
                "party": row.party,
                "reasons": list(row.reasons),
                "count": row.count,
            }
            for row in refused
        ],
        "distributions": [
            {
                "block_hash": row.block_hash,
                "state": str(row.state),
                "reward": row.reward,
                "fee": row.fee,
                "remainder": row.remainder,
                "credits": row.credits,
                "record": records.get(row.block_hash),
            }
            for row in booked
            if row.state is not DistributionState.REVERSED
        ],
        "energy_wh": energy_wh,
        "reports": reports,
    }


def _shares(metrics: str) -> dict[str, Any]:
    results = {
        sample.labels["result"]: int(sample.value)
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == "tarazy_shares_total"
    }
    accepted = results.pop("accepted", 0)
    return {"accepted": accepted, "rejected": {reason: count for reason, count in results.items() if count}}
