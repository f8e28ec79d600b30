"""Energy in the database: idempotent, corrected by versions, known as at an instant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, func, select

from tarazy.accounting.energy.allocation import REST, Sharing
from tarazy.accounting.energy.balance import Settled, recomputed, settle
from tarazy.accounting.energy.figures import (
    Energy,
    energy_by_meter,
    energy_by_party,
    estimates,
    peak_power,
    site_intervals,
)
from tarazy.accounting.energy.meter import Meter, Reading, Status
from tarazy.accounting.energy.recording import append_readings
from tarazy.accounting.energy.steps import exported_wh
from tarazy.accounting.energy.tables import allocation, due, interval
from tarazy.database.engine import open_engine
from tarazy.database.types import metadata
from tests.accounting.energy.support import T0, derive, meter

FOREVER = T0 + timedelta(days=400)


def _at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def _read(connection: Connection, name: str, *registers: tuple[float, int | None, Status]) -> None:
    readings = [Reading(name, _at(minutes), value, status) for minutes, value, status in registers]
    append_readings(connection, readings, _at(registers[-1][0]))


def _steady(name: str, first: int, last: int, wh_per_minute: int) -> list[Reading]:
    return [Reading(name, _at(minutes), minutes * wh_per_minute, "ok") for minutes in range(first, last + 1, 5)]


def _work(shares: Mapping[str, int]) -> dict[str, int]:
    return {party: weight << 60 for party, weight in shares.items()}


def _settle(
    connection: Connection,
    meters: list[Meter],
    until: float,
    shares: Mapping[str, int],
    recorded: float | None = None,
) -> Settled:
    return settle(
        connection,
        meters,
        900,
        _at(until),
        lambda _connection, _site, _start, _end: _work(shares),
        lambda _connection, _site, party, _at: 20_000 if party == "a" else None,
        _at(until if recorded is None else recorded),
    )


def _count(connection: Connection, table: object) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0  # type: ignore[arg-type]


def test_from_registers_to_parties(engine: Engine) -> None:
    """Two meters of a site: intervals add up to the registers, parties and rest add up to the intervals."""
    meters = [meter("m1"), meter("m2")]
    with engine.begin() as connection:
        append_readings(connection, _steady("m1", 0, 60, 10) + _steady("m2", 0, 60, 7), _at(60))
        settled = _settle(connection, meters, 60, {"a": 2, "b": 1})
        assert (settled.intervals, settled.allocations, settled.breaks) == (8, 4, ())
        sites = site_intervals(connection, T0, FOREVER)
        assert [(item.start, item.energy_wh, item.quality) for item in sites] == [
            (_at(15 * number), 255, "measured") for number in range(4)
        ]
        parties = energy_by_party(connection, T0, FOREVER)
        assert {party: energy.energy_wh for (_, party), energy in parties.items()} == {
            REST: 0,
            "a": 170 * 4,
            "b": 85 * 4,
        }
        by_meter = energy_by_meter(connection, T0, FOREVER)
        assert {name: item.energy_wh for (_, name), item in by_meter.items()} == {"m1": 600, "m2": 420}
        assert by_meter["site-1", "m1"].intervals == {"measured": 4}


def test_a_submeter_is_part_of_the_main_meter(engine: Engine) -> None:
    """Its energy is its party's and is counted once; a hole in it makes the division missing, not the site."""
    meters = [meter("main"), replace(meter("sub"), party="b")]
    with engine.begin() as connection:
        append_readings(connection, _steady("main", 0, 30, 100) + _steady("sub", 0, 15, 40), _at(30))

        def settled(until: float) -> int:
            rule = Sharing("fixed", parts={"a": 5_000})
            return settle(
                connection, meters, 900, _at(until), lambda *_: {}, lambda *_: None, _at(until), lambda *_: rule
            ).allocations

        assert settled(15) == 1
        parties = energy_by_party(connection, T0, FOREVER)
        # 1,500 Wh: 600 below, half of the 900 that are left, the rest.
        assert {party: part.energy_wh for (_, party), part in parties.items()} == {REST: 450, "a": 450, "b": 600}
        assert settled(30) == 1
        assert [(item.energy_wh, item.quality) for item in site_intervals(connection, T0, FOREVER)] == [
            (1_500, "measured"),
            (1_500, "measured"),
        ]
        assert list(energy_by_meter(connection, T0, FOREVER)) == [("site-1", "main")]
        assert peak_power(connection, T0, FOREVER)["site-1"][0] == 6_000
        later = energy_by_party(connection, _at(15), FOREVER)
        assert {party: (part.energy_wh, part.uncertain_wh) for (_, party), part in later.items()} == {
            REST: (750, 750),
            "a": (750, 750),
            "b": (0, 0),
        }
        _read(connection, "sub", (30, 1_200, "ok"))
        settled(30)
        assert energy_by_party(connection, _at(15), FOREVER)["site-1", "b"].energy_wh == 600


