"""What the API does with the registers, on the database's side: reading, planning, recording, documents."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from tarazy.accounting.energy.profiles import known_profiles
from tarazy.accreditation import audit
from tarazy.accreditation.decisions import decisions_during
from tarazy.accreditation.documents import load, media_type_of, store
from tarazy.accreditation.entries import (
    BY_HAND,
    ENTRY_TYPES,
    Document,
    Entry,
    Equipment,
    Finding,
    Licence,
    Meter,
    Placement,
    Site,
    Wallet,
    fields_of,
)
from tarazy.accreditation.exporting import columns_of, differences, shown, to_csv, to_xlsx
from tarazy.accreditation.findings import dismiss, resolve, take
from tarazy.accreditation.importing import ImportPlan, import_registers, plan_import
from tarazy.accreditation.payout_addresses import approved_later, coming_by_party, parties_with_address
from tarazy.accreditation.places import Place, places
from tarazy.accreditation.problems import Problem
from tarazy.accreditation.registers import all_versions
from tarazy.accreditation.sheets import Line, RegisterImportError, TableFault
from tarazy.accreditation.snapshot import Registers, standing
from tarazy.accreditation.tables import lock_writers
from tarazy.config.law import LawBook
from tarazy.portal.guard import nothing
from tarazy.portal.shelf import Moment, Search, Shelf
from tarazy.portal.standing import Seat
from tarazy.reports.attention import finding_text
from tarazy.reports.language import LANGUAGES
from tarazy.reports.problems import problem_texts

MAXIMUM_ENTRIES = 10_000
"""Entries in one JSON body; a spreadsheet may hold more."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What recording goes by beside the registers themselves."""

    law: Callable[[], LawBook]
    """By the settings as they were read last."""
    cooling: timedelta
    """Waiting time of another payout address."""
    require_usable: Callable[[Sequence[Line]], None]
    """Raises `RegisterImportError` for what only other rooms can tell of lines."""


