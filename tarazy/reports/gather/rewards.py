"""Blocks found and rewards divided in a period, as they were known at an instant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, select

from tarazy.accounting.distribution import DistributionState
from tarazy.accounting.queries import BookedDistribution, distributions
from tarazy.accounting.tables import block, distribution
from tarazy.reports.content import Block, Credit, Distribution, PartyEarnings, Period, Records, RewardSection
from tarazy.reports.gather.records import numbered

UNDISTRIBUTED = "undistributed"
"""State of a block whose reward no distribution has divided."""


def gather_rewards(connection: Connection, period: Period, known_at: datetime) -> RewardSection:
    """The section on rewards: blocks found and distributions booked in the period."""
    booked = distributions(connection, period.start, known_at)
    standing = [item for item in booked if item.state is not DistributionState.REVERSED]
    states = {item.block_hash: item.state.value for item in booked}
    blocks = found_blocks(connection, period.start, period.end, states)
    return RewardSection(
        blocks=blocks,
        distributions=_distributions(connection, period, known_at, booked),
        earnings=_earnings(standing),
        reward=sum(item.reward for item in standing),
        fee=sum(item.fee for item in standing),
        source=(
            Records("block", len(blocks)),
            numbered("distribution", (item.number for item in booked)),
        ),
    )


def _distributions(
    connection: Connection, period: Period, known_at: datetime, booked: Sequence[BookedDistribution]
) -> tuple[Distribution, ...]:
    of_period = distribution.c.booked_at.between(period.start, known_at)
    found = select(block).join(distribution).where(of_period).distinct()
    blocks = {row.block_hash: row for row in connection.execute(found)}
    return tuple(
        Distribution(
            number=item.number,
            block_hash=item.block_hash,
            height=blocks[item.block_hash].height,
            found_at=blocks[item.block_hash].found_at,
            first_round=item.first_round,
            last_round=item.last_round,
            reward=item.reward,
            fee_ppm=item.fee_ppm,
            fee=item.fee,
            remainder=item.remainder,
            total_weight=item.total_weight,
            state=item.state.value,
            booked_at=item.booked_at,
            credits=tuple(Credit(party, item.weights[party], amount) for party, amount in sorted(item.credits.items())),
        )
        for item in booked
    )


def _earnings(standing: Iterable[BookedDistribution]) -> tuple[PartyEarnings, ...]:
    final: defaultdict[str, int] = defaultdict(int)
    immature: defaultdict[str, int] = defaultdict(int)
    for item in standing:
        sums = final if item.state is DistributionState.FINAL else immature
        for party, amount in item.credits.items():
            sums[party] += amount
    return tuple(PartyEarnings(party, final[party], immature[party]) for party in sorted({*final, *immature}))


def found_blocks(
    connection: Connection, start: datetime, end: datetime, states: Mapping[str, str]
) -> tuple[Block, ...]:
    """Blocks found in [start, end). A block's state is that of its latest distribution, by `states`.

    Its own row keeps only the newest state of all.
    """
    found = select(block).where(block.c.found_at >= start, block.c.found_at < end).order_by(block.c.round)
    return tuple(
        Block(
            block_hash=row.block_hash,
            height=row.height,
            round=row.round,
            found_at=row.found_at,
            state=states.get(row.block_hash, UNDISTRIBUTED),
            party=row.party,
        )
        for row in connection.execute(found)
    )
