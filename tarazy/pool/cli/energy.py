"""`tarazy energy`: what sites took, and what they may take."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from tarazy.config.law.calendar import Period, Quarter, legal_day
from tarazy.config.settings import Settings
from tarazy.pool import moments
from tarazy.pool.cli.common import (
    FOUND_WANTING,
    Wanting,
    folding_table,
    json_option,
    ledger,
    print_json,
    progress_bar,
    settings_option,
)
from tarazy.pool.cli.fee import QuarterParam
from tarazy.pool.cli.register.shared import KNOWN_AT, law_of
from tarazy.pool.cli.report import PeriodParam

if TYPE_CHECKING:
    from tarazy.accounting.energy.figures import SiteInterval
    from tarazy.accreditation.quotas import Held, MonthUse
    from tarazy.accreditation.snapshot import Registers


@click.group()
def energy() -> None:
    """Energy of the sites."""


@energy.command("quota")
@click.argument("site")
@settings_option
@click.option("--month", type=PeriodParam(), help="Calendar month, such as 2026-11; the present one if absent.")
@KNOWN_AT
@json_option
def quota(site: str, settings: Settings, month: Period | None, known_at: datetime | None, as_json: bool) -> None:
    """Hold what SITE took in a month against its quotas and its permitted power; exit code 1 at 100 %."""
    from tarazy.accreditation.registers import as_of
    from tarazy.database.engine import reader
    from tarazy.reports.energy_use import month_use

    known_at = known_at or datetime.now(UTC)
    month = month or Period.parse(f"{legal_day(known_at):%Y-%m}")
    if (month.first_day.year, month.first_day.month) != (month.last_day.year, month.last_day.month):
        raise click.BadParameter(f"{month} is no calendar month; write it like 2026-11", param_hint="--month")
    with ledger(settings) as engine, reader(engine).begin() as connection:
        registers = as_of(connection, min(known_at, month.end - datetime.resolution), known_at)
        if not registers.versions_of("site", site):
            raise Wanting(f"there is no site {site}; see `tarazy register show site`")
        use = month_use(connection, registers, month, known_at)
    told, reached = _told(registers, use, site)
    if as_json:
        print_json(told)
    else:
        _print(told)
    if 100 in reached:
        raise SystemExit(FOUND_WANTING)


@energy.command("fold")
@click.argument("quarter", type=QuarterParam())
@settings_option
@click.option("--declared", is_flag=True, help="Its fee was declared and paid, where the rules do not tell when.")
@json_option
def fold(quarter: Quarter, settings: Settings, declared: bool, as_json: bool) -> None:
    """Fold the readings and intervals up to the end of QUARTER into figures of days; this cannot be taken back.

    Fees, reports and quotas stay the same, as known at every moment since the days were whole. What goes: load curves,
    periods that begin or end inside a day, corrections. It may be broken off at any time and begun again.
    """
    from tarazy.accounting.energy.folding import UnsettledError, drop_folded_readings
    from tarazy.accounting.energy.folding import fold as fold_piece
    from tarazy.database.engine import reader
    from tarazy.pool.folded import FoldRefusedError, meters_to_drop, require_foldable, to_fold

    now = datetime.now(UTC)
    rows = readings = 0
    try:
        require_foldable(
            law_of(settings), quarter, legal_day(now), settings.energy.keep_detail_days or 0, declared=declared
        )
        with ledger(settings) as engine, progress_bar(f"Folding {quarter}") as tell:
            with reader(engine).begin() as connection:
                found = to_fold(connection, quarter, now)
            for number, piece in enumerate(found, 1):
                with engine.begin() as connection:
                    rows += fold_piece(connection, piece)
                tell(number, len(found))
            with reader(engine).begin() as connection:
                meters = meters_to_drop(connection, quarter)
            for some in meters:
                with engine.begin() as connection:
                    readings += drop_folded_readings(connection, some, quarter.next().start)
    except (FoldRefusedError, UnsettledError) as error:
        raise Wanting(str(error)) from None
    told = {"quarter": str(quarter), "pieces": len(found), "rows": rows, "readings": readings}
    if as_json:
        print_json(told)
    else:
        click.echo(f"{quarter}: {rows:,} rows of {len(found):,} pieces folded, {readings:,} readings let go")


@energy.command("reconcile")
@click.argument("site")
@settings_option
@json_option
def reconcile(site: str, settings: Settings, as_json: bool) -> None:
    """Hold what SITE's meters gave against its work, by day and by the floor; exit code 1 where they do not agree."""
    from dataclasses import asdict

    from tarazy.accounting.energy.claims import last_claim
    from tarazy.accounting.energy.figures import site_intervals
    from tarazy.accounting.energy.intervals import floor_to
    from tarazy.accreditation.registers import as_of
    from tarazy.database.engine import reader
    from tarazy.reports.reconciled import FloorRule, reconciliation

    now, findings = datetime.now(UTC), settings.accreditation.findings
    rule = FloorRule(findings.best_machine_mj_per_th, timedelta(hours=findings.window_hours))
    with ledger(settings) as engine, reader(engine).begin() as connection:
        registers = as_of(connection, now)
        if not registers.versions_of("site", site):
            raise Wanting(f"there is no site {site}; see `tarazy register show site`")
        told = reconciliation(connection, registers, site, rule, now, settings.energy.interval_seconds)
        claim = last_claim(connection, site)
        if claim is None:
            told["machines"] = None
        else:
            begun = floor_to(claim.at, settings.energy.interval_seconds)
            step = timedelta(seconds=settings.energy.interval_seconds)
            metered_w = _mean_w(site_intervals(connection, begun, begun + step, site=site))
            told["machines"] = {**asdict(claim), "metered_w": metered_w}
    if as_json:
        print_json(told)
    else:
        _print_reconciled(told)
    if (told["drift"] and told["drift"]["drifts"]) or (told["floor"] and told["floor"]["broken"]):
        raise SystemExit(FOUND_WANTING)


