"""What people read of cases: their warnings in words."""

from __future__ import annotations

from tarazy.accreditation.procedure.deadlines import HIGHER_BODY, Deadline
from tarazy.accreditation.procedure.warnings import CaseWarning
from tarazy.reports.language import day, text


def missing_text(lang: str, deadline: Deadline) -> str:
    """Why a term has no last day, in `lang`: what to enter, and when."""
    if deadline.missing == HIGHER_BODY:
        return text(lang, "cases.missing.higher_body")
    return text(lang, "cases.missing.field", field=deadline.missing, rule=deadline.rule.id, act=deadline.unread)


def warning_text(lang: str, warning: CaseWarning) -> str:
    """The warning as one line in `lang`; the fault of a law that has no rule is told in English."""
    due = "" if warning.due is None else day(lang, warning.due)
    words = text(lang, f"cases.warning.{warning.kind}", step=text(lang, f"cases.step.{warning.step}"), due=due)
    if warning.deadline is not None and warning.due is None:
        return f"{words}: {missing_text(lang, warning.deadline)}"
    return words if warning.fault is None else f"{words}: {warning.fault}"
