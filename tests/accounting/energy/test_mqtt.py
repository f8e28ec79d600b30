"""Meters heard over a real mosquitto: what is lost comes again, what is hostile is bounded."""

from __future__ import annotations

import asyncio
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tarazy.accounting.energy.meter import Reading
from tarazy.config.settings import MqttSettings
from tests.accounting.energy.broker import Heard, at, hearing, publish, running_broker, told
from tests.accounting.energy.support import T0, on_asyncio


@on_asyncio
async def test_messages_become_readings_and_other_topics_nobodys(tmp_path: Path) -> None:
    """Its own topic makes a meter what it is, whatever the message says; a meter that is not followed is not heard."""
    with running_broker(tmp_path) as broker:
        async with hearing(told(broker.port), "m1") as heard:
            await publish(broker, "site/m2/energy", {"n": 1, "at": at(0)})
            await publish(broker, "site/m9/energy", {"n": 2, "at": at(0), "meter": "m1"})
            await publish(broker, "site/m1/energy", {"n": 3, "at": at(0), "meter": "m2"})
            await heard.until(3)
            assert heard.readings == [Reading("m1", T0, 3, "ok", "import", "mqtt")]


@on_asyncio
async def test_what_is_published_while_the_pool_is_away_is_heard_later(tmp_path: Path) -> None:
    """QoS 1 and a session: dated messages wait at the broker, also over a connection that was cut."""
    with running_broker(tmp_path) as broker:
        async with hearing(told(broker.port)) as heard:
            await publish(broker, "site/m1/energy", {"n": 1, "at": at(0)})
            await heard.until(1)
        await publish(broker, "site/m1/energy", {"n": 2, "at": at(1)}, {"n": 3, "at": at(2)})
        async with hearing(told(broker.port)) as later:
            await later.until(3)
            assert [(each.at, each.register_count) for each in later.readings] == [
                (T0 + timedelta(minutes=1), 2),
                (T0 + timedelta(minutes=2), 3),
            ]


@on_asyncio
async def test_a_broker_that_goes_away_is_come_back_to(tmp_path: Path) -> None:
    """Killed, and started again: the meter is heard again, without anybody's doing."""
    with running_broker(tmp_path) as broker:
        async with hearing(told(broker.port)) as heard:
            broker.stop()
            await heard.connected(False)
            broker.start()
            await heard.connected()
            await publish(broker, "site/m2/energy", {"n": 4, "at": at(0)})
            await heard.until(4)


@on_asyncio
async def test_hostile_messages_are_bounded_and_told_once(tmp_path: Path) -> None:
    """Much garbage and a megabyte at a time leave one failed reading a minute; the good one after them counts."""
    with running_broker(tmp_path) as broker:
        async with hearing(told(broker.port)) as heard:
            await publish(broker, "site/m1/energy", *([b"garbage"] * 300), b"[" * 1_000_000, b"[" * 30_000)
            await publish(broker, "site/m1/energy", {"n": 5, "at": at(0)})
            await heard.until(5)
            assert [reading.status for reading in heard.readings] == ["garbage", "ok"]
            assert heard.readings[0].at == T0


@on_asyncio
async def test_a_flood_is_cut_and_costs_no_other_meter_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a meter that publishes without end, so many messages an hour are taken, and those of the next hour again."""
    monkeypatch.setattr("tarazy.accounting.energy.mqtt._READINGS_AN_HOUR", 50)
    with running_broker(tmp_path) as broker:
        async with hearing(told(broker.port)) as heard:
            flood = [{"n": number, "at": at(number / 60)} for number in range(80)]
            await publish(broker, "site/m1/energy", *flood)
            await publish(broker, "site/m2/energy", {"n": 1000, "at": at(0)})
            await heard.until(1000)
            assert heard.counts == [*range(50), 1000]
            heard.now = T0 + timedelta(hours=1)
            await publish(broker, "site/m1/energy", {"n": 81, "at": at(60)})
            await heard.until(81)


def _certificate(directory: Path) -> None:
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem"]
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-out", "ca.pem"]
    subprocess.run(["openssl", "req", "-x509", *key, *name], cwd=directory, check=True, capture_output=True)


@on_asyncio
async def test_tls_and_a_password_from_a_file(tmp_path: Path) -> None:
    """The broker lets in who knows the password; an authority that did not sign its certificate ends the connection."""
    _certificate(tmp_path)
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "pool", "secret"], check=True)
    passwords.chmod(0o644)
    tmp_path.chmod(0o755)
    (tmp_path / "key.pem").chmod(0o644)
    (tmp_path / "secret").write_text("secret\n")
    settings = [f"certfile {tmp_path}/ca.pem", f"keyfile {tmp_path}/key.pem", f"password_file {passwords}"]
    with running_broker(tmp_path, "allow_anonymous false", "user root", *settings) as broker:
        known: dict[str, Any] = {"username": "pool", "password": tmp_path / "secret", "ca": tmp_path / "ca.pem"}
        async with hearing(told(broker.port, scheme="mqtts", **known)):
            pass
        unknown: tuple[dict[str, Any], ...] = ({**known, "ca": None}, {**known, "username": "other"})
        for wrong in unknown:
            heard = Heard(told(broker.port, scheme="mqtts", **wrong))
            heard.listener.follow(["m1"])
            await asyncio.sleep(0.3)
            assert not heard.listener.connected
            await heard.listener.stop().asFuture(asyncio.get_running_loop())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"url": "mqtt://broker.example.kz"}, "must begin with mqtts://"),
        ({"url": "http://127.0.0.1"}, "must be the address of a broker"),
        ({"url": "mqtts://u:p@broker"}, "must be the address of a broker"),
        ({"meters": {"m1": {"topic": "site/+/energy", "payload": "p"}}}, "one topic"),
        ({"meters": {"m1": {"topic": "a", "payload": "q"}}}, "no such payload q"),
        ({"meters": {key: {"topic": "a", "payload": "p"} for key in ("m1", "m2")}}, "two meters have the topic a"),
        ({"meters": {}}, "meters"),
        ({"payloads": {"p": {"at": "time"}}}, "name the place of the count"),
    ],
)
def test_settings_that_are_refused(change: dict[str, Any], says: str) -> None:
    """What it takes is said."""
    whole = {"url": "mqtt://127.0.0.1", "payloads": {"p": {}}, "meters": {"m1": {"topic": "a", "payload": "p"}}}
    MqttSettings.model_validate(whole)
    with pytest.raises(ValueError, match=says):
        MqttSettings.model_validate({**whole, **change})


@pytest.mark.parametrize("topic", [b"\xff", b"+"])
@on_asyncio
async def test_a_connection_with_a_topic_that_cannot_be_is_closed(topic: bytes) -> None:
    """The listener comes back on another connection and keeps none of those before."""
    ended: list[int] = []
    twice = asyncio.Event()

    async def packet(reader: asyncio.StreamReader) -> bytes:
        (_, size) = await reader.readexactly(2)
        return await reader.readexactly(size)

    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(b"\x20\x03\0\0\0")
        number = (await packet(reader))[:2]
        writer.write(b"\x90\x05" + number + b"\0\1\1" + b"\x30\4\0\1" + topic + b"\0")
        await reader.read()
        ended.append(1)
        if len(ended) == 2:
            twice.set()
        writer.close()

    server = await asyncio.start_server(broken, "127.0.0.1", 0)
    heard = Heard(told(server.sockets[0].getsockname()[1]))
    heard.listener.follow(("m1", "m2"))
    await asyncio.wait_for(twice.wait(), 5)
    await heard.listener.stop().asFuture(asyncio.get_running_loop())
    server.close()
