"""Files in the 80020 layout: half-hours into spans of fifteen minutes, hostile ones refused in a line."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from tarazy.accounting.energy.balance import recomputed
from tarazy.accounting.energy.figures import meter_intervals
from tarazy.accounting.energy.layout80020 import MAXIMUM_BYTES, LayoutError, parse_80020
from tarazy.accounting.energy.meter import Reading
from tarazy.accounting.energy.recording import ReadingError, append_readings
from tests.accounting.energy.support import derive, meter

CODE = "131150001113003"
MIDNIGHT = datetime(2026, 3, 1, 19, tzinfo=UTC)
"""Of 2 March 2026 in Almaty."""


def _clock(half_hour: int) -> str:
    return f"{half_hour // 2 % 24:02}{half_hour % 2 * 30:02}"


def day_file(values: list[int | str], day: str = "20260302", code: str = CODE, doubtful: int | None = None) -> bytes:
    """A file of one measuring point with a name in Cyrillic, as windows-1251."""
    periods = "".join(
        f'<period start="{_clock(number)}" end="{_clock(number + 1)}">'
        f'<value status="{int(number == doubtful)}">{value}</value></period>'
        for number, value in enumerate(values)
    )
    return f"""<?xml version="1.0" encoding="windows-1251"?>
<message class="80020" version="2" number="1056">
  <datetime><timestamp>20260303040922</timestamp><daylightsavingtime>0</daylightsavingtime><day>{day}</day></datetime>
  <sender><name>Сеть</name><inn>240140000001</inn></sender>
  <area timezone="1"><inn>240140000001</inn><name>ЦОД Экибастуз</name>
    <measuringpoint code="{code}" name="Ввод 1">
      <measuringchannel code="01" desc="активный приём">{periods}</measuringchannel>
      <measuringchannel code="03" desc="реактивный приём">{periods}</measuringchannel>
    </measuringpoint></area></message>""".encode("windows-1251")


def test_a_day_becomes_intervals_that_add_up(sqlite_engine: Engine) -> None:
    """48 half-hours of whole kWh: 96 intervals of the legal day, each half-hour's sum kept to the watt-hour."""
    where = meter(CODE, profile="register-kwh")
    told = parse_80020(day_file([101 + number for number in range(48)]))
    assert (told.doubtful, told.reactive) == (0, 1)
    after = MIDNIGHT + timedelta(days=1)
    with sqlite_engine.begin() as connection:
        append_readings(connection, told.readings, after)
        derive(connection, where, 900, after, after)
        rows = meter_intervals(connection, CODE, MIDNIGHT - timedelta(days=1), after + timedelta(days=1))
        assert [row.start for row in rows] == [MIDNIGHT + timedelta(minutes=15 * number) for number in range(96)]
        assert [sum(row.energy_wh for row in rows[2 * n : 2 * n + 2]) for n in range(48)] == [
            (101 + number) * 1000 for number in range(48)
        ]
        assert {row.quality for row in rows} == {"estimated"}
        assert recomputed(connection, where, 900) == []
        assert append_readings(connection, told.readings, after).recorded == 0


def test_a_doubtful_value_is_kept_and_not_counted(sqlite_engine: Engine) -> None:
    """What the file calls doubtful leaves its half-hour missing."""
    where = meter("feeder", profile="register-kwh")
    told = parse_80020(day_file([5] * 4, doubtful=1), {CODE: "feeder"})
    with sqlite_engine.begin() as connection:
        append_readings(connection, told.readings, MIDNIGHT + timedelta(days=1))
        derive(connection, where, 900, MIDNIGHT + timedelta(hours=2), MIDNIGHT + timedelta(days=1))
        rows = meter_intervals(connection, "feeder", MIDNIGHT, MIDNIGHT + timedelta(days=1))
    assert told.doubtful == 1
    assert [row.energy_wh for row in rows] == [2500, 2500, 0, 0, 2500, 2500, 2500, 2500]
    assert [row.quality for row in rows][2:4] == ["missing"] * 2


def test_a_meter_gives_its_register_or_spans_never_both(sqlite_engine: Engine) -> None:
    """Both together would count the energy twice."""
    spans = parse_80020(day_file([5] * 4)).readings
    register = Reading(CODE, MIDNIGHT, 7, "ok", source="file")
    with sqlite_engine.begin() as connection:
        append_readings(connection, spans, MIDNIGHT)
        with pytest.raises(ReadingError, match="either its register or the energy of spans"):
            append_readings(connection, [register], MIDNIGHT)


BOMB = b"""<?xml version="1.0" encoding="windows-1251"?>
<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>
<message class="80020">&b;</message>"""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (BOMB, "leave them out"),
        (b"<message", "no XML"),
        (b"", "no XML"),
        (b" " * (MAXIMUM_BYTES + 1), "larger than 16 MiB"),
        (b'<?xml version="1.0" encoding="utf-7"?><m/>', "expected windows-1251 or UTF-8"),
        (b"<m>\xff</m>", "not utf-8"),
        (b'<message class="80030"/>', "80020"),
        (day_file([1], day="20261301"), "expected a day such as"),
        (day_file([1], code="../../etc"), "expected a code of its own"),
        (day_file([]), "no values of active energy"),
        (day_file(["1.5"]), "expected whole kilowatt-hours"),
        (day_file(["-1"]), "expected whole kilowatt-hours"),
        (day_file(["9" * 5000]), "expected whole kilowatt-hours"),
        (day_file(["999999999999"]), "expected whole kilowatt-hours"),
        (
            day_file([1]).replace(b'end="0030"', b'end="0000"', 1).replace(b'start="0000"', b'start="2500"'),
            "time of day",
        ),
        (day_file([1, 2]).replace(b'start="0030"', b'start="0000"'), "overlap or go backwards"),
        (day_file([1]).replace(b'code="03"', b'code="01"'), "stands there twice"),
    ],
)
def test_what_is_not_in_the_layout_is_told(content: bytes, words: str) -> None:
    """One line, bounded, whatever comes."""
    with pytest.raises(LayoutError, match=words) as refused:
        parse_80020(content)
    assert len(str(refused.value)) < 200


@given(st.binary(max_size=200), st.integers(0, 900))
def test_no_bytes_do_more_than_be_refused(noise: bytes, place: int) -> None:
    """Any damage to a file gives readings or a `LayoutError`."""
    good = day_file([1, 2])
    with suppress(LayoutError):
        parse_80020(good[:place] + noise + good[place + len(noise) :])
