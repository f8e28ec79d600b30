"""`tarazy check` on meters that are heard over MQTT."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sqlalchemy import Engine

from tarazy.accreditation.entries import Meter, ReadBy
from tarazy.accreditation.registers import append_all, as_of
from tarazy.config.settings import MqttSettings
from tarazy.pool.preflight import meters_heard
from tests.accounting.energy.broker import running_broker
from tests.reports import world


def test_topics_and_meters_belong_together(sqlite_engine: Engine, tmp_path: Path) -> None:
    """Each that lacks its other half is told with a cure, and so is a broker that is not there."""
    entries = world.registers()
    (first, *_) = (row for row in entries if isinstance(row, Meter))
    others = [row for row in entries if row is not first]
    with sqlite_engine.begin() as connection:
        append_all(connection, [*others, replace(first, read_by=ReadBy.MQTT)], world.BEGIN, "test")
        registers = as_of(connection, world.MOMENT)
    with running_broker(tmp_path) as broker:

        def told(*meters: str) -> MqttSettings:
            topics = {key: {"topic": key, "payload": "p"} for key in meters}
            return MqttSettings.model_validate(
                {"url": f"mqtt://127.0.0.1:{broker.port}", "payloads": {"p": {}}, "meters": topics}
            )

        assert [each.text for each in meters_heard(registers, None)] == [f"{first.meter} has read_by mqtt and no topic"]
        (fine,) = meters_heard(registers, told(first.meter))
        assert (fine.fine, fine.text) == (True, f"mqtt://127.0.0.1:{broker.port} answers; 1 meters")
        stranger, fine = meters_heard(registers, told(first.meter, "other"))
        assert (stranger.fine, fine.fine) == (False, True)
        assert stranger.text.startswith("other has a topic")
    (gone,) = meters_heard(registers, told(first.meter))
    assert not gone.fine
    secret = told(first.meter).model_copy(update={"password": tmp_path / "none"})
    assert "none" in next(meters_heard(registers, secret)).text
