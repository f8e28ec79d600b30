"""The certificates of the TLS ports: read at the start, and again whenever their files change."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from cryptography import x509

from tarazy.config.settings import ListenerSettings, TlsSettings
from tarazy.pool.clock import Clock
from tarazy.pool.repeat import Repeat

_LOOK_SECONDS = 10.0

_log = structlog.get_logger()


class CertificateError(Exception):
    """The files cannot be used. The text names the file and what is wrong with it."""


class Certificates:
    """The contexts of all ports with TLS. A handshake takes the newest; one under way is left alone."""

    def __init__(self, clock: Clock, listeners: Sequence[ListenerSettings]) -> None:
        """Raises CertificateError."""
        files = {listener.tls for listener in listeners if listener.tls is not None}
        self._loaded = {settings: _Loaded.of(settings) for settings in files}
        self.watch = Repeat(clock, "read_certificates", _LOOK_SECONDS, self._look)

    def context_of(self, listener: ListenerSettings) -> Callable[[], ssl.SSLContext] | None:
        """What gives the context for the next handshake on a port; None if it has no TLS."""
        settings = listener.tls
        return None if settings is None else lambda: self._loaded[settings].context

    def ends_at(self, listener: ListenerSettings) -> datetime | None:
        """The end of the certificate that a port shows; None if it has no TLS."""
        settings = listener.tls
        return None if settings is None else self._loaded[settings].ends_at

    def start(self) -> None:
        """Look at the files from now on."""
        self.watch.start()

    async def stop(self) -> None:
        """No longer."""
        await self.watch.stop()

    def reload(self) -> None:
        """Take up what changed. Raises CertificateError at the end when something cannot be used: its port keeps what
        it has, the others do not wait for it."""
        faults: list[CertificateError] = []
        for settings, loaded in self._loaded.items():
            try:
                if _signature(settings) != loaded.seen:
                    self._loaded[settings] = _Loaded.of(settings)
                    _log.info("certificate_reloaded", file=str(settings.certificate))
            except CertificateError as error:
                faults.append(error)
        if faults:
            raise faults[0]

    async def _look(self) -> None:
        self.reload()


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A context, the end of its certificate, and what its files looked like when it was made."""

    context: ssl.SSLContext
    ends_at: datetime
    seen: list[tuple[int, int, int]]

    @classmethod
    def of(cls, settings: TlsSettings) -> _Loaded:
        seen = _signature(settings)
        return cls(make_context(settings), read_certificate(settings).not_valid_after_utc, seen)


def _files(settings: TlsSettings) -> list[Path]:
    return [path for path in (settings.certificate, settings.key, settings.client_ca) if path is not None]


def _signature(settings: TlsSettings) -> list[tuple[int, int, int]]:
    """What changes when a file does."""
    try:
        states = [path.stat() for path in _files(settings)]
    except OSError as error:
        raise CertificateError(f"{error.filename}: {error.strerror}") from None
    return [(state.st_ino, state.st_size, state.st_mtime_ns) for state in states]


def make_context(settings: TlsSettings) -> ssl.SSLContext:
    """A server's context: TLS 1.2 or newer, and no resumption, so that the files of the moment judge every handshake.

    Raises CertificateError.
    """
    read_certificate(settings)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    try:
        context.load_cert_chain(settings.certificate, settings.key, _no_password)
    except (OSError, ValueError) as error:
        raise CertificateError(f"{settings.key}: no key of this certificate: {_reason(error)}") from None
    if settings.client_ca is not None:
        try:
            context.load_verify_locations(settings.client_ca)
        except (OSError, ValueError) as error:
            raise CertificateError(f"{settings.client_ca}: no certificates: {_reason(error)}") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def read_certificate(settings: TlsSettings) -> x509.Certificate:
    """The server's own certificate, the first of its file. Raises CertificateError."""
    try:
        return x509.load_pem_x509_certificates(settings.certificate.read_bytes())[0]
    except OSError as error:
        raise CertificateError(f"{settings.certificate}: {error.strerror}") from None
    except ValueError:
        raise CertificateError(f"{settings.certificate}: no certificate in PEM form") from None


def _no_password(*_: Any) -> str:
    raise ValueError("it is encrypted; store it without a password, readable for the server alone")


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error) or type(error).__name__
