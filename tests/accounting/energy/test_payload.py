"""Messages of meters: what fits the form is exact, everything else is garbage and costs little."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarazy.accounting.energy.meter import Reading
from tarazy.accounting.energy.payload import MAXIMUM_BYTES, readings_of
from tarazy.config.settings import PayloadSettings
from tests.accounting.energy.support import T0

PLAIN = PayloadSettings(decimals=3)
NESTED = PayloadSettings(count="data.0.import", export="data.0.export", decimals=1, at="ts", at_form="milliseconds")
DATED = PayloadSettings(count="n", at="at")


def _read(form: PayloadSettings, message: bytes, **more: Any) -> list[tuple[str, int | None, str, datetime]]:
    found = readings_of(form, "m1", message, T0, **more)
    assert {(each.meter, each.source) for each in found} == {("m1", "mqtt")}
    return [(each.quantity, each.register_count, each.status, each.at) for each in found]


def test_numbers_are_taken_exactly() -> None:
    """Kilowatt-hours as text of digits become counts without a float between; the instant is the message's own."""
    assert _read(PLAIN, b"9.99999999999999999999") == [("import", 9999, "ok", T0)]
    assert _read(PLAIN, b" 90071992547409.931999\n") == [("import", 90071992547409931, "ok", T0)]
    message = b'{"ts": 1772366400123, "data": [{"import": 12.39, "export": "0.1", "power": 1e3}]}'
    at = datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(milliseconds=123)
    assert _read(NESTED, message) == [("import", 123, "ok", at), ("export", 1, "ok", at)]
    assert _read(DATED, b'{"n": 7, "at": "2026-03-01T17:00:00+05:00"}') == [("import", 7, "ok", T0)]
    seconds = PayloadSettings(count="n", at="t", at_form="seconds")
    assert _read(seconds, b'{"n": 7, "t": 1772366400.5}') == [("import", 7, "ok", T0 + timedelta(seconds=0.5))]


def test_a_kept_message_of_unknown_age_is_stale() -> None:
    """What the broker retained is believed only where it says when it was read."""
    assert _read(PLAIN, b"12.5", retained=True) == [("import", None, "stale", T0)]
    message = b'{"n": 7, "at": "2026-03-01T10:00:00Z"}'
    assert _read(DATED, message, retained=True) == [("import", 7, "ok", T0 - timedelta(hours=2))]


_HOSTILE = [
    b"",
    b"\xff\xfe",
    b"{",
    b"[" * 16_000,
    b'{"n":' * 3_000,
    b"null",
    b'{"n": null, "at": "2026-03-01T12:00:00Z"}',
    b'{"n": true, "at": "2026-03-01T12:00:00Z"}',
    b'{"n": NaN, "at": "2026-03-01T12:00:00Z"}',
    b'{"n": -1, "at": "2026-03-01T12:00:00Z"}',
    b'{"n": 1e999999999, "at": "2026-03-01T12:00:00Z"}',
    b'{"n": ' + b"9" * 15_000 + b', "at": "2026-03-01T12:00:00Z"}',
    b'{"n": 9223372036854775808, "at": "2026-03-01T12:00:00Z"}',
    b'{"n": 1, "at": "2026-03-01T12:00:00"}',
    b'{"n": 1, "at": "0001-01-01T00:00:00+05:00"}',
    b'{"n": 1, "at": 1e9}',
    b'{"n": [1], "at": "2026-03-01T12:00:00Z"}',
    b'{"n": 1}' + b" " * MAXIMUM_BYTES,
]


@pytest.mark.parametrize("message", _HOSTILE, ids=range(len(_HOSTILE)))
def test_what_does_not_fit_is_garbage(message: bytes) -> None:
    """One failed reading at the moment of receipt, at once."""
    began = time.process_time()
    assert _read(DATED, message) == [("import", None, "garbage", T0)]
    assert time.process_time() - began < 1


@given(st.binary(max_size=200) | st.text(max_size=50).map(str.encode))
def test_no_message_does_more_than_that(message: bytes) -> None:
    """Whatever comes, for each form: readings or garbage."""
    for form in (PLAIN, NESTED, DATED):
        for reading in readings_of(form, "m1", message, T0):
            assert isinstance(reading, Reading)
            assert (reading.register_count is None) is (reading.status == "garbage")