def test_an_unknown_efficiency_gives_no_estimate(engine: Engine) -> None:
    """The estimate is missing rather than zero where the machines are not known."""
    with engine.begin() as connection:
        append_readings(connection, _steady("m1", 0, 15, 10), _at(15))
        _settle(connection, [meter()], 15, {"a": 1, "b": 1})
        parties = energy_by_party(connection, T0, FOREVER)
    # 2^60 · 65536/65535 hashes at 20 J/TH: 23,058.8 kJ = 6,405 Wh
    assert parties["site-1", "a"] == Energy(75, 6405, 0)
    assert parties["site-1", "b"] == Energy(75, None, 0)


def test_settling_again_changes_nothing(engine: Engine) -> None:
    """A second settlement, after a crash or by another office, stores no row."""
    with engine.begin() as connection:
        append_readings(connection, _steady("m1", 0, 60, 10), _at(60))
        _settle(connection, [meter()], 60, {"a": 1})
        before = _count(connection, interval), _count(connection, allocation)
        again = _settle(connection, [meter()], 60, {"a": 1})
        assert (again.intervals, again.allocations) == (0, 0)
        assert (_count(connection, interval), _count(connection, allocation)) == before


def test_work_that_arrives_late_gives_a_new_version(engine: Engine) -> None:
    """Shares folded after the energy re-divide the recent intervals; the sum stays the meter's."""
    with engine.begin() as connection:
        append_readings(connection, _steady("m1", 0, 15, 10), _at(15))
        _settle(connection, [meter()], 15, {}, recorded=16)
        _settle(connection, [meter()], 15, {"a": 1}, recorded=17)
        assert energy_by_party(connection, T0, FOREVER, _at(16))["site-1", REST].energy_wh == 150
        assert ("site-1", "a") not in energy_by_party(connection, T0, FOREVER, _at(16))
        now = energy_by_party(connection, T0, FOREVER)
        assert {party: energy.energy_wh for (_, party), energy in now.items()} == {REST: 0, "a": 150}
        estimated = now["site-1", "a"].estimate_wh
        assert (estimates(connection, T0, FOREVER, _at(16)), bool(estimated)) == ({T0: 0}, True)
        assert estimates(connection, T0, FOREVER) == {T0: estimated}


def test_a_silent_meter_is_missing_and_then_estimated(engine: Engine) -> None:
    """While silent: missing. When it speaks again: new versions, and both are known as they were."""
    with engine.begin() as connection:
        append_readings(connection, _steady("m1", 0, 15, 10), _at(15))
        _read(connection, "m1", (20, None, "silent"), (40, None, "refused"))
        _settle(connection, [meter()], 45, {"a": 1}, recorded=46)
        assert [item.quality for item in site_intervals(connection, T0, FOREVER)] == [
            "measured",
            "missing",
            "missing",
        ]
        assert _settle(connection, [meter()], 45, {"a": 1}).intervals == 0
        _read(connection, "m1", (50, 500, "ok"), (60, 600, "ok"))
        _settle(connection, [meter()], 60, {"a": 1}, recorded=61)
        after = site_intervals(connection, T0, FOREVER)
        assert [item.quality for item in after] == ["measured", "estimated", "estimated", "estimated"]
        assert sum(item.energy_wh for item in after) == 600
        before = energy_by_party(connection, T0, FOREVER, _at(50))["site-1", "a"]
        now = energy_by_party(connection, T0, FOREVER)["site-1", "a"]
        assert (before.energy_wh, now.energy_wh, now.uncertain_wh) == (150, 600, 450)


