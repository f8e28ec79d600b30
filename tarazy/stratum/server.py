"""The listener: sockets and timers around the sessions, and nothing else."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TypeVar, cast

import structlog

from tarazy.stratum import handover
from tarazy.stratum.board import Board, Counters, StratumRules
from tarazy.stratum.entrance import Entrance, address_of
from tarazy.stratum.fanout import Fanout
from tarazy.stratum.job import Job
from tarazy.stratum.limits import Hit, Limits
from tarazy.stratum.listeners import Listener
from tarazy.stratum.ports import Blocks, Gate, Journal, Peer
from tarazy.stratum.session import Session
from tarazy.stratum.state import SECONDS_AFTER_WITHDRAWAL

BACKLOG = 4096
"""Connections that may wait to be accepted when a whole farm returns."""
SLICES = 15
"""Connections are looked at once in as many seconds, a slice of them every second; unsettled ones every second."""
PIECE = 8192
"""Bytes of one connection that are heard in a turn of the loop, about a millisecond's work; the rest in later turns."""
SPARE_DESCRIPTORS = 1024
"""Kept for everything that is no miner; above the rest connections are closed at once (C-008)."""
GIVE_WAY_SECONDS = 0.00005
"""Between two slices of work for everybody: the journal's thread, which answers wait for, gets the interpreter at once
instead of after its switch interval of 5 ms, several times a commit."""
FAREWELL = "the pool restarts: it is back in a moment"

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

    __slots__ = (
        "_going_on",
        "_listener",
        "_paused",
        "_server",
        "_transport",
        "_unheard",
        "_unsent_since",
        "leaving",
        "session",
        "slice",
    )

    session: Session
    slice: set[_Connection]
    """Those looked at in the same second."""

    def __init__(self, server: StratumServer, listener: Listener) -> None:
        self._server = server
        self._listener = listener
        self.leaving = False
        self._paused = False
        self._unheard = b""
        """What arrived and waits for a later turn."""
        self._going_on = False
        self._unsent_since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)
        self.begin(transport, Peer(address_of(transport), port_sites=self._listener.sites))

    def begin(self, transport: asyncio.Transport, peer: Peer) -> None:
        """Speak Stratum from here on."""
        server = self._server
        self._transport = transport
        transport.set_write_buffer_limits(high=server.limits.unsent_bytes)
        self.session = Session(server.board, peer, server.loop.time(), self.flush)
        if self._listener.floor is not None:
            self.session.assignments.vardiff.raise_floor(self._listener.floor)
        if not server.enter(self):
            transport.abort()

    @property
    def ready(self) -> bool:
        """Whether it mines."""
        return self.session.ready

    @_contained
    def data_received(self, data: bytes) -> None:
        data = self._unheard + data
        self._unheard = data[PIECE:]
        if self.session.receive(data[:PIECE], self._server.loop.time()) or self._unheard or self._paused:
            self.flush()

    def _go_on(self) -> None:
        self._going_on = False
        if not self._transport.is_closing():
            self.data_received(b"")

    def flush(self) -> None:
        """Write what the session has to say, in one piece."""
        session = self.session
        if self._transport.is_closing():
            return
        data = session.output()
        if data:
            self._transport.write(data)
        if session.ended or (self.leaving and not session.waiting and not self._unheard):
            self._transport.close()
        elif session.crowded:
            if self._pause():
                self._server.hit(Hit.WAITING_ANSWERS)
        elif self._unheard:
            self._pause()
            if not self._going_on:
                self._going_on = True
                self._server.loop.call_soon(self._go_on)
        elif self._paused:
            self._paused = False
            self._transport.resume_reading()
            self.data_received(b"")

    def _pause(self) -> bool:
        """Read no more until what was read is dealt with; False if that was so already."""
        if self._paused:
            return False
        self._paused = True
        self._transport.pause_reading()
        return True

    def pause_writing(self) -> None:
        """The peer does not read: drop it, whatever is still unsent (C-005)."""
        self.drop(Hit.UNSENT_BYTES)

    def drop(self, hit: Hit) -> None:
        """End it at once."""
        self.session.end(hit)
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
    def dismiss(self, now: float) -> None:
        """Ask the miner to come back, and let it go as soon as no answer is owed."""
        self.session.farewell(FAREWELL)
        self.leaving = True
        self.flush()

    @_contained
    def tick(self, now: float) -> None:
        """Let time pass."""
        self.session.tick(now)
        self.flush()
        if not self._transport.get_write_buffer_size():
            self._unsent_since = None
        elif self._unsent_since is None:
            self._unsent_since = now
        elif now - self._unsent_since > self._server.limits.unsent_seconds:
            self.drop(Hit.UNSENT_SECONDS)

    def leave(self) -> None:
        """Say what there is to say and close."""
        self.session.ended = True
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.session.close(self._server.loop.time())
        self._server.leave(self)


