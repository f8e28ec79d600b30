"""The settings of a site's agent: a file of its own, for a machine at the site."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from tarazy.config.settings.fields import LAST_PORT, Network, Section, like
from tarazy.config.settings.mqtt import MeterKey, MqttSettings
from tarazy.config.settings.server import LogSettings

_MOST_MACHINES = 4096


def _pool_address(value: str) -> str:
    try:
        told = urlsplit(value)
        host, _ = told.hostname or "", told.port
    except ValueError:
        host, told = "", urlsplit("")
    if told.scheme not in ("http", "https") or not host or told.path.strip("/") or told.query or told.username:
        raise ValueError("must be the address of the pool's portal, such as https://pool.example.kz")
    if told.scheme == "http" and not _is_loopback(host):
        raise ValueError("must begin with https://: the token would cross the network for all to read")
    return value.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class AgentMeter(Section):
    """Where a meter answers over Modbus TCP, and of which kind it is."""

    host: Annotated[str, like(r"[A-Za-z0-9.:_-]{1,253}", "a host name or an IP address")]
    port: int = Field(default=502, ge=1, le=LAST_PORT)
    unit: int = Field(default=1, ge=0, le=255)
    profile: str


class AgentMachines(Section):
    """Machines of a site whose API is asked for the power that they claim. Nothing in them is changed."""

    network: Network
    """Every address of it is asked."""
    port: int = Field(default=4028, ge=1, le=LAST_PORT)

    @model_validator(mode="after")
    def _small(self) -> AgentMachines:
        if self.network.num_addresses > _MOST_MACHINES:
            raise ValueError(f"a network of machines has at most {_MOST_MACHINES} addresses; write several")
        return self


class AgentSettings(Section):
    """The whole file."""

    pool: Annotated[str, AfterValidator(_pool_address)]
    """Address of the pool's portal."""
    token: Path
    """File with the token of the role agent; relative to the settings file. Read again for every push."""
    spool: Path = Path("readings.sqlite")
    """SQLite file of what is not pushed yet; relative to the settings file."""
    poll_seconds: float = Field(default=60.0, ge=0.2, le=900)
    meters: dict[MeterKey, AgentMeter] = Field(default={}, max_length=1000)
    """Those that are asked over Modbus."""
    mqtt: MqttSettings | None = None
    """Those that are heard over MQTT."""
    machines: tuple[AgentMachines, ...] = Field(default=(), max_length=16)
    machine_seconds: float = Field(default=900.0, ge=60, le=86_400)
    """How often machines are asked."""
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _has_meters(self) -> Self:
        heard = set(self.mqtt.meters) if self.mqtt else set()
        if not self.meters and not heard:
            raise ValueError(
                "name a meter: under `meters` one that is asked over Modbus, under `mqtt` one that is heard"
            )
        if twice := sorted(heard & set(self.meters)):
            raise ValueError(f"{twice[0]} stands under `meters` and under `mqtt`")
        return self
