"""What the machine that the server runs on shows of itself: addresses, clocks, keys. Blocking; never on the reactor."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tarazy.accreditation.server_evidence import ClockReading, Listening, Observed
from tarazy.config.settings import BitcoindChainSettings, Settings, TlsSettings
from tarazy.pool.certificates import CertificateError, read_certificate
from tarazy.pool.chain.bitcoind.credentials import credentials_of
from tarazy.pool.chain.bitcoind.faults import NodeError
from tarazy.pool.chain.bitcoind.probe import clock_of

_SECONDS = 5.0
_FAMILIES = ("AF_INET", "AF_INET6")


def observe(settings: Settings) -> Observed:
    """Look at everything; takes seconds where other clocks do not answer."""
    listening = tuple(
        Listening(listener.host, listener.port, key_fingerprint(listener.tls) if listener.tls else None)
        for listener in settings.stratum.listeners
    )
    return Observed(listening, interface_addresses(), tuple(_clocks(settings)))


def interface_addresses() -> tuple[str, ...]:
    """Addresses of the machine's network interfaces, without those that hold on one link only."""
    found = {
        one.address.partition("%")[0]
        for addresses in psutil.net_if_addrs().values()
        for one in addresses
        if one.family.name in _FAMILIES
    }
    return tuple(sorted(address for address in found if not address.lower().startswith("fe80:")))


def key_fingerprint(tls: TlsSettings) -> str | None:
    """SHA-256 of the SubjectPublicKeyInfo of a port's certificate, hex; None when it cannot be read."""
    try:
        key = read_certificate(tls).public_key()
    except CertificateError:
        return None
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _clocks(settings: Settings) -> Iterator[ClockReading]:
    if isinstance(settings.chain, BitcoindChainSettings):
        for number, node in enumerate(settings.chain.nodes, 1):
            name = f"clock of node {number}"
            try:
                begun = time.time()
                told = clock_of(node.url, credentials_of(node))
                yield ClockReading(name, told - _midpoint_ms(begun))
            except NodeError as error:
                yield ClockReading(name, None, f"{error.fault}: {error.words}")
    if settings.accreditation.evidence.time_url is not None:
        yield web_clock(settings.accreditation.evidence.time_url)


def _midpoint_ms(begun: float) -> int:
    return round((begun + time.time()) * 500)


def web_clock(url: str) -> ClockReading:
    """The Date header of a web server, which tells whole seconds."""
    name = "clock of accreditation.evidence.time_url"
    try:
        begun = time.time()
        try:
            with urlopen(Request(url, method="HEAD"), timeout=_SECONDS) as answer:  # noqa: S310 - http or https, as checked
                headers = answer.headers
        except HTTPError as refused:
            headers = refused.headers
        middle = _midpoint_ms(begun)
        told = headers.get("Date", "")
        return ClockReading(name, round(parsedate_to_datetime(told).timestamp() * 1000) + 500 - middle)
    except (OSError, ValueError, TypeError, HTTPException) as error:
        return ClockReading(name, None, f"{type(error).__name__}: {error}")
