"""What the registers say about payments: where each party is paid to, and whose are held."""

from __future__ import annotations

from datetime import datetime

from tarazy.accounting.payouts.machine import Destination, LeftOut, PayoutError
from tarazy.accreditation.entries import DocumentStatus, Licence, Wallet, WalletStatus
from tarazy.accreditation.snapshot import Registers, standing
from tarazy.config.law.calendar import ALMATY
from tarazy.pool.templates import TemplateError, address_script


def require_party(registers: Registers, party: str) -> None:
    """Raise `PayoutError` unless the party is in force."""
    if party not in registers.parties:
        raise PayoutError(f"{party} is in no register of parties; give the key of one that is")


def destinations(registers: Registers, chain: str) -> dict[str, Destination | LeftOut]:
    """Party → its payout address in force, or why that cannot be paid to on `chain`, or from when on there is one."""
    found: dict[str, Destination | LeftOut] = {
        party: LeftOut("address-later", instant=begins.astimezone(ALMATY).isoformat(timespec="seconds"))
        for party, begins in _later(registers).items()
    }
    for party, wallet in registers.wallet_by_party.items():
        try:
            found[party] = Destination(wallet.address, address_script(wallet.address, chain))
        except TemplateError as error:
            found[party] = LeftOut("unpayable", why=str(error))
    return found


def _later(registers: Registers) -> dict[str, datetime]:
    """Party → when the first of its approved addresses that do not count yet begins to."""
    found: dict[str, datetime] = {}
    for versions in registers.histories(Wallet.register).values():
        row = next(iter(standing(versions)), None)
        if isinstance(row, Wallet) and row.status is WalletStatus.APPROVED and row.valid_from > registers.valid_at:
            found[row.party] = min(row.valid_from, found.get(row.party, row.valid_from))
    return found


def licence_holds(registers: Registers) -> dict[str, str]:
    """Party → why its payments are to be held: a licence suspended or revoked, and none in force beside it."""
    found: dict[str, str] = {}
    licensed: set[str] = set()
    for licence in sorted(registers.in_force(Licence).values(), key=lambda row: row.entry):
        if licence.status is DocumentStatus.IN_FORCE:
            licensed.add(licence.party)
        else:
            day = f"{licence.valid_from:%Y-%m-%d}"
            found[licence.party] = f"licence {licence.licence} is {licence.status} since {day}"
    return {party: why for party, why in found.items() if party not in licensed}
