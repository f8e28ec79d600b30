"""How long licences last and may be suspended, by the rule in force on the day they were issued (law as data)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from enum import StrEnum

from dateutil.relativedelta import relativedelta

from tarazy.accreditation.entries import DocumentStatus, Licence
from tarazy.accreditation.problems import Problem
from tarazy.config.law import LawBook, MinerLicenceRule, NoRuleInForceError
from tarazy.config.law.calendar import day_start, legal_day


def end_of_term(issued_on: date, law: LawBook) -> datetime:
    """First instant at which a licence issued on that day no longer holds; raises `NoRuleInForceError`.

    A licence of 29 February ends with the 27th of its last year, the day before the anniversary's nearest day.
    """
    rule = law.rule(MinerLicenceRule, issued_on)
    return day_start(issued_on + relativedelta(years=rule.term_years))


def with_term(licence: Licence, law: LawBook) -> Licence:
    """The licence with the end that the law gives it, where it is in force and none is told."""
    if licence.status is not DocumentStatus.IN_FORCE or licence.valid_to is not None:
        return licence
    return replace(licence, valid_to=end_of_term(licence.issued_on, law))


class TermFault(StrEnum):
    """What in a licence is not as the law has it."""

    TOO_LONG = "too-long"
    SUSPENSION = "suspension"


def term_faults(licence: Licence, law: LawBook) -> Iterator[tuple[TermFault, MinerLicenceRule]]:
    """What in a licence is not as the rule in force on its day of issue has it; nothing where there is no rule."""
    try:
        rule = law.rule(MinerLicenceRule, licence.issued_on)
    except NoRuleInForceError:
        return
    end = end_of_term(licence.issued_on, law)
    if licence.status is DocumentStatus.IN_FORCE and licence.valid_to is not None and licence.valid_to > end:
        yield TermFault.TOO_LONG, rule
    if licence.status is not DocumentStatus.SUSPENDED:
        return
    since, until = legal_day(licence.valid_from), licence.valid_to
    earliest = day_start(since + relativedelta(months=rule.suspension_months_minimum))
    latest = day_start(since + relativedelta(months=rule.suspension_months_maximum, days=1))
    if until is None or not earliest <= until <= latest:
        yield TermFault.SUSPENSION, rule


def term_warnings(licence: Licence, law: LawBook) -> Iterator[Problem]:
    """What `term_faults` says. Facts are recorded all the same."""
    for fault, rule in term_faults(licence, law):
        source = {"act": rule.act, "article": str(rule.article)}
        known = "" if rule.confirmed else "-unconfirmed"
        if fault is TermFault.TOO_LONG:
            yield Problem(f"term-too-long{known}", years=rule.term_years, **source)
        else:
            least, most = rule.suspension_months_minimum, rule.suspension_months_maximum
            yield Problem(f"term-suspension{known}", least=least, most=most, **source)
