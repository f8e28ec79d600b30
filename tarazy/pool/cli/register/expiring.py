"""`tarazy register expiring`."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from tarazy.config.settings import Settings
from tarazy.pool.cli.common import folding_table, json_option, ledger, print_json, settings_option


@click.command("expiring")
@settings_option
@json_option
def expiring(settings: Settings, as_json: bool) -> None:
    """Show what ends within 90 legal days and that nothing follows: entries of the registers, and tokens."""
    from rich.console import Console

    from tarazy.accreditation.expiry import expiries
    from tarazy.accreditation.registers import as_of
    from tarazy.database.engine import reader
    from tarazy.portal.tokens import endings

    with ledger(settings) as engine, reader(engine).begin() as connection:
        found = expiries(as_of(connection, datetime.now(UTC)), endings(connection))
    if as_json:
        rows = [
            {
                "register": row.ending.register,
                "key": row.ending.key,
                "party": row.ending.party,
                "last_day": row.ending.last_day,
                "ends_at": row.ending.ends_at,
                "days_left": row.days_left,
            }
            for row in found
        ]
        print_json(rows)
        return
    table = folding_table("register", "entry", "party", "last day", "days left")
    for row in found:
        ending = row.ending
        table.add_row(ending.register, ending.key, ending.party or "", ending.last_day.isoformat(), str(row.days_left))
    if found:
        Console().print(table)
    else:
        click.echo("nothing ends within 90 days", err=True)
