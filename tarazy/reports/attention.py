"""What waits for somebody, in words: findings, what ends soon, terms of cases."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from tarazy.accounting.ledger import balances
from tarazy.accreditation.entries import Finding, Severity
from tarazy.accreditation.expiry import THRESHOLDS, Ending, Expiry, expiries
from tarazy.accreditation.procedure.store import all_cases
from tarazy.accreditation.procedure.warnings import CaseWarning, open_warnings
from tarazy.accreditation.procedure.warnings import Severity as CaseSeverity
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law import LawBook
from tarazy.config.law.calendar import day_start, legal_day
from tarazy.config.law.working_days import WorkingDays
from tarazy.config.settings.reports import ScheduledReport
from tarazy.reports.cases import warning_text
from tarazy.reports.delivery import outbox
from tarazy.reports.delivery.outbox import Delivery, DeliveryState
from tarazy.reports.language import LANGUAGES, bitcoin, day, has, instant, number, text
from tarazy.reports.schedule import Progress, Standing, progress
from tarazy.reports.unaddressed import Unaddressed, unaddressed

_RATES = ((10**18, "EH/s"), (10**15, "PH/s"), (10**12, "TH/s"), (10**9, "GH/s"), (10**6, "MH/s"), (1, "H/s"))
_POWER_UNIT = {"kk": "кВт", "ru": "кВт", "en": "kW"}
_PERSON = re.compile(r"[0-9]{12}")
"""A BIN or IIN, which people write into the titles of documents (invariant 12)."""
_INSTANTS = frozenset({"since", "last", "before", "after", "until"})
"""Figures of evidence that are days or instants, ISO 8601."""
_SOON = THRESHOLDS[-1]
_PATIENCE = timedelta(hours=1)
"""How long building a report may take before it waits for somebody."""
_ORDER = list(Severity)
_CASE_SEVERITIES = {
    CaseSeverity.CRITICAL: Severity.SERIOUS,
    CaseSeverity.WARNING: Severity.WARNING,
    CaseSeverity.NOTE: Severity.INFO,
}


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that waits for somebody."""

    kind: str
    """`finding`, `ending`, `case`, `report`, `delivery` or `payment`."""
    key: str
    severity: Severity
    party: str | None
    site: str | None
    at: datetime | None
    """Since when a finding stands in this state; when what ends does; the end of a term's last day."""
    owner: str | None
    blocks: bool
    text: dict[str, str]
    """By language."""


def notices(
    registers: Registers,
    endings: Iterable[Expiry],
    warnings: Iterable[CaseWarning],
    reports: Iterable[Progress] = (),
    deliveries: Iterable[Delivery] = (),
    owed: Iterable[Unaddressed] = (),
) -> list[Notice]:
    """All of them, the most severe first, then the nearest in time. Of deliveries those that wait for a person."""
    today = legal_day(registers.valid_at)
    found = [
        *(_of_finding(row) for row in registers.findings.values() if row.is_open),
        *map(_of_ending, endings),
        *map(_of_case, warnings),
        *(notice for row in reports if (notice := _of_report(row, registers.valid_at, today))),
        *map(_of_delivery, deliveries),
        *(_of_payment(row) for row in owed if row.begins is None),
    ]
    return sorted(found, key=lambda row: (-_ORDER.index(row.severity), row.at is None, row.at, row.kind, row.key))


def finding_text(lang: str, finding: Finding) -> str:
    """What was found, with its figures, and what to do."""
    values = {name: _shown(lang, name, value) for name, value in finding.evidence.items()}
    of = {"key": finding.of_key, "party": finding.party or "", "site": finding.site or ""}
    of["over"] = text(lang, "attention.over", hours=values["hours"]) if "hours" in values else ""
    told = text(lang, f"attention.finding.{finding.kind}", **{**values, **of})
    return f"{told}: {text(lang, f'attention.cure.{finding.kind}')}"


def expiry_text(lang: str, expiry: Expiry) -> str:
    """What ends, on which day."""
    what = text(lang, f"attention.what.{expiry.ending.register}", key=expiry.ending.key)
    ends = day(lang, expiry.ending.last_day)
    return text(lang, "attention.ending", what=what, day=ends, days=expiry.days_left)


