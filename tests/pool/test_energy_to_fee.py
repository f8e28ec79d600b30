"""Energy balances to the watt-hour from what registers moved to the lines of the fee, over a whole quarter."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine

from tarazy.accounting.energy.balance import recomputed, settle
from tarazy.accounting.energy.devices import Fitting, fit
from tarazy.accounting.energy.intervals import floor_to
from tarazy.accounting.energy.meter import Reading
from tarazy.accounting.energy.recording import append_readings, correct
from tarazy.accounting.fee.statement import compute_fee
from tarazy.accreditation.entries import EnergyBy, EnergySource, Entry, Meter, MeterStatus, Party, Site, Supply
from tarazy.accreditation.registers import append_all, as_of
from tarazy.accreditation.snapshot import Registers
from tarazy.config.law import load_law
from tarazy.config.law.calendar import Quarter
from tarazy.pool.metered import meters_of, sharing_of
from tarazy.reports.consumption import consumption_by_party
from tests.reports import world

QUARTER = Quarter.parse("2023-Q2")
SECONDS = 42 * 3600
"""An interval begins with this quarter, and one ends with it; few of them keep the test quick."""
HOURS = (QUARTER.end - QUARTER.start) // timedelta(hours=1)
AFTER = QUARTER.end + timedelta(days=1)
PROFILE, WH, ROLLOVER = "generic-uint32-100wh", 100, 10**9
SITE, OWNER, GUEST = "ekibastuz-1", "altyn", "tau"
LAW = load_law()

Kind = Literal["read", "late", "wrong", "exchange"]
_STEPS = st.lists(
    st.tuples(st.integers(1, 400), st.integers(0, 20_000), st.sampled_from(("read", "late", "wrong", "exchange"))),
    max_size=10,
)


@dataclass
class _Point:
    """A metering point over the quarter: what its register did, and how that became known."""

    key: str
    moved: int = 0
    prompt: list[Reading] = field(default_factory=list)
    late: list[Reading] = field(default_factory=list)
    wrong: list[Reading] = field(default_factory=list)
    """Recorded seven counts too high, and corrected later."""
    fitted: list[Fitting] = field(default_factory=list)

    def live(self, steps: list[tuple[int, int, Kind]], last: int) -> None:
        """Go through `steps` (hours, counts, what happens), and end with a reading at the quarter's end."""
        count, hours = ROLLOVER - 5_000, 0
        self.prompt.append(self._reading(hours, count))
        for pause, counts, kind in [*steps, (HOURS, last, "read")]:
            pause = min(pause, HOURS - hours - (kind != "read" or pause < HOURS))
            if pause <= 0:
                continue
            hours, count, self.moved = hours + pause, (count + counts) % ROLLOVER, self.moved + counts
            event(kind)
            if kind == "exchange":
                since = QUARTER.start + timedelta(hours=hours)
                final, count = count, 123
                self.fitted.append(
                    Fitting(self.key, since, PROFILE, final_import=final, initial_import=count, why="exchanged")
                )
                continue
            told = {"read": self.prompt, "late": self.late, "wrong": self.wrong}[kind]
            told.append(self._reading(hours, count))

    def _reading(self, hours: int, count: int) -> Reading:
        return Reading(self.key, QUARTER.start + timedelta(hours=hours), count, "ok")


def _entries(month_kwh: int) -> list[Entry]:
    since = QUARTER.start - timedelta(days=30)
    parties = [row for row in world.registers() if isinstance(row, Party) and row.party in (OWNER, GUEST)]
    (site,) = (row for row in world.registers() if isinstance(row, Site) and row.site == SITE)

    def meter(key: str, party: str | None = None) -> Meter:
        return Meter(
            meter=key,
            site=SITE,
            host="10.0.0.2",
            port=502,
            unit=1,
            profile=PROFILE,
            source=EnergySource.GRID,
            price_tiyn_per_kwh=1800,
            status=MeterStatus.OK,
            party=party,
            valid_from=since,
        )

    def supply(key: str, priority: int, most: int | None) -> Supply:
        return Supply(
            supply=key,
            site=SITE,
            source=EnergySource.IMPORT,
            priority=priority,
            price_tiyn_per_kwh=1000 * priority,
            month_kwh=most,
            valid_from=since,
        )

    changes = {"valid_from": since, "energy_by": EnergyBy.WORK}
    return [
        *(_with(row, valid_from=since) for row in parties),
        _with(site, **changes),
        *(meter("m1"), meter("m2"), meter("sub", GUEST)),
        *(supply("first", 1, month_kwh), supply("second", 2, None)),
    ]


def _with(row: Entry, **changes: object) -> Entry:

    return replace(row, **changes)  # type: ignore[arg-type]


def _settle(connection: Connection, known: Registers) -> None:
    rest = meters_of(known)
    while rest:
        settled = settle(
            connection,
            rest,
            SECONDS,
            QUARTER.end,
            lambda _connection, _site, start, _end: {OWNER: 3 << 60, GUEST: (start.day % 3) << 60},
            lambda *_: 20_000,
            AFTER,
            lambda site, at: sharing_of(known.at(at), site),
        )
        rest = list(settled.rest)


def _lives(connection: Connection, steps: list[list[tuple[int, int, Kind]]], month_kwh: int) -> None:
    append_all(connection, _entries(month_kwh), QUARTER.start - timedelta(days=30), "test")
    assert floor_to(QUARTER.start, SECONDS) == QUARTER.start
    assert floor_to(QUARTER.end, SECONDS) == QUARTER.end
    known = as_of(connection, QUARTER.end)
    points = [_Point(key) for key in ("m1", "m2", "sub")]
    for point, own, last in zip(points, steps, (900, 9_000, 300), strict=True):
        point.live(own, last)
        wrong = [Reading(item.meter, item.at, (item.register_count or 0) + 7, "ok") for item in point.wrong]
        append_readings(connection, sorted([*point.prompt, *wrong], key=lambda item: item.at), AFTER)
    _settle(connection, known)
    for point in points:
        append_readings(connection, point.late, AFTER)
        for item in point.wrong:
            correct(connection, item, item.register_count, AFTER)
        for fitting in point.fitted:
            fit(connection, fitting, "test", AFTER)
    _settle(connection, known)
    assert [recomputed(connection, meter, SECONDS) for meter in meters_of(known)] == [[], [], []]
    moved = sum(point.moved for point in points if point.key != "sub") * WH
    used = consumption_by_party(connection, known, QUARTER.start, QUARTER.end, AFTER)
    assert [item.fault for item in used.values()] == [None] * len(used)
    statements = [compute_fee(LAW, QUARTER, item.items) for item in used.values()]
    assert sum(line.energy_wh for statement in statements for line in statement.lines) == moved
    assert all(statement.average_price_kzt for statement in statements if statement.energy_wh)


def test_every_watt_hour_of_a_quarter_is_in_a_fee_line(sqlite_engine: Engine) -> None:
    """Rollovers, gaps of weeks, exchanges, late readings and corrections; a sub-meter, and supplies with limits."""

    @settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.tuples(_STEPS, _STEPS, _STEPS), st.integers(0, 600))
    def balances(steps: tuple[list[tuple[int, int, Kind]], ...], month_kwh: int) -> None:
        with sqlite_engine.connect() as connection, connection.begin() as transaction:
            _lives(connection, list(steps), month_kwh)
            transaction.rollback()

    balances()