def test_one_meter_of_two_missing_makes_the_site_missing(engine: Engine) -> None:
    """A meter that never answered is no zero: the site's interval says missing."""
    with engine.begin() as connection:
        append_readings(connection, _steady("m1", 0, 15, 10), _at(15))
        _read(connection, "m2", (1, None, "refused"), (14, None, "refused"))
        _settle(connection, [meter("m1"), meter("m2")], 15, {"a": 1})
        [item] = site_intervals(connection, T0, FOREVER)
        assert (item.energy_wh, item.quality) == (150, "missing")


def test_late_readings_correct_the_past_by_a_new_version(engine: Engine) -> None:
    """Readings that come in later replace an interpolation; what was known before stays to be seen."""
    with engine.begin() as connection:
        _read(connection, "m1", (0, 0, "ok"), (45, 450, "ok"))
        _settle(connection, [meter()], 45, {"a": 1}, recorded=46)
        _read(connection, "m1", (15, 20, "ok"), (30, 40, "ok"))
        changed = derive(connection, meter(), 900, _at(45), _at(50))
        assert changed == [_at(0), _at(15), _at(30)]
        energies = [item.energy_wh for item in site_intervals(connection, T0, FOREVER)]
        assert energies == [20, 20, 410]
        assert [item.energy_wh for item in site_intervals(connection, T0, FOREVER, _at(46))] == [150] * 3


def test_a_break_is_told_once(engine: Engine) -> None:
    """A register that went backwards is reported when its interval is stored, and not again."""
    with engine.begin() as connection:
        _read(connection, "m1", (0, 9000, "ok"), (5, 9050, "ok"), (6, 100, "ok"), (15, 190, "ok"))
        first = _settle(connection, [meter()], 15, {"a": 1})
        assert [(where.meter, item.kind) for where, item in first.breaks] == [("m1", "backwards")]
        assert _settle(connection, [meter()], 15, {"a": 1}).breaks == ()
        [item] = site_intervals(connection, T0, FOREVER)
        assert (item.energy_wh, item.quality) == (140, "missing")


def test_a_wrong_reading_on_the_boundary_is_dropped_however_settled(engine: Engine) -> None:
    """Where one settlement left off the next must not take a reading for granted that the first did not believe."""
    with engine.begin() as connection:
        _read(connection, "m1", (0, 0, "ok"), (10, 100, "ok"), (15, 10**12, "ok"), (16, 160, "ok"))
        _settle(connection, [meter()], 15, {"a": 1})
        _read(connection, "m1", (25, 250, "ok"), (30, 300, "ok"))
        _settle(connection, [meter()], 30, {"a": 1})
        found = [(item.energy_wh, item.quality) for item in site_intervals(connection, T0, FOREVER)]
        assert found == [(150, "measured"), (150, "measured")]


def test_sites_do_not_mix(engine: Engine) -> None:
    """Each site's energy goes to the parties who worked there."""
    meters = [meter("m1", "x"), meter("m2", "y")]
    with engine.begin() as connection:
        append_readings(connection, _steady("m1", 0, 15, 10) + _steady("m2", 0, 15, 20), _at(15))
        settle(
            connection,
            meters,
            900,
            _at(15),
            lambda _connection, site, _start, _end: {"a": 1} if site == "x" else {"b": 1},
            lambda *_: None,
            _at(15),
        )
        found = energy_by_party(connection, T0, FOREVER)
    assert {key: value.energy_wh for key, value in found.items() if key[1]} == {
        ("x", "a"): 150,
        ("y", "b"): 300,
    }


