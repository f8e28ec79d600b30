"""`tarazy token`: who may use the API, as what, until when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from tarazy.config.settings import Settings
from tarazy.pool import moments
from tarazy.pool.cli.common import Wanting, folding_table, json_option, ledger, print_json, settings_option
from tarazy.pool.cli.register.shared import recorder
from tarazy.portal.rights import Role


@click.group()
def token() -> None:
    """Tokens for the API: operators write, inspectors read all, miners their own, agents push readings."""


@token.command("create")
@click.argument("name")
@settings_option
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True, help="What its holder is.")
@click.option("--party", help="The party of a miner.")
@click.option("--site", help="The site of an agent.")
@click.option("--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="How long it counts.")
@json_option
def create(
    name: str, settings: Settings, role: Role, party: str | None, site: str | None, days: int, as_json: bool
) -> None:
    """Make a token called NAME and print it, this once. Entries made with it are recorded under its name."""
    from tarazy.portal.tokens import TokenError, create_token

    now = datetime.now(UTC)
    expires_at = now + timedelta(days=days)
    with ledger(settings) as engine:
        try:
            with engine.begin() as connection:
                text = create_token(connection, name, Role(role), party, now, expires_at, recorder(), site)
        except TokenError as error:
            raise Wanting(str(error)) from None
    if as_json:
        of_whom = {"name": name, "role": role, "party": party, "site": site}
        print_json({**of_whom, "expires_at": expires_at, "token": text})
    else:
        click.echo(text)
        click.echo("keep it: only its digest is stored, and it is not shown again", err=True)


@token.command("list")
@settings_option
@json_option
def list_tokens(settings: Settings, as_json: bool) -> None:
    """Show the tokens that are not revoked."""
    from rich.console import Console

    from tarazy.database.engine import reader
    from tarazy.portal.tokens import holders

    with ledger(settings) as engine, reader(engine).begin() as connection:
        found = sorted(holders(connection).values(), key=lambda holder: holder.name)
    if as_json:
        names = ("name", "role", "party", "site", "scope", "expires_at")
        print_json([{name: getattr(row, name) for name in names} for row in found])
        return
    table = folding_table("name", "role", "party or site", "narrowed to", moments.heading("expires"))
    for row in found:
        table.add_row(row.name, row.role, row.party or row.site or "", row.scope or "", moments.cell(row.expires_at))
    Console().print(table)


@token.command("revoke")
@click.argument("name")
@settings_option
def revoke(name: str, settings: Settings) -> None:
    """End token NAME; a running server follows within a second."""
    from tarazy.portal.tokens import TokenError, revoke_token

    with ledger(settings) as engine:
        try:
            with engine.begin() as connection:
                revoke_token(connection, name, datetime.now(UTC), recorder())
        except TokenError as error:
            raise Wanting(str(error)) from None
    click.echo(f"token {name} is revoked")
