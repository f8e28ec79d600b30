"""What the server tells Prometheus of its meters."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Engine

from tarazy.accounting.energy.meter import Reading
from tarazy.accounting.energy.recording import append_readings
from tarazy.pool.telemetry import read_energy
from tests.accounting.energy.support import T0, meter

INTERVAL = 900


def test_the_age_is_that_of_the_longest_silence(engine: Engine) -> None:
    """Of registers and of spans, settled or not; a meter that never gave a reading has no age, which is a finding."""
    meters = [meter("register", "x"), meter("span", "x"), meter("never", "x"), meter("failing", "y")]
    now = T0 + timedelta(hours=1)
    readings = [
        Reading("register", now - timedelta(minutes=1), 10, "ok"),
        Reading("span", now - timedelta(minutes=30), 5, "ok", source="file", seconds=INTERVAL),
        Reading("failing", now, None, "silent"),
    ]
    with engine.begin() as connection:
        append_readings(connection, readings, now)
        assert read_energy(connection, meters, INTERVAL, now).reading_age_seconds == {"x": 1800.0}
