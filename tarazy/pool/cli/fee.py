"""`tarazy fee`: the digital-mining fee, and how it comes about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from tarazy.config.law.calendar import ALMATY, Quarter
from tarazy.config.settings import Settings
from tarazy.pool.cli.common import Wanting, folding_table, json_option, ledger, print_json, settings_option
from tarazy.pool.cli.register.shared import KNOWN_AT, law_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tarazy.accounting.fee.due import DueDay
    from tarazy.accounting.fee.statement import FeeLine, FeeStatement
    from tarazy.config.law import LawBook, Rule, RuleReference


class QuarterParam(click.ParamType[Quarter]):
    """A quarter: 2025-Q3."""

    name = "quarter"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Quarter:
        """Parse; the fault names the form."""
        try:
            return Quarter.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group()
def fee() -> None:
    """The digital-mining fee by the law of the day. The miner declares and pays it; the pool gives the figures."""


@fee.command("explain")
@click.argument("party")
@click.argument("quarter", type=QuarterParam())
@settings_option
@KNOWN_AT
@json_option
def explain(party: str, quarter: Quarter, settings: Settings, known_at: datetime | None, as_json: bool) -> None:
    """Show how the fee of PARTY for QUARTER comes about: quantities, prices, rates, acts, rounding, last days.

    Of a quarter that goes on, what has passed. Without a rule or a price nothing is computed: exit code 1 and what to
    enter.
    """
    from tarazy.database.engine import reader

    law = law_of(settings)
    known_at = known_at or datetime.now(UTC)
    if known_at <= quarter.start:
        raise Wanting(f"{quarter} has not begun: it begins at {_local(quarter.start)}")
    with ledger(settings) as engine, reader(engine).begin() as connection:
        statement, rest_wh = _statement(connection, law, party, quarter, known_at)
    told = {"party": party, "known_at": known_at, **_told(statement), "rest_wh": rest_wh, **_due(law, quarter)}
    if as_json:
        print_json(told)
    else:
        _print(told)


def _statement(
    connection: Connection, law: LawBook, party: str, quarter: Quarter, known_at: datetime
) -> tuple[FeeStatement, int]:
    """The statement, and how much of its energy is the rest of sites of its own."""
    from tarazy.accounting.fee.consumption import FeeError
    from tarazy.accounting.fee.statement import compute_fee
    from tarazy.accreditation.registers import as_of
    from tarazy.config.law import NoRuleInForceError
    from tarazy.reports.consumption import consumption_by_party

    end = min(quarter.end, known_at)
    registers = as_of(connection, end, known_at)
    if not registers.versions_of("party", party):
        raise Wanting(f"there is no party {party}; see `tarazy register show party`")
    used = consumption_by_party(connection, registers, quarter.start, end, known_at).get(party)
    try:
        if used and used.fault:
            raise FeeError(used.fault)
        statement = compute_fee(law, quarter, used.items if used else (), quarter.start, end)
    except (FeeError, NoRuleInForceError) as error:
        raise Wanting(f"no fee is computed: {error}") from None
    return statement, used.rest_wh if used else 0


def _told(statement: FeeStatement) -> dict[str, Any]:
    from tarazy.reports.gather.fee import six_places

    price = statement.average_price_kzt
    return {
        "quarter": str(statement.quarter),
        "start": statement.start,
        "end": statement.end,
        "partial": statement.partial,
        "energy_wh": statement.energy_wh,
        "average_price_kzt_per_kwh": None
        if price is None
        else {"exact": str(price), "rounded": str(six_places(price))},
        "rule": _reading(statement.rule),
        "lines": [_line(line) for line in statement.lines],
        "exact_kzt": str(statement.exact_kzt),
        "total_kzt": statement.total_kzt,
        "total_kzt_at_own_rates": statement.split_total_kzt,
    }


def _line(line: FeeLine) -> dict[str, Any]:
    return {
        "meter": line.point,
        "source": line.source,
        "supply": line.supply,
        "energy_wh": line.energy_wh,
        "price_tiyn_per_kwh": line.price_tiyn_per_kwh,
        "ground": line.ground,
        "own_rate_kzt_per_kwh": line.split_rate_kzt,
        "rate_kzt_per_kwh": line.rate_kzt,
        "amount_kzt": str(line.amount_kzt),
        **_act(line.rule),
    }


def _act(rule: RuleReference) -> dict[str, Any]:
    return {
        "rule": rule.id,
        "digest": rule.digest,
        "act": rule.act,
        "article": rule.article,
        "confirmed": rule.confirmed,
        "assumed": rule.assumed,
    }


def _reading(rule: Rule) -> dict[str, Any]:
    """The whole rule: also how what the act leaves open is read."""
    return {**rule.model_dump(mode="json"), "digest": rule.digest}


def _due(law: LawBook, quarter: Quarter) -> dict[str, Any]:
    from tarazy.accounting.fee.due import due_dates
    from tarazy.config.law import NoRuleInForceError

    try:
        dates = due_dates(law, quarter)
    except NoRuleInForceError as error:
        return {"due": None, "due_missing": str(error)}
    return {
        "due": {
            "declare": _day(dates.declare) if dates.declare else None,
            "pay": _day(dates.pay),
            "shift_if_non_working": dates.shift_if_non_working,
            **_act(dates.rule),
        },
        "due_missing": None,
    }


def _day(due: DueDay) -> dict[str, Any]:
    return {
        "day": due.day,
        "as_stated": due.stated,
        "first_working_day": due.working_day,
        "doubts": sorted(due.doubts),
    }


_NOT_OF_THE_READING = {
    *("id", "topic", "act", "article", "source", "confirmed", "assumed", "note", "digest"),
    *("valid_from", "valid_to", "confirmed_by", "confirmed_on"),
}


def _print(told: dict[str, Any]) -> None:
    from rich.console import Console

    console, rule, price = Console(), told["rule"], told["average_price_kzt_per_kwh"]
    click.echo(f"{told['party']}, {told['quarter']}: {_local(told['start'])} – {_local(told['end'])}")
    if told["partial"]:
        click.echo("the quarter has not ended: this is what has passed of it")
    click.echo(f"rule {rule['id']}: {rule['act']}, article {rule['article'] or 'unknown'}; {_mark(rule)}")
    if rule["note"]:
        click.echo(f"  {rule['note']}")
    for name, value in rule.items():
        if name not in _NOT_OF_THE_READING:
            parts = ", ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, dict) else value
            click.echo(f"  {name}: {parts}")
    if price:
        click.echo(
            f"average price of what was bought: {price['exact']} = {price['rounded']} KZT/kWh; the exact one decides"
        )
    table = folding_table("meter", "source", "Wh", "tiyn/kWh", "because", "own", "rate", "KZT", "law")
    laws: dict[str, int] = {}
    for line in told["lines"]:
        law = f"{line['rule']}: {line['act']}, article {line['article'] or 'unknown'}; {_mark(line)}"
        table.add_row(
            *(line["meter"], " ".join(filter(None, (line["source"], line["supply"]))), f"{line['energy_wh']:,}"),
            "" if line["price_tiyn_per_kwh"] is None else str(line["price_tiyn_per_kwh"]),
            *(line["ground"].replace("_", " "), str(line["own_rate_kzt_per_kwh"]), str(line["rate_kzt_per_kwh"])),
            *(line["amount_kzt"], str(laws.setdefault(law, len(laws) + 1))),
        )
    console.print(table)
    for law, number in laws.items():
        click.echo(f"law {number}: {law}")
    if told["rest_wh"]:
        click.echo(f"{told['rest_wh']:,} Wh of it: cooling, losses and own use of sites of its own")
    click.echo(f"energy {told['energy_wh']:,} Wh; {told['exact_kzt']} KZT before rounding ({rule['rounding']})")
    click.echo(f"fee {told['total_kzt']:,} KZT; with each quantity at its own rate {told['total_kzt_at_own_rates']:,}")
    _print_due(told)


def _print_due(told: dict[str, Any]) -> None:
    due = told["due"]
    if due is None:
        click.echo(f"declaration and payment: {told['due_missing']}")
        return
    for what, day in (("declare", due["declare"]), ("pay", due["pay"])):
        click.echo(f"{what} by {_last(day, due['shift_if_non_working'])}" if day else f"{what}: not due")
    click.echo(f"  {due['rule']}: {due['act']}, article {due['article'] or 'unknown'}; {_mark(due)}")


def _last(day: dict[str, Any], shift: str | None) -> str:
    text = f"{day['day']}"
    if day["as_stated"] != day["first_working_day"]:
        moves = "whether it moves is not known" if shift is None else f"shift_if_non_working: {shift}"
        off = f"{day['as_stated']:%A} {day['as_stated']} is no working day, {day['first_working_day']} is"
        text += f" ({off}; {moves})"
    return text + "".join(f"; not certain: {doubt}" for doubt in day["doubts"])


def _mark(rule: dict[str, Any]) -> str:
    return "ASSUMED" if rule["assumed"] else "confirmed" if rule["confirmed"] else "unconfirmed"


def _local(instant: datetime) -> str:
    return instant.astimezone(ALMATY).isoformat(" ", "seconds")
