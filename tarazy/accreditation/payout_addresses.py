"""Payout addresses of parties: whose next one is its first, and which are approved and have yet to begin."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, select

from tarazy.accreditation.entries import Wallet, WalletStatus
from tarazy.accreditation.snapshot import Registers, standing
from tarazy.accreditation.tables import REGISTERS

_NAMED = 500
"""How many parties a query names."""


def parties_with_address(connection: Connection, parties: Collection[str]) -> set[str]:
    """Those of `parties` whose next payout address is another one: an approved one counts, once counted or is to count.

    One that was only proposed, or was taken back before it began, never was anybody's address.
    """
    table = REGISTERS[Wallet.register]
    histories: dict[str, list[Any]] = defaultdict(list)
    named = sorted(parties)
    for start in range(0, len(named), _NAMED):
        query = select(table).where(table.c.party.in_(named[start : start + _NAMED])).order_by(table.c.entry)
        for row in connection.execute(query):
            histories[row.wallet].append(row)
    return {rows[0].party for rows in histories.values() if any(_counts(rows, at) for at in range(len(rows)))}


def _counts(rows: Sequence[Any], at: int) -> bool:
    """Whether this version of a wallet approves it, and none that was recorded before it began undid it."""
    row = rows[at]
    if row.status != WalletStatus.APPROVED or row.valid_to == row.valid_from:
        return False
    in_time = (later for later in rows[at + 1 :] if later.recorded_at < row.valid_from)
    return not any(later.corrects == row.entry or _covers(later, row) for later in in_time)


def _covers(later: Any, row: Any) -> bool:
    """Whether a later version holds when the other begins."""
    return later.valid_from <= row.valid_from and (later.valid_to is None or later.valid_to > row.valid_from)


def approved_later(registers: Registers) -> list[Wallet]:
    """Approved payout addresses that have yet to begin, the one that begins first before the others."""
    newest = (next(iter(standing(versions)), None) for versions in registers.histories(Wallet.register).values())
    found = [
        row
        for row in newest
        if isinstance(row, Wallet)
        and row.status is WalletStatus.APPROVED
        and row.valid_from > registers.valid_at
        and row.valid_to != row.valid_from
    ]
    return sorted(found, key=lambda row: (row.valid_from, row.entry))


def coming_by_party(registers: Registers) -> dict[str, Wallet]:
    """The first of each party's approved payout addresses that have yet to begin."""
    return {row.party: row for row in reversed(approved_later(registers))}
