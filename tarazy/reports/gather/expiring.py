"""The list of what ends in the days ahead: the same ends as `tarazy register expiring` shows, and those of quotas."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

from sqlalchemy import Connection

from tarazy.accreditation.entries import Document, Entry, Placement, Quota, Supply
from tarazy.accreditation.expiry import Expiry, expiries, quota_endings
from tarazy.accreditation.registers import as_of as registers_as_of
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law import LawBook
from tarazy.config.law.calendar import Period, legal_day
from tarazy.reports.coins import Days
from tarazy.reports.content import Pool
from tarazy.reports.expiring import ExpiringLine, ExpiringReport
from tarazy.reports.gather.coins import names_of, people
from tarazy.reports.gather.law import admission_rules
from tarazy.reports.gather.records import numbered
from tarazy.reports.gather.registers import audit_head

FORMAT = 1
"""Version of the list's JSON."""


def gather_expiring(
    connection: Connection, ahead_days: int, as_of: datetime, pool: Pool, book: LawBook, known_at: datetime
) -> ExpiringReport:
    """What holds at `as_of` (aware) and ends within `ahead_days` legal days, as known at `known_at`."""
    registers = registers_as_of(connection, as_of, known_at - datetime.resolution)
    today = legal_day(as_of)
    ahead = Period(today, today + timedelta(days=ahead_days))
    found = expiries(registers, quota_endings(registers), ahead_days)
    lines = tuple(_line(registers, each) for each in found)
    told = {line.party for line in lines}
    sites = {line.site for line in lines}
    cited: defaultdict[str, list[int]] = defaultdict(list)
    for line in lines:
        cited[line.register].append(line.entry)
    return ExpiringReport(
        kind="expiring",
        format=FORMAT,
        as_of=as_of,
        known_at=known_at,
        ahead_days=ahead_days,
        days=Days(str(ahead), ahead.first_day, ahead.last_day, as_of, ahead.end, complete=False),
        pool=pool,
        names=names_of(row for row in people(registers).values() if row.party in told),
        sites={key: row.name for key, row in registers.sites.items() if key in sites},
        lines=lines,
        rules=admission_rules(book, today),
        audit=audit_head(connection, known_at),
        source=tuple(numbered(register, numbers) for register, numbers in sorted(cited.items())),
    )


def _line(registers: Registers, expiry: Expiry) -> ExpiringLine:
    ending = expiry.ending
    entry = next(row for row in registers.versions_of(ending.register, ending.key) if row.entry == ending.entry)
    of = _entry_of(registers, entry) if isinstance(entry, Document) else entry
    site = getattr(of, "site", None)
    owner = registers.sites[site].party if site in registers.sites else None
    party = getattr(of, "party", None)
    return ExpiringLine(
        register=ending.register,
        key=ending.key,
        entry=entry.entry,
        party=party or owner,
        site=site,
        named=_named(entry),
        of_register=entry.of_register if isinstance(entry, Document) else None,
        of_key=entry.of_key if isinstance(entry, Document) else None,
        last_day=ending.last_day,
        days_left=expiry.days_left,
    )


def _entry_of(registers: Registers, document: Document) -> Entry | None:
    """The entry that a document belongs to."""
    return next(iter(registers.versions_of(document.of_register, document.of_key)), None)


def _named(entry: Entry) -> str | None:
    match entry:
        case Document():
            return entry.title if entry.number is None else f"{entry.title} № {entry.number}"
        case Placement() | Supply():
            return entry.contract
        case Quota():
            return entry.month
    return None
