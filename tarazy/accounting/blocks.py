"""The fate of found blocks, as the chain tells it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select, update

from tarazy.accounting import tables
from tarazy.database.states import note_state, states_at

MATURITY = 100
"""Confirmations at which a reward becomes final; consensus lets it be spent from then on."""


class BlockState(StrEnum):
    """Where a block stands."""

    FOUND = "found"
    """On disk."""
    SUBMITTED = "submitted"
    """A node has it, the chain has not answered yet."""
    CONNECTED = "connected"
    """On the main chain."""
    MATURE = "mature"
    """On the main chain with `MATURITY` confirmations."""
    ORPHANED = "orphaned"
    """Valid, but off the main chain. It may return."""
    REJECTED = "rejected"
    """Refused by a node. Should a chain connect it all the same, the chain is right."""
    UNKNOWN = "unknown"
    """No node knows it."""


ON_CHAIN = frozenset({BlockState.CONNECTED, BlockState.MATURE})
PENDING = frozenset({BlockState.FOUND, BlockState.SUBMITTED})

_FROM_CHAIN = ON_CHAIN | {BlockState.ORPHANED, BlockState.UNKNOWN}
_NEXT = {
    BlockState.FOUND: _FROM_CHAIN | {BlockState.SUBMITTED, BlockState.REJECTED},
    BlockState.SUBMITTED: _FROM_CHAIN | {BlockState.REJECTED},
    BlockState.CONNECTED: _FROM_CHAIN,
    BlockState.MATURE: _FROM_CHAIN,
    BlockState.ORPHANED: _FROM_CHAIN,
    BlockState.REJECTED: _FROM_CHAIN - {BlockState.UNKNOWN},
    BlockState.UNKNOWN: _FROM_CHAIN | {BlockState.SUBMITTED, BlockState.REJECTED},
}


class BlockStateError(ValueError):
    """A change of state that cannot be. The text names the block and why."""


@dataclass(frozen=True, slots=True)
class Block:
    """A found block."""

    block_hash: str
    """As displayed."""
    height: int
    round: int
    gateway: int
    party: str
    """The finder."""
    worker: str
    found_at: datetime
    state: BlockState
    confirmations: int
    """The present count, also of a block as it was: earlier ones are not kept."""
    reward: int
    """Satoshi that its coinbase pays to the pool."""
    state_at: datetime


def state_of(confirmations: int | None) -> BlockState:
    """The state behind a chain's answer: confirmations, -1 off the main chain, None when unknown."""
    if confirmations is None:
        return BlockState.UNKNOWN
    if confirmations >= MATURITY:
        return BlockState.MATURE
    return BlockState.CONNECTED if confirmations > 0 else BlockState.ORPHANED


def set_block_state(
    connection: Connection, block_hash: str, state: BlockState, confirmations: int, at: datetime
) -> bool:
    """Record what is known of a block at `at`; whether its state changed.

    Confirmations count only on the main chain. Raises `BlockStateError` for an unknown block, an impossible
    step, a state that contradicts the confirmations, or another state of a block that a final distribution
    has settled.
    """
    block = _known(connection, block_hash)
    count = confirmations if state in ON_CHAIN else 0
    if state in ON_CHAIN and state_of(count) is not state:
        raise BlockStateError(f"block {block_hash} cannot be {state} with {count} confirmations")
    changed = state != block.state
    if changed and state not in _NEXT[block.state]:
        raise BlockStateError(f"block {block_hash} is {block.state} and cannot become {state}")
    if changed and block.round <= settled_round(connection):
        raise BlockStateError(
            f"block {block_hash} was settled as {block.state} and is now {state}: a reorganisation beyond "
            f"{MATURITY} blocks is for people to decide"
        )
    values = {"confirmations": count} | ({"state": state, "state_at": at} if changed else {})
    if changed:
        note_state(connection, tables.block.name, block_hash, state, at)
    connection.execute(update(tables.block).where(tables.block.c.block_hash == block_hash).values(**values))
    return changed


def settled_round(connection: Connection) -> int:
    """The last round that a final distribution covers; 0 before the first."""
    table = tables.distribution
    return connection.scalar(select(func.max(table.c.last_round)).where(table.c.state == "final")) or 0


def open_blocks(connection: Connection) -> list[Block]:
    """The blocks whose fate is still to be followed, in order of their rounds."""
    table = tables.block
    query = _BLOCKS.where(table.c.round > settled_round(connection)).order_by(table.c.round)
    return [_block(row) for row in connection.execute(query)]


def recent_blocks(connection: Connection, limit: int, at: datetime | None = None) -> list[Block]:
    """The blocks of the last rounds, newest first; now, or as they were at an instant."""
    query = _BLOCKS.order_by(tables.block.c.round.desc()).limit(limit)
    return _blocks(connection, query, at)


def blocks_of(connection: Connection, rounds: Sequence[int], at: datetime | None = None) -> list[Block]:
    """The blocks that ended some rounds; now, or as they were at an instant."""
    return _blocks(connection, _BLOCKS.where(tables.block.c.round.in_(rounds)), at)


def _blocks(connection: Connection, query: Select[*tuple[Any, ...]], at: datetime | None) -> list[Block]:
    if at is None:
        return [_block(row) for row in connection.execute(query)]
    found = [_block(row) for row in connection.execute(query.where(tables.block.c.found_at <= at))]
    stood = states_at(connection, tables.block.name, [block.block_hash for block in found], at)
    return [
        replace(block, state=BlockState(then.state), state_at=then.since)
        for block in found
        if (then := stood.get(block.block_hash)) is not None
    ]


_BLOCKS = select(*(tables.block.c[field.name] for field in fields(Block)))


def _block(row: Row[Any]) -> Block:
    values = row._asdict()
    return Block(**values | {"state": BlockState(values["state"])})


def _known(connection: Connection, block_hash: str) -> Block:
    row = connection.execute(_BLOCKS.where(tables.block.c.block_hash == block_hash)).one_or_none()
    if row is None:
        raise BlockStateError(f"block {block_hash} is not known here")
    return _block(row)