def _mean_w(intervals: list[SiteInterval]) -> int | None:
    return intervals[0].energy_wh * 3600 // intervals[0].seconds if intervals else None


def _print_reconciled(told: dict[str, Any]) -> None:
    from rich.console import Console

    table = folding_table("day", "metered, Wh", "by work, Wh", "ratio")
    for row in told["days"]:
        table.add_row(str(row["day"]), f"{row['metered_wh']:,}", f"{row['expected_wh']:,}", row["ratio"])
    Console().print(table)
    moved, floor = told["drift"], told["floor"]
    if moved is None:
        click.echo("drift: too few days with energy and work for a baseline")
    else:
        state = "drifts" if moved["drifts"] else "steady"
        click.echo(f"drift: {state}; baseline {moved['baseline']}, low {moved['low']}, high {moved['high']}")
    if floor is None:
        click.echo("floor: not judged; its meters did not measure the whole window, or nobody worked")
    else:
        state = "broken" if floor["broken"] else "kept"
        click.echo(f"floor: {state}; metered {floor['metered_wh']:,} Wh, at least {floor['least_wh']:,} Wh")
        best = floor["machine"]
        source = "setting" if best["since"] is None else f"{best['machine']}, from {best['since']}"
        unconfirmed = "" if best["confirmed"] or best["since"] is None else ", not confirmed"
        click.echo(f"best machine: {best['mj_per_th'] / 1000:g} J/TH as tuned ({source}{unconfirmed})")
    claim = told["machines"]
    if claim is not None:
        click.echo(f"machines claim {claim['power_w']:,} W at {moments.told(claim['at'])}: a hint of their firmware")
        click.echo(f"  {claim['asked']:,} addresses asked, {claim['answered']:,} answered, {claim['telling']:,} told")
        metered = claim["metered_w"]
        click.echo("  the meters' interval: " + ("none yet" if metered is None else f"{metered:,} W"))
    click.echo(f"other causes: {', '.join(told['confounders'])}")


def _told(registers: Registers, use: MonthUse, site: str) -> tuple[dict[str, Any], list[int | None]]:
    """What is shown, and the levels that are reached."""
    from tarazy.accreditation.quotas import held_power, held_quotas

    quotas = {source: held for (at, source), held in held_quotas(registers, use).items() if at == site}
    taken = {source: energy_wh for (at, source), energy_wh in use.energy_wh.items() if at == site}
    power = held_power(registers, use).get(site)
    rows = [
        {
            "source": source,
            "energy_wh": taken.get(source, 0),
            "quota": _held(quotas[source]) if source in quotas else None,
        }
        for source in sorted(taken.keys() | quotas.keys())
    ]
    peak = None if power is None else {"at": use.peaks[site][1], **_held(power)}
    levels = [held.level for held in (*quotas.values(), *([power] if power else []))]
    return {"site": site, "month": use.month, "energy": rows, "power_w": peak}, levels


def _held(held: Held) -> dict[str, Any]:
    return {"taken": held.taken, "permitted": held.permitted, "percent": held.percent, "level": held.level}


def _print(told: dict[str, Any]) -> None:
    from rich.console import Console

    click.echo(f"{told['site']}, {told['month']}")
    table = folding_table("source", "taken, Wh", "quota, Wh", "%", "left, Wh")
    for row in told["energy"]:
        quota = row["quota"]
        limits = (
            [f"{quota['permitted']:,}", _percent(quota), f"{quota['permitted'] - quota['taken']:,}"] if quota else []
        )
        table.add_row(row["source"], f"{row['energy_wh']:,}", *(limits or ["no quota entered", "", ""]))
    Console().print(table)
    peak = told["power_w"]
    if peak is None:
        click.echo("no power was measured")
        return
    click.echo(f"highest power {peak['taken']:,} W at {moments.told(peak['at'])}")
    click.echo(f"permitted {peak['permitted']:,} W: {_percent(peak)} %")


def _percent(held: dict[str, Any]) -> str:
    return "" if held["percent"] is None else str(held["percent"])
