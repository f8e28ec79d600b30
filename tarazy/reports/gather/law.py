"""The legal rules a report rests on, and the topics for which none is entered."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from tarazy.config import law
from tarazy.config.law import LawBook, NoRuleInForceError
from tarazy.reports.content import MissingRule, Rule, RulesSection

_ADMISSION: tuple[type[law.Rule], ...] = (
    law.PoolAccreditationRule,
    law.MiningAdmissionRule,
    law.MinerLicenceRule,
)
_FEE: tuple[type[law.Rule], ...] = (law.DigitalMiningFeeRule, law.FeeDueRule)


def gather_rules(book: LawBook, day: date, quarter_end: date) -> RulesSection:
    """The rules on admission in force on `day`, and those on the fee in force on the quarter's last day."""
    return _rules([(kind, day) for kind in _ADMISSION] + [(kind, quarter_end) for kind in _FEE], book)


def admission_rules(book: LawBook, day: date) -> RulesSection:
    """The rules on admission in force on `day`."""
    return _rules([(kind, day) for kind in _ADMISSION], book)


def fee_rules(book: LawBook, quarter_end: date) -> RulesSection:
    """The rules on the fee in force on the quarter's last day."""
    return _rules([(kind, quarter_end) for kind in _FEE], book)


def _rules(wanted: Iterable[tuple[type[law.Rule], date]], book: LawBook) -> RulesSection:
    rules: list[Rule] = []
    missing: list[MissingRule] = []
    for kind, when in wanted:
        try:
            rules.append(rule_of(book.rule(kind, when)))
        except NoRuleInForceError as error:
            missing.append(missing_rule(error))
    return RulesSection(tuple(rules), tuple(missing))


def missing_rule(error: NoRuleInForceError) -> MissingRule:
    """The refusal as a plain value."""
    before, after = error.before, error.after
    return MissingRule(error.topic, error.day, before.id if before else None, after.id if after else None)


def rule_of(rule: law.Rule) -> Rule:
    """The rule as a plain value."""
    return Rule(
        id=rule.id,
        digest=rule.digest,
        topic=rule.topic,
        valid_from=rule.valid_from,
        valid_to=rule.valid_to,
        act=rule.act,
        article=rule.article,
        source=rule.source,
        confirmed=rule.confirmed,
        assumed=rule.assumed,
        note=rule.note,
    )
