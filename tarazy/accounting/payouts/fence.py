"""Who pays, and whether anybody may. Whoever pays shows its token in every transaction: the newest alone is good."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from tarazy.accounting.payouts.machine import PayoutError
from tarazy.accounting.payouts.tables import control

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
    row = connection.execute(select(control)).first()
    if row is None:
        connection.execute(insert(control).values(id=1, token=1, payer=payer))
        return 1
    connection.execute(update(control).values(token=row.token + 1, payer=payer))
    return int(row.token) + 1


def require(connection: Connection, token: int) -> None:
    """Let this transaction alone change payouts. Raises `FencedError` when `token` is not the newest."""
    _lock(connection)
    row = connection.execute(select(control)).one()
    if row.token != token:
        raise FencedError(f"{row.payer} has taken over the payouts; give the command again")


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({FENCE_LOCK})")


def standing(connection: Connection) -> Standing:
    """The switch and the latest check."""
    row = connection.execute(select(control)).first()
    if row is None:
        return Standing()
    return Standing(
        row.stopped_why, row.stopped_language, row.stopped_at, row.stopped_by, row.checked_at, row.difference
    )


def require_going(connection: Connection) -> None:
    """Raise `PayoutError` while payouts are stopped."""
    if why := standing(connection).stopped_why:
        raise PayoutError(f"payouts are stopped: {why}; when it is mended, `tarazy payout resume`")


def stop(connection: Connection, why: str, at: datetime, by: str, language: str | None = None) -> None:
    """Let nothing be prepared, signed or sent any more. The first reason stays; `language`: which it is written in."""
    if standing(connection).stopped_why is None:
        values = {"stopped_why": why, "stopped_language": language, "stopped_at": at, "stopped_by": by}
        connection.execute(update(control).values(**values))


def resume(connection: Connection) -> None:
    """Let payments go out again."""
    connection.execute(
        update(control).values(stopped_why=None, stopped_language=None, stopped_at=None, stopped_by=None)
    )


def note_check(connection: Connection, difference: int, at: datetime) -> None:
    """Keep what a check found: satoshi that the wallet has over the books."""
    connection.execute(update(control).values(checked_at=at, difference=difference))
