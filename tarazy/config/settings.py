"""The settings of one Tarazy server: one YAML file, typed.

`load_settings` reads it; whatever is wrong with it is one `SettingsError` whose lines each name the path
inside the file and the cure.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from tarazy.config.yaml_file import YamlFileError, read_yaml

_T = TypeVar("_T")
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


def _not_empty(value: tuple[_T, ...]) -> tuple[_T, ...]:
    if not value:
        raise ValueError("must have at least one entry")
    return value


def _like(pattern: str, told: str) -> AfterValidator:
    """Text of one form; `told` says which."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"must be {told}")
        return value

    return AfterValidator(check)


BlockHash = Annotated[str, _like("[0-9a-f]{64}", "a block's hash, 64 hex digits in lower case")]
"""A block's hash as displayed."""


def _node_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme == "http" and parts.hostname and parts.port
        bare = "@" not in parts.netloc and parts.path in ("", "/") and not parts.query and not parts.fragment
    except ValueError:
        usable = bare = False
    if not usable or not bare:
        raise ValueError(
            "must be http://host:port, for example http://127.0.0.1:8332; user and password are keys of their own"
        )
    return value.rstrip("/") + "/"


Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
"""An IP network; bits beyond its prefix are an error."""

ListeningAddress = Annotated[str, AfterValidator(_listening_address)]
"""An IP address to listen on, or localhost."""


class Section(BaseModel):
    """A part of the file: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


FeePpm = Annotated[int, Field(ge=0, le=1_000_000)]
"""A fee in parts per million of a reward; 10000 is 1 %."""


class TermsSettings(Section):
    """How the rewards of the rounds are divided that close from an instant on."""

    since: AwareDatetime
    scheme: Literal["prop", "pplns", "solo"] = "prop"
    window: int | None = Field(default=None, ge=1, le=64)
    """Of PPLNS alone: the work of so many network difficulties takes part."""
    fee_ppm: FeePpm
    fees: dict[str, FeePpm] = {}
    """Parties that pay another fee, by key. With any, each part pays its own fee."""

    @model_validator(mode="after")
    def _window_of_pplns(self) -> TermsSettings:
        if (self.scheme == "pplns") != (self.window is not None):
            raise ValueError("window: pplns needs one, such as 2, and no other scheme has one")
        return self


class PoolSettings(Section):
    """Who the pool is and what it takes."""

    name: str = Field(min_length=1, max_length=100)
    coinbase_tag: Annotated[str, _like(r"[\x20-\x7e]{0,20}", "at most 20 characters of printable ASCII")] = "/tarazy/"
    payout_address: str
    """Address on the pool's chain that receives every block reward."""
    fee_ppm: FeePpm = 10_000
    """The pool's fee on proportional rewards, until the first of `terms`."""
    terms: tuple[TermsSettings, ...] = ()
    """Later terms in order of time. They touch only rounds that close after their instant."""

    @model_validator(mode="after")
    def _terms_in_order(self) -> PoolSettings:
        instants = [each.since for each in self.terms]
        if instants != sorted(set(instants)):
            raise ValueError("terms: each must come into force after the one before it")
        return self


class EmbeddedChainSettings(Section):
    """A regtest chain inside the process, judged by Bitcoin Core's consensus engine. Never for real coins."""

    kind: Literal["embedded"] = "embedded"
    block_difficulty: Difficulty = 2.0**-13
    """The chain's own, stricter target: regtest's takes every second hash."""
    peer_port: Port | None = None
    """Loopback port on which the rest of a demo network delivers its blocks; none when absent."""

    @property
    def address_chain(self) -> str:
        """The chain whose addresses are used: regtest."""
        return "regtest"


