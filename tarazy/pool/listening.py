"""The sockets that miners connect to: those handed on by systemd or an earlier process, and new ones for the rest."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import structlog

from tarazy.config.settings import StratumSettings
from tarazy.stratum.server import bound_socket

_log = structlog.get_logger()


def listening_sockets(
    settings: StratumSettings, inherited: Sequence[socket.socket], *, reuse_port: bool = False
) -> list[socket.socket]:
    """A bound socket for each address of the settings, in their order.

    An inherited one is taken by its address, else by its port; one that nothing asks for is closed. `reuse_port`:
    other sockets may be bound to the new ones' ports. Raises OSError.
    """
    left = list(inherited)
    sockets = []
    for address in [(settings.host, settings.port)]:
        exact = [each for each in left if each.getsockname()[:2] == address]
        near = [each for each in left if each.getsockname()[1] == address[1]]
        found = next(iter(exact or near), None)
        if found is not None:
            left.remove(found)
        sockets.append(found or bound_socket(*address, shared=reuse_port))
    for each in left:
        _log.warning("inherited_socket_not_used", port=each.getsockname()[1])
        each.close()
    return sockets
