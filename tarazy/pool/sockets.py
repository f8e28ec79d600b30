"""The sockets that miners connect to: bound here and nowhere else."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from tarazy.config.settings import ListenerSettings


def open_listeners(listeners: Sequence[ListenerSettings], *, reuse_port: bool = False) -> list[socket.socket]:
    """A bound socket for each, in their order. They do not listen yet, so nobody is let in before there is work.

    With `reuse_port` other processes may bind the same ports, and the system divides the miners among them. Raises
    OSError, which names the address, and leaves nothing open then.
    """
    opened: list[socket.socket] = []
    try:
        for listener in listeners:
            opened.append(_bound(listener.host, listener.port, reuse_port))
    except OSError:
        for one in opened:
            one.close()
        raise
    return opened


def _bound(host: str, port: int, reuse_port: bool) -> socket.socket:
    """A bound socket; accepted connections inherit its options. `::` takes IPv4 as well."""
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if reuse_port:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise OSError(error.errno, f"{host}:{port}: {error.strerror}") from None
    return made


def stratum_url(listener: ListenerSettings, host: str | None, port: int) -> str:
    """The address miners are told: that of a listener, by the server's registered name if there is one."""
    scheme = "stratum+tcp" if listener.tls is None else "stratum+ssl"
    host = host or listener.host
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