class NodeSettings(Section):
    """A bitcoind node and who we are to it: its cookie file, or the user and password of its rpcauth."""

    url: Annotated[str, AfterValidator(_node_url)]
    """http://host:port of its RPC."""
    cookie: Path | None = None
    """Its .cookie file; relative to the settings file."""
    user: str | None = None
    password: SecretStr | None = None
    zmq: Annotated[str, _like(r"tcp://[^\s/]+:[0-9]{1,5}", "tcp://host:port, as in zmqpubhashblock")] | None = None
    """tcp://host:port of its zmqpubhashblock; none when absent."""

    @model_validator(mode="after")
    def _one_way_in(self) -> NodeSettings:
        by_password = (self.user is not None, self.password is not None)
        if by_password not in ((False, False), (True, True)) or (self.cookie is None) is not by_password[0]:
            raise ValueError("give either cookie, or user and password")
        return self


class BitcoindChainSettings(Section):
    """A chain that bitcoind nodes keep; the first one that is well leads."""

    kind: Literal["bitcoind"]
    network: Literal["main", "testnet4", "signet", "regtest"]
    pinned_blocks: tuple[BlockHash, ...] = Field(default=(), max_length=16)
    """Blocks that a node's chain must have."""
    nodes: tuple[NodeSettings, ...]
    empty_job_first: bool = False
    """After a new block, work without transactions until the node has made a template: for slow nodes."""

    @model_validator(mode="after")
    def _not_where_difficulty_jumps(self) -> BitcoindChainSettings:
        if self.empty_job_first and self.network == "testnet4":
            raise ValueError(
                "empty_job_first: not on testnet4, where each block may have another difficulty; remove it"
            )
        return self

    @model_validator(mode="after")
    def _some_different_ones(self) -> BitcoindChainSettings:
        if not 1 <= len(self.nodes) <= 16:
            raise ValueError("nodes: give at least one and at most 16")
        if len({node.url for node in self.nodes}) < len(self.nodes):
            raise ValueError("nodes: each needs a url of its own")
        return self

    @property
    def address_chain(self) -> str:
        """The chain whose addresses are used: all public test chains write them alike."""
        return self.network if self.network in ("main", "regtest") else "test"


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
    proxy_from: Annotated[tuple[Network, ...], AfterValidator(_not_empty)] | None = None
    """Networks of the proxies that this port is for: each must send a PROXY header, and nobody else may connect."""
    minimum_difficulty: Difficulty | None = None
    """The floor of this port, where it is above the pool's."""
    sites: Annotated[tuple[str, ...], AfterValidator(_not_empty)] | None = None
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

    listeners: Annotated[tuple[ListenerSettings, ...], AfterValidator(_not_empty)] = (ListenerSettings(),)
    limits: LimitSettings = LimitSettings()
    minimum_difficulty: Difficulty = 1.0
    maximum_difficulty: Difficulty = 2.0**48
    start_difficulty: Difficulty = 65536.0
    share_interval_seconds: float = Field(default=6.0, ge=0.1, le=60)
    """Goal of vardiff: one share per connection in so many seconds."""
    job_refresh_seconds: float = Field(default=30.0, ge=1, le=60)
    drain_seconds: float = Field(default=2.0, ge=0, le=60)
    """At the end connections are closed over so many seconds, lest a whole farm returns in one moment."""
    version_mask: Annotated[str, _like("[0-9a-f]{8}", "8 hex digits in lower case, such as '1fffe000'")] = "1fffe000"
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


class DemoAddress(Section):
    """A loopback network that the demo declares to lie in a country. Only with the embedded chain."""

    network: Network
    country: Annotated[str, _like("[A-Z]{2}", "a country of ISO 3166, for example KZ")]

    @model_validator(mode="after")
    def _loopback(self) -> DemoAddress:
        if not self.network.is_loopback:
            raise ValueError("demo addresses are loopback networks, for example 127.0.0.1/32")
        return self


class EvidenceAges(Section):
    """Days after which a source's data counts as old: a finding, no refusal."""

    blocks: int = Field(default=365, ge=1)
    rir: int = Field(default=30, ge=1)
    mmdb: int = Field(default=60, ge=1)


EvidenceSource = Literal["blocks", "rir", "mmdb", "site"]


def _independent(value: tuple[EvidenceSource, ...]) -> tuple[EvidenceSource, ...]:
    if len(set(value)) < len(value):
        raise ValueError("names a source twice; remove one")
    if not set(value) - {"site"}:
        raise ValueError("must name at least one of blocks, rir, mmdb: a site's own word alone proves nothing")
    return value


