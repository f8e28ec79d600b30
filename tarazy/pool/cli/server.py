"""`tarazy serve`, `check`, `status` and `db`: the server and what it stands on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from tarazy.config.settings import Settings
from tarazy.pool.cli.common import (
    Wanting,
    file_option,
    json_option,
    print_json,
    progress_bar,
    read_settings,
    settings_option,
)
from tarazy.pool.launch import Role, inherit


@click.command()
@file_option
@click.option(
    "--role",
    hidden=True,
    type=click.Choice(Role, case_sensitive=False),
    help="Of a process that the server itself started.",
)
@click.option("--number", hidden=True, type=int, default=0, help="Of its gateway.")
def serve(file: Path, role: Role | None, number: int) -> None:
    """Run the server until SIGTERM or Ctrl-C. SIGHUP reads the settings again, SIGUSR2 starts a successor."""
    from tarazy.pool.descriptors import raise_descriptor_limit
    from tarazy.pool.log import configure_logging

    inheritance = inherit()
    settings = read_settings(file)
    raise_descriptor_limit()
    if role is None and settings.processes is not None:
        from tarazy.pool.supervisor import supervise

        configure_logging(settings.log, "supervisor")
        fault = supervise(settings, file, inheritance.sockets)
    else:
        from tarazy.pool.run import run_server

        role = role or Role.WHOLE
        if role is Role.WHOLE and settings.processes is not None:
            raise Wanting("processes: the running server is one process; restart it to make it several")
        configure_logging(settings.log, role.name_of(number))
        own = settings.of_gateway(number) if role is Role.GATEWAY else settings
        fault = run_server(own, file, role, inheritance)
    if fault is not None:
        raise Wanting(fault)


@click.command()
@settings_option
@json_option
def check(settings: Settings, as_json: bool) -> None:
    """Look at everything a start needs; one line for each finding."""
    from tarazy.pool.preflight import preflight

    findings = list(preflight(settings, datetime.now(UTC)))
    if as_json:
        print_json(
            [
                {"subject": found.subject, "fine": found.fine, "text": found.text, "cure": found.cure}
                for found in findings
            ]
        )
    else:
        for found in findings:
            mark = click.style("fine   ", "green") if found.fine else click.style("WANTING", "red", bold=True)
            click.echo(f"{mark} {found.subject}: {found.text}" + (f" → {found.cure}" if found.cure else ""))
    wanting = sum(not found.fine for found in findings)
    if wanting:
        raise Wanting(f"{wanting} of {len(findings)} found wanting")


@click.command()
@settings_option
@json_option
def status(settings: Settings, as_json: bool) -> None:
    """Ask a running server how it is; exit code 1 while a part of it does not work."""
    from tarazy.pool.watched import SilentError, overview_of
    from tarazy.reports.language import text

    try:
        overview = overview_of(settings)
    except SilentError as error:
        raise Wanting(str(error)) from None
    reports, faults = _due(settings)
    ill = [text("en", f"portal.health.{part['part']}") for part in overview["health"] if not part["ok"]]
    if as_json:
        print_json({**overview, "reports": reports, "reports_not_planned": faults})
    else:
        _tell(overview, ill, reports, faults)
    if ill:
        raise Wanting(
            f"{', '.join(ill)} not working; `tarazy check` and `tarazy finding list` say more, and the server's log"
        )


def _tell(overview: dict[str, Any], ill: list[str], reports: list[dict[str, Any]], faults: list[str]) -> None:
    from tarazy.pool.terminal import hashrate

    click.echo(f"pool        {overview['pool']['name']}")
    click.echo(f"health      {'ill: ' + ', '.join(ill) if ill else 'all parts work'}")
    click.echo(f"hash rate   {hashrate(overview['hashrate'])}")
    if overview["connections"] is not None:
        click.echo(f"miners      {overview['ready_connections']} at work of {overview['connections']} connected")
    click.echo(f"height      {overview['chain']['tip_height']}")
    click.echo(
        f"shares      {overview['shares']['accepted']:,} accepted, {overview['shares']['stale']:,} stale in 24 h"
    )
    for each in reports:
        when = f"{each['standing']}, due {each['due']}" if each["due"] else "last day not known"
        click.echo(f"report      {each['kind']} {each['period']}: {when}, {each['state']}")
    for fault in faults:
        click.echo(f"report      {fault}")


def _due(settings: Settings) -> tuple[list[dict[str, Any]], list[str]]:
    """The reports of the schedule that are near, overdue or not built, and why others cannot be planned."""
    from tarazy.database.engine import reader
    from tarazy.pool.cli.common import ledger
    from tarazy.pool.cli.register.shared import law_of
    from tarazy.reports.schedule import progress

    if not settings.reports.schedule:
        return [], []
    now = datetime.now(UTC)
    try:
        with ledger(settings) as engine, reader(engine).begin() as connection:
            rows, faults = progress(connection, settings.reports.schedule, law_of(settings), now)
    except Wanting as error:
        return [], [str(error)]
    plain = [row.plain(now) for row in rows]
    return [each for each in plain if each["standing"] in ("near", "overdue") or each["state"] == "not-built"], faults


@click.group()
def db() -> None:
    """The ledger's tables."""


@db.command("upgrade")
@settings_option
@json_option
def upgrade_database(settings: Settings, as_json: bool) -> None:
    """Create or migrate the tables. Make a back-up first; the server never does this by itself."""
    from sqlalchemy.exc import SQLAlchemyError

    from tarazy.database.engine import open_engine
    from tarazy.database.schema import SchemaError, upgrade

    engine = open_engine(settings.database_url)
    try:
        with progress_bar("Migrating"):
            before, after = upgrade(engine)
    except SchemaError as error:
        raise Wanting(str(error)) from None
    except SQLAlchemyError as error:
        raise Wanting(f"database: {' '.join(str(error.__cause__ or error).split())}") from None
    finally:
        engine.dispose()
    if as_json:
        print_json({"before": before, "after": after})
    else:
        click.echo(f"already at {after}" if before == after else f"{before or 'empty'} → {after}")
