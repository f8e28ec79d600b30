"""Folding: the same figures before and after, as known at every moment, in whatever place it is killed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, func, insert, select

from tarazy.accounting.energy import folding
from tarazy.accounting.energy.balance import recomputed, settle
from tarazy.accounting.energy.devices import Fitting, fit
from tarazy.accounting.energy.figures import (
    FoldedError,
    Place,
    energy_by_meter,
    energy_by_party,
    energy_by_submeter,
    peak_power,
    require_detail,
)
from tarazy.accounting.energy.intake import take
from tarazy.accounting.energy.meter import Meter, Reading, Source
from tarazy.accounting.energy.recording import ReadingError, append_readings, correct
from tarazy.accounting.energy.site_days import claim, pieces
from tarazy.accounting.energy.steps import registers_since
from tarazy.accounting.energy.tables import allocation, due, interval, meter_day, reading
from tarazy.config.law.calendar import day_start
from tarazy.database.engine import open_engine
from tarazy.database.types import metadata
from tests.accounting.energy.support import PROFILE, derive

START = day_start(datetime(2026, 3, 1, tzinfo=UTC).date())
DAYS = [START + timedelta(days=number) for number in range(4)]
"""Bounds of three legal days."""
CUT = DAYS[1] + timedelta(hours=9)
"""At which a register changed."""
HOUR = timedelta(hours=1)
METERS = [Meter(key, "s", "127.0.0.1", 1, 1, PROFILE, party) for key, party in (("m1", None), ("m2", None), ("b", "p"))]
PLACE = Place("s", ("m1", "m2", "b"))

Moves = list[list[tuple[int, int]]]
"""For each meter: (hours until the next reading, counts moved until then)."""


def _settle(connection: Connection, until: datetime, shares: dict[str, int], recorded: datetime | None = None) -> None:
    settle(
        connection,
        METERS,
        3600,
        until,
        lambda _connection, _site, _start, _end: {party: weight << 60 for party, weight in shares.items()},
        lambda _connection, _site, party, _at: 20_000 if party == "a" else None,
        recorded or until,
    )


def _live(
    connection: Connection,
    moves: Moves,
    shares: dict[str, int],
    then: Callable[[Connection, datetime], object] = lambda *_: None,
) -> None:
    """Three days and one hour of readings, settled as they come, now and then; and what is done after each time."""
    readings = []
    for meter, own in zip(METERS, moves, strict=True):
        at, count = START, 0
        for hours, moved in own:
            readings.append(Reading(meter.meter, at, count, "ok"))
            at, count = at + hours * HOUR, count + moved
    readings.sort(key=lambda item: item.at)
    end = DAYS[-1] + HOUR
    for number in range(0, 73, 9):
        until = START + number * HOUR
        append_readings(
            connection, [item for item in readings if until - 9 * HOUR < item.at <= until and item.at <= end], until
        )
        _settle(connection, until, shares)
        then(connection, until)
    _settle(connection, end, shares)


_FIGURES = (energy_by_meter, energy_by_party, energy_by_submeter, peak_power)


def _told(connection: Connection, moments: list[datetime | None]) -> dict[Any, Any]:
    """Every figure of some periods between bounds, as known at `moments`; of the site by itself the same."""
    found: dict[Any, Any] = {}
    for start, end in ((START, DAYS[1]), (START, DAYS[-1]), (CUT, DAYS[-1]), (START, CUT)):
        for moment in moments:
            told = [figure(connection, start, end, moment) for figure in _FIGURES]
            found[start, end, moment] = list(map(repr, told))
        assert told == [figure(connection, start, end, moment, PLACE) for figure in _FIGURES]
    return found


def _fold(connection: Connection) -> int:
    return sum(folding.fold(connection, piece) for piece in pieces(connection, START, DAYS[-1], [CUT]))


def _count(connection: Connection, table: Any) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


@pytest.fixture
def lived(sqlite_engine: Engine) -> Engine:
    """Three plain days."""
    with sqlite_engine.begin() as connection:
        _live(connection, [[(1, 700)] * 74, [(7, 900)] * 12, [(2, 55)] * 40], {"a": 3, "p": 1})
    return sqlite_engine


_MOVES = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 4_000)), min_size=2, max_size=74)


@settings(max_examples=3, deadline=None)
@given(
    moves=st.tuples(_MOVES, _MOVES, _MOVES).map(list),
    wrong=st.lists(st.tuples(st.integers(0, 71), st.integers(0, 5_000)), max_size=2, unique_by=lambda item: item[0]),
    shares=st.dictionaries(st.sampled_from("abp"), st.integers(1, 9)),
)
def test_folding_changes_no_figure(moves: Moves, wrong: list[tuple[int, int]], shares: dict[str, int]) -> None:
    """Late readings, corrections and gaps included, as known now and at every moment since the days were whole."""
    engine = open_engine("sqlite://")
    metadata.create_all(engine)
    with engine.begin() as connection:
        _live(connection, moves, shares)
        moments: list[datetime | None] = [None, *(DAYS[-1] + HOUR * number for number in range(2, 3 + len(wrong)))]
        for number, (hour, count) in enumerate(wrong, 2):
            late = Reading("m1", START + hour * HOUR + timedelta(minutes=7), count, "ok")
            append_readings(connection, [late], DAYS[-1] + HOUR * number)
            _settle(connection, DAYS[-1] + HOUR, shares, DAYS[-1] + HOUR * number)
        before = _told(connection, [*moments, START - HOUR])
        assert _fold(connection) > 0
        assert _told(connection, [*moments, START - HOUR]) == before
        assert _fold(connection) == 0
        assert _count(connection, interval.select().where(interval.c.interval_start < DAYS[-1]).subquery()) == 0
    engine.dispose()


def _sum_up(connection: Connection, until: datetime, cuts: Sequence[datetime] = ()) -> int:
    return sum(folding.sum_up(connection, piece) for piece in pieces(connection, START, until, cuts, summed=False))


def _change(connection: Connection, meter: str, place: int, what: str, now: datetime) -> None:
    """Between two readings of a meter another comes late, or the first was wrong, or the device was exchanged."""
    readings = registers_since(connection, meter, None)
    (at, count), (after, _) = list(pairwise(readings))[place % (len(readings) - 1)]
    between = at + (after - at) / 3
    if what == "late":
        append_readings(connection, [Reading(meter, between, count, "ok")], now)
    elif what == "wrong":
        correct(connection, Reading(meter, at, None, "ok"), None, now)
    else:
        fit(connection, Fitting(meter, between, PROFILE), "test", now)


@settings(max_examples=4, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    moves=st.tuples(_MOVES, _MOVES, _MOVES).map(list),
    changes=st.lists(
        st.tuples(
            st.sampled_from(["m1", "m2", "b"]),
            st.integers(0, 60),
            st.sampled_from(["late", "wrong", "exchange"]),
            st.sampled_from([None, (), (CUT,)]),
        ),
        min_size=2,
        max_size=4,
    ),
    shares=st.dictionaries(st.sampled_from("abp"), st.integers(1, 9)),
)
def test_sums_tell_what_the_intervals_tell(
    moves: Moves, changes: list[tuple[str, int, str, tuple[datetime, ...] | None]], shares: dict[str, int]
) -> None:
    """Whatever changes before they are summed up, or between, or after; as known now and at any moment before."""
    engine = open_engine("sqlite://")
    metadata.create_all(engine)
    end = DAYS[-1] + HOUR
    with engine.begin() as connection:
        _live(connection, moves, shares, _sum_up)
        assert _count(connection, meter_day) > 0
        moments: list[datetime | None] = [None, START - HOUR, START + 30 * HOUR, CUT, end]
        for number, (meter, place, what, cuts) in enumerate(changes, 1):
            moments.append(end + HOUR * number)
            _change(connection, meter, place, what, end + HOUR * number)
            _settle(connection, end, shares, end + HOUR * number)
            if cuts is not None:
                _sum_up(connection, DAYS[-1], cuts)
        told = _told(connection, moments)
        for piece in list(pieces(connection, START, DAYS[-1])):
            claim(connection, piece)
        assert _count(connection, meter_day) == 0
        assert _told(connection, moments) == told
        assert _sum_up(connection, DAYS[-1], [CUT]) > 0
        for table in (interval, allocation):
            connection.execute(table.delete().where(table.c.interval_start < DAYS[-1]))
        by_sums = _told(connection, [None, moments[-1]])
        assert by_sums == {key: told[key] for key in by_sums}
    engine.dispose()


def test_what_cannot_be_told_any_more_is_refused(lived: Engine) -> None:
    """A bound inside a folded piece, and a moment at which a day was not whole yet."""
    with lived.begin() as connection:
        _fold(connection)
        with pytest.raises(FoldedError, match="only the whole of it is known"):
            energy_by_meter(connection, START, CUT + HOUR)
        with pytest.raises(FoldedError, match="only the whole of it is known"):
            energy_by_party(connection, START + HOUR, DAYS[-1])
        with pytest.raises(FoldedError, match=r"as known at 2026-03-\d\dT.* or later"):
            peak_power(connection, START, DAYS[1], START + 10 * HOUR)
        assert energy_by_meter(connection, START, DAYS[1], START - HOUR) == {}, "nothing was known then"
        with pytest.raises(FoldedError, match="only the sums of its days are known"):
            require_detail(connection, START, DAYS[1], PLACE)
        require_detail(connection, DAYS[-1], DAYS[-1] + HOUR, PLACE)
        elsewhere = Place("other", ("m9",))
        require_detail(connection, START, DAYS[1], elsewhere)
        assert energy_by_meter(connection, START, CUT + HOUR, None, elsewhere) == {}, (
            "another site's days are no matter"
        )


@pytest.mark.parametrize("source", ["agent", "mqtt"])
def test_what_comes_in_late_for_a_folded_day_is_refused(lived: Engine, source: Source) -> None:
    """Pushed or heard: told as too old and kept as such, while the rows beside it and a repeated one are taken."""
    late = START + timedelta(minutes=9)
    given = [
        Reading("m1", late, 1, "ok", source=source),
        Reading("m1", late, None, "silent", source=source),
        Reading("m1", START + HOUR, 700, "ok", source=source),
        Reading("m1", DAYS[-1] + 2 * HOUR, 60_000, "ok", source=source),
    ]
    with lived.begin() as connection:
        _fold(connection)
        intake = take(connection, dict(enumerate(given)), lambda _: PROFILE, DAYS[-1] + 3 * HOUR)
        assert {number: error.code for number, error in intake.refused.items()} == {0: "too_old", 1: "too_old"}
        assert "is folded and changes no more" in str(intake.refused[0])
        assert (intake.taken.recorded, intake.taken.repeated) == (1, 1)
        kept = select(reading.c.at).where(reading.c.status == "too_old")
        assert connection.scalars(kept).all() == [DAYS[-1] + 3 * HOUR]


def test_folded_energy_changes_no_more(lived: Engine) -> None:
    """Readings, corrections and devices of before are refused; what follows is derived as if nothing were folded."""
    twin = open_engine("sqlite://")
    metadata.create_all(twin)
    with twin.begin() as connection:
        _live(connection, [[(1, 700)] * 74, [(7, 900)] * 12, [(2, 55)] * 40], {"a": 3, "p": 1})
    fresh = [Reading("m1", DAYS[-1] + hour * HOUR, 100_000 + hour * 333, "ok") for hour in range(2, 9)]
    with lived.begin() as connection, twin.begin() as other:
        _fold(connection)
        assert folding.folded_meters(connection, DAYS[-1]) == ["b", "m1", "m2"]
        assert folding.drop_folded_readings(connection, ["b", "m1", "m2"], DAYS[-1]) > 70
        old = Reading("m1", START + HOUR, 700, "ok")
        with pytest.raises(ReadingError, match="folded"):
            append_readings(connection, [Reading("m1", START + timedelta(minutes=9), 1, "ok")], DAYS[-1])
        with pytest.raises(ReadingError, match="has no reading"):
            correct(connection, old, 701, DAYS[-1])
        kept = registers_since(connection, "m1", DAYS[-1] - HOUR, context=99)
        assert [at for at, _ in kept[:16]] == [DAYS[-1] - hours * HOUR for hours in range(17, 1, -1)]
        with pytest.raises(ReadingError, match="folded"):
            correct(connection, Reading("m1", DAYS[-1] - HOUR, None, "ok"), 1, DAYS[-1])
        with pytest.raises(ValueError, match="folded"):
            fit(connection, Fitting("m1", DAYS[1], PROFILE), "test", DAYS[-1])
        for each in (connection, other):
            append_readings(each, fresh, DAYS[-1] + 9 * HOUR)
            _settle(each, DAYS[-1] + 8 * HOUR, {"a": 1})
        after = select(interval).where(interval.c.interval_start >= DAYS[-1]).order_by(*interval.primary_key)
        assert connection.execute(after).all() == other.execute(after).all()
        assert [recomputed(connection, meter, 3600) for meter in METERS] == [[], [], []]
    twin.dispose()


def test_a_meter_that_comes_to_a_folded_site_begins_behind_the_fold(lived: Engine) -> None:
    """Its older readings change no figure of the folded days; what it had afterwards is derived."""
    fresh = Meter("m9", "s", "127.0.0.1", 1, 1, PROFILE)
    with lived.begin() as connection:
        _fold(connection)
        before = energy_by_meter(connection, START, DAYS[-1])
        readings = [Reading("m9", START + hour * HOUR, hour * 100, "ok") for hour in range(76)]
        append_readings(connection, readings, DAYS[-1] + 4 * HOUR)
        changed = derive(connection, fresh, 3600, DAYS[-1] + 3 * HOUR, DAYS[-1] + 4 * HOUR)
        assert changed == [DAYS[-1] + hour * HOUR for hour in range(3)]
        assert energy_by_meter(connection, START, DAYS[-1]) == before


def test_what_is_not_settled_is_not_folded(lived: Engine) -> None:
    """A reading that came and waits to be derived holds up its day, and no figure changes."""
    with lived.begin() as connection:
        connection.execute(insert(due), {"meter": "m1", "since": START + HOUR})
        (piece, *_) = pieces(connection, START, DAYS[-1])
        with pytest.raises(folding.UnsettledError, match="m1"):
            folding.fold(connection, piece)


def test_pieces_are_parted_at_legal_midnights_and_cuts(lived: Engine) -> None:
    """They join without gap or overlap, and none reaches over the end."""
    with lived.begin() as connection:
        found = list(pieces(connection, START, DAYS[-1] - HOUR, [CUT, DAYS[-1] + HOUR]))
        assert [(piece.start, piece.end) for piece in found] == list(pairwise([*DAYS[:2], CUT, DAYS[2]]))
        assert _count(connection, reading) > 100