class EvidenceSettings(Section):
    """Which sources tell where an address lies, and how many of them must agree."""

    rule: Literal["all", "majority", "any"] = "all"
    """Of the sources that know an address, how many must place it in the country."""
    sources: Annotated[tuple[EvidenceSource, ...], AfterValidator(_independent)] = ("blocks", "rir", "mmdb", "site")
    """Those that count; one of which nothing is recorded has no say."""
    maximum_age_days: EvidenceAges = EvidenceAges()
    time_url: Annotated[str, _like(r"https?://[^\s@]+", "http:// or https:// and a host")] | None = None
    """A web server whose Date header the clock is compared with; none when absent."""


FindingName = Literal[
    "hash-rate",
    "no-equipment",
    "no-wallet",
    "worker-at-two-sites",
    "machine-twice",
    "no-placement",
    "no-own-site",
    "site-power",
    "site-networks",
    "licence-term",
    "bin-twice",
    "document-expired",
    "evidence-disagrees",
]


class FindingSettings(Section):
    """What is held against work and registers, and which of it keeps those concerned from mining."""

    blocking: tuple[FindingName, ...] = ()
    """Kinds whose open findings let nobody mine whom they concern; none unless the operator says so."""
    hash_rate_tolerance_percent: int = Field(default=10, ge=0, le=1000)
    """By how much machines may do more than their nominal rate."""
    window_hours: int = Field(default=6, ge=1, le=168)
    """Span of the work that is judged at a time."""
    patience_seconds: float = Field(default=300.0, ge=0, le=86_400)
    """How long something must be so, or be so no longer, before a finding is opened, or closed by itself."""


class AccreditationSettings(Section):
    """Who this server is in the registers, and the rule for loopback in a demo."""

    server: str
    """Key of this server in the register of servers."""
    demo_addresses: tuple[DemoAddress, ...] = ()
    evidence: EvidenceSettings = EvidenceSettings()
    findings: FindingSettings = FindingSettings()
    wallet_cooling_hours: int = Field(default=72, ge=1, le=8760)
    """Hours between the proposal of another payout address and the first instant it may be paid to."""

    @property
    def wallet_cooling(self) -> timedelta:
        """Time between the proposal of another payout address and the first instant it may be paid to."""
        return timedelta(hours=self.wallet_cooling_hours)

    @property
    def country(self) -> str:
        """Where sites, servers and miners must be; the address blocks and the law of no other country are shipped."""
        return "KZ"


class ArchiveSettings(Section):
    """How long raw shares are kept. Nothing is ever deleted unless the operator says so."""

    keep_days: int | None = Field(default=None, ge=1)
    """Days after a round closed for which its archives are kept; for ever when absent."""
    journal_days: int | None = Field(default=None, ge=1)
    """Days after which archived shares leave the journals; never when absent."""


class AccountingSettings(Section):
    """How the books are kept."""

    archive: ArchiveSettings = ArchiveSettings()


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


class AuditSettings(Section):
    """Who signs the heads of the audit log."""

    name: Annotated[
        str, _like(r"[^\s+\x00-\x20]{1,100}", "a name without spaces and +, such as pool.example.kz/audit")
    ] = "tarazy"
    """Name of the log in its signed heads; one for the whole pool."""
    key: Path | None = None
    """PEM file of the Ed25519 key, relative to the settings file; made in `data` when absent."""


class PortalSettings(Section):
    """The page and the JSON API."""

    host: ListeningAddress = "127.0.0.1"
    port: Port = 8080


