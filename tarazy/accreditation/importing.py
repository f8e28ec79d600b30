"""Registers out of spreadsheets: everything checked first, nothing half done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from tarazy.accreditation.bin import bin_layout_warning
from tarazy.accreditation.checking import COOLING, Recording, relation_faults
from tarazy.accreditation.entries import (
    ENTRY_TYPES,
    Entry,
    Licence,
    Party,
    PartyKind,
    Wallet,
    WalletStatus,
    content_of,
    fields_of,
)
from tarazy.accreditation.exporting import OF_THE_CORRECTION, shown
from tarazy.accreditation.fields import Field
from tarazy.accreditation.licence_terms import term_warnings, with_term
from tarazy.accreditation.payout_addresses import parties_with_address
from tarazy.accreditation.problems import Problem, problem_of
from tarazy.accreditation.registers import append_all, as_of
from tarazy.accreditation.sheets import Line, RegisterImportError, TableFault, Unreadable
from tarazy.accreditation.snapshot import Registers, standing, version_at
from tarazy.config.law import LawBook, NoRuleInForceError


@dataclass(frozen=True, slots=True)
class Change:
    """One row that an import records, and what it says otherwise than what is recorded."""

    line: Line
    entry: Entry
    before: Entry | None
    """The version it corrects, or that is in force when it begins; None where there is none."""

    @property
    def columns(self) -> dict[str, tuple[str, str]]:
        """Column → text before and after, of those that differ; all that are filled in a new entry."""
        old = shown(self.before) if self.before else {}
        return {
            name: (old.get(name, ""), text)
            for name, text in shown(self.entry).items()
            if old.get(name, "") != text and name not in OF_THE_CORRECTION
        }


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What an import is about to record; it may be looked at first."""

    changes: tuple[Change, ...]
    unchanged: dict[str, int]
    """Rows by register that are recorded already, word for word; they are left out."""
    warnings: tuple[TableFault, ...]

    @property
    def added(self) -> dict[str, int]:
        """Rows to record, by register."""
        return dict(Counter(change.entry.register for change in self.changes))


def plan_import(
    connection: Connection,
    lines: Sequence[Line],
    recorded_at: datetime,
    recorded_by: str,
    law: LawBook,
    *,
    why: str | None = None,
    cooling: timedelta = COOLING,
) -> ImportPlan:
    """What importing `lines`, of any registers and in any order, would record; nothing is recorded yet.

    A line that says word for word what a version already says is left out, so a file may be imported again.
    One that says something else from the same instant on corrects that version, for the reason it gives or `why`.
    An empty valid_from means `recorded_at`, for a payout address that is approved and not its party's first the end of
    its waiting time; an empty valid_to of a licence the end that the law gives it.
    Raises `RegisterImportError` with every fault found.
    """
    faults: list[TableFault] = []
    good: list[tuple[Line, Entry]] = []
    for line in lines:
        entry, found = _entry(line, recorded_at, law)
        faults += found
        if entry is not None:
            good.append((line, entry))
    registers = as_of(connection, recorded_at)
    owners = {entry.party for _, entry in good if isinstance(entry, Wallet)}
    with_address = parties_with_address(connection, owners)
    good = [(line, _begun(registers, with_address, line, entry, recorded_at, cooling)) for line, entry in good]
    told = [(line, entry) for line, entry in good if not _is_recorded(registers, line, entry, recorded_at)]
    new = [_change(registers, line, entry, why) for line, entry in told]
    named = [(line.kind, str(line.cells.get(line.kind))) for line in lines]
    recording = Recording(recorded_at, recorded_by, cooling)
    for fault in relation_faults(connection, [change.entry for change in new], recording, named):
        line = new[fault.index].line
        faults.append(TableFault(line.source, fault.problem, line.row, fault.column))
    if faults:
        place = {(line.source, line.row): number for number, line in enumerate(lines)}
        raise RegisterImportError(sorted(faults, key=lambda fault: place[fault.source, fault.row]))
    unchanged = Counter(entry.register for _, entry in good) - Counter(change.entry.register for change in new)
    return ImportPlan(tuple(new), dict(unchanged), tuple(_warnings(good, law)))


