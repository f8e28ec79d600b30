"""Who pays, and whether anybody may. Whoever pays shows its token in every transaction: the newest alone is good."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, or_, select, update

from tarazy.accounting.payouts import tables
from tarazy.accounting.payouts.machine import PayoutError

FENCE_LOCK = 0x7061_796F_7574
"""PostgreSQL advisory lock that lets one transaction at a time change payouts."""


class FencedError(PayoutError):
    """Another payer has taken over."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether payments may go out, and what the latest check found."""

    stopped_why: str | None = None
    stopped_language: str | None = None
    stopped_at: datetime | None = None
    stopped_by: str | None = None
    checked_at: datetime | None = None
    difference: int | None = None


def take(connection: Connection, payer: str) -> int:
    """Take over the paying; the token to show from now on."""
    _lock(connection)
    row = connection.execute(select(tables.control)).first()
    if row is None:
        connection.execute(insert(tables.control).values(id=1, token=1, payer=payer))
        return 1
    connection.execute(update(tables.control).values(token=row.token + 1, payer=payer))
    return int(row.token) + 1


def require(connection: Connection, token: int) -> None:
    """Let this transaction alone change payouts. Raises `FencedError` when `token` is not the newest."""
    _lock(connection)
    row = connection.execute(select(tables.control)).one()
    if row.token != token:
        raise FencedError(f"{row.payer} has taken over the payouts; give the command again")


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({FENCE_LOCK})")


def standing(connection: Connection, at: datetime | None = None) -> Standing:
    """The switch and the latest check; of an instant `at`, the switch alone: what checks found is not kept."""
    table = tables.stop
    stopped = select(table).where(table.c.resumed_at.is_(None))
    if at is not None:
        lasted = or_(table.c.resumed_at.is_(None), table.c.resumed_at > at)
        stopped = select(table).where(table.c.stopped_at <= at, lasted)
    row = connection.execute(stopped.order_by(table.c.stop).limit(1)).first()
    checked = connection.execute(select(tables.control)).first() if at is None else None
    return Standing(
        stopped_why=row.why if row else None,
        stopped_language=row.language if row else None,
        stopped_at=row.stopped_at if row else None,
        stopped_by=row.stopped_by if row else None,
        checked_at=checked.checked_at if checked else None,
        difference=checked.difference if checked else None,
    )


def require_going(connection: Connection) -> None:
    """Raise `PayoutError` while payouts are stopped."""
    if why := standing(connection).stopped_why:
        raise PayoutError(f"payouts are stopped: {why}; when it is mended, `tarazy payout resume`")


def stop(connection: Connection, why: str, at: datetime, by: str, language: str | None = None) -> None:
    """Let nothing be prepared, signed or sent any more. The first reason stays; `language`: which it is written in."""
    if standing(connection).stopped_why is None:
        values = {"why": why, "language": language, "stopped_at": at, "stopped_by": by}
        connection.execute(insert(tables.stop).values(**values))


def resume(connection: Connection, at: datetime) -> None:
    """Let payments go out again."""
    table = tables.stop
    connection.execute(update(table).where(table.c.resumed_at.is_(None)).values(resumed_at=at))


def note_check(connection: Connection, difference: int, at: datetime) -> None:
    """Keep what a check found: satoshi that the wallet has over the books."""
    connection.execute(update(tables.control).values(checked_at=at, difference=difference))
