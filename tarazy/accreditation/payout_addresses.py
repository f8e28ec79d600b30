"""Payout addresses of parties: whose next one is its first, and which are approved and have yet to begin."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select

from tarazy.accreditation.entries import Wallet, WalletStatus
from tarazy.accreditation.snapshot import Registers, standing
from tarazy.accreditation.tables import REGISTERS

_NAMED = 500
"""How many parties a query names."""


def parties_with_address(connection: Connection, parties: Collection[str]) -> set[str]:
    """Those of `parties` whose next payout address is another one: one of theirs was approved once.

    Whatever became of that approval, it is none for the next: what was only proposed never was anybody's address.
    """
    table = REGISTERS[Wallet.register]
    found: set[str] = set()
    named = sorted(parties)
    for start in range(0, len(named), _NAMED):
        some = table.c.party.in_(named[start : start + _NAMED])
        query = select(table.c.party).where(some, table.c.status == WalletStatus.APPROVED).distinct()
        found.update(connection.scalars(query))
    return found


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
