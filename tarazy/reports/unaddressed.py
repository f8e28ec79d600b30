"""Who is owed something and is paid to no address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tarazy.accounting.ledger import PAYABLE
from tarazy.accreditation.payout_addresses import coming_by_party
from tarazy.accreditation.snapshot import Registers


@dataclass(frozen=True, slots=True)
class Unaddressed:
    """A party that is owed something and has no approved payout address in force."""

    party: str
    payable: int
    begins: datetime | None
    """When an approved one begins."""


def unaddressed(registers: Registers, balances: Mapping[str, int]) -> list[Unaddressed]:
    """Those of the accounts in `balances`, in order of parties."""
    owed = {account.removeprefix(PAYABLE): sum_ for account, sum_ in balances.items() if account.startswith(PAYABLE)}
    coming = coming_by_party(registers)
    return [
        Unaddressed(party, payable, coming[party].valid_from if party in coming else None)
        for party, payable in sorted(owed.items())
        if payable and party not in registers.wallet_by_party
    ]
