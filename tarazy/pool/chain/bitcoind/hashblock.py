"""A node's announcements of blocks over ZMQ (`zmqpubhashblock`): a wake-up, never a source of work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zmq

TOPIC = b"hashblock"
_WAITING = 100
"""Announcements that may wait; more are lost, which the gap in their numbers tells."""
_MESSAGE_BYTES = 1_000
_ALIVE_MS = 30_000


class HashBlocks:
    """Hears one node. The connection is made, and made again, by ZMQ itself."""

    def __init__(self, reactor: Any, endpoint: str, heard: Callable[[bytes | None], None]) -> None:
        """`heard(block_hash)`, in internal order; None when announcements were lost or are not understood."""
        self._reactor = reactor
        self._heard = heard
        self._next: int | None = None
        self._context = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.SUB)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.RCVHWM, _WAITING),
            (zmq.MAXMSGSIZE, _MESSAGE_BYTES),
            (zmq.TCP_KEEPALIVE, 1),
            (zmq.HEARTBEAT_IVL, _ALIVE_MS),
        ):
            self._socket.setsockopt(option, value)
        self._socket.setsockopt(zmq.SUBSCRIBE, TOPIC)
        self._socket.connect(endpoint)
        self._handle = int(self._socket.getsockopt(zmq.FD))

    def start(self) -> None:
        """Listen."""
        self._reactor.addReader(self)
        self.doRead()

    def stop(self) -> None:
        """Hear nothing any more."""
        self._reactor.removeReader(self)
        self._context.destroy()

    # What the reactor asks of something to read from.

    def fileno(self) -> int:
        """ZMQ's own descriptor: readable when there may be something, said once (edge-triggered)."""
        return self._handle

    def logPrefix(self) -> str:  # noqa: N802 - twisted's name
        """A name for the reactor's log."""
        return "hashblock"

    def doRead(self) -> None:  # noqa: N802 - twisted's name
        """Take everything that waits."""
        while not self._socket.closed and int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            self._take(self._socket.recv_multipart(zmq.NOBLOCK))

    def connectionLost(self, reason: Any) -> None:  # noqa: N802 - twisted's name
        """The reactor ends."""

    def _take(self, frames: list[bytes]) -> None:
        lost = True
        if len(frames) == 3 and len(frames[2]) == 4:
            number = int.from_bytes(frames[2], "little")
            lost = self._next not in (None, number)
            self._next = (number + 1) & 0xFFFFFFFF
        known = not lost and frames[0] == TOPIC and len(frames[1]) == 32
        self._heard(frames[1][::-1] if known else None)