def plain(entry: Entry) -> dict[str, Any]:
    """An entry as JSON values: instants in UTC, days, integers, lists."""
    names = (*ENTRY_TYPES[entry.register].__dataclass_fields__,)
    return {name: _plain(getattr(entry, name)) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else list(value) if isinstance(value, tuple) else value


def columns(kind: str) -> list[dict[str, Any]]:
    """The columns of a register's table and what each expects, as JSON values; profiles are the known ones."""
    told = [asdict(column) for column in columns_of(kind)]
    for column in told:
        if (kind, column["name"]) == (Meter.register, "profile"):
            column["words"] = known_profiles()
    return told


def history(connection: Connection, kind: str, key: str, moment: Moment) -> list[Entry]:
    """Every version of an entry that was known, the earliest recorded first."""
    return all_versions(connection, kind, moment.known_at, [key]).get(key, [])[::-1]


def told_history(versions: Sequence[Entry]) -> list[dict[str, Any]]:
    """Versions of an entry as JSON values, each with what it says otherwise than before, and which corrects it."""
    corrected = {row.corrects: row.entry for row in versions if row.corrects}
    return [
        {**plain(row), "corrected_by": corrected.get(row.entry), "changes": _columns(differences(versions, row))}
        for row in versions
    ]


def closing_lines(connection: Connection, kind: str, key: str, end: datetime, why: str) -> list[Line]:
    """Lines by which nothing of an entry holds from `end` on: its standing versions end then or are taken back.

    What was recorded after the first of them is recorded again in its order, so that it still covers what it covered.
    Raises `Fault` when nothing of the entry lasts so long.
    """
    recorded = reversed(standing(all_versions(connection, kind, keys=[key]).get(key, [])))
    versions = [row for row in recorded if row.valid_to != row.valid_from]
    first = next((at for at, row in enumerate(versions) if row.valid_to is None or row.valid_to > end), None)
    if first is None:
        raise nothing(f"nothing of {kind} {key} holds at {end.isoformat()} or later; see its history")
    return [_ended(row, end, why) for row in versions[first:]]


def _ended(row: Entry, end: datetime, why: str) -> Line:
    until = max(row.valid_from, end if row.valid_to is None else min(row.valid_to, end))
    cells = {**shown(row), "valid_to": until.isoformat(), "corrects": str(row.entry), "why": why}
    return Line("close", None, row.register, dict(cells))


def exported(shelf: Shelf, kinds: Sequence[str], form: str, moment: Moment) -> bytes:
    """Registers as a spreadsheet that can be imported: `csv`, of one register, or `xlsx`."""
    held = {kind: shelf.find(kind, moment, Search()) for kind in kinds}
    if form == "xlsx":
        return to_xlsx(held)
    return to_csv(kinds[0], held[kinds[0]]).encode()


def record(
    connection: Connection, lines: Sequence[Line], rules: Rules, now: datetime, by: str, why: str | None, *, dry: bool
) -> dict[str, Any]:
    """Record lines, all or none, or only say what that would change. Raises `RegisterImportError`."""
    rules.require_usable(lines)
    act = plan_import if dry else import_registers
    plan = act(connection, lines, now, by, rules.law(), why=why, cooling=rules.cooling)
    return {"recorded": not dry, **_told(plan)}


def _told(plan: ImportPlan) -> dict[str, Any]:
    changes = [
        {
            "register": change.entry.register,
            "key": change.entry.key,
            "corrects": change.entry.corrects,
            "columns": _columns(change.columns),
        }
        for change in plan.changes
    ]
    warnings = [_fault(warning) for warning in plan.warnings]
    return {"added": plan.added, "unchanged": plan.unchanged, "changes": changes, "warnings": warnings}


def _columns(changed: Mapping[str, tuple[str, str]]) -> dict[str, dict[str, str]]:
    return {name: {"before": before, "after": after} for name, (before, after) in changed.items()}


def _fault(fault: TableFault) -> dict[str, Any]:
    told = {"where": fault.source, "row": fault.row, "column": fault.column, "problem": fault.problem}
    return {**told, "text": problem_texts(fault.problem)}


def faults_of(error: RegisterImportError) -> list[dict[str, Any]]:
    """What is wrong with lines, where, and the cure."""
    return [_fault(fault) for fault in error.faults]


def lines_of(kind: str, body: object) -> list[Line]:
    """The entries of a JSON body `{"entries": [{column: value, …}, …]}`. Raises `RegisterImportError`."""
    if kind not in BY_HAND:
        raise RegisterImportError([TableFault("body", Problem("by-server", register=kind))])
    entries = body.get("entries") if isinstance(body, dict) else None
    if not isinstance(entries, list) or not entries or len(entries) > MAXIMUM_ENTRIES:
        problem = Problem("body-shape", limit=MAXIMUM_ENTRIES)
        raise RegisterImportError([TableFault("body", problem)])
    faults = list(_shape_faults(kind, entries))
    if faults:
        raise RegisterImportError(faults)
    return [Line("entries", number, kind, dict(entry)) for number, entry in enumerate(entries)]


def _shape_faults(kind: str, entries: Sequence[object]) -> Iterator[TableFault]:
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            yield TableFault("entries", Problem("entry-shape"), number)
            continue
        for name, value in entry.items():
            if name not in fields_of(kind):
                yield TableFault("entries", Problem("column-none"), number, str(name)[:60])
            elif not isinstance(value, str | int | None) and not _texts(value):
                yield TableFault("entries", Problem("cell-shape"), number, name)


def _texts(value: object) -> bool:
    return isinstance(value, list) and len(value) <= 1_000 and all(isinstance(part, str) for part in value)


def attach(
    connection: Connection, content: bytes, cells: Mapping[str, str | None], rules: Rules, now: datetime, by: str
) -> dict[str, Any]:
    """Keep a file and attach it to an entry. Raises `DocumentError`, `RegisterImportError`."""
    digest = store(connection, content, now)
    kind = cells["of_register"]
    name = cells.get("document") or f"{kind}-{digest[:12]}"
    facts: dict[str, Any] = {
        "document": name,
        "digest": digest,
        "media_type": media_type_of(content),
        "size": len(content),
    }
    line = Line("document", None, "document", {**cells, **facts})
    plan = import_registers(connection, [line], now, by, rules.law())
    return {"recorded": True, "document": name, "digest": digest, **_told(plan)}


def fetched(connection: Connection, key: str) -> tuple[Document, bytes]:
    """A document and its file. Raises `Fault`, `DocumentError`."""
    versions = all_versions(connection, "document", keys=[key]).get(key, [])
    if not versions or not isinstance(newest := versions[0], Document):
        raise nothing(f"there is no document {key}")
    try:
        return newest, load(connection, newest.digest)
    except LookupError as error:
        raise nothing(error) from None


def told_finding(row: Entry) -> dict[str, Any]:
    """A finding as JSON values, and what it says in each language."""
    assert isinstance(row, Finding), "only findings are told so"
    return {**plain(row), "text": {lang: finding_text(lang, row) for lang in LANGUAGES}}


def move(connection: Connection, act: str, key: str, owner: str | None, why: str | None, by: str) -> dict[str, Any]:
    """Do `act` (take, resolve or dismiss) with a finding, as soon as nobody else writes. Raises `FindingError`."""
    lock_writers(connection)
    now = datetime.now(UTC)
    if act == "take":
        return plain(take(connection, key, owner or by, now, by, why))
    return plain((resolve if act == "resolve" else dismiss)(connection, key, now, by, why or ""))


def admissions(
    connection: Connection, since: datetime, until: datetime, party: str | None, outcome: str | None
) -> list[dict[str, Any]]:
    """Who was let in and who turned away by the audit log, equal decisions together, the latest last."""
    found = decisions_during(connection, since, until)
    chosen = (row for row in found if party in (None, row.party) and outcome in (None, row.kind))
    return [row.plain() for row in sorted(chosen, key=lambda row: row.last)]


def admissible(shelf: Shelf, moment: Moment, seat: Seat) -> list[Place]:
    """Who might mine, where and on which machines, by the registers."""
    return places(shelf.registers(moment), seat.server, seat.country)


def tell_approved(wallets: Iterable[dict[str, Any]], registers: Registers) -> None:
    """Add to payout addresses in force from when on each is approved, where that lies ahead."""
    begins = {row.wallet: row.valid_from for row in approved_later(registers)}
    for each in wallets:
        each["approved_from"] = begins.get(each["wallet"])


def payout_addresses(
    connection: Connection, shelf: Shelf, party: str | None, rules: Rules, now: datetime
) -> dict[str, Any]:
    """How many parties are paid to an address, from when on the next is, and whether an address would be the first."""
    registers = shelf.registers(Moment(now, None))
    asked = registers.parties if party is None else (party,)
    coming = coming_by_party(registers)
    return {
        "counting": sum(each in registers.wallet_by_party for each in asked),
        "begins": min((coming[each].valid_from for each in asked if each in coming), default=None),
        "first": not parties_with_address(connection, asked),
        "waiting_hours": int(rules.cooling / timedelta(hours=1)),
    }


def own(connection: Connection, shelf: Shelf, party: str, now: datetime) -> dict[str, Any]:
    """What a miner may see of the registers: its own party, and what stands in its name."""
    registers = shelf.registers(Moment(now, None))
    known = registers.parties.get(party)
    kinds: tuple[type[Entry], ...] = (Licence, Site, Placement, Equipment, Wallet)
    return {
        "party": plain(known) if known else None,
        **{f"{kind.register}s": _of_party(registers, kind, party) for kind in kinds},
        "coming_wallet": plain(coming) if (coming := coming_by_party(registers).get(party)) else None,
        "admissions": _admissions(connection, party),
    }


def _of_party(registers: Registers, kind: type[Entry], party: str) -> list[dict[str, Any]]:
    return [plain(row) for row in registers.in_force(kind).values() if getattr(row, "party", None) == party]


_ADMISSIONS = 100


def _admissions(connection: Connection, party: str) -> list[dict[str, Any]]:
    """The latest decisions about the party, the newest first."""
    found = []
    for kind in ("admitted", "refused"):
        for row in audit.events_of(connection, kind=kind, party=party, last=_ADMISSIONS):
            body = json.loads(row.body)
            names = ("worker", "peer", "site", "reasons", "text", "count", "first", "last")
            found.append({"decision": kind, **{name: body.get(name) for name in names}})
    return sorted(found, key=lambda row: str(row["last"]), reverse=True)[:_ADMISSIONS]
