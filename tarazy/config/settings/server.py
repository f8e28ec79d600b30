"""The whole settings file of one server, and its sections that belong to no room of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from tarazy.config.settings.accounting import AccountingSettings, EnergySettings, PayoutSettings
from tarazy.config.settings.accreditation import AccreditationSettings
from tarazy.config.settings.chain import BitcoindChainSettings, EmbeddedChainSettings
from tarazy.config.settings.fields import LAST_PORT, ListeningAddress, Network, Port, Section, like
from tarazy.config.settings.pool import PoolSettings
from tarazy.config.settings.reports import ReportSettings
from tarazy.config.settings.signing import SigningSettings
from tarazy.config.settings.stratum import StratumSettings

_LAST_GATEWAY = 255


class LawSettings(Section):
    """Which assumptions stand in for acts whose text is not available. None by default."""

    assumptions: tuple[str, ...] = ()
    directory: Path | None = None
    """Directory of the operator's own rule files; relative to the settings file. None when absent."""


class AuditSettings(Section):
    """Who signs the heads of the audit log."""

    name: Annotated[
        str, like(r"[^\s+\x00-\x20]{1,100}", "a name without spaces and +, such as pool.example.kz/audit")
    ] = "tarazy"
    """Name of the log in its signed heads; one for the whole pool."""
    key: Path | None = None
    """PEM file of the Ed25519 key, relative to the settings file; made in `data` when absent."""


def _public_url(value: str) -> str:
    parts = urlsplit(value)
    address = f"{parts.scheme}://{parts.netloc}".lower()
    if parts.scheme not in ("http", "https") or not parts.hostname or value.rstrip("/").lower() != address:
        raise ValueError("must be the address people type, without a path, for example https://pool.example.kz")
    return address


class PortalSettings(Section):
    """The page and the JSON API."""

    host: ListeningAddress = "127.0.0.1"
    port: Port = 8080
    public_url: Annotated[str, AfterValidator(_public_url)] | None = None
    """The address people type when a proxy with TLS stands before the portal, such as https://pool.example.kz."""
    proxies: tuple[Network, ...] = ()
    """Networks of such proxies, whose X-Forwarded-For header is believed."""
    key: Path | None = None
    """File of the key that seals users' secrets, relative to the settings file; made in `data` when absent."""
    demo_sign_in: bool = False
    """Whether anybody on this machine may sign in as one of the demo's users, without a password."""


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
    chain: Annotated[EmbeddedChainSettings | BitcoindChainSettings, Field(discriminator="kind")]
    stratum: StratumSettings = StratumSettings()
    accreditation: AccreditationSettings
    accounting: AccountingSettings = AccountingSettings()
    energy: EnergySettings = EnergySettings()
    law: LawSettings = LawSettings()
    audit: AuditSettings = AuditSettings()
    portal: PortalSettings = PortalSettings()
    metrics: MetricsSettings = MetricsSettings()
    payouts: PayoutSettings | None = None
    """How miners are paid; nobody is when absent."""
    signing: SigningSettings | None = None
    """How reports are signed; elsewhere when absent."""
    reports: ReportSettings = ReportSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _no_demo_on_main(self) -> Settings:
        if self.chain.address_chain == "main" and self.accreditation.demo_addresses:
            raise ValueError("accreditation.demo_addresses: not on the main chain; remove it")
        return self

    @model_validator(mode="after")
    def _wallet_can_be_reached(self) -> Settings:
        chain = self.chain
        if self.payouts and not self.payouts.node and isinstance(chain, EmbeddedChainSettings) and not chain.peer_port:
            raise ValueError("payouts: the embedded chain's wallet is behind its peer_port; give chain.peer_port")
        return self

    @property
    def test_chain(self) -> bool:
        """Whether the chain's coins are worthless."""
        return self.chain.address_chain != "main"

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
        if not all(listener.port for listener in self.stratum.listeners):
            raise ValueError("stratum.listeners: with port 0 each process would have another one; give a number")
        if not 0 < self.metrics.port <= LAST_PORT - self.processes:
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
    def audit_key_path(self) -> Path:
        """File of the key that signs the heads of the audit log."""
        return self.audit.key or self.data / "keys" / "audit.pem"

    @property
    def portal_key_path(self) -> Path:
        """File of the key that seals the secrets of users' second factors."""
        return self.portal.key or self.data / "keys" / "portal.key"

    @property
    def journal_path(self) -> Path:
        """File of this gateway's share journal."""
        return self.data / "journal" / f"gateway-{self.gateway}.sqlite"

    @property
    def archive_path(self) -> Path:
        """Directory of the archived shares."""
        return self.data / "archive"

    @property
    def blocks_path(self) -> Path:
        """Directory of the blocks that this gateway found."""
        return self.data / "blocks" / f"gateway-{self.gateway}"

    @property
    def decisions_path(self) -> Path:
        """File of the decisions of this gateway that the ledger could not take."""
        return self.data / f"decisions-{self.gateway}.pending"
