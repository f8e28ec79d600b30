"""The record of distributed assets: one row for each miner, legal day and asset, from final distributions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from sqlalchemy import Connection

from tarazy.accounting.assets.issued import versions
from tarazy.accounting.assets.values import BITCOIN, Valued, values_on
from tarazy.accounting.history import finalised
from tarazy.accreditation.entries import Wallet
from tarazy.accreditation.registers import as_of as registers_as_of
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law import DistributionReportRule, LawBook, NoRuleInForceError
from tarazy.config.law.calendar import Period, legal_day
from tarazy.config.law.working_days import WorkingDays
from tarazy.reports.coins import Corrected, Days, DistributedRecord, DistributedRow, FormColumn
from tarazy.reports.content import Pool, RulesSection
from tarazy.reports.gather.coins import PEOPLE, days_of, licence_of, name_of, names_of, people, valuation_rules
from tarazy.reports.gather.law import rule_of
from tarazy.reports.gather.records import numbered
from tarazy.reports.gather.registers import audit_head
from tarazy.reports.gather.statement import StatementError

FORMAT = 2
"""Version of the record's JSON."""


def gather_distributed(
    connection: Connection, period: Period, as_of: datetime, pool: Pool, book: LawBook, why: str | None
) -> DistributedRecord:
    """The record of `period` up to `as_of` (aware), as known then.

    It is the version issued as of that moment, or the next one: then `why` says why it corrects the one before.
    Raises `StatementError` without a rule on the form, or for another version without a reason.
    """
    known_at = as_of - datetime.resolution
    try:
        rule = book.rule(DistributionReportRule, period.last_day)
    except NoRuleInForceError as error:
        raise StatementError(str(error)) from None
    days = days_of(period, as_of)
    version, corrects = _version(connection, period, days, as_of, why)
    registers = registers_as_of(connection, as_of, known_at, (*PEOPLE, Wallet.register))
    given = _given(connection, days)
    dates = {day for day, _ in given}
    receivers = {party for _, party in given}
    valued = values_on(connection, book, WorkingDays(book), dates, known_at)
    rules = valuation_rules(book, dates)
    return DistributedRecord(
        kind="distributed",
        format=FORMAT,
        as_of=as_of,
        version=version,
        corrects=corrects,
        days=days,
        pool=pool,
        names=names_of(row for row in people(registers).values() if row.party in receivers),
        columns=tuple(FormColumn(column.heading, column.holds) for column in rule.fields or ()),
        columns_complete=rule.fields_complete,
        rows=_rows(registers, given, valued),
        rules=RulesSection((rule_of(rule), *rules.rules), rules.missing),
        audit=audit_head(connection, as_of),
        source=(
            numbered("distribution", {number for each in given.values() for number in each.distributions}),
            numbered("asset_value", (each.recorded.entry for each in valued.values() if each.recorded)),
        ),
    )


@dataclass(slots=True)
class _Given:
    """What became a party's own on one legal day: satoshi, and the distributions that they are of."""

    last_at: datetime
    quantity: int = 0
    fee: int = 0
    distributions: list[int] = field(default_factory=list)


def _given(connection: Connection, days: Days) -> dict[tuple[date, str], _Given]:
    """By legal day and party, added up credit by credit."""
    given: dict[tuple[date, str], _Given] = {}
    number = 0  # one object for all credits of a distribution: there are millions
    for credit in finalised(connection, days.start, days.end):
        number = number if number == credit.distribution else credit.distribution
        if credit.amount and credit.final_at is not None:
            key = legal_day(credit.final_at), credit.party
            had = given.setdefault(key, _Given(credit.final_at))
            had.last_at = max(had.last_at, credit.final_at)
            had.quantity += credit.amount
            had.fee += credit.fee
            had.distributions.append(number)
    return given


def _version(
    connection: Connection, period: Period, days: Days, as_of: datetime, why: str | None
) -> tuple[int, Corrected | None]:
    issued = versions(connection, period.start, period.end)
    number = next((each.version for each in issued if each.as_of == as_of), len(issued) + 1)
    if number > 1:
        before = issued[number - 2]
        reason = issued[number - 1].why if number <= len(issued) else why
        if as_of < before.as_of:
            raise StatementError(
                f"version {before.version} of {days.name} speaks of {before.as_of.isoformat()}, a later moment; "
                "build a correction as of now"
            )
        if not reason:
            raise StatementError(
                f"version {before.version} of {days.name} was issued as of {before.as_of.isoformat()}; build it again "
                "with that --as-of, or say with --why what the next version corrects"
            )
        return number, Corrected(before.version, before.as_of, before.digest, reason)
    return 1, None


def _rows(
    registers: Registers, given: Mapping[tuple[date, str], _Given], valued: Mapping[date, Valued]
) -> tuple[DistributedRow, ...]:
    """In order of days and parties' numbers; what the registers say is as of the day's last distribution."""
    registered = people(registers)
    then = registers
    rows = []
    for number, ((day, key), had) in enumerate(sorted(given.items()), 1):
        if had.last_at != then.valid_at:
            then = then.at(had.last_at)
        party = then.parties.get(key) or registered.get(key)
        licence, wallet = licence_of(then, key), then.wallet_by_party.get(key)
        value = valued[day]
        rows.append(
            DistributedRow(
                number=number,
                party=key,
                bin=party.bin if party else None,
                name=name_of(party) if party else dict.fromkeys(("kk", "ru", "en"), key),
                licence=licence.licence if licence else None,
                licence_issued_on=licence.issued_on if licence else None,
                wallet=wallet.address if wallet else None,
                distributed_on=day,
                asset=BITCOIN,
                quantity=had.quantity,
                fee=had.fee,
                value_kzt=value.recorded.value.value_kzt if value.recorded else None,
                value_day=value.value_day,
                amount_kzt=value.tenge(had.quantity),
                distributions=tuple(had.distributions),
            )
        )
    return tuple(rows)
