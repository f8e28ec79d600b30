"""What one peer may take of the server, and the words under which every reached limit is counted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings of `stratum.limits`, with their defaults."""

    connections: int = 50_000
    connections_per_address: int = 10_000
    """A whole farm may stand behind one address. Of IPv6 the first 64 bits are one address."""
    unready_connections: int = 10_000
    """Above it the eldest connection that is not ready makes room for a new one."""
    unready_seconds: float = 30.0
    unready_messages: int = 20
    unready_line_bytes: int = 4096
    line_bytes: int = 8192
    handshake_seconds: float = 10.0
    """For a PROXY header and the TLS handshake together."""
    malformed_lines: int = 5
    """In a row."""
    waiting_answers: int = 64
    """Requests without an answer at which no more are read."""
    unsent_bytes: int = 256 * 1024
    unsent_seconds: float = 60.0
    refused_logins: int = 20
    """In a row on one connection, even one with an admitted login."""
    refusals_per_second: float = 5.0
    """Refused logins of one address that are answered in a second; beyond, answers come later and later."""
    fresh_job_seconds: float = 60.0
    """Of nothing but invalid shares: a job of its own, with the difficulty said again."""
    invalid_seconds: float = 180.0
    """Of nothing but invalid shares: the end."""
    submits_per_second: float = 100.0
    submit_burst: int = 1000
    """Submits that a connection may have saved up by being slower."""


class Hit(StrEnum):
    """A limit that a peer reached: a label of the metrics, so a closed set."""

    CONNECTIONS = "connections"
    ADDRESS_CONNECTIONS = "address-connections"
    UNREADY_CONNECTIONS = "unready-connections"
    UNREADY_SECONDS = "unready-seconds"
    UNREADY_MESSAGES = "unready-messages"
    LINE_BYTES = "line-bytes"
    MALFORMED_LINES = "malformed-lines"
    WAITING_ANSWERS = "waiting-answers"
    UNSENT_BYTES = "unsent-bytes"
    UNSENT_SECONDS = "unsent-seconds"
    SILENCE = "silence"
    NAMES = "names"
    REFUSED_LOGINS = "refused-logins"
    SLOWED_LOGINS = "slowed-logins"
    INVALID_SHARES = "invalid-shares"
    RATE_LIMITED = "rate-limited"
    NOT_STRATUM = "not-stratum"
    """A health check, an HTTP probe, a scanner."""
    PROXY_ON_PLAIN_PORT = "proxy-on-plain-port"
    TLS_ON_PLAIN_PORT = "tls-on-plain-port"
    PROXY_SOURCE = "proxy-source"
    """A connection to a port for proxies from an address that is none."""
    PROXY_HEADER = "proxy-header"
    HANDSHAKE_SECONDS = "handshake-seconds"
    TLS = "tls"
    CLIENT_CERTIFICATE = "client-certificate"
