"""Payments kept back, each until somebody decides. Each function is part of one transaction of its caller."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, and_, insert, or_, select, update

from tarazy.accounting.payouts import tables
from tarazy.accounting.payouts.machine import PayoutError


class Hold(NamedTuple):
    """A hold in force."""

    since: datetime
    party: str
    why: str
    language: str | None
    """Which the reason is written in; None where nobody said."""


def holds(connection: Connection, at: datetime | None = None) -> list[Hold]:
    """The holds in force, at an instant or now, in order of parties."""
    table = tables.hold
    query = select(table).where(table.c.released_at.is_(None))
    if at is not None:
        query = select(table).where(table.c.held_at <= at, or_(table.c.released_at.is_(None), table.c.released_at > at))
    query = query.order_by(table.c.party, table.c.hold)
    return [Hold(row.held_at, row.party, row.why, row.language) for row in connection.execute(query)]


def keep_held(connection: Connection, reasons: Mapping[str, str], at: datetime, by: str) -> list[str]:
    """Hold each party for its reason, once: what was released is not held again for the same. The newly held."""
    table = tables.hold
    new = []
    for party, why in sorted(reasons.items()):
        known = select(table.c.hold).where(table.c.party == party, table.c.why == why).limit(1)
        if connection.execute(known).first() is None:
            connection.execute(insert(table).values(party=party, why=why, language="en", held_at=at, held_by=by))
            new.append(party)
    return new


def hold(connection: Connection, party: str, why: str, at: datetime, by: str, language: str | None = None) -> None:
    """Hold a party's payments by a decision. `language`: which the reason is written in.

    Raises `PayoutError` when they are held for that already.
    """
    table = tables.hold
    same = select(table.c.hold).where(table.c.party == party, table.c.why == why, table.c.released_at.is_(None))
    if connection.execute(same).first() is not None:
        raise PayoutError(f"{party} is held for that already")
    connection.execute(insert(table).values(party=party, why=why, language=language, held_at=at, held_by=by))


def release(connection: Connection, party: str, why: str, at: datetime, by: str) -> int:
    """End every hold of a party by a decision; how many. Raises `PayoutError` when there is none."""
    table = tables.hold
    values = {"released_at": at, "released_by": by, "released_why": why}
    of = and_(table.c.party == party, table.c.released_at.is_(None))
    ended = connection.execute(update(table).where(of).values(**values)).rowcount
    if not ended:
        raise PayoutError(f"no payments of {party} are held")
    return int(ended)
