"""A broker over which meters tell what they show, and how their messages say it."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, model_validator

from tarazy.config.settings.fields import Section, like

MeterKey = Annotated[str, like(r"[a-z0-9][a-z0-9._-]{0,63}", "the meter's key in the pool's register")]
_Place = Annotated[
    str, like(r"[^\s.\x00]{1,64}(\.[^\s.\x00]{1,64}){0,7}", "names with dots between them, at most eight")
]
_PORTS = {"mqtt": 1883, "mqtts": 8883}


def _broker_address(value: str) -> str:
    try:
        told = urlsplit(value)
        host, _ = told.hostname or "", told.port
    except ValueError:
        host, told = "", urlsplit("")
    if told.scheme not in _PORTS or not host or told.path.strip("/") or told.query or told.username:
        raise ValueError("must be the address of a broker, such as mqtts://broker.example.kz:8883")
    if told.scheme == "mqtt" and not _is_near(host):
        raise ValueError("must begin with mqtts:// unless it is an address of this machine or of a private network")
    return value.rstrip("/")


def _is_near(host: str) -> bool:
    try:
        return ip_address(host).is_private
    except ValueError:
        return host == "localhost"


class PayloadSettings(Section):
    """Where a message keeps what the meter shows; a place is a name, or several with dots on the way into JSON."""

    count: _Place | None = None
    """Of the import register; the whole message is that number when absent."""
    export: _Place | None = None
    """Of the export register."""
    decimals: int = Field(default=0, ge=0, le=9)
    """Decimal places that belong to a count: 3 where kilowatt-hours are told and a count is a watt-hour."""
    at: _Place | None = None
    """Of the instant of reading; when absent it is that of receipt."""
    at_form: Literal["iso", "seconds", "milliseconds"] = "iso"
    """Text with its zone, or time since 1970."""

    @model_validator(mode="after")
    def _one_form(self) -> PayloadSettings:
        if self.count is None and (self.export or self.at):
            raise ValueError("name the place of the count too: the message is JSON")
        return self


class MqttMeter(Section):
    """Where a meter tells what it shows."""

    topic: Annotated[str, like(r"[^+#\x00]{1,256}", "one topic, without + and #")]
    payload: str
    """One of `payloads`."""


class MqttSettings(Section):
    """The broker, the forms of messages, and the topic of each meter."""

    url: Annotated[str, AfterValidator(_broker_address)]
    """mqtts://, or mqtt:// on this machine or in a private network."""
    client_id: Annotated[str, like(r"[A-Za-z0-9._-]{1,64}", "letters, digits, `.`, `_` and `-`")] = "tarazy"
    """Of two clients of one name the broker ends the first."""
    username: str | None = None
    password: Path | None = None
    """File with the password, relative to the settings file; read for every connection."""
    ca: Path | None = None
    """PEM file of the authorities that sign the broker's certificate; the system's when absent."""
    payloads: dict[str, PayloadSettings]
    meters: dict[MeterKey, MqttMeter] = Field(min_length=1, max_length=10_000)

    @model_validator(mode="after")
    def _fits(self) -> MqttSettings:
        for key, meter in self.meters.items():
            if meter.payload not in self.payloads:
                raise ValueError(f"meter {key}: no such payload {meter.payload}; known: {', '.join(self.payloads)}")
        topic, times = Counter(meter.topic for meter in self.meters.values()).most_common(1)[0]
        if times > 1:
            raise ValueError(f"two meters have the topic {topic}")
        return self

    @property
    def address(self) -> SplitResult:
        """Its parts."""
        return urlsplit(self.url)

    @property
    def port(self) -> int:
        """Of the broker."""
        return self.address.port or _PORTS[self.address.scheme]

    @property
    def dated(self) -> bool:
        """Whether every message says when the meter was read."""
        return all(self.payloads[meter.payload].at for meter in self.meters.values())
