"""A real mosquitto on loopback, started, stopped and started again as a test says."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiomqtt import Client, MqttError

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