def test_a_period_takes_the_intervals_that_begin_in_it(engine: Engine) -> None:
    """Periods are [start, end): two that meet share no interval and lose none."""
    with engine.begin() as connection:
        append_readings(connection, _steady("m1", 0, 60, 10), _at(60))
        _settle(connection, [meter()], 60, {"a": 1})
        first = energy_by_party(connection, T0, _at(30))["site-1", "a"].energy_wh
        second = energy_by_party(connection, _at(30), FOREVER)["site-1", "a"].energy_wh
        assert (first, second) == (300, 300)


def _chunk(connection: Connection, meters: Sequence[Meter], until: float) -> Settled:
    return settle(
        connection, meters, 900, _at(until), lambda *_: _work({"a": 1}), lambda *_: 20_000, _at(until), most=100
    )


def test_export_stands_beside_consumption_and_lowers_nothing(engine: Engine) -> None:
    """Intervals are of the import register alone; what was given back is told by itself, to the watt-hour."""
    with engine.begin() as connection:
        append_readings(connection, _steady("m1", 0, 60, 10), _at(60))
        _settle(connection, [meter()], 60, {"a": 1})
        exports = [Reading("m1", _at(minute), 3 * minute, "ok", "export") for minute in (0, 30, 60)]
        append_readings(connection, exports, _at(60))
        assert _settle(connection, [meter()], 60, {"a": 1}).intervals == 0
        assert sum(each.energy_wh for each in site_intervals(connection, T0, FOREVER)) == 600
        assert exported_wh(connection, meter(), _at(15), _at(50)) == 105
        assert exported_wh(connection, meter(), T0, FOREVER) == 180
        assert exported_wh(connection, meter("m2"), T0, FOREVER) is None


def test_weeks_of_silence_are_settled_in_parts(engine: Engine) -> None:
    """Three days between two readings, and two meters of another site, 100 intervals a transaction.

    A reading that comes between two parts is heeded by the next one, and the sum is the register's throughout.
    """
    days = 3 * 24 * 60
    meters = [meter("m1"), meter("m2", "site-2"), meter("m3", "site-2")]
    with engine.begin() as connection:
        for name in ("m1", "m2", "m3"):
            _read(connection, name, (0, 100, "ok"))
        assert _chunk(connection, meters, 30).rest == ()
        _read(connection, "m1", (days, 7301, "ok"))
    parts, rest = [], meters
    while rest:
        with engine.begin() as connection:
            settled = _chunk(connection, rest, days + 15)
            parts.append((settled.intervals, [each.meter for each in settled.rest]))
            rest = list(settled.rest)
            if len(parts) == 2:
                _read(connection, "m1", (60, 7300, "ok"))
    names = ["m1", "m2", "m3"]
    assert parts[:2] == [(100, names), (100, names)]
    assert [names for _, names in parts[-3:]] == [["m2", "m3"], ["m2", "m3"], []]
    assert max(intervals for intervals, _ in parts) <= 3 * 100
    with engine.begin() as connection:
        assert connection.scalar(select(func.count()).select_from(due)) == 0
        assert [recomputed(connection, each, 900) for each in meters] == [[], [], []]
        energy = energy_by_party(connection, T0, FOREVER)
        assert sum(item.energy_wh for (site, _), item in energy.items() if site == "site-1") == 7201
        first = site_intervals(connection, T0, _at(60), site="site-1")
        assert [item.energy_wh for item in first] == [1800] * 4


