"""What only the rooms beyond the registers can tell of an entry: whether an address can be paid, a meter be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from embit.networks import NETWORKS

from tarazy.accounting.energy.profiles import known_profiles
from tarazy.accreditation.problems import Problem
from tarazy.accreditation.sheets import Line, RegisterImportError, TableFault
from tarazy.pool.templates import TemplateError, address_script


def require_usable(lines: Iterable[Line], chain: str) -> None:
    """Raise `RegisterImportError` for what only the rooms beyond the registers can tell.

    `chain`: that addresses are to belong to, as `address_script` names it.
    """
    if faults := list(_faults(lines, chain)):
        raise RegisterImportError(faults)


def _faults(lines: Iterable[Line], chain: str) -> Iterator[TableFault]:
    """Addresses of another chain, meters that nobody can read."""
    for line in lines:
        address = line.cells.get("address")
        if line.kind == "wallet" and isinstance(address, str) and not _belongs(address, chain):
            elsewhere = any(_belongs(address, other) for other in NETWORKS)
            told = {"address": address[:100], **({"chain": chain} if elsewhere else {})}
            problem = Problem("address-chain" if elsewhere else "address", **told)
            yield TableFault(line.source, problem, line.row, "address")
        if line.kind == "meter" and (profile := line.cells.get("profile")) not in known_profiles():
            known = ", ".join(known_profiles())
            named = Problem("profile", profile=str(profile)[:60], known=known)
            problem = named if profile else Problem("empty-one-of", words=known)
            yield TableFault(line.source, problem, line.row, "profile")


def _belongs(address: str, chain: str) -> bool:
    try:
        address_script(address, chain)
    except TemplateError:
        return False
    return True
