"""The sockets that miners connect to: those handed on by systemd or an earlier process, and new ones for the rest."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import structlog

from tarazy.config.settings import ListenerSettings

_log = structlog.get_logger()


def open_listeners(
    listeners: Sequence[ListenerSettings], inherited: Sequence[socket.socket] = (), *, reuse_port: bool = False
) -> list[socket.socket]:
    """A bound socket for each, in their order. New ones do not listen yet, so nobody is let in before there is work.

    An inherited one is taken by its address, else by its port; one that nothing asks for is closed. With `reuse_port`
    other processes may bind the new ones' ports, and the system divides the miners among them. Raises OSError, which
    names the address, and leaves nothing open then.
    """
    left = list(inherited)
    opened: list[socket.socket] = []
    try:
        for listener in listeners:
            found = _inherited(listener, left)
            opened.append(found or _bound(listener.host, listener.port, reuse_port))
    except OSError:
        for one in (*opened, *left):
            one.close()
        raise
    for one in left:
        _log.warning("inherited_socket_not_used", port=one.getsockname()[1])
        one.close()
    return opened


def _inherited(listener: ListenerSettings, left: list[socket.socket]) -> socket.socket | None:
    """Take the socket of a listener out of those that are `left`."""
    exact = [each for each in left if each.getsockname()[:2] == (listener.host, listener.port)]
    near = [each for each in left if each.getsockname()[1] == listener.port]
    found = next(iter(exact or near), None)
    if found is not None:
        left.remove(found)
    return found


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