def _shown(lang: str, name: str, value: Any) -> str:
    if isinstance(value, list) and name == "titles":
        return ", ".join(_PERSON.sub("…", str(title)) for title in value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, int) and name.endswith("_hs"):
        size, unit = next((row for row in _RATES if value >= row[0]), _RATES[-1])
        return f"{number(lang, value // size)}\xa0{unit}"
    if isinstance(value, int) and name.endswith("_w"):
        return f"{number(lang, value // 1000)}\xa0{_POWER_UNIT[lang]}"
    if name == "status" and has(f"words.meter_status.{value}"):
        return text(lang, f"words.meter_status.{value}")
    if name in _INSTANTS and isinstance(value, str):
        return text(lang, "portal.meterlist.never") if value == "-" else _when(lang, value)
    return number(lang, value) if isinstance(value, int) else str(value)


def _when(lang: str, value: str) -> str:
    """A day, or an instant in Almaty's time; what is neither as it is."""
    try:
        if len(value) == len("2026-01-01"):
            return day(lang, date.fromisoformat(value))
        return instant(lang, datetime.fromisoformat(value))
    except ValueError:
        return value


def present_notices(
    connection: Connection,
    registers: Registers,
    law: LawBook,
    tokens: Iterable[Ending],
    schedule: Sequence[ScheduledReport] = (),
) -> list[Notice]:
    """Those of `registers.valid_at`, with `tokens` among what ends."""
    warnings = open_warnings(all_cases(connection), law, WorkingDays(law), legal_day(registers.valid_at))
    reports, _ = progress(connection, schedule, law, registers.valid_at)
    owed = unaddressed(registers, balances(connection))
    return notices(registers, expiries(registers, tokens), warnings, reports, outbox.waiting(connection), owed)


def _of_finding(finding: Finding) -> Notice:
    told = {lang: finding_text(lang, finding) for lang in LANGUAGES}
    whom = finding.party, finding.site
    return Notice(
        "finding", finding.finding, finding.severity, *whom, finding.valid_from, finding.owner, finding.blocks, told
    )


def _of_ending(expiry: Expiry) -> Notice:
    ending = expiry.ending
    severity = Severity.SERIOUS if expiry.days_left <= _SOON else Severity.WARNING
    told = {lang: expiry_text(lang, expiry) for lang in LANGUAGES}
    key = f"{ending.register}:{ending.key}"
    return Notice("ending", key, severity, ending.party, None, ending.ends_at, None, False, told)


def _of_case(warning: CaseWarning) -> Notice:
    told = {
        lang: f"{text(lang, 'attention.what.case', key=warning.case)}: {warning_text(lang, warning)}"
        for lang in LANGUAGES
    }
    due = None if warning.due is None else day_start(warning.due)
    return Notice("case", warning.case, _CASE_SEVERITIES[warning.severity], None, None, due, None, False, told)


def _of_report(row: Progress, now: datetime, today: date) -> Notice | None:
    """A report of the schedule that is near or overdue, or could not be built."""
    planned, standing = row.planned, row.standing(today)
    unbuilt = row.name is None and now >= planned.builds_at + _PATIENCE
    if standing is Standing.DONE or (standing is Standing.OPEN and not unbuilt):
        return None
    near = standing in (Standing.NEAR, Standing.OVERDUE)
    severity = Severity.SERIOUS if standing is Standing.OVERDUE else Severity.WARNING
    told = {}
    for lang in LANGUAGES:
        what = text(lang, f"words.report.{planned.kind}")
        last = day(lang, planned.due.day) if planned.due else ""
        how = text(lang, f"attention.report.state.{row.state}")
        told[lang] = text(
            lang,
            f"attention.report.{standing if near else 'late'}",
            what=what,
            period=str(planned.period),
            day=last,
            how=how,
        )
    ends = day_start(planned.due.day + timedelta(days=1)) if near and planned.due else None
    return Notice("report", f"{planned.kind} {planned.period}", severity, None, None, ends, None, False, told)


def _of_delivery(row: Delivery) -> Notice:
    """A delivery that waits for a person."""
    severity = Severity.INFO if row.state is DeliveryState.PROPOSED else Severity.SERIOUS
    why = {DeliveryState.SENT: "stuck", DeliveryState.RECEIVED: "twice"}.get(row.state, row.state)
    told = {}
    for lang in LANGUAGES:
        facts = {"what": text(lang, f"words.report.{row.kind}"), "period": row.period, "to": row.profile}
        told[lang] = text(lang, f"attention.delivery.{why}", number=str(row.number), **facts)
    return Notice("delivery", str(row.number), severity, None, None, row.state_at, None, False, told)


def _of_payment(row: Unaddressed) -> Notice:
    """Somebody whom nothing can be paid to."""
    told = {
        lang: text(lang, "attention.unaddressed", party=row.party, amount=bitcoin(lang, row.payable))
        for lang in LANGUAGES
    }
    return Notice("payment", row.party, Severity.WARNING, row.party, None, None, None, False, told)