def test_many_sites_are_settled_together_in_parts(sqlite_engine: Engine) -> None:
    """Thirty meters with half a day each: about so many intervals a transaction, and no site twice."""
    meters = [meter(f"m{number}", f"site-{number}") for number in range(30)]
    with sqlite_engine.begin() as connection:
        for each in meters:
            _read(connection, each.meter, (0, 100, "ok"), (12 * 60, 7_300, "ok"))
    rest, parts = meters, []
    while rest:
        with sqlite_engine.begin() as connection:
            settled = _chunk(connection, rest, 12 * 60)
            parts.append(settled.intervals)
            rest = list(settled.rest)
    assert parts == [96] * 15
    with sqlite_engine.begin() as connection:
        assert _count(connection, due) == 0
        assert [found for each in meters if (found := recomputed(connection, each, 900))] == []
        assert _chunk(connection, meters, 12 * 60).intervals == 0


_DOUBTFUL = 10**8


@settings(max_examples=8, deadline=None)
@example([(0, 1, 0, 0), (0, 13, 0, 1), (1, 3, 0, 0), (0, 5, 0, 1), (0, 6, 0, 1), (0, 11, 0, 1)])
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 11), st.integers(0, 3), st.sampled_from((0, 0, 0, 1, 2))),
        min_size=5,
        max_size=30,
    )
)
def test_meters_settled_together_are_as_if_derived_at_once(rows: list[tuple[int, int, int, int]]) -> None:
    """Readings that come late, and such as are not believed at first, whenever the intervals are settled between."""
    engine = open_engine("sqlite://")
    metadata.create_all(engine)
    meters = [meter("m0"), meter("m1"), meter("m2", "site-2")]
    taken: set[tuple[int, int]] = set()
    minute = 0
    with engine.begin() as connection:
        for number, passed, late, doubtful in rows:
            minute += passed
            at = max(0, minute - 13 * late if late == 3 else minute)
            if (number, at) not in taken:
                taken.add((number, at))
                count = 10 * at + doubtful * _DOUBTFUL
                append_readings(connection, [Reading(f"m{number}", _at(at), count, "ok")], _at(minute))
            _settle(connection, meters, minute, {"a": 1})
        _settle(connection, meters, minute + 15, {"a": 1})
        assert [recomputed(connection, each, 900) for each in meters] == [[], [], []]
    engine.dispose()


_STEP = st.tuples(st.integers(1, 45), st.integers(0, 400), st.booleans())


def test_however_settled_energy_balances_to_the_watt_hour(engine: Engine) -> None:
    """Settling after each reading or once at the end gives the same figures, and Σ parties = Σ registers."""

    @settings(max_examples=15, deadline=None)
    @given(st.lists(_STEP, min_size=1, max_size=12), st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)))
    def balances(steps: list[tuple[int, int, bool]], shares: dict[str, int]) -> None:
        with engine.connect() as connection, connection.begin() as transaction:
            _balances(connection, steps, shares)
            transaction.rollback()

    balances()


def _balances(connection: Connection, steps: list[tuple[int, int, bool]], shares: dict[str, int]) -> None:
    minutes, register = 0, 500
    stepwise, at_once = meter("m1", "stepwise"), meter("m2", "at once")
    for name in ("m1", "m2"):
        _read(connection, name, (0, register, "ok"))
    for pause, energy, settled in steps:
        minutes, register = minutes + pause, register + energy
        for name in ("m1", "m2"):
            _read(connection, name, (minutes, register, "ok"))
        if settled:
            _settle(connection, [stepwise], minutes + 10, shares)
    _settle(connection, [stepwise, at_once], minutes - minutes % 15 + 15, shares)
    sums: dict[str, int] = {}
    for (site, _), item in energy_by_party(connection, T0, FOREVER).items():
        sums[site] = sums.get(site, 0) + item.energy_wh
    assert sums == {"stepwise": register - 500, "at once": register - 500}
    first, second = (
        [
            (item.start, item.energy_wh, item.quality)
            for item in site_intervals(connection, T0, FOREVER, site=where.site)
        ]
        for where in (stepwise, at_once)
    )
    assert first == second
