"""`tarazy report`: documents for the authorities."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from tarazy.config.settings import Settings
from tarazy.pool.cli.common import InstantParam, Wanting, json_option, ledger, print_json, progress_bar, settings_option


@click.group()
def report() -> None:
    """Build reports."""


@report.command("build")
@click.argument("kind", type=click.Choice(["accreditation"]))
@settings_option
@click.option("--as-of", type=InstantParam(), help="The moment the report speaks of; five seconds ago when absent.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory; DATA/reports when absent.",
)
@json_option
def build(kind: str, settings: Settings, as_of: datetime | None, output: Path | None, as_json: bool) -> None:
    """Build a report as JSON and as PDF in Kazakh, Russian and English.

    The same records and the same moment give the same bytes. That it was built, and its digest, enter the audit log.
    """
    from tarazy.accreditation import audit
    from tarazy.config.law import LawError, load_law
    from tarazy.database.engine import reader
    from tarazy.reports.build import SETTLED_SECONDS, ReportError, build_report, built_event

    directory = output or settings.data / "reports"
    now = datetime.now(UTC)
    as_of = as_of or (now - timedelta(seconds=SETTLED_SECONDS)).replace(microsecond=0)
    try:
        law = load_law(settings.law.assumptions, settings.law.directory)
        with ledger(settings) as engine:
            with progress_bar("Building the report") as tell, reader(engine).begin() as connection:
                paths = build_report(connection, kind, as_of, directory, settings, law, now, tell)
            with engine.begin() as connection:
                audit.append(connection, [built_event(kind, as_of, paths)], datetime.now(UTC))
    except (ReportError, LawError) as error:
        raise Wanting(str(error)) from None
    if as_json:
        print_json({"kind": kind, "as_of": as_of, "paths": [str(path) for path in paths]})
        return
    for path in paths:
        click.echo(path)
