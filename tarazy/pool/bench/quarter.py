"""What the figures of a quarter cost: by its intervals, by sums of its days, and of a country with both."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Table, literal, select, text

from tarazy.accounting.energy.folding import sum_up
from tarazy.accounting.energy.meter import Meter
from tarazy.accounting.energy.site_days import FIGURES, append_allocations, append_intervals, claim, pieces
from tarazy.accounting.energy.tables import allocation, interval, site_day
from tarazy.pool.bench.measured import BenchError

_SECONDS = 900
_STEP = timedelta(seconds=_SECONDS)
_DAY = timedelta(days=1)
_STEPS_A_DAY = _DAY // _STEP
QUARTER_DAYS = 92
_WH = 250
"""What a meter moves in an interval."""
_END = datetime(2025, 12, 31, 19, tzinfo=UTC)
"""The quarter lies long ago, apart from what else is measured."""


def measure_quarter(
    engine: Engine, url: str, points: Sequence[Meter], days: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """So many days of some meters in detail, then the same summed up. Raises `BenchError`."""
    start = _END - days * _DAY
    for day in range(days):
        progress(f"writing day {day + 1} of {days}")
        with engine.begin() as connection:
            _write_day(connection, points, start + day * _DAY)
    rows = len(points) * days * _STEPS_A_DAY
    progress(f"aggregating {rows:,} intervals")
    detail = _figures(engine, url, start, rows)
    summing = _sum_up(engine, start, progress)
    progress(f"aggregating {days} days of {len(points):,} meters")
    summed = _figures(engine, url, start, rows)
    whole = 100_000 * _STEPS_A_DAY * QUARTER_DAYS / rows
    return {
        "meters": len(points),
        "days": days,
        "intervals": rows,
        "detail": detail,
        "summing_rows_per_cpu_s": round(rows / summing),
        "summed": summed,
        "summed_to_detail": round(summed["cpu_s"] / detail["cpu_s"], 4),
        "detail_cpu_s_for_100000_meters": round(detail["cpu_s"] * whole),
    }


def measure_country(
    engine: Engine, url: str, points: Sequence[Meter], progress: Callable[[str], None]
) -> dict[str, Any]:
    """A quarter of many meters, of which the last day is in detail. Raises `BenchError`.

    That day is written and summed up; the sums of the others are copies of its own.
    """
    last, start = _END - _DAY, _END - QUARTER_DAYS * _DAY
    progress(f"writing a day of {len(points):,} meters")
    with engine.begin() as connection:
        _write_day(connection, points, last)
    summing = _sum_up(engine, last, progress)
    for day in range(QUARTER_DAYS - 1):
        progress(f"copying sums of day {day + 1} of {QUARTER_DAYS - 1}")
        with engine.begin() as connection:
            for table in (*FIGURES, site_day):
                _copy_day(connection, table, last, start + day * _DAY)
    with engine.begin() as connection:
        for piece in list(pieces(connection, last, _END)):
            claim(connection, piece)
    progress(f"aggregating a quarter of {len(points):,} meters")
    told = _figures(engine, url, start, len(points) * QUARTER_DAYS * _STEPS_A_DAY)
    return {"meters": len(points), "summing_a_day_cpu_s": round(summing, 1), **told}


def _write_day(connection: Connection, points: Sequence[Meter], start: datetime) -> None:
    """A day in detail: its first intervals, and as many copies as make a day."""
    common = {"interval_start": start, "version": 1, "seconds": _SECONDS, "quality": "measured"}
    common["recorded_at"] = start + _DAY
    sites: dict[str, int] = {}
    for point in points:
        sites[point.site] = sites.get(point.site, 0) + _WH
    append_intervals(
        connection,
        [{**common, "meter": each.meter, "site": each.site, "energy_wh": _WH} for each in points],
    )
    append_allocations(
        connection,
        [
            {**common, "site": site, "party": f"party-{site}", "energy_wh": wh, "estimate_wh": wh, "weight": 1 << 60}
            for site, wh in sites.items()
        ],
    )
    for table in (interval, allocation):
        for number in range(1, _STEPS_A_DAY):
            _copy(connection, table, {"interval_start": start}, {"interval_start": start + number * _STEP})


def _copy_day(connection: Connection, table: Table, day: datetime, to: datetime) -> None:
    told = {
        "day_start": to,
        "day_end": to + _DAY,
        "whole_at": to + _DAY,
        "first_at": to + _DAY,
        "recorded_at": to + _DAY,
    }
    _copy(connection, table, {"day_start": day}, told)


def _copy(connection: Connection, table: Table, of: dict[str, Any], changed: dict[str, Any]) -> None:
    columns = [
        literal(changed[column.name], column.type) if column.name in changed else column for column in table.columns
    ]
    rows = select(*columns).where(*(table.c[name] == value for name, value in of.items()))
    connection.execute(table.insert().from_select([column.name for column in table.columns], rows))


def _sum_up(engine: Engine, start: datetime, progress: Callable[[str], None]) -> float:
    """Sum the days from `start` on up, as the office does; seconds of a processor that it took."""
    began = time.process_time()
    with engine.begin() as connection:
        found = list(pieces(connection, start, _END))
    for number, piece in enumerate(found, 1):
        progress(f"summing piece {number} of {len(found)}")
        with engine.begin() as connection:
            sum_up(connection, piece)
    return time.process_time() - began


def _figures(engine: Engine, url: str, start: datetime, rows: int) -> dict[str, Any]:
    """Ask for the figures in another process."""
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("ANALYZE"))
    command = [sys.executable, "-m", "tarazy.pool.bench.aggregated", url, start.isoformat(), _END.isoformat()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
    if done.returncode:
        raise BenchError(done.stderr[-2000:])
    told: dict[str, Any] = json.loads(done.stdout)
    if told["energy_wh"] != rows * _WH:
        raise BenchError(f"{told['energy_wh']:,} Wh of {rows * _WH:,} Wh")
    return {**told, "all_s": round(told["meters_s"] + told["parties_s"] + told["peaks_s"], 2)}
