"""What the statement, the report on sales and the record of distributed assets share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime

from tarazy.accounting.assets.values import RecordedValue, Valued
from tarazy.accreditation.entries import Licence, Party
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law import AssetValuationRule, LawBook, NoRuleInForceError
from tarazy.config.law.calendar import Period
from tarazy.reports.coins import Days, Person, ValueSource
from tarazy.reports.content import MissingRule, Rule, RulesSection
from tarazy.reports.gather.law import missing_rule, rule_of

Names = Mapping[str, Mapping[str, str]]
PEOPLE = (Party.register, Licence.register)
"""The registers that `people` and `person_of` read."""


def days_of(period: Period, as_of: datetime) -> Days:
    """The period up to the report's moment."""
    return Days(
        name=str(period),
        first_day=period.first_day,
        last_day=period.last_day,
        start=period.start,
        end=min(period.end, as_of),
        complete=period.end <= as_of,
    )


def people(registers: Registers) -> dict[str, Party]:
    """Every party ever registered, former ones by their last entry."""
    return {party.party: party for party in registers.latest(Party)}


def names_of(parties: Iterable[Party]) -> dict[str, dict[str, str]]:
    """Names in each language by party."""
    return {party.party: name_of(party) for party in parties}


def name_of(party: Party) -> dict[str, str]:
    """A party's name in each language."""
    return {"kk": party.name_kk, "ru": party.name_ru, "en": party.name_en}


def licence_of(registers: Registers, party: str) -> Licence | None:
    """The party's licence that holds at the registers' instant; else the one issued last."""
    licences = sorted(registers.licences_by_party.get(party, ()), key=lambda row: (row.issued_on, row.entry))
    holding = [row for row in licences if row.holds(registers.valid_at)]
    return next(reversed(holding or licences), None)


def person_of(registers: Registers, party: Party) -> Person:
    """A party with its licence."""
    licence = licence_of(registers, party.party)
    return Person(party.party, party.bin, licence.licence if licence else None, licence.issued_on if licence else None)


def valuation_rules(book: LawBook, days: Iterable[date]) -> RulesSection:
    """The rules on valuation in force on `days`, and the gaps between them, each told once."""
    rules: dict[str, Rule] = {}
    missing: dict[tuple[str | None, str | None], MissingRule] = {}
    for day in sorted(set(days)):
        try:
            rule = book.rule(AssetValuationRule, day)
        except NoRuleInForceError as error:
            gap = missing_rule(error)
            missing.setdefault((gap.before, gap.after), gap)
        else:
            rules[rule.id] = rule_of(rule)
    return RulesSection(tuple(rules.values()), tuple(missing.values()))


def files_used(valued: Iterable[Valued]) -> tuple[ValueSource, ...]:
    """The published files that values came from, in order of import."""
    used: list[RecordedValue] = [each.recorded for each in valued if each.recorded is not None]
    files = {(each.imported_at, each.file.digest): each for each in used}
    return tuple(
        ValueSource(each.file.name, each.file.digest, each.file.source, each.imported_at)
        for _, each in sorted(files.items())
    )
