"""What believed steps tell by themselves, and when meters were read well last."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Engine

from tarazy.accounting.energy.meter import Reading
from tarazy.accounting.energy.newest import last_seen
from tarazy.accounting.energy.recording import append_readings
from tarazy.accounting.energy.steps import site_power_w
from tests.accounting.energy.support import T0, meter


def _at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def _steady(name: str, last: int, wh_per_minute: int) -> list[Reading]:
    return [Reading(name, _at(minutes), minutes * wh_per_minute, "ok") for minutes in range(0, last + 1, 5)]


def test_power_now(engine: Engine) -> None:
    """Mean power over the window, summed over a site's meters; unknown where one of them is silent."""
    meters = [meter("m1", "x"), meter("m2", "x"), meter("m3", "y"), meter("m4", "z")]
    with engine.begin() as connection:
        for name, rate in (("m1", 10), ("m2", 20), ("m3", 30)):
            append_readings(connection, _steady(name, 30, rate), _at(30))
        append_readings(connection, _steady("m4", 5, 10), _at(30))
        assert site_power_w(connection, meters, _at(30), 900) == {"x": 1800, "y": 1800, "z": None}
        assert site_power_w(connection, meters, _at(60), 900) == {"x": None, "y": None, "z": None}
        seen = last_seen(connection, ["m1", "m4", "m9"])
        assert seen == {"m1": _at(30), "m4": _at(5), "m9": None}
