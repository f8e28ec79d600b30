"""The states that things went through, each with its instant: their own rows tell the present one alone."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Column, Connection, Index, String, Table, func, insert, select

from tarazy.database.types import Instant, RowNumber, metadata

state_change = Table(
    "state_change",
    metadata,
    Column("change", RowNumber, primary_key=True, autoincrement=True),
    Column("thing", String(16), nullable=False, doc="which table the row is of"),
    Column("key", String(64), nullable=False, doc="of its row there"),
    Column("state", String(16), nullable=False),
    Column("at", Instant, nullable=False, doc="since when"),
    Index("ix_state_change_thing_key", "thing", "key", "change"),
)
"""Every state of blocks, payout batches and deliveries. Nothing here is changed or removed."""


class Stood(NamedTuple):
    """Where a thing stood, and since when."""

    state: str
    since: datetime


def note_state(connection: Connection, thing: str, key: str, state: str, at: datetime) -> None:
    """Keep that a thing is in a state since `at`."""
    connection.execute(insert(state_change).values(thing=thing, key=key, state=state, at=at))


def was_by(happened: datetime | None, instant: datetime) -> bool:
    """Whether something that has an instant of its own had happened by another."""
    return happened is not None and happened <= instant


def states_at(connection: Connection, thing: str, keys: Collection[str], instant: datetime) -> dict[str, Stood]:
    """Where each of `keys` stood at an instant; those that were not there yet are left out."""
    table = state_change
    query = select(table).where(table.c.thing == thing, table.c.key.in_(keys), table.c.at <= instant)
    return {row.key: Stood(row.state, row.at) for row in connection.execute(query.order_by(table.c.change))}


def counts_at(connection: Connection, thing: str, instant: datetime) -> dict[str, int]:
    """How many things stood in each state at an instant."""
    table = state_change
    newest = select(func.max(table.c.change)).where(table.c.thing == thing, table.c.at <= instant).group_by(table.c.key)
    query = select(table.c.state, func.count()).where(table.c.change.in_(newest)).group_by(table.c.state)
    return {row[0]: row[1] for row in connection.execute(query)}
