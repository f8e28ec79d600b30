"""`tarazy reserve`: what the pool sets aside so that FPPS can pay every share, whatever the luck."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from tarazy.config.settings import Settings
from tarazy.pool.cli.common import Wanting, json_option, ledger, print_json, settings_option
from tarazy.pool.cli.register.shared import WHY, recorder

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

_AMOUNT = click.argument("amount", type=click.IntRange(min=1), metavar="SATOSHI")


@click.group()
def reserve() -> None:
    """The reserve of FPPS: blocks go in, what miners earned goes out."""


@reserve.command("show")
@settings_option
@json_option
def show(settings: Settings, as_json: bool) -> None:
    """Show what the reserve holds; ends with 1 when it is short."""
    from tarazy.accounting.reserve import reserve as stands
    from tarazy.database.engine import reader

    with ledger(settings) as engine, reader(engine).begin() as connection:
        found = stands(connection)
    if as_json:
        print_json({"reserve": found.final, "immature": found.immature})
    else:
        click.echo(f"reserve {found.final} satoshi; open rounds add {found.immature}")
    if found.final < 0:
        raise Wanting(f"the reserve is short of {-found.final} satoshi: no payout is proposed until it is funded")


@reserve.command("fund")
@_AMOUNT
@click.option("--from", "source", type=click.Choice(["own", "fee"]), required=True, help="Of which money of the pool.")
@WHY
@settings_option
def fund(amount: int, source: str, why: str, settings: Settings) -> None:
    """Move SATOSHI of the pool's own money or earned fee into the reserve."""
    from tarazy.accounting import reserve as books

    _book(settings, "funded", amount, why, lambda connection, at: books.fund(connection, amount, source, why, at))
    click.echo(f"booked: {amount} satoshi into the reserve")


@reserve.command("draw")
@_AMOUNT
@WHY
@settings_option
def draw(amount: int, why: str, settings: Settings) -> None:
    """Move SATOSHI of the reserve back to the pool's own money."""
    from tarazy.accounting import reserve as books

    _book(settings, "drawn", amount, why, lambda connection, at: books.draw(connection, amount, why, at))
    click.echo(f"booked: {amount} satoshi out of the reserve")


def _book(settings: Settings, what: str, amount: int, why: str, work: Callable[[Connection, datetime], None]) -> None:
    """Book in the ledger and in the audit log; what is refused becomes one line."""
    from datetime import UTC, datetime

    from tarazy.accounting.ledger import LedgerError
    from tarazy.accreditation import audit

    now = datetime.now(UTC)
    body = {"what": what, "amount": amount, "why": why, "by": recorder()}
    try:
        with ledger(settings) as engine, engine.begin() as connection:
            audit.append(connection, [audit.AuditEvent("reserve", body)], now)
            work(connection, now)
    except LedgerError as error:
        raise Wanting(str(error)) from None
