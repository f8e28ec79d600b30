"""The settings of one Tarazy server: one YAML file, typed.

`load_settings` reads it; whatever is wrong with it is one `SettingsError` whose lines each name the path
inside the file and the cure.
"""

from __future__ import annotations

import math
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from tarazy.config.yaml_file import YamlFileError, read_yaml

_LAST_PORT = 65535
_LAST_GATEWAY = 255

Port = Annotated[int, Field(ge=0, le=_LAST_PORT)]
"""A TCP port; 0 lets the system choose one."""


class SettingsError(Exception):
    """The settings file cannot be used. One line of text for each fault."""


def _power_of_two(value: float) -> float:
    mantissa, exponent = math.frexp(value)
    if mantissa != 0.5 or not -32 <= exponent - 1 <= 64:
        raise ValueError("must be a power of two from 2^-32 to 2^64, for example 1, 65536 or 0.0009765625")
    return value


Difficulty = Annotated[float, Field(gt=0), AfterValidator(_power_of_two)]
"""A share difficulty: an exact power of two (invariant 11)."""


def _network(value: object) -> IPv4Network | IPv6Network:
    try:
        return ip_network(str(value))
    except ValueError as error:
        raise ValueError(f"{error}; write a network like 127.0.0.1/32") from None


def _listening_address(value: str) -> str:
    if value != "localhost":
        try:
            ip_address(value)
        except ValueError:
            raise ValueError("must be an address of this machine, for example 127.0.0.1 or 0.0.0.0") from None
    return value


Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
"""An IP network; bits beyond its prefix are an error."""

ListeningAddress = Annotated[str, AfterValidator(_listening_address)]
"""An IP address to listen on, or localhost."""


class Section(BaseModel):
    """A part of the file: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PoolSettings(Section):
    """Who the pool is and what it takes."""

    name: str = Field(min_length=1, max_length=100)
    coinbase_tag: str = Field(default="/tarazy/", max_length=20, pattern=r"^[\x20-\x7e]*$")
    payout_address: str
    """Address on the pool's chain that receives every block reward."""
    fee_ppm: int = Field(default=10_000, ge=0, le=1_000_000)
    """The pool's fee in parts per million of the reward; 10000 is 1 %."""


class EmbeddedChainSettings(Section):
    """A regtest chain inside the process, judged by Bitcoin Core's consensus engine. Never for real coins."""

    kind: Literal["embedded"] = "embedded"
    block_difficulty: Difficulty = 2.0**-13
    """The chain's own, stricter target: regtest's takes every second hash."""
    peer_port: Port | None = None
    """Loopback port on which the rest of a demo network delivers its blocks; none when absent."""


class StratumSettings(Section):
    """The listener that miners connect to."""

    host: ListeningAddress = "0.0.0.0"  # noqa: S104 - miners come from the sites' networks
    port: Port = 3333
    minimum_difficulty: Difficulty = 1.0
    maximum_difficulty: Difficulty = 2.0**48
    start_difficulty: Difficulty = 65536.0
    share_interval_seconds: float = Field(default=6.0, ge=0.1, le=60)
    """Goal of vardiff: one share per connection in so many seconds."""
    job_refresh_seconds: float = Field(default=30.0, ge=1, le=60)
    drain_seconds: float = Field(default=2.0, ge=0, le=60)
    """At the end connections are closed over so many seconds, lest a whole farm returns in one moment."""
    version_mask: Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")] = "1fffe000"
    """Version bits that miners may roll (BIP320)."""

    @model_validator(mode="after")
    def _ordered(self) -> StratumSettings:
        if not self.minimum_difficulty <= self.start_difficulty <= self.maximum_difficulty:
            raise ValueError("minimum_difficulty ≤ start_difficulty ≤ maximum_difficulty must hold")
        return self


class DemoAddress(Section):
    """A loopback network that the demo declares to lie in a country. Only with the embedded chain."""

    network: Network
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]

    @model_validator(mode="after")
    def _loopback(self) -> DemoAddress:
        if not self.network.is_loopback:
            raise ValueError("demo addresses are loopback networks, for example 127.0.0.1/32")
        return self


class AccreditationSettings(Section):
    """Who this server is in the registers, and the rule for loopback in a demo."""

    server: str
    """Key of this server in the register of servers."""
    demo_addresses: tuple[DemoAddress, ...] = ()

    @property
    def country(self) -> str:
        """Where sites, servers and miners must be; the address blocks and the law of no other country are shipped."""
        return "KZ"


class EnergySettings(Section):
    """How meters are read."""

    poll_seconds: float = Field(default=60.0, ge=0.2, le=900)
    interval_seconds: int = Field(default=900, ge=5, le=3600)
    """Length of the intervals energy is divided in; 900 is the 15 minutes of Kazakhstan's metering rules."""

    @model_validator(mode="after")
    def _divides_hour(self) -> EnergySettings:
        if 3600 % self.interval_seconds:
            raise ValueError("interval_seconds must divide an hour evenly")
        return self


