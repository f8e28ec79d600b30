"""Hear meters over MQTT for as long as the office leads or the agent runs: connect, subscribe, come back."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog
from aiomqtt import Client, Message, MqttError, ProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions
from twisted.internet.defer import Deferred

from tarazy.accounting.energy.asyncio_bridge import run
from tarazy.accounting.energy.intervals import floor_to
from tarazy.accounting.energy.meter import Reading
from tarazy.accounting.energy.payload import MAXIMUM_BYTES, readings_of
from tarazy.accounting.energy.poller import pause_seconds
from tarazy.config.settings import MqttSettings

log = structlog.get_logger()

_SESSION_SECONDS = 86_400
"""How long the broker keeps messages for us while we are away."""
_QUEUE = 10_000
_TOPICS_AT_ONCE = 100
_READINGS_AN_HOUR = 10_000
"""Taken of one meter: more is a flood, and the register makes up for what is left out."""
_FAILURE_SECONDS = 60
"""A meter's failed messages of one sort are told once in so many seconds."""

_silent = logging.getLogger(f"{__name__}.client")  # its lines carry topics and addresses (invariant 12)
_silent.setLevel(logging.CRITICAL)
_silent.propagate = False


class MqttListener:
    """One connection to a broker. `on_reading` gets every reading, failed ones too; what it raises is logged."""

    def __init__(
        self,
        settings: MqttSettings,
        on_reading: Callable[[Reading], None],
        clock: Callable[[], datetime],
        shortest_pause: float = 1.0,
        *,
        lasting: bool = True,
    ) -> None:
        """`lasting`: whether the broker may keep messages while we are away, if each says when the meter was read."""
        self._settings = settings
        self._on_reading = on_reading
        self._clock = clock
        self._shortest_pause = shortest_pause
        self._lasting = lasting and settings.dated
        self._meters: dict[str, str] = {}
        """By their topics."""
        self._task: asyncio.Task[None] | None = None
        self._taken: Counter[str] = Counter()
        self._hour: datetime | None = None
        self._failed: dict[str, Reading] = {}
        self.connected = False

    def follow(self, meters: Iterable[str]) -> None:
        """Hear exactly these meters, of those in the settings, from now on.

        Call it on the reactor's thread whenever the register of meters may have changed.
        """
        wanted = set(meters)
        told = self._settings.meters.items()
        topics = {each.topic: key for key, each in told if key in wanted}
        if topics == self._meters:
            return
        if self._task is not None:
            self._task.cancel()
        self._meters = topics
        self._task = asyncio.ensure_future(self._keep()) if topics else None

    def stop(self) -> Deferred[None]:
        """End; fires when the connection is closed."""
        task, self._task = self._task, None
        self._meters = {}

        async def ended() -> None:
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        return run(ended())

    async def _keep(self) -> None:
        """Come back whenever the connection is lost, later and later while the broker is away."""
        failures = 0
        while True:
            try:
                await self._listen()
            except (MqttError, OSError, ValueError) as error:
                failures = 1 if self.connected else failures + 1
                if failures == 1:
                    log.warning("mqtt_broker_away", broker=self._settings.url, fault=str(error))
            finally:
                self.connected = False
            await asyncio.sleep(pause_seconds(self._shortest_pause, failures))

    async def _listen(self) -> None:
        client = self._client()
        try:
            async with client:
                await self._hear(client)
        finally:
            _let_go(client)

    async def _hear(self, client: Client) -> None:
        topics = sorted(self._meters)
        options = SubscribeOptions(qos=1)
        for first in range(0, len(topics), _TOPICS_AT_ONCE):
            part = topics[first : first + _TOPICS_AT_ONCE]
            answers = await client.subscribe([(topic, options) for topic in part])
            for topic, answer in zip(part, answers, strict=False):
                if isinstance(answer, ReasonCode) and answer.is_failure:
                    log.error("mqtt_topic_refused", meter=self._meters[topic])
        self.connected = True
        log.info("mqtt_connected", broker=self._settings.url, meters=len(topics))
        async for message in client.messages:
            self._take(message)

    def _client(self) -> Client:
        """A new connection."""
        settings = self._settings
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.MaximumPacketSize = 2 * MAXIMUM_BYTES
        if self._lasting:
            properties.SessionExpiryInterval = _SESSION_SECONDS
        password = None if settings.password is None else settings.password.read_text(encoding="utf-8").strip()
        secure = settings.address.scheme == "mqtts"
        return Client(
            settings.address.hostname or "",
            settings.port,
            username=settings.username,
            password=password,
            identifier=settings.client_id,
            protocol=ProtocolVersion.V5,
            clean_start=not self._lasting,
            properties=properties,
            tls_context=ssl.create_default_context(cafile=settings.ca) if secure else None,
            max_queued_incoming_messages=_QUEUE,
            keepalive=30,
            timeout=10,
            logger=_silent,
        )

    def _take(self, message: Message) -> None:
        meter = self._meters.get(message.topic.value)
        if meter is None or not self._has_room(meter):
            return
        payload = message.payload if isinstance(message.payload, bytes) else b""
        form = self._settings.payloads[self._settings.meters[meter].payload]
        for reading in readings_of(form, meter, payload, self._clock(), retained=message.retain):
            if reading.status != "ok":
                reading = replace(reading, at=floor_to(reading.at, _FAILURE_SECONDS))
                if self._failed.get(meter) == reading:
                    continue
                self._failed[meter] = reading
            try:
                self._on_reading(reading)
            except Exception:
                log.exception("reading_not_taken", meter=meter)

    def _has_room(self, meter: str) -> bool:
        hour = floor_to(self._clock(), 3600)
        if hour != self._hour:
            self._hour, self._taken = hour, Counter()
        self._taken[meter] += 1
        if self._taken[meter] == _READINGS_AN_HOUR + 1:
            log.error("mqtt_flood", meter=meter, an_hour=_READINGS_AN_HOUR)
        return self._taken[meter] <= _READINGS_AN_HOUR


def _let_go(client: Client) -> None:
    """Close the connection that aiomqtt leaves open and reading after a packet that cannot be read."""
    line: Any = client._client.socket()
    if line is not None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(line)
        loop.remove_writer(line)
        line.close()
