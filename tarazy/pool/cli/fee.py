"""`tarazy fee`: the digital-mining fee, and how it comes about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from tarazy.config.law.calendar import Quarter
from tarazy.config.settings import Settings
from tarazy.pool import moments
from tarazy.pool.cli.common import Wanting, folding_table, json_option, ledger, print_json, settings_option
from tarazy.pool.cli.register.shared import KNOWN_AT, law_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tarazy.config.law import LawBook


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
        raise Wanting(f"{quarter} has not begun: it begins at {moments.told(quarter.start)}")
    with ledger(settings) as engine, reader(engine).begin() as connection:
        told = _explained(connection, law, party, quarter, known_at)
    if as_json:
        print_json(told)
    else:
        _print(told)


def _explained(
    connection: Connection, law: LawBook, party: str, quarter: Quarter, known_at: datetime
) -> dict[str, Any]:
    from tarazy.accounting.fee.consumption import FeeError
    from tarazy.accreditation.registers import as_of
    from tarazy.config.law import NoRuleInForceError
    from tarazy.reports.explained import explain_fee

    registers = as_of(connection, min(quarter.end, known_at), known_at)
    if not registers.versions_of("party", party):
        raise Wanting(f"there is no party {party}; see `tarazy register show party`")
    try:
        return explain_fee(connection, registers, law, party, quarter, known_at)
    except (FeeError, NoRuleInForceError) as error:
        raise Wanting(f"no fee is computed: {error}") from None


_NOT_OF_THE_READING = {
    *("id", "topic", "act", "article", "source", "confirmed", "assumed", "note", "digest"),
    *("valid_from", "valid_to", "confirmed_by", "confirmed_on"),
}


def _print(told: dict[str, Any]) -> None:
    from rich.console import Console

    console, rule, price = Console(), told["rule"], told["average_price_kzt_per_kwh"]
    click.echo(f"{told['party']}, {told['quarter']}: {moments.told(told['start'])} – {moments.told(told['end'])}")
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
