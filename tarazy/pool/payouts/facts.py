"""What the registers say about payments: where each party is paid to, and whose are held."""

from __future__ import annotations

from tarazy.accounting.payouts.machine import Destination, LeftOut, PayoutError
from tarazy.accreditation.entries import DocumentStatus, Licence
from tarazy.accreditation.payout_addresses import coming_by_party
from tarazy.accreditation.problems import Problem
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law.calendar import ALMATY
from tarazy.pool.templates import TemplateError, address_script
from tarazy.reports.licence_holds import hold_reason


def require_party(registers: Registers, party: str) -> None:
    """Raise `PayoutError` unless the party is in force."""
    if party not in registers.parties:
        raise PayoutError(Problem("party-none", party=party))


def destinations(registers: Registers, chain: str) -> dict[str, Destination | LeftOut]:
    """Party → its payout address in force, or why that cannot be paid to on `chain`, or from when on there is one."""
    found: dict[str, Destination | LeftOut] = {
        party: LeftOut("address-later", instant=wallet.valid_from.astimezone(ALMATY).isoformat(timespec="seconds"))
        for party, wallet in coming_by_party(registers).items()
    }
    for party, wallet in registers.wallet_by_party.items():
        try:
            found[party] = Destination(wallet.address, address_script(wallet.address, chain))
        except TemplateError as error:
            found[party] = LeftOut("unpayable", why=str(error))
    return found


def licence_holds(registers: Registers) -> dict[str, str]:
    """Party → why its payments are to be held: a licence suspended or revoked, and none in force beside it."""
    found: dict[str, str] = {}
    licensed: set[str] = set()
    for licence in sorted(registers.in_force(Licence).values(), key=lambda row: row.entry):
        if licence.status is DocumentStatus.IN_FORCE:
            licensed.add(licence.party)
        else:
            found[licence.party] = hold_reason(licence)
    return {party: why for party, why in found.items() if party not in licensed}
