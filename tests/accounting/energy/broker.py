"""A real mosquitto on loopback, started, stopped and started again as a test says, and who listens to it."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiomqtt import Client, MqttError

from tarazy.accounting.energy.meter import Reading
from tarazy.accounting.energy.mqtt import MqttListener
from tarazy.config.settings import MqttSettings
from tests.accounting.energy.support import T0

_USUAL = "/usr/sbin/mosquitto"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """One mosquitto process with a port of its own, which it keeps over restarts."""

    def __init__(self, directory: Path, *settings: str) -> None:
        program = shutil.which("mosquitto") or (_USUAL if Path(_USUAL).exists() else None)
        if program is None:
            pytest.skip("mosquitto is not installed (Debian: mosquitto)")
        self._program = program
        self.port = _free_port()
        self._file = directory / "mosquitto.conf"
        told = [f"listener {self.port} 127.0.0.1", "log_type none", *(settings or ("allow_anonymous true",))]
        self._file.write_text("\n".join(told) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Listen; returns once it does."""
        self._process = subprocess.Popen([self._program, "-c", str(self._file)], stderr=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self._process.poll() is None, "mosquitto ended"

    def stop(self) -> None:
        """Kill it: every connection is cut."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def running_broker(directory: Path, *settings: str) -> Iterator[Broker]:
    """One that listens."""
    broker = Broker(directory, *settings)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


async def publish(broker: Broker, topic: str, *messages: Any, retain: bool = False) -> None:
    """Publish messages with QoS 1: bytes as they are, all else as JSON."""
    while True:
        try:
            async with Client("127.0.0.1", broker.port) as client:
                for message in messages:
                    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
                    await client.publish(topic, payload, qos=1, retain=retain)
                return
        except MqttError:
            await asyncio.sleep(0.05)


DATED = {"count": "n", "at": "at"}


def told(port: int, payload: dict[str, Any] | None = None, scheme: str = "mqtt", **more: Any) -> MqttSettings:
    """Settings of two meters, m1 and m2, at topics of their own."""
    meters = {key: {"topic": f"site/{key}/energy", "payload": "p"} for key in ("m1", "m2")}
    payloads = {"p": DATED if payload is None else payload}
    return MqttSettings.model_validate(
        {"url": f"{scheme}://127.0.0.1:{port}", "payloads": payloads, "meters": meters, **more}
    )


class Heard:
    """A listener whose readings a test waits for."""

    def __init__(self, settings: MqttSettings) -> None:
        self.readings: list[Reading] = []
        self._told = asyncio.Event()
        self.now = T0
        self.listener = MqttListener(settings, self._take, lambda: self.now, 0.05)

    def _take(self, reading: Reading) -> None:
        self.readings.append(reading)
        self._told.set()

    @property
    def counts(self) -> list[int | None]:
        """What was heard, in order."""
        return [reading.register_count for reading in self.readings]

    async def until(self, count: int) -> None:
        """Wait until that count was heard."""
        while count not in self.counts:
            self._told.clear()
            await self._told.wait()

    async def connected(self, so: bool = True) -> None:
        """Wait until it is, or is not."""
        while self.listener.connected is not so:
            await asyncio.sleep(0.01)


@asynccontextmanager
async def hearing(settings: MqttSettings, *meters: str) -> AsyncIterator[Heard]:
    """A connected listener."""
    heard = Heard(settings)
    heard.listener.follow(meters or ("m1", "m2"))
    try:
        await heard.connected()
        yield heard
    finally:
        await heard.listener.stop().asFuture(asyncio.get_running_loop())


def at(minutes: float) -> str:
    """An instant as a message tells it."""
    return (T0 + timedelta(minutes=minutes)).isoformat()
