"""`tarazy bench energy`: what readings cost from the push to the settled interval, then a quarter's figures."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, insert, text

from tarazy.accounting.energy.balance import settle
from tarazy.accounting.energy.intervals import floor_to
from tarazy.accounting.energy.meter import Meter, Reading
from tarazy.accounting.energy.recording import append_readings
from tarazy.accreditation.entries import EnergySource, MeterStatus, ReadBy, Site, SiteStatus, content_of
from tarazy.accreditation.entries import Meter as Entry
from tarazy.accreditation.tables import REGISTERS
from tarazy.database.engine import open_engine
from tarazy.database.schema import upgrade
from tarazy.pool.bench.measured import HOST, BenchError, Measured, measured
from tarazy.pool.bench.quarter import measure_country, measure_quarter
from tarazy.pool.demo.prepare import free_ports
from tarazy.portal.rights import Role
from tarazy.portal.tokens import create_token

_SECONDS = 900
_STEP = timedelta(seconds=_SECONDS)
_AT_ONCE = 500
"""Rows of a push, as a site's agent sends them; a site of the bench has as many meters."""
_PUSHERS = 4
_WH = 250
"""What a meter moves in an interval."""
_WORK = 1 << 60


def run_energy_bench(
    directory: Path,
    database: str | None,
    *,
    meters: int,
    pushed: int,
    stored: int,
    days: int,
    aggregated: int,
    country: int,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """All measurements, on an empty database.

    `pushed` and `stored`: intervals that come in over HTTP, and straight into the store; `aggregated`: meters that have
    intervals of `days` days; `country`: meters of a whole quarter, in a database of its own. Raises `BenchError`.
    """
    url = database or f"sqlite:///{directory / 'bench.db'}"
    engine = open_engine(url)
    upgrade(engine)
    points = list(map(_point, range(meters)))
    start = floor_to(datetime.now(UTC), _SECONDS) - _STEP * (pushed + stored + 2)
    figures: dict[str, Any] = {"database": engine.dialect.name, "meters": meters}
    progress(f"registering {meters:,} meters")
    with engine.begin() as connection:
        tokens = _register(connection, points, start - timedelta(days=1))
    progress("first readings")
    for number in range(2):
        _append(engine, points, start + _STEP * number, number)
    start += _STEP
    _settle(engine, points, start)
    if pushed:
        (port,) = free_ports(1)
        served = measured("tarazy.pool.bench.pushed", url, str(port), str(directory), port=port, log=directory / "log")
        with served as server:
            figures["pushed"] = _push_all(engine, server, points, tokens, start, pushed, progress)
        start += _STEP * pushed
    if stored:
        figures["stored"] = _store_all(engine, points, start, stored, pushed + 1, progress)
    figures["peak_rss_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    figures["bytes_per_reading"] = round(_size(engine, directory) / (meters * (pushed + stored + 2)))
    if aggregated:
        figures["quarter"] = measure_quarter(engine, url, list(map(_point, range(aggregated))), days, progress)
    engine.dispose()
    if country:
        figures["country"] = _country(directory, country, progress)
    return figures


def _country(directory: Path, meters: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """In SQLite: what a laptop has."""
    url = f"sqlite:///{directory / 'country.db'}"
    engine = open_engine(url)
    upgrade(engine)
    try:
        return measure_country(engine, url, list(map(_point, range(meters))), progress)
    finally:
        engine.dispose()


def _point(number: int) -> Meter:
    return Meter(f"m-{number:06}", f"site-{number // _AT_ONCE}", "10.0.0.2", 502, 1, "register-wh")


def _sites(points: Sequence[Meter]) -> Iterator[Sequence[Meter]]:
    return (points[first : first + _AT_ONCE] for first in range(0, len(points), _AT_ONCE))


def _register(connection: Connection, points: Sequence[Meter], since: datetime) -> dict[str, str]:
    """The entries of the sites and meters, and a token for each site's agent."""
    recorded = {"recorded_at": since, "recorded_by": "bench"}
    for some in _sites(points):
        site = Site(
            site=some[0].site,
            party="host",
            name="bench",
            country="KZ",
            region="bench",
            address="bench",
            networks=("2.72.0.0/24",),
            permitted_power_w=10**9,
            status=SiteStatus.ACCREDITED,
            valid_from=since,
        )
        connection.execute(insert(REGISTERS[Site.register]), {**content_of(site), **recorded})
        rows = [{**content_of(_entry(point, since)), **recorded} for point in some]
        connection.execute(insert(REGISTERS[Entry.register]), rows)
    until = datetime.now(UTC) + timedelta(days=1)
    return {
        some[0].site: create_token(connection, some[0].site, Role.AGENT, None, since, until, "bench", some[0].site)
        for some in _sites(points)
    }


def _entry(point: Meter, since: datetime) -> Entry:
    return Entry(
        meter=point.meter,
        site=point.site,
        host=point.host,
        port=point.port,
        unit=point.unit,
        profile=point.profile,
        source=EnergySource.GRID,
        price_tiyn_per_kwh=2_500,
        status=MeterStatus.OK,
        read_by=ReadBy.AGENT,
        valid_from=since,
    )


def _push_all(
    engine: Engine,
    server: Measured,
    points: Sequence[Meter],
    tokens: dict[str, str],
    start: datetime,
    intervals: int,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Push one reading of every meter for each interval, settle after each."""
    pushing = settling = 0.0
    own = time.process_time()
    cpu = server.cpu_seconds()
    sites = list(_sites(points))
    _await_tokens(server.port, next(iter(tokens.values())))
    for number in range(1, intervals + 1):
        progress(f"pushing interval {number} of {intervals}")
        at = start + _STEP * number
        began = time.perf_counter()
        push = partial(_push, server.port, tokens, at, number + 1)
        with ThreadPoolExecutor(_PUSHERS) as pushers:
            list(pushers.map(push, [sites[index::_PUSHERS] for index in range(_PUSHERS)]))
        pushing += time.perf_counter() - began
        settling += _settle(engine, points, at)
    readings = len(points) * intervals
    return {
        "intervals": intervals,
        **_rates(readings, pushing, settling),
        "portal_cpu_us_per_reading": round((server.cpu_seconds() - cpu) / readings * 1e6, 1),
        "settling_and_pushing_cpu_us_per_reading": round((time.process_time() - own) / readings * 1e6, 1),
        "portal_rss_bytes": server.memory_bytes(),
    }


def _await_tokens(port: int, token: str) -> None:
    """Until the portal has read who may push."""
    for _ in range(300):
        line = HTTPConnection(HOST, port, timeout=120)
        line.request("GET", "/api/v1/me", headers={"Authorization": f"Bearer {token}"})
        if line.getresponse().status == 200:
            return
        line.close()
        time.sleep(0.1)
    raise BenchError("the portal knows no token after 30 s")


def _push(port: int, tokens: dict[str, str], at: datetime, number: int, sites: Iterable[Sequence[Meter]]) -> None:
    line = HTTPConnection(HOST, port, timeout=120)
    for some in sites:
        rows = [{"meter": point.meter, "at": at.isoformat(), "count": number * _WH} for point in some]
        headers = {"Authorization": f"Bearer {tokens[some[0].site]}", "Content-Type": "application/json"}
        line.request("POST", "/api/v1/readings", json.dumps({"readings": rows}), headers)
        answer = line.getresponse()
        told = answer.read()
        if answer.status != 200 or json.loads(told)["recorded"] != len(rows):
            raise BenchError(f"the portal answered {answer.status}: {told[:500]!r}")
    line.close()


def _store_all(
    engine: Engine,
    points: Sequence[Meter],
    start: datetime,
    intervals: int,
    before: int,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Append one reading of every meter for each interval, settle after each."""
    appending = settling = 0.0
    own = time.process_time()
    for number in range(1, intervals + 1):
        progress(f"storing interval {number} of {intervals}")
        at = start + _STEP * number
        began = time.perf_counter()
        _append(engine, points, at, before + number)
        appending += time.perf_counter() - began
        settling += _settle(engine, points, at)
    readings = len(points) * intervals
    cpu_us = round((time.process_time() - own) / readings * 1e6, 1)
    return {"intervals": intervals, **_rates(readings, appending, settling), "cpu_us_per_reading": cpu_us}


def _append(engine: Engine, points: Sequence[Meter], at: datetime, number: int) -> None:
    for some in _sites(points):
        readings = [Reading(point.meter, at, number * _WH, "ok", source="agent") for point in some]
        with engine.begin() as connection:
            append_readings(connection, readings, at)


def _rates(readings: int, coming_in: float, settling: float) -> dict[str, Any]:
    return {
        "in_per_s": round(readings / coming_in),
        "settled_per_s": round(readings / settling),
        "readings_per_s": round(readings / (coming_in + settling)),
    }


def _settle(engine: Engine, points: Sequence[Meter], until: datetime) -> float:
    began = time.perf_counter()
    rest, intervals = points, 0
    while rest:
        with engine.begin() as connection:
            settled = settle(
                connection,
                rest,
                _SECONDS,
                until,
                lambda _connection, site, _start, _end: {f"party-{site}": _WORK},
                lambda _connection, _site, _party, _at: 17_500,
                until,
            )
        rest = settled.rest
        intervals += settled.intervals
    if intervals != len(points):
        raise BenchError(f"{intervals:,} intervals of {len(points):,} meters")
    return time.perf_counter() - began


def _size(engine: Engine, directory: Path) -> int:
    """Bytes of the database."""
    if engine.dialect.name == "sqlite":
        return sum(file.stat().st_size for file in directory.glob("bench.db*"))
    with engine.begin() as connection:
        return int(connection.scalar(text("SELECT pg_database_size(current_database())")) or 0)