class PayoutSettings(Section):
    """How miners are paid. Amounts are satoshi."""

    wallet: Annotated[str, _like(r"[\w.-]{1,64}", "the wallet's name: letters, digits, `_`, `.` and `-`")]
    """Name of the node's wallet that holds the rewards, watching only where it does not sign."""
    node: NodeSettings | None = None
    """The node with the wallet; the chain's first one when absent."""
    signing: Literal["offline", "wallet"] = "offline"
    """Whether batches are exported and signed elsewhere, or signed by the node's wallet: for small balances only."""
    threshold: int = Field(default=100_000, ge=1)
    """Least payment; what is less stays due."""
    first_payment: int | None = Field(default=0, ge=0)
    """Most that the first payment to an address pays, beyond the oldest credits that reach the threshold; the rest
    follows when it is confirmed. null: a first payment is like any other."""
    maximum_outputs: int = Field(default=500, ge=1, le=500)
    """Most payments in a batch."""
    batch_limit: int = Field(default=1_000_000_000, ge=1)
    """Most that a batch pays."""
    day_limit: int = Field(default=5_000_000_000, ge=1)
    """Most that the batches proposed on one day pay."""
    maximum_fee: int = Field(default=200_000, ge=1)
    """Most that the network may get for a batch; it is the pool's cost."""
    confirmation_blocks: int = Field(default=6, ge=1, le=1008)
    """Within how many blocks a payment is to confirm: the network fee follows from it."""
    every_hours: int | None = Field(default=None, ge=1, le=8760)
    """How often the server proposes a batch; by command alone when absent."""


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
    def audit_key_path(self) -> Path:
        """File of the key that signs the heads of the audit log."""
        return self.audit.key or self.data / "keys" / "audit.pem"

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


_CURES = {
    "extra_forbidden": "unknown key; remove it or check its spelling",
    "missing": "required key is missing; add it",
    "model_type": "must be a mapping of settings",
    "string_type": "must be text; put it in quotes",
    "tuple_type": "must be a list",
    "union_tag_not_found": "name its kind: `kind: bitcoind`, or `kind: embedded` for a demo",
    "union_tag_invalid": "its kind is bitcoind, or embedded for a demo",
}
_KINDS = ("embedded", "bitcoind")
_SECRET = "password"  # noqa: S105 - the name of the key


def _fault(error: dict[str, Any]) -> str:
    place = error["loc"]
    if place[:1] == ("chain",) and place[1:2] and place[1] in _KINDS:  # the kind is no key of the file
        place = place[:1] + place[2:]
    path = ".".join(str(part) for part in place) or "(top level)"
    text = _CURES.get(error["type"]) or error["msg"].removeprefix("Value error, ")
    given = error.get("input")
    shown = f" (got {given!r})" if isinstance(given, str | int | float | bool) and _SECRET not in place else ""
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
    return _with_absolute_paths(settings, path.parent)


def _with_absolute_paths(settings: Settings, directory: Path) -> Settings:
    """Whatever file or directory is named is relative to `directory`, that of the settings file."""

    def absolute(path: Path | None) -> Path | None:
        return None if path is None else (directory / path).resolve()

    def of_listener(listener: ListenerSettings) -> ListenerSettings:
        if listener.tls is None:
            return listener
        files = {name: absolute(getattr(listener.tls, name)) for name in TlsSettings.model_fields}
        return listener.model_copy(update={"tls": listener.tls.model_copy(update=files)})

    law = settings.law.model_copy(update={"directory": absolute(settings.law.directory)})
    audit = settings.audit.model_copy(update={"key": absolute(settings.audit.key)})
    listeners = tuple(of_listener(listener) for listener in settings.stratum.listeners)
    stratum = settings.stratum.model_copy(update={"listeners": listeners})
    chain = settings.chain
    if isinstance(chain, BitcoindChainSettings):
        nodes = tuple(node.model_copy(update={"cookie": absolute(node.cookie)}) for node in chain.nodes)
        chain = chain.model_copy(update={"nodes": nodes})
    payouts = settings.payouts
    if payouts is not None and payouts.node is not None:
        node = payouts.node.model_copy(update={"cookie": absolute(payouts.node.cookie)})
        payouts = payouts.model_copy(update={"node": node})
    parts = {"law": law, "audit": audit, "stratum": stratum, "chain": chain, "payouts": payouts}
    return settings.model_copy(update={"data": absolute(settings.data), **parts})
