"""Which of several nodes leads, that is, whose templates are mined on. Pure: told what is, and when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tarazy.pool.chain.bitcoind.gate import NodeStatus

LAG_SECONDS = 3.0
"""The leader may be behind another node for so long: blocks do not reach all nodes at once."""
SPLIT_SECONDS = 30.0
"""So long the leader may be on another block than most nodes at equal work."""
RETURN_SECONDS = 10.0
"""A node that was ill leads again, in the place of a later one, when it has been well for so long."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node at this moment."""

    status: NodeStatus | None
    """None while it is ill."""
    well_since: float
    """When it became well, in the clock's seconds; may lie ahead when it is not to be trusted yet."""


@dataclass(frozen=True, slots=True)
class Floor:
    """The most work that was mined on so far, and the node whose template that was."""

    work: int
    node: int


class Leadership:
    """The choice, with the times it depends on. The first node of the settings leads while it is well."""

    def __init__(self) -> None:
        self._leader: int | None = None
        self._behind_since: float | None = None
        self._split_since: float | None = None

    def choose(self, nodes: Sequence[Candidate], floor: Floor | None, now: float) -> int | None:
        """The index of the node to lead; None when none can.

        A node with less work than was mined on already leads only if that was its own: a node may take its
        own chain back, a lagging one never moves work backwards (C-100).
        """
        well = {
            index: node.status
            for index, node in enumerate(nodes)
            if node.status is not None and (floor is None or node.status.work >= floor.work or index == floor.node)
        }
        if self._leader not in well:
            self._leader = None
        most = max((status.work for status in well.values()), default=0)
        best = [index for index, status in well.items() if status.work == most]
        leader = self._leader
        if leader is None:
            trusted = [index for index in best if nodes[index].well_since <= now] or best
            return self._lead(min(trusted, default=None))
        self._behind_since = None if leader in best else _first(self._behind_since, now)
        if self._behind_since is not None:
            return self._lead(best[0]) if now - self._behind_since > LAG_SECONDS else leader
        holders = Counter(well[index].tip.block_hash for index in best)
        common = max(holders.values())
        split = holders[well[leader].tip.block_hash] < common
        self._split_since = _first(self._split_since, now) if split else None
        if self._split_since is not None and now - self._split_since > SPLIT_SECONDS:
            return self._lead(next(i for i in best if holders[well[i].tip.block_hash] == common))
        for index in best:
            returns = index < leader and now - nodes[index].well_since >= RETURN_SECONDS
            if returns and not split and holders[well[index].tip.block_hash] == common:
                return self._lead(index)
        return leader

    def _lead(self, index: int | None) -> int | None:
        self._leader = index
        self._behind_since = self._split_since = None
        return index


def _first(since: float | None, now: float) -> float:
    return now if since is None else since
