"""`tarazy gateway`: how far each gateway's journal is in the books, and which of them is lost."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from tarazy.config.settings import Settings
from tarazy.pool import moments
from tarazy.pool.cli.common import Wanting, folding_table, json_option, ledger, print_json, settings_option


@click.group()
def gateway() -> None:
    """The gateways as the books see them."""


@gateway.command("list")
@settings_option
@json_option
def list_gateways(settings: Settings, as_json: bool) -> None:
    """Show how far each journal is folded, and which gateway is declared lost."""
    from rich.console import Console
    from sqlalchemy import select

    from tarazy.accounting.tables import gateway as table
    from tarazy.database.engine import reader

    with ledger(settings) as engine, reader(engine).begin() as connection:
        query = select(table.c.gateway, table.c.sequence, table.c.lost_at).order_by(table.c.gateway)
        rows = connection.execute(query).all()
    if as_json:
        print_json([{"gateway": row.gateway, "folded": row.sequence, "lost_at": row.lost_at} for row in rows])
        return
    shown = folding_table("gateway", "last share folded", moments.heading("lost since"))
    for row in rows:
        shown.add_row(str(row.gateway), f"{row.sequence:,}", moments.cell(row.lost_at))
    Console().print(shown)


@gateway.command("lost")
@click.argument("number", type=click.IntRange(0, 255))
@settings_option
def lost(number: int, settings: Settings) -> None:
    """Let found blocks close their rounds without gateway NUMBER, whose journal cannot be had.

    What it delivers later joins the round that is open then, marked as late; from there on it counts as before.
    """
    from tarazy.accounting.cursors import NotFoldedError, declare_lost
    from tarazy.accreditation.audit import AuditEvent, append
    from tarazy.pool.cli.register.shared import recorder

    now = datetime.now(UTC)
    with ledger(settings) as engine:
        try:
            with engine.begin() as connection:
                declare_lost(connection, number, now)
                body = {"gateway": number, "by": recorder()}
                append(connection, [AuditEvent("gateway-lost", body)], now)
        except NotFoldedError as error:
            raise Wanting(str(error)) from None
    click.echo(f"gateway {number} is lost: rounds wait for it no longer")
