"""A port that miners connect to, as plain values."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket, and what holds for those who connect to it."""

    socket: socket.socket
    """Bound; it need not listen yet."""
    tls: Callable[[], ssl.SSLContext] | None = None
    """The context for the next handshake; None on a port without TLS.

    A context that asks for certificates of its clients binds each connection to the site that its certificate names.
    """
    proxies: tuple[IPv4Network | IPv6Network, ...] | None = None
    """On a port for proxies, which must send a PROXY header, their networks; None on any other."""
    floor: int | None = None
    """Exponent of the lowest difficulty on this port."""
    sites: tuple[str, ...] = ()
    """Keys of the sites that this port is for; empty where it is for all."""