def import_registers(
    connection: Connection,
    lines: Sequence[Line],
    recorded_at: datetime,
    recorded_by: str,
    law: LawBook,
    *,
    why: str | None = None,
    cooling: timedelta = COOLING,
) -> ImportPlan:
    """Record `lines`, all or none, as `plan_import` says."""
    plan = plan_import(connection, lines, recorded_at, recorded_by, law, why=why, cooling=cooling)
    append_all(connection, [change.entry for change in plan.changes], recorded_at, recorded_by, cooling)
    return plan


def _entry(line: Line, recorded_at: datetime, law: LawBook) -> tuple[Entry | None, list[TableFault]]:
    values: dict[str, Any] = {"valid_from": recorded_at}
    faults = []
    for name, field in fields_of(line.kind).items():
        cell = line.cells.get(name)
        if cell is None or cell == "":
            if field.required:
                faults.append(TableFault(line.source, _empty(field), line.row, name))
            continue
        if isinstance(cell, Unreadable):
            faults.append(TableFault(line.source, cell.problem, line.row, name))
            continue
        try:
            values[name] = field.read(cell)
        except ValueError as error:
            faults.append(TableFault(line.source, problem_of(error), line.row, name))
    if faults:
        return None, faults
    entry = ENTRY_TYPES[line.kind](**values)
    try:
        return with_term(entry, law) if isinstance(entry, Licence) else entry, []
    except NoRuleInForceError:
        return None, [TableFault(line.source, Problem("term-unknown"), line.row, "valid_to")]


def _empty(field: Field) -> Problem:
    """What a cell that may not be empty wants."""
    if field.words:
        return Problem("empty-one-of", words=", ".join(field.words))
    return Problem("empty", example=field.example)


def _begun(
    registers: Registers,
    with_address: Collection[str],
    line: Line,
    entry: Entry,
    recorded_at: datetime,
    cooling: timedelta,
) -> Entry:
    """A proposed payout address that is approved without a day counts from the end of its waiting time.

    That of a party that is not among those `with_address` has nothing to wait for.
    """
    if not isinstance(entry, Wallet) or entry.status is not WalletStatus.APPROVED or line.cells.get("valid_from"):
        return entry
    if entry.party not in with_address:
        return entry
    versions = standing(registers.versions_of(entry.register, entry.key))
    if any(isinstance(row, Wallet) and row.status is WalletStatus.APPROVED for row in versions):
        return entry
    ends = [row.recorded_at + cooling for row in versions if row.recorded_at is not None]
    return replace(entry, valid_from=max(recorded_at, *ends)) if ends else entry


def _change(registers: Registers, line: Line, entry: Entry, why: str | None) -> Change:
    """`entry` in the place of the version that it names, or that begins when it does if there is a reason."""
    versions = standing(registers.versions_of(entry.register, entry.key))
    why = entry.why or why
    same = next((version for version in versions if version.valid_from == entry.valid_from), None)
    if same is not None and entry.corrects is None and why is not None:
        entry = replace(entry, corrects=same.entry, why=why)
    corrected = next((version for version in versions if version.entry == entry.corrects), None)
    return Change(line, entry, corrected or version_at(versions, entry.valid_from))


def _is_recorded(registers: Registers, line: Line, entry: Entry, recorded_at: datetime) -> bool:
    """Whether a version says what the line says; without an end, also one that was recorded without."""
    versions = registers.versions_of(entry.register, entry.key)
    told = [entry] if line.cells.get("valid_to") else [entry, replace(entry, valid_to=None)]
    if not line.cells.get("valid_from"):
        current = version_at(versions, recorded_at)
        return current is not None and any(_said(row) == _said(current, recorded_at) for row in told)
    if entry.corrects is not None:
        return any(content_of(row) == content_of(version) for row in told for version in versions)
    return any(_said(row) == _said(version) for row in told for version in versions)


def _said(entry: Entry, valid_from: datetime | None = None) -> dict[str, Any]:
    """What a version says of the world, begun at `valid_from` if that is given."""
    content = {name: value for name, value in content_of(entry).items() if name not in OF_THE_CORRECTION}
    return {**content, "valid_from": valid_from or entry.valid_from}


def _warnings(good: Iterable[tuple[Line, Entry]], law: LawBook) -> Iterable[TableFault]:
    for line, entry in good:
        if isinstance(entry, Licence):
            yield from (TableFault(line.source, text, line.row, "valid_to") for text in term_warnings(entry, law))
        if isinstance(entry, Party) and entry.kind is PartyKind.LEGAL:
            warning = bin_layout_warning(entry.bin)
            if warning:
                yield TableFault(line.source, warning, line.row, "bin")