class LawSettings(Section):
    """Which assumptions stand in for acts whose text is not available. None by default."""

    assumptions: tuple[str, ...] = ()
    directory: Path | None = None
    """Directory of the operator's own rule files; relative to the settings file. None when absent."""


class PortalSettings(Section):
    """The page and the JSON API."""

    host: ListeningAddress = "127.0.0.1"
    port: Port = 8080


class MetricsSettings(Section):
    """The Prometheus endpoint; loopback only."""

    host: Literal["127.0.0.1", "::1"] = "127.0.0.1"
    port: Port = 9333


class LogSettings(Section):
    """How the server logs."""

    format: Literal["console", "json"] = "console"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(Section):
    """The whole file."""

    data: Path
    """Directory of everything the server keeps; relative to the settings file."""
    database: str | None = None
    """SQLAlchemy URL of the ledger; an SQLite file in `data` when absent."""
    gateway: int = Field(default=1, ge=0, le=_LAST_GATEWAY)
    """Number of this gateway (with `processes`, the first): first byte of every extranonce1, unique in the pool."""
    processes: int | None = Field(default=None, ge=1, le=64)
    """Gateway processes that share the miners' port, beside one office process. Absent: one process is both."""
    language: Literal["kk", "ru", "en"] = "ru"
    pool: PoolSettings
    chain: EmbeddedChainSettings
    stratum: StratumSettings = StratumSettings()
    accreditation: AccreditationSettings
    energy: EnergySettings = EnergySettings()
    law: LawSettings = LawSettings()
    portal: PortalSettings = PortalSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _processes_fit(self) -> Settings:
        if self.processes is None:
            return self
        if self.chain.kind == "embedded":
            raise ValueError(
                "processes: the embedded chain belongs to one process; remove the key or use another chain"
            )
        if self.gateways[-1] > _LAST_GATEWAY:
            raise ValueError(f"gateway + processes - 1 is {self.gateways[-1]}, the last number is {_LAST_GATEWAY}")
        if not 0 < self.metrics.port <= _LAST_PORT - self.processes:
            raise ValueError("metrics.port: give one with as many ports free behind it as there are processes")
        return self

    @property
    def gateways(self) -> range:
        """The numbers of the gateways that this server runs."""
        return range(self.gateway, self.gateway + (self.processes or 1))

    def of_gateway(self, number: int) -> Settings:
        """The settings of one gateway process: its own number and metrics port, and nobody beside it."""
        port = self.metrics.port + 1 + number - self.gateway
        metrics = self.metrics.model_copy(update={"port": port})
        return self.model_copy(update={"gateway": number, "processes": None, "metrics": metrics})

    @property
    def database_url(self) -> str:
        """URL of the ledger database."""
        return self.database or f"sqlite:///{self.data / 'tarazy.db'}"

    @property
    def journal_path(self) -> Path:
        """File of this gateway's share journal."""
        return self.data / "journal" / f"gateway-{self.gateway}.sqlite"

    @property
    def blocks_path(self) -> Path:
        """Directory of the blocks that this gateway found."""
        return self.data / "blocks" / f"gateway-{self.gateway}"

    @property
    def decisions_path(self) -> Path:
        """File of the decisions of this gateway that the ledger could not take."""
        return self.data / f"decisions-{self.gateway}.pending"


_CURES = {
    "extra_forbidden": "unknown key; remove it or check its spelling",
    "missing": "required key is missing; add it",
    "model_type": "must be a mapping of settings",
    "tuple_type": "must be a list",
}


def _fault(error: dict[str, Any]) -> str:
    path = ".".join(str(part) for part in error["loc"]) or "(top level)"
    text = _CURES.get(error["type"]) or error["msg"].removeprefix("Value error, ")
    given = error.get("input")
    shown = f" (got {given!r})" if isinstance(given, str | int | float | bool) else ""
    return f"{path}: {text}{shown}"


def load_settings(path: Path) -> Settings:
    """Read and check the settings file at `path`.

    Raises `SettingsError`, one line a fault: file, path inside it, what is wrong and the cure.
    """
    try:
        raw = read_yaml(path)
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such file; name one with -c, or run `tarazy demo`") from None
    except YamlFileError as error:
        raise SettingsError(str(error)) from None
    if not isinstance(raw, dict):
        raise SettingsError(f"{path}: (top level): must be a mapping of settings")
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        faults = [_fault(dict(fault)) for fault in error.errors()]
        raise SettingsError("\n".join(f"{path}: {fault}" for fault in faults)) from None
    law = settings.law
    if law.directory is not None:
        law = law.model_copy(update={"directory": (path.parent / law.directory).resolve()})
    return settings.model_copy(update={"data": (path.parent / settings.data).resolve(), "law": law})
