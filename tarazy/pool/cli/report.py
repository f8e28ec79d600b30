"""`tarazy report`: documents for miners and the authorities."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from tarazy.config.law.calendar import Period
from tarazy.config.settings import Settings
from tarazy.pool.cli.common import (
    InstantParam,
    Misuse,
    Wanting,
    json_option,
    ledger,
    print_json,
    progress_bar,
    settings_option,
)
from tarazy.pool.cli.report_delivery import abandon, approve, deliver, deliveries, delivery, due, resend
from tarazy.pool.cli.report_signing import attach, diff, sign, signed

DAY = click.DateTime(["%Y-%m-%d"])


class PeriodParam(click.ParamType[Period]):
    """A year, a quarter or a month."""

    name = "period"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Period:
        """Parse; the fault names the forms."""
        try:
            return Period.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group()
def report() -> None:
    """Build reports, sign them, compare them, deliver them."""


for each in (sign, attach, diff, due, deliver, approve, deliveries, delivery, resend, abandon):
    report.add_command(each)


_KINDS = ("accreditation", "statement", "sale", "distributed", "quarterly", "rewards", "energy", "expiring")


@report.command("build")
@click.argument("kind", type=click.Choice(_KINDS))
@settings_option
@click.option("--as-of", type=InstantParam(), help="The moment the report speaks of; five seconds ago when absent.")
@click.option(
    "--party", help="Key of the party that statement and energy are of; for sale and quarterly, of one party alone."
)
@click.option("--period", type=PeriodParam(), help="Year, quarter or month: 2026, 2026-Q4, 2026-11.")
@click.option("--from", "first_day", type=DAY, help="First day of another period.")
@click.option("--to", "last_day", type=DAY, help="Its last day.")
@click.option(
    "--known-at", type=InstantParam(), help="Take records into account up to this moment; --as-of when absent."
)
@click.option("--days", "ahead_days", type=int, help="How many days ahead expiring looks; 90 when absent.")
@click.option(
    "--why", help="What another version of the record of distributed assets corrects, or why one is issued early."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory; DATA/reports when absent.",
)
@click.option("--sign", "sign_it", is_flag=True, help="Sign it too, as `tarazy report sign` does.")
@json_option
def build(
    kind: str,
    settings: Settings,
    as_of: datetime | None,
    party: str | None,
    period: Period | None,
    first_day: datetime | None,
    last_day: datetime | None,
    known_at: datetime | None,
    ahead_days: int | None,
    why: str | None,
    output: Path | None,
    sign_it: bool,
    as_json: bool,
) -> None:
    """Build a report as JSON, and as PDF, XLSX, CSV and HTML in Kazakh, Russian and English.

    \b
    accreditation  the pool, its miners, rewards, energy and fee in a quarter
    statement      what one party worked, was credited and paid in a period
    sale           coins sold through AIFC exchanges in a year, and what is missing
    distributed    the record of distributed assets of a period
    quarterly      what parties told of a quarter: energy, planned investment, jobs, equipment
    rewards        rounds, distributions, payouts and roots to verify them by, of a period
    energy         energy and fee of one party in a quarter, line by line
    expiring       what ends in the days ahead, whose it is and what follows

    The same records and the same moments give the same bytes. That it was built, and its digest, enter the audit log;
    the proof that they did is written beside it as .audit. `tarazy verify report` checks all of it.
    """
    from tarazy.accreditation.heads import SigningError
    from tarazy.config.law import LawError, load_law
    from tarazy.pool.cli.register.shared import recorder
    from tarazy.pool.reporting.making import make_report
    from tarazy.reports.build import SETTLED_SECONDS, Asked, ReportError

    directory = output or settings.data / "reports"
    as_of = as_of or (datetime.now(UTC) - timedelta(seconds=SETTLED_SECONDS)).replace(microsecond=0)
    asked = Asked(party, _period(period, first_day, last_day), why, known_at, ahead_days)
    try:
        law = load_law(settings.law.assumptions, settings.law.directory)
        with ledger(settings) as engine, progress_bar("Building the report") as tell:
            paths = make_report(engine, settings, law, kind, as_of, asked, directory, recorder(), tell)
    except (ReportError, LawError, SigningError, OSError) as error:
        raise Wanting(str(error)) from None
    if sign_it:
        stem = paths[0].name.removesuffix(".json")
        signature = directory / f"{stem}.p7s"
        if not signature.exists():
            signed(paths[0], settings)
        paths += [signature, *sorted(directory.glob(f"{stem}.*.signed.pdf"))]
    if as_json:
        print_json({"kind": kind, "as_of": as_of, "paths": [str(path) for path in paths]})
        return
    for path in paths:
        click.echo(path)


def _period(period: Period | None, first_day: datetime | None, last_day: datetime | None) -> Period | None:
    if first_day is None and last_day is None:
        return period
    if first_day is None or last_day is None or period is not None:
        raise Misuse("name a period either with --period, or with both --from and --to")
    try:
        return Period(first_day.date(), last_day.date())
    except ValueError as error:
        raise Misuse(str(error)) from None
