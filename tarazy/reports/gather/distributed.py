"""The record of distributed assets: one row for each miner, legal day and asset, from final distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from sqlalchemy import Connection

from tarazy.accounting.assets.issued import versions
from tarazy.accounting.assets.values import BITCOIN, Valued, values_on
from tarazy.accounting.history import PartyCredit, finalised
from tarazy.accreditation.registers import as_of as registers_as_of
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law import DistributionReportRule, LawBook, NoRuleInForceError
from tarazy.config.law.calendar import Period, legal_day
from tarazy.config.law.working_days import WorkingDays
from tarazy.reports.coins import Corrected, Days, DistributedRecord, DistributedRow, FormColumn
from tarazy.reports.content import Pool, RulesSection
from tarazy.reports.gather.coins import days_of, licence_of, name_of, names_of, people, valuation_rules
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
    registers = registers_as_of(connection, as_of, known_at)
    final = [credit for credit in finalised(connection, days.start, days.end) if credit.amount]
    dates = {legal_day(credit.final_at) for credit in final if credit.final_at}
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
        names=names_of(row for row in people(registers).values() if row.party in {each.party for each in final}),
        columns=tuple(FormColumn(column.heading, column.holds) for column in rule.fields or ()),
        columns_complete=rule.fields_complete,
        rows=_rows(registers, final, valued),
        rules=RulesSection((rule_of(rule), *rules.rules), rules.missing),
        audit=audit_head(connection, as_of),
        source=(
            numbered("distribution", (credit.distribution for credit in final)),
            numbered("asset_value", (each.recorded.entry for each in valued.values() if each.recorded)),
        ),
    )


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
    registers: Registers, final: Sequence[PartyCredit], valued: Mapping[date, Valued]
) -> tuple[DistributedRow, ...]:
    """In order of days and parties' numbers; what the registers say is as of the day's last distribution."""
    grouped: dict[tuple[date, str], list[PartyCredit]] = {}
    for credit in final:
        if credit.final_at is not None:
            grouped.setdefault((legal_day(credit.final_at), credit.party), []).append(credit)
    at: dict[datetime, Registers] = {}
    rows = []
    for number, ((day, key), credits) in enumerate(sorted(grouped.items()), 1):
        moment = max(credit.final_at for credit in credits if credit.final_at)
        then = at.setdefault(moment, registers.at(moment)) if moment not in at else at[moment]
        party = then.parties.get(key) or people(registers).get(key)
        licence, wallet = licence_of(then, key), then.wallet_by_party.get(key)
        quantity = sum(credit.amount for credit in credits)
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
                quantity=quantity,
                fee=sum(credit.fee for credit in credits),
                value_kzt=value.recorded.value.value_kzt if value.recorded else None,
                value_day=value.value_day,
                amount_kzt=value.tenge(quantity),
                distributions=tuple(credit.distribution for credit in credits),
            )
        )
    return tuple(rows)
