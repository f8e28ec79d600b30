"""The reserve of FPPS: what it holds, and how the operator funds it or draws from it. Satoshi."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from tarazy.accounting.ledger import FEE, IMMATURE_RESERVE, OWN, RESERVE, LedgerError, balance, post

SOURCES = {"own": OWN, "fee": FEE}
"""What of the pool's money may go into the reserve: what it paid into the wallet, or the fee it earned."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """The reserve as it stands."""

    final: int
    """Below zero: so much is owed to miners that no coin of the reserve stands for."""
    immature: int
    """What open rounds will add to it or take, as it looks now."""


def reserve(connection: Connection) -> Reserve:
    """What it holds."""
    return Reserve(balance(connection, RESERVE), balance(connection, IMMATURE_RESERVE))


def fund(connection: Connection, amount: int, source: str, why: str, at: datetime) -> None:
    """Move satoshi from one of `SOURCES` into the reserve. Raises `LedgerError` when it has not got them."""
    _move(connection, at, "reserve-deposit", why, SOURCES[source], RESERVE, amount)


def draw(connection: Connection, amount: int, why: str, at: datetime) -> None:
    """Move satoshi from the reserve to the pool's own money. Raises `LedgerError` when the reserve has not got them.

    What open rounds are going to take stays.
    """
    stands = reserve(connection)
    if amount > stands.final + min(0, stands.immature):
        raise LedgerError(
            f"the reserve has {stands.final} satoshi, and open rounds take {max(0, -stands.immature)} of them"
        )
    _move(connection, at, "reserve-withdrawal", why, RESERVE, OWN, amount)


def _move(connection: Connection, at: datetime, kind: str, why: str, source: str, target: str, amount: int) -> None:
    if amount <= 0 or amount > balance(connection, source):
        raise LedgerError(f"account {source} has {balance(connection, source)} satoshi, not {amount}; see `payout own`")
    post(connection, at, kind, target, why, {source: -amount, target: amount})