class StratumServer:
    """Takes miners on its listeners. Everything is called in the thread of the loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listeners: Sequence[Listener],
        rules: StratumRules,
        gate: Gate,
        journal: Journal,
        blocks: Blocks,
        numbers: Callable[[], int],
    ) -> None:
        """`numbers`: the `JobNumbers` that also number the jobs published. The listeners' sockets are its own now."""
        self.loop = loop
        self.board = Board(rules, gate, journal, blocks, numbers)
        self.board.wake = self._wake
        self.hit = self.board.hit
        self._listeners = tuple(listeners)
        self._accepting: list[asyncio.Server] = []
        self._paused = True
        self._most = 0
        """Connections that the system has descriptors for."""
        self._unready: dict[_Connection | Entrance, None] = {}
        """The eldest first; those that became ready within the last second too."""
        self._unsettled: set[_Connection] = set()
        """Ready ones whose difficulty is still searched for: looked at every second."""
        self._slices: list[set[_Connection]] = [set() for _ in range(SLICES)]
        self._next_slice = cycle(self._slices)
        self._looked_at = cycle(self._slices)
        self._timer: asyncio.TimerHandle | None = None
        give_way = partial(time.sleep, GIVE_WAY_SECONDS)
        self._fanout: Fanout[_Connection] = Fanout(loop.call_soon, lambda each: each.hand_out(loop.time()), give_way)
        self._looks: Fanout[_Connection | Entrance] = Fanout(
            loop.call_soon, lambda each: each.tick(loop.time()), give_way
        )
        self._questions: Fanout[_Connection] = Fanout(loop.call_soon, self._reconsider, give_way)

    @property
    def limits(self) -> Limits:
        """What peers may take."""
        return self.board.rules.limits

    @property
    def counters(self) -> Counters:
        """What happened so far."""
        return self.board.counters

    def start(self) -> int:
        """Listen; call it once a job is published. Returns the first listener's port. Raises OSError."""
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._most = max(descriptors - SPARE_DESCRIPTORS, descriptors // 2)
        self.resume()
        self._due = self.loop.time()
        self._tick()
        port: int = self._listeners[0].socket.getsockname()[1]
        return port

    def pause(self, refusing: bool = False) -> None:
        """Accept nobody until `resume`; connections live on.

        Who connects in between waits, for us or for another process with the same sockets. With `refusing` the
        system turns them away, also from such another process.
        """
        self._paused = True
        for accepting in self._accepting:
            accepting.close()
        self._accepting.clear()
        if refusing:
            for listener in self._listeners:
                listener.socket.shutdown(socket.SHUT_RD)

    def resume(self) -> None:
        """Accept again."""
        if self._paused:
            self._paused = False
            for listener in self._listeners:
                listener.socket.listen(BACKLOG)
            # The loop closes what it accepts from when it is told to stop: it gets a copy.
            self._opening = [
                self.loop.create_task(self._accept(listener, listener.socket.dup())) for listener in self._listeners
            ]

    async def _accept(self, listener: Listener, copy: socket.socket) -> None:
        accepting = await self.loop.create_server(partial(self._connection, listener), sock=copy, backlog=BACKLOG)
        if self._paused:
            accepting.close()
        else:
            self._accepting.append(accepting)

    def _connection(self, listener: Listener) -> asyncio.Protocol:
        connection = _Connection(self, listener)
        if listener.tls is None and listener.proxies is None:
            return connection
        return Entrance(self, listener, connection, self.limits.handshake_seconds)

    def publish(self, job: Job) -> None:
        """Send a job to every ready connection."""
        now = self.loop.time()
        self.board.utc_offset = time.time() - now
        self.board.publish(job, now)
        self._hand_out_to_all()

    def hand_out(self, working: bool) -> None:
        """Go on handing out work, or stop until the journal takes shares again (C-081)."""
        self.board.handing_out = working
        if working:
            self._hand_out_to_all()

    def _hand_out_to_all(self) -> None:
        self._fanout.begin(connection for part in self._slices for connection in part)

    def reconsider(self) -> None:
        """Ask the gate about every name again; connections left without one end in a second (invariant 4)."""
        self._questions.begin(connection for part in self._slices for connection in part)

    def _reconsider(self, connection: _Connection) -> None:
        if connection.reconsider(self.loop.time()):
            self.loop.call_later(SECONDS_AFTER_WITHDRAWAL, lambda: connection.tick(self.loop.time()))

    def follow(self, rules: StratumRules) -> None:
        """Take other rules: new connections follow them, and the version mask holds for all from the next job on.

        Raises ValueError as `Board.follow`.
        """
        changes = rules.version_mask != self.board.rules.version_mask
        self.board.follow(rules)
        for connections in self._slices if changes else ():
            for connection in connections:
                connection.session.mask_changed()

    def dismiss(self, count: int) -> None:
        """Let go of up to `count` connections, each as soon as it is owed no answer."""
        now = self.loop.time()
        staying = (connection for part in self._slices for connection in part if not connection.leaving)
        for connection in list(islice(staying, count)):
            connection.dismiss(now)

    def stop(self) -> None:
        """Stop listening and close all connections; what is written already is still sent."""
        if self._timer is not None:
            self._timer.cancel()
        self.pause()
        for listener in self._listeners:
            listener.socket.close()
        self._most = 0
        self.close_connections()

    def close_connections(self) -> None:
        """Close all; what is written already is still sent."""
        for guest in tuple(self._unready):
            guest.leave()
        for connections in self._slices:
            for connection in tuple(connections):
                connection.leave()

    def take_over(
        self, plain: dict[str, Any], jobs: Mapping[int, Job], judged: Mapping[tuple[bytes, int], set[bytes]]
    ) -> int:
        """Before the first job: go on from what `hand_over` gave, as `handover.unpack`; its result and errors."""
        now = self.loop.time()
        self.board.utc_offset = time.time() - now
        return handover.unpack(self.board, plain, jobs, judged, now)

    def trust_earlier(self) -> None:
        """In place of `take_over`, when there is nothing: ids of an earlier process still bring their extranonce1."""
        self.board.extranonces.trust_earlier(self.loop.time())

    def hand_over(self) -> dict[str, Any]:
        """After `stop`: what the next process needs to resume every connection (`handover`)."""
        now = self.loop.time()
        for connections in self._slices:
            for connection in connections:
                connection.session.close(now)
        return handover.pack(self.board, now)

    # What connections and timers call.

    def arrive(self, guest: _Connection | Entrance) -> bool:
        """Count a new connection; False if it must go at once. Of those that are not ready the eldest makes room."""
        counters, unready = self.board.counters, self._unready
        counters.connections += 1
        while len(unready) >= self.limits.unready_connections:
            eldest = next(iter(unready))
            del unready[eldest]
            if not eldest.ready:
                eldest.drop(Hit.UNREADY_CONNECTIONS)
        unready[guest] = None
        if counters.connections <= min(self._most, self.limits.connections):
            return True
        self.hit(Hit.CONNECTIONS)
        return False

    def depart(self, guest: _Connection | Entrance) -> None:
        """It is gone, or no longer what it was."""
        self.board.counters.connections -= 1
        self._unready.pop(guest, None)

    def enter(self, connection: _Connection) -> bool:
        """A new connection that speaks Stratum; False if there are too many."""
        connection.slice = next(self._next_slice)
        connection.slice.add(connection)
        welcome = self.arrive(connection)
        if not self.board.addresses.enter(connection.session.peer.address):
            self.hit(Hit.ADDRESS_CONNECTIONS)
            return False
        return welcome

    def leave(self, connection: _Connection) -> None:
        """A connection is gone."""
        self.depart(connection)
        self._unsettled.discard(connection)
        connection.slice.discard(connection)
        self.board.addresses.leave(connection.session.peer.address)

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
        self.board.extranonces.expire(now)
        if self._fanout.busy:
            return
        self._looks.begin([*self._unready, *self._unsettled, *next(self._looked_at)])
        arrived = {guest for guest in self._unready if isinstance(guest, _Connection) and guest.ready}
        self._unready = {guest: None for guest in self._unready if not guest.ready}
        self._unsettled = {each for each in self._unsettled | arrived if not each.session.settled}
        hurried, self.board.hurried = self.board.hurried, set()
        if hurried and self.board.reissue():
            for session in hurried:
                session.send_job(now)
                session.flush()
