"""What a granted application enters in a register."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from tarazy.accreditation.entries import Certificate, DocumentStatus, Entry, Permit
from tarazy.accreditation.fields import MAXIMUM_TEXT
from tarazy.accreditation.procedure.case import Case
from tarazy.accreditation.procedure.events import Event, Granted, Kind, Registered, Value
from tarazy.accreditation.procedure.filing import ApplicationError
from tarazy.config.law.calendar import day_start
from tarazy.config.law.services import Service, StateServiceRule

_PERMIT_FIELDS = {"platform": "platform_name", "purpose": "purpose", "address": "activity_addresses"}
"""Column of the register of permits and the application's field that it is taken from."""


def issued_on(event: Event) -> date:
    """The day of issue of what `event` granted."""
    content = event.content
    return (content.issued_on if isinstance(content, Granted) else None) or event.day


def last_day(event: Event, rule: StateServiceRule) -> date | None:
    """The last day of what `event` granted: as it says, else by the rule; None where neither does."""
    content = event.content
    return (content.valid_to if isinstance(content, Granted) else None) or rule.last_valid_day(issued_on(event))


def entry_of(case: Case, event: Event, rule: StateServiceRule) -> Entry:
    """The entry that a grant makes: a permit, or the pool's certificate. It names the case.

    Raises `ApplicationError` when the application lacks what the register needs.
    """
    content = event.content
    if not isinstance(content, Granted):
        raise TypeError(f"event {event.number} grants nothing")
    last = last_day(event, rule)
    common: dict[str, Any] = {
        "issued_by": content.issued_by,
        "issued_on": issued_on(event),
        "status": DocumentStatus.IN_FORCE,
        "valid_from": day_start(issued_on(event)),
        "valid_to": None if last is None else day_start(last + timedelta(days=1)),
        "why": f"case {case.key}, event {event.number}: granted",
    }
    if case.service is not Service.SECURED_ASSET_PERMIT:
        return Certificate(certificate=content.number, register_entry=content.register_entry, **common)
    registered = case.course.content(Kind.REGISTERED, Registered)
    if case.party is None or registered is None:
        raise ApplicationError(f"case {case.key}: a permit is a party's, on a registered application")
    taken: dict[str, Any] = {column: _line(case.field(code, "ru")) for column, code in _PERMIT_FIELDS.items()}
    if lacking := [_PERMIT_FIELDS[column] for column, text in taken.items() if not text]:
        raise ApplicationError(
            f"the register of permits needs what the application lacks: {', '.join(lacking)}; correct its filing"
        )
    return Permit(permit=content.number, party=case.party, application=registered.number, **taken, **common)


def _line(value: Value | None) -> str:
    """A field's value as one line of the register."""
    if value is None or isinstance(value, str):
        text = value or ""
    else:
        text = "; ".join(", ".join(group.values()) for group in value)
    text = " ".join(text.split())
    return text if len(text) <= MAXIMUM_TEXT else text[: MAXIMUM_TEXT - 1] + "…"
