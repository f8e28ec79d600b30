"""`tarazy meter`: readings in, devices fitted, what the meters said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tarazy.config.settings import Settings
from tarazy.pool import moments
from tarazy.pool.cli.common import (
    FOUND_WANTING,
    InstantParam,
    Wanting,
    folding_table,
    json_option,
    ledger,
    print_json,
    progress_bar,
    settings_option,
)
from tarazy.pool.cli.register.shared import KNOWN_AT, recorder

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tarazy.accounting.energy.meter import Meter

_QUANTITY = click.option("--quantity", type=click.Choice(["import", "export"]), default="import", show_default=True)
_WHY = click.option("--why", required=True, help="Kept in the audit log.")


class _Ratio(click.ParamType["Fraction"]):
    name = "ratio"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        """Parse `400/5`."""
        if isinstance(value, Fraction):
            return value
        try:
            return Fraction(value)
        except (ValueError, ZeroDivisionError):
            self.fail(f"{value!r}: expected primary/secondary, such as 400/5", param, ctx)


@click.group()
def meter() -> None:
    """Electricity meters: import and correct readings, record exchanges, see intervals."""


@meter.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@settings_option
@click.option("--point", "points", multiple=True, metavar="CODE=METER", help="80020: the meter of a measuring point.")
@click.option("--dry-run", "dry", is_flag=True, help="Tell what would be recorded, and record nothing.")
@json_option
def import_file(file: Path, settings: Settings, points: tuple[str, ...], dry: bool, as_json: bool) -> None:
    """Import a CSV or XLSX with the columns meter, quantity, at and count, or an 80020 file. All rows or none.

    A reading that is there already changes nothing; one with another count is refused: correct it.
    """
    import hashlib

    from tarazy.accounting.energy.recording import ReadingError, append_readings
    from tarazy.accreditation import audit
    from tarazy.accreditation.sheets import RegisterImportError
    from tarazy.pool.metered import read_file, require_readable

    now = datetime.now(UTC)
    named = dict(point.partition("=")[::2] for point in points)
    if not all(named.values()):
        raise click.BadParameter("write CODE=METER", param_hint="--point")
    try:
        told = read_file(file, named)
        with ledger(settings) as engine, progress_bar("Recording the readings"), engine.begin() as connection:
            require_readable(connection, told.readings, now)
            taken = append_readings(connection, told.readings, now)
            if taken.recorded and not dry:
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                body = {"file": file.name, "digest": digest, "recorded": taken.recorded, "by": recorder()}
                audit.append(connection, [audit.AuditEvent("meter-import", body)], now)
            if dry:
                connection.rollback()
    except (ReadingError, RegisterImportError) as error:
        raise Wanting(f"nothing was recorded:\n{error}") from None
    counts = {
        "added": taken.recorded,
        "unchanged": taken.repeated,
        "doubtful": told.doubtful,
        "reactive": told.reactive,
    }
    if as_json:
        print_json({"recorded": not dry, **counts})
        return
    click.echo(f"{taken.recorded} added, {taken.repeated} there already")
    if told.doubtful:
        click.echo(f"{told.doubtful} of them the file calls doubtful: they are kept and counted nowhere")
    if told.reactive:
        click.echo(f"{told.reactive} channels of reactive energy were left out")
    if dry:
        click.echo("nothing was recorded")


@meter.command("correct")
@click.argument("meter")
@click.argument("at", type=InstantParam())
@click.argument("count", type=click.IntRange(0), required=False)
@settings_option
@_QUANTITY
@click.option("--withdraw", is_flag=True, help="Take the reading away instead of replacing it.")
@_WHY
def correct_reading(
    meter: str, at: datetime, count: int | None, settings: Settings, quantity: Any, withdraw: bool, why: str
) -> None:
    """Replace the reading of METER at AT by COUNT. The old one stays known; intervals get a new version."""
    from tarazy.accounting.energy.meter import Reading
    from tarazy.accounting.energy.recording import ReadingError, correct
    from tarazy.pool.metered import require_readable

    if withdraw == (count is not None):
        raise click.UsageError("give COUNT, or --withdraw")
    now = datetime.now(UTC)
    wrong = Reading(meter, at, count, "ok", quantity, "hand")
    try:
        with ledger(settings) as engine, engine.begin() as connection:
            require_readable(connection, [wrong], now)
            correct(connection, wrong, count, now)
            _witness(connection, "meter-correction", meter, now, at=at, quantity=quantity, count=count, why=why)
    except ReadingError as error:
        raise Wanting(str(error)) from None


@meter.command("fit")
@click.argument("meter")
@settings_option
@click.option("--since", type=InstantParam(), required=True, help="When it was fitted.")
@click.option("--profile", help="Kind of the device; the registered one if absent.")
@click.option("--serial", help="Serial number.")
@click.option("--ct", "ct_ratio", type=_Ratio(), default="1", show_default=True, help="Current transformers, as 400/5.")
@click.option("--vt", "vt_ratio", type=_Ratio(), default="1", show_default=True, help="Voltage transformers.")
@click.option("--maximum-power-w", type=click.IntRange(1, 2**40), help="What the feeder can carry, in watts.")
@click.option("--initial", "initial_import", type=int, help="Count of its import register when it was fitted.")
@click.option("--final", "final_import", type=int, help="Last count of the device before it.")
@click.option("--initial-export", type=int)
@click.option("--final-export", type=int)
@_WHY
def fit_device(meter: str, settings: Settings, why: str, profile: str | None, **told: Any) -> None:
    """Record what stands at METER since then: a device, its transformers. Intervals are derived again from then on."""
    from tarazy.accounting.energy.devices import Fitting, fit
    from tarazy.accounting.energy.profiles import ProfileError
    from tarazy.pool.metered import meter_at

    now, by = datetime.now(UTC), recorder()
    with ledger(settings) as engine, engine.begin() as connection:
        entry = meter_at(connection, meter, now)
        if entry is None:
            raise Wanting(f"no meter {meter} is registered; see `tarazy register show meter`")
        fitting = Fitting(meter=meter, profile=profile or entry.profile, why=why, **told)
        try:
            fit(connection, fitting, by, now)
        except (ValueError, ProfileError) as error:
            raise Wanting(str(error)) from None
        _witness(connection, "meter-fitting", meter, now, profile=fitting.profile, why=why, **told)


@meter.command("list")
@settings_option
@json_option
def list_meters(settings: Settings, as_json: bool) -> None:
    """List the registered meters with their last good reading."""
    from tarazy.accounting.energy.newest import last_seen

    with ledger(settings) as engine, engine.begin() as connection:
        meters = _meters(connection)
        seen = last_seen(connection, [each.meter for each in meters])
    rows = [
        {"meter": each.meter, "site": each.site, "profile": each.profile, "last_reading": seen[each.meter]}
        for each in meters
    ]
    _print(rows, ("meter", "site", "profile", "last_reading"), as_json)


@meter.command("show")
@click.argument("meter")
@settings_option
@click.option("--from", "start", type=InstantParam(), help="Of intervals; the last day if absent.")
@click.option("--until", "end", type=InstantParam(), default="now", show_default=True)
@KNOWN_AT
@json_option
def show_meter(
    meter: str, settings: Settings, start: datetime | None, end: datetime, known_at: datetime | None, as_json: bool
) -> None:
    """Show what stood at METER, and its intervals with quality and version."""
    from tarazy.accounting.energy.devices import fittings
    from tarazy.accounting.energy.figures import meter_intervals
    from tarazy.accounting.energy.recording import folded_until
    from tarazy.accounting.energy.steps import exported_wh

    start = start or end - timedelta(days=1)
    with ledger(settings) as engine, engine.begin() as connection:
        exported = exported_wh(connection, _require(connection, meter), start, end, known_at)
        fitted = fittings(connection, [meter], known_at)[meter]
        rows = [
            {
                "start": row.start,
                "seconds": row.seconds,
                "energy_wh": row.energy_wh,
                "quality": row.quality,
                "version": row.version,
            }
            for row in meter_intervals(connection, meter, start, end, known_at)
        ]
        folded = folded_until(connection, [meter]).get(meter)
    folded = folded if folded is not None and start < folded else None
    if as_json:
        devices = [vars(each) for each in fitted]
        told = {"meter": meter, "devices": devices, "exported_wh": exported, "folded_until": folded, "intervals": rows}
        print_json(told)
        return
    if folded is not None:
        click.echo(
            f"up to {moments.told(folded)} its energy is folded into days: the intervals before are gone, and the"
            " export register is known only by the readings that are left",
            err=True,
        )
    for each in fitted:
        ratios = f"CT {each.ct_ratio}, VT {each.vt_ratio}"
        click.echo(f"since {moments.told(each.since)}: {each.profile}, {ratios}, serial {each.serial or 'unknown'}")
    if exported is not None:
        click.echo(f"export register: {exported} Wh in that time; consumption is not lowered by it")
    _print(rows, ("start", "energy_wh", "quality", "version"), False)


@meter.command("check")
@click.argument("meter")
@settings_option
@KNOWN_AT
@json_option
def check_meter(meter: str, settings: Settings, known_at: datetime | None, as_json: bool) -> None:
    """Derive the intervals of METER from all its readings again; exit code 1 when a stored one differs."""
    from tarazy.accounting.energy.balance import recomputed

    with ledger(settings) as engine, engine.begin() as connection:
        found = _require(connection, meter)
        differing = recomputed(connection, found, settings.energy.interval_seconds, known_at)
    rows = [{"start": start, "stored_wh": stored, "recomputed_wh": fresh} for start, stored, fresh in differing]
    if as_json:
        print_json(rows)
    elif rows:
        _print(rows, ("start", "stored_wh", "recomputed_wh"), False)
    else:
        click.echo("every interval is what the readings give")
    if rows:
        raise SystemExit(FOUND_WANTING)


def _meters(connection: Connection) -> list[Meter]:
    from tarazy.accreditation.registers import as_of
    from tarazy.pool.metered import meters_of

    return sorted(meters_of(as_of(connection, datetime.now(UTC))), key=lambda each: each.meter)


def _require(connection: Connection, key: str) -> Meter:
    for each in _meters(connection):
        if each.meter == key:
            return each
    raise Wanting(f"no meter {key} is registered; see `tarazy meter list`")


def _witness(connection: Connection, kind: str, meter: str, now: datetime, **told: Any) -> None:
    from tarazy.accreditation import audit

    texts = {name: value if isinstance(value, int) else str(value) for name, value in told.items() if value is not None}
    audit.append(connection, [audit.AuditEvent(kind, {"meter": meter, **texts, "by": recorder()})], now)


def _print(rows: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    from rich.console import Console

    table = folding_table(*columns)
    for row in rows:
        table.add_row(*(moments.plain(row[name]) for name in columns))
    Console().print(table)
