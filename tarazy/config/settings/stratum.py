"""The ports that miners connect to, and what one of them may take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from tarazy.config.settings.fields import Difficulty, ListeningAddress, Network, Port, Section, like, not_empty


class TlsSettings(Section):
    """TLS on a port. Files are PEM, relative to the settings file; they are read again when they change."""

    certificate: Path
    """With the intermediate certificates behind it."""
    key: Path
    client_ca: Path | None = None
    """Only clients with a certificate of this authority are let in, each at the site its common name is the key of."""


class ListenerSettings(Section):
    """A port that miners connect to."""

    host: ListeningAddress = "0.0.0.0"  # noqa: S104 - miners come from the sites' networks
    port: Port = 3333
    tls: TlsSettings | None = None
    proxy_from: Annotated[tuple[Network, ...], AfterValidator(not_empty)] | None = None
    """Networks of the proxies that this port is for: each must send a PROXY header, and nobody else may connect."""
    minimum_difficulty: Difficulty | None = None
    """The floor of this port, where it is above the pool's."""
    sites: Annotated[tuple[str, ...], AfterValidator(not_empty)] | None = None
    """Keys of the sites that this port is for; for all when absent."""


class LimitSettings(Section):
    """What one peer may take; see docs/stratum.md. The defaults are those of the Stratum server."""

    connections: int = Field(default=50_000, ge=1)
    connections_per_address: int = Field(default=10_000, ge=1)
    unready_connections: int = Field(default=10_000, ge=1)
    unready_seconds: float = Field(default=30.0, ge=1, le=600)
    unready_messages: int = Field(default=20, ge=3, le=10_000)
    unready_line_bytes: int = Field(default=4096, ge=1024, le=65_536)
    line_bytes: int = Field(default=8192, ge=1024, le=65_536)
    handshake_seconds: float = Field(default=10.0, ge=1, le=120)
    malformed_lines: int = Field(default=5, ge=1, le=1000)
    waiting_answers: int = Field(default=64, ge=1, le=10_000)
    unsent_bytes: int = Field(default=262_144, ge=65_536)
    unsent_seconds: float = Field(default=60.0, ge=15, le=3600)
    refused_logins: int = Field(default=20, ge=1)
    refusals_per_second: float = Field(default=5.0, gt=0)
    fresh_job_seconds: float = Field(default=60.0, ge=1)
    invalid_seconds: float = Field(default=180.0, ge=1)
    submits_per_second: float = Field(default=100.0, gt=0)
    submit_burst: int = Field(default=1000, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> LimitSettings:
        if self.fresh_job_seconds > self.invalid_seconds:
            raise ValueError("fresh_job_seconds ≤ invalid_seconds must hold")
        return self


class StratumSettings(Section):
    """The ports that miners connect to, and what they get there."""

    listeners: Annotated[tuple[ListenerSettings, ...], AfterValidator(not_empty)] = (ListenerSettings(),)
    limits: LimitSettings = LimitSettings()
    minimum_difficulty: Difficulty = 1.0
    maximum_difficulty: Difficulty = 2.0**48
    start_difficulty: Difficulty = 65536.0
    share_interval_seconds: float = Field(default=6.0, ge=0.1, le=60)
    """Goal of vardiff: one share per connection in so many seconds."""
    job_refresh_seconds: float = Field(default=30.0, ge=1, le=60)
    drain_seconds: float = Field(default=2.0, ge=0, le=60)
    """At the end connections are closed over so many seconds, lest a whole farm returns in one moment."""
    version_mask: Annotated[str, like("[0-9a-f]{8}", "8 hex digits in lower case, such as '1fffe000'")] = "1fffe000"
    """Version bits that miners may roll (BIP320)."""

    @model_validator(mode="after")
    def _ordered(self) -> StratumSettings:
        if not self.minimum_difficulty <= self.start_difficulty <= self.maximum_difficulty:
            raise ValueError("minimum_difficulty ≤ start_difficulty ≤ maximum_difficulty must hold")
        ports = [(listener.host, listener.port) for listener in self.listeners if listener.port]
        if len(set(ports)) < len(ports):
            raise ValueError("two listeners have the same host and port")
        for number, listener in enumerate(self.listeners):
            floor = listener.minimum_difficulty
            if floor is not None and not self.minimum_difficulty <= floor <= self.maximum_difficulty:
                raise ValueError(
                    f"listeners.{number}.minimum_difficulty must lie between minimum_difficulty and maximum_difficulty"
                )
        return self
