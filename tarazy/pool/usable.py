"""What only the rooms beyond the registers can tell of an entry: whether an address can be paid, a meter be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tarazy.accounting.energy.profiles import known_profiles
from tarazy.accreditation.problems import Problem
from tarazy.accreditation.sheets import Line, RegisterImportError, TableFault
from tarazy.pool.templates import TemplateError, address_script


def require_usable(lines: Iterable[Line]) -> None:
    """Raise `RegisterImportError` for what only the rooms beyond the registers can tell."""
    if faults := list(_faults(lines)):
        raise RegisterImportError(faults)


def _faults(lines: Iterable[Line]) -> Iterator[TableFault]:
    """Addresses of another chain, meters that nobody can read."""
    for line in lines:
        if line.kind == "wallet" and isinstance(address := line.cells.get("address"), str):
            try:
                address_script(address)
            except TemplateError:
                yield TableFault(line.source, Problem("address", address=address[:100]), line.row, "address")
        if line.kind == "meter" and (profile := line.cells.get("profile")) not in known_profiles():
            problem = Problem("profile", profile=str(profile)[:60], known=", ".join(known_profiles()))
            yield TableFault(line.source, problem, line.row, "profile")
