"""The listener: sockets and timers around the sessions, and nothing else."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
import traceback
from collections.abc import Callable
from functools import partial, wraps
from ipaddress import IPv6Address, ip_address
from itertools import cycle
from pathlib import Path
from typing import TypeVar, cast

import structlog

from tarazy.stratum.board import Board, Counters, StratumRules
from tarazy.stratum.job import Job
from tarazy.stratum.ports import Blocks, Gate, Journal
from tarazy.stratum.session import Session
from tarazy.stratum.state import SECONDS_AFTER_WITHDRAWAL

BACKLOG = 4096
"""Connections that may wait to be accepted when a whole farm returns."""
UNSENT_BYTES = 256 * 1024
UNSENT_SECONDS = 60.0
SLICES = 15
"""Connections are looked at once in as many seconds, a slice of them every second; unsettled ones every second."""
SPARE_DESCRIPTORS = 1024
"""Kept for everything that is no miner; above the rest connections are closed at once (C-008)."""

_log = structlog.get_logger()
_A = TypeVar("_A")
_R = TypeVar("_R")


def _contained(method: Callable[[_Connection, _A], _R]) -> Callable[[_Connection, _A], _R | None]:
    """Let an error end the connection it came up in, and nothing else: whoever called goes on with the others."""

    @wraps(method)
    def call(connection: _Connection, argument: _A) -> _R | None:
        try:
            return method(connection, argument)
        except Exception as error:
            connection.fail(error)
            return None

    return call


class _Connection(asyncio.Protocol):
    """Joins one socket to its session."""

    __slots__ = ("_paused", "_server", "_transport", "_unsent_since", "session", "slice")

    session: Session
    slice: set[_Connection]
    """Those looked at in the same second."""

    def __init__(self, server: StratumServer) -> None:
        self._server = server
        self._paused = False
        self._unsent_since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=UNSENT_BYTES)
        self.session = Session(self._server.board, _peer_of(transport), self._server.loop.time(), self.flush)
        if not self._server.enter(self):
            transport.abort()

    @_contained
    def data_received(self, data: bytes) -> None:
        if self.session.receive(data, self._server.loop.time()):
            self.flush()

    def flush(self) -> None:
        """Write what the session has to say, in one piece."""
        session = self.session
        if self._transport.is_closing():
            return
        data = session.output()
        if data:
            self._transport.write(data)
        if session.ended:
            self._transport.close()
        elif session.crowded:
            if not self._paused:
                self._paused = True
                self._transport.pause_reading()
        elif self._paused:
            self._paused = False
            self._transport.resume_reading()
            self.data_received(b"")

    def pause_writing(self) -> None:
        """The peer does not read: drop it, whatever is still unsent (C-005)."""
        self._transport.abort()

    def fail(self, error: Exception) -> None:
        """End it after an error that is ours. The line tells what and where, and nothing that a miner sent."""
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        _log.error("connection_failed", error=type(error).__name__, where=where)
        self.session.ended = True
        self._transport.abort()

    @_contained
    def hand_out(self, now: float) -> None:
        """Send the job of the moment."""
        self.session.send_job(now)
        self.flush()

    @_contained
    def reconsider(self, now: float) -> bool:
        """Ask the gate again; True if no name is left."""
        return self.session.reconsider(now)

    @_contained
    def tick(self, now: float) -> None:
        """Let time pass."""
        self.session.tick(now)
        self.flush()
        if not self._transport.get_write_buffer_size():
            self._unsent_since = None
        elif self._unsent_since is None:
            self._unsent_since = now
        elif now - self._unsent_since > UNSENT_SECONDS:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.session.close(self._server.loop.time())
        self._server.leave(self)


def _peer_of(transport: asyncio.Transport) -> str:
    """The address of the peer, IPv4 in its own form also on a dual-stack socket."""
    peer = transport.get_extra_info("peername")
    if not peer:
        return ""
    address = ip_address(peer[0].partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)


class StratumServer:
    """Takes miners on one port. Everything is called in the thread of the loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        host: str,
        port: int,
        rules: StratumRules,
        gate: Gate,
        journal: Journal,
        blocks: Blocks,
        numbers: Callable[[], int],
    ) -> None:
        """`numbers`: the `JobNumbers` that also number the jobs published."""
        self.loop = loop
        self.board = Board(rules, gate, journal, blocks, numbers)
        self.board.wake = self._wake
        self._address = (host, port)
        self._listener: asyncio.Server | None = None
        self._stopped = False
        self._limit = 0
        self._unsettled: set[_Connection] = set()
        self._slices: list[set[_Connection]] = [set() for _ in range(SLICES)]
        self._next_slice = cycle(self._slices)
        self._looked_at = cycle(self._slices)
        self._timer: asyncio.TimerHandle | None = None

    @property
    def counters(self) -> Counters:
        """What happened so far."""
        return self.board.counters

    def start(self) -> int:
        """Listen; call it once a job is published. Returns the port. Raises OSError if it cannot be had."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._limit = max(limit - SPARE_DESCRIPTORS, limit // 2)
        bound = _bound_socket(*self._address)
        self._listening = self.loop.create_task(self._listen(bound))
        self._due = self.loop.time()
        self._tick()
        port: int = bound.getsockname()[1]
        return port

    async def _listen(self, listening: socket.socket) -> None:
        make = partial(_Connection, self)
        listener = await self.loop.create_server(make, sock=listening, backlog=BACKLOG)
        if self._stopped:
            listener.close()
        self._listener = listener

    def publish(self, job: Job) -> None:
        """Send a job to every ready connection."""
        now = self.loop.time()
        self.board.utc_offset = time.time() - now
        self.board.publish(job, now)
        for connections in self._slices:
            for connection in connections:
                connection.hand_out(now)

    def hand_out(self, working: bool) -> None:
        """Go on handing out work, or stop until the journal takes shares again (C-081)."""
        self.board.handing_out = working
        now = self.loop.time()
        for connections in self._slices if working else ():
            for connection in connections:
                connection.hand_out(now)

    def reconsider(self) -> None:
        """Ask the gate about every name again; connections left without one end in a second (invariant 4)."""
        now = self.loop.time()
        withdrawn = [c for part in self._slices for c in part if c.reconsider(now)]
        if withdrawn:
            self.loop.call_later(SECONDS_AFTER_WITHDRAWAL, self._look_at, withdrawn)

    def stop(self) -> None:
        """Stop listening and close all connections; what is written already is still sent."""
        if self._timer is not None:
            self._timer.cancel()
        self._stopped = True
        self._limit = 0
        if self._listener is not None:
            self._listener.close()
        for connections in (self._unsettled, *self._slices):
            for connection in tuple(connections):
                connection.session.ended = True
                connection.flush()

    # What connections and timers call.

    def enter(self, connection: _Connection) -> bool:
        """A new connection; False if there are too many."""
        counters = self.board.counters
        counters.connections += 1
        connection.slice = next(self._next_slice)
        self._unsettled.add(connection)
        connection.slice.add(connection)
        return counters.connections <= self._limit

    def leave(self, connection: _Connection) -> None:
        """A connection is gone."""
        self.board.counters.connections -= 1
        self._unsettled.discard(connection)
        connection.slice.discard(connection)

    def _wake(self) -> None:
        self.loop.call_soon(self._flush_talkative)

    def _flush_talkative(self) -> None:
        """Send the answers of a commit, one write a connection."""
        sessions, self.board.talkative = self.board.talkative, []
        for session in sessions:
            session.talking = False
            session.flush()

    def _tick(self) -> None:
        now = self.loop.time()
        self._timer = self.loop.call_later(1.0, self._tick)
        if self.board.behind(now - self._due, now):
            doublings = self.board.limits.doublings
            _log.warning("share_interval_changed", seconds=self.board.rules.share_interval * 2**doublings)
        self._due = now + 1.0
        self.board.utc_offset = time.time() - now
        self._look_at(list(self._unsettled))
        self._unsettled = {c for c in self._unsettled if not c.session.settled}
        self._look_at(list(next(self._looked_at)))
        hurried, self.board.hurried = self.board.hurried, set()
        if hurried and self.board.reissue():
            for session in hurried:
                session.send_job(now)
                session.flush()

    def _look_at(self, connections: list[_Connection]) -> None:
        now = self.loop.time()
        for connection in connections:
            connection.tick(now)


def _bound_socket(host: str, port: int) -> socket.socket:
    """A socket for miners; accepted connections inherit its options. `::` takes IPv4 as well."""
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening
