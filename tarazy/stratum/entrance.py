"""What comes before Stratum on a port for proxies or with TLS: the PROXY header, then the handshake."""

from __future__ import annotations

import asyncio
import ssl
from ipaddress import ip_address
from typing import Any, Protocol, cast

import structlog

from tarazy.stratum.limits import Hit
from tarazy.stratum.listeners import Listener
from tarazy.stratum.ports import Peer
from tarazy.stratum.proxy import ProxyError, address_text, read_header
from tarazy.stratum.tls import TlsLayer

_log = structlog.get_logger()


class Inner(Protocol):
    """The connection behind an entrance."""

    def begin(self, transport: asyncio.Transport, peer: Peer) -> None:
        """The way is clear."""

    def data_received(self, data: bytes) -> None:
        """Plain bytes arrived."""

    def pause_writing(self) -> None:
        """Too many bytes are unsent."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""


class Hall(Protocol):
    """The server, as far as an entrance knows it."""

    loop: asyncio.AbstractEventLoop

    def arrive(self, guest: Entrance) -> bool:
        """Count it; False if it must go at once."""

    def depart(self, guest: Entrance) -> None:
        """It is gone, or through."""

    def hit(self, hit: Hit) -> None:
        """Count a limit that was reached."""


class Entrance(asyncio.Protocol):
    """Holds the socket until the connection behind it may begin."""

    __slots__ = (
        "_begun_at",
        "_hall",
        "_headed",
        "_inner",
        "_layer",
        "_listener",
        "_peer",
        "_received",
        "_seconds",
        "_transport",
    )

    ready = False
    """It never is; what is behind it may be."""

    def __init__(self, hall: Hall, listener: Listener, inner: Inner, seconds: float) -> None:
        """`inner` begins once the way is clear. `seconds`: for header and handshake together (C-119)."""
        self._hall = hall
        self._listener = listener
        self._inner = inner
        self._seconds = seconds
        self._begun_at = hall.loop.time()
        self._headed = listener.proxies is None
        """No header is waited for any more."""
        self._received = b""
        self._layer: TlsLayer | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._peer = address_of(self._transport)
        if not self._hall.arrive(self):
            self._transport.abort()
        elif not self._headed and not self._from_proxy():
            self.refuse(Hit.PROXY_SOURCE, "not a listed proxy")

    def _from_proxy(self) -> bool:
        address = ip_address(self._peer) if self._peer else None
        return any(address in network for network in self._listener.proxies or () if address)

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        if self._headed:
            self._shake_hands(data)
            return
        self._received += data
        try:
            header = read_header(self._received)
        except ProxyError as error:
            self.refuse(Hit.PROXY_HEADER, str(error))
            return
        if header is not None:
            self._headed = True
            self._peer = header.address
            rest, self._received = self._received[header.length :], b""
            if self._listener.tls is None:
                self._enter(self._transport, cast(asyncio.Protocol, self._inner), rest, "")
            elif rest:
                self._shake_hands(rest)

    def _shake_hands(self, data: bytes) -> None:
        layer = self._layer
        if layer is None:
            assert self._listener.tls is not None
            layer = self._layer = TlsLayer(self._listener.tls())
        try:
            plain = layer.receive(data)
        except ssl.SSLError as error:
            self._transport.write(layer.output())
            self.refuse(Hit.TLS, error.reason or "unknown")
            return
        self._transport.write(layer.output())
        if layer.established:
            if layer.bound and layer.site is None:
                self.refuse(Hit.CLIENT_CERTIFICATE, "not exactly one common name")
                return
            sealed = Sealed(self._transport, layer, self._inner, self._hall)
            self._enter(sealed, sealed, plain, layer.site or "")

    def _enter(self, transport: asyncio.Transport, protocol: asyncio.BaseProtocol, data: bytes, site: str) -> None:
        self._hall.depart(self)
        self._transport.set_protocol(protocol)
        self._inner.begin(transport, Peer(self._peer, site, self._listener.sites))
        if data and not transport.is_closing():
            self._inner.data_received(data)

    def tick(self, now: float) -> None:
        """Let time pass."""
        if now - self._begun_at >= self._seconds:
            self.refuse(Hit.HANDSHAKE_SECONDS, "too slow")

    def drop(self, hit: Hit) -> None:
        """End it at once: there are too many."""
        self._hall.hit(hit)
        self._transport.abort()

    def leave(self) -> None:
        """Close it."""
        self._transport.close()

    def refuse(self, hit: Hit, fault: str) -> None:
        """End it, without a word that Stratum could speak."""
        if not self._transport.is_closing():
            self._hall.hit(hit)
            _log.debug("connection_refused", limit=str(hit), fault=fault)
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._hall.depart(self)


class Sealed(asyncio.Transport, asyncio.Protocol):
    """A connection's transport with TLS, and the protocol of the socket under it."""

    __slots__ = ("_hall", "_inner", "_layer", "_transport")

    def __init__(self, transport: asyncio.Transport, layer: TlsLayer, inner: Inner, hall: Hall) -> None:
        self._transport = transport
        self._layer = layer
        self._inner = inner
        self._hall = hall

    # What the socket's transport calls.

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        layer = self._layer
        try:
            plain = layer.receive(data)
        except ssl.SSLError as error:
            self._fail(error)
            return
        self._flush()
        if plain:
            self._inner.data_received(plain)
        if layer.ended:
            self.close()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    # What the connection calls.

    def write(self, data: Any) -> None:
        try:
            self._layer.encrypt(data)
        except ssl.SSLError as error:
            self._fail(error)
        else:
            self._flush()

    def _fail(self, error: ssl.SSLError) -> None:
        self._hall.hit(Hit.TLS)
        _log.debug("connection_refused", limit=str(Hit.TLS), fault=error.reason or "unknown")
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if records := self._layer.output():
            self._transport.write(records)

    def close(self) -> None:
        if not self._transport.is_closing():
            self._layer.close()
            self._flush()
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high, low)


def address_of(transport: asyncio.Transport) -> str:
    """The address at the other end of a socket; empty if it is gone already."""
    peer = transport.get_extra_info("peername")
    return address_text(ip_address(peer[0].partition("%")[0])) if peer else ""
