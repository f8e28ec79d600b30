"""The listener with real sockets, in the reactor's loop."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import wraps
from typing import Any, ParamSpec

import orjson
import pytest
from structlog.testing import capture_logs
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from tarazy.stratum import server as listener
from tarazy.stratum.miner import MinerJob
from tarazy.stratum.miner_client import mine
from tarazy.stratum.ports import Admission
from tarazy.stratum.server import StratumServer
from tests.stratum.house import RULES, Gate, Pool, solve

P = ParamSpec("P")


def the_loop() -> asyncio.AbstractEventLoop:
    """The loop under the reactor."""
    loop: asyncio.AbstractEventLoop = reactor._asyncioEventloop
    return loop


def in_loop(test: Callable[P, Awaitable[None]]) -> Callable[P, Deferred[None]]:
    """Run an asyncio test in the reactor's loop, within 20 s."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> Deferred[None]:
        return Deferred.fromFuture(the_loop().create_task(asyncio.wait_for(test(*args, **kwargs), 20)))

    return run


class Wire:
    """The miner's end of a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.extranonce1 = b""
        self.job: MinerJob | None = None

    def write(self, message: dict[str, Any] | bytes) -> None:
        """A message, or raw bytes."""
        self.writer.write(message if isinstance(message, bytes) else orjson.dumps(message) + b"\n")

    async def read(self) -> dict[str, Any]:
        """The next message."""
        line = await self.reader.readline()
        assert line.endswith(b"\n"), "the pool closed"
        message: dict[str, Any] = orjson.loads(line)
        if message.get("method") == "mining.notify":
            self.job = MinerJob.of(message["params"])
        return message

    async def rest(self) -> bytes:
        """What is left until the pool closes."""
        try:
            return await self.reader.read()
        except ConnectionResetError:
            return b""

    def share(self, number: int, login: str = "acme.rig07") -> dict[str, Any]:
        """A submit with id `number` that is a share."""
        assert self.job is not None
        proof = solve(self.job, self.extranonce1, extranonce2=number)
        return {"id": number, "method": "mining.submit", "params": [login, *proof]}


class Served:
    """A server with neighbours in memory."""

    def __init__(self, slow: bool = False) -> None:
        # The pool makes jobs and lends its neighbours; its own board is not used.
        self.pool = Pool(slow=slow, work=False)
        self.gate, self.journal = self.pool.gate, self.pool.journal
        self.server = StratumServer(
            the_loop(),
            "127.0.0.1",
            0,
            RULES,
            self.gate,
            self.journal,
            self.pool.blocks,
            self.pool.numbers,
        )
        self.counters = self.server.counters
        self.publish()
        self.port = self.server.start()

    def publish(self, previous: bytes = b"\x11" * 32) -> None:
        """A job of this moment."""
        self.pool.now = time.time()
        self.server.publish(self.pool.make_job(previous))

    async def connect(self) -> Wire:
        """A connection."""
        return Wire(*await asyncio.open_connection("127.0.0.1", self.port))

    async def miner(self, login: str = "acme.rig07") -> Wire:
        """A connection through its handshake."""
        wire = await self.connect()
        wire.write({"id": 1, "method": "mining.subscribe", "params": []})
        wire.write({"id": 2, "method": "mining.authorize", "params": [login, "x"]})
        wire.extranonce1 = bytes.fromhex((await wire.read())["result"][1])
        assert (await wire.read())["result"] is True
        assert (await wire.read())["method"] == "mining.set_difficulty"
        assert (await wire.read())["method"] == "mining.notify"
        return wire


@pytest.fixture
def served() -> Iterator[Served]:
    """A running server."""
    running = Served()
    yield running
    running.server.stop()


@pytest.fixture
def slow() -> Iterator[Served]:
    """A running server whose journal commits when told to."""
    running = Served(slow=True)
    yield running
    running.server.stop()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until something is so."""
    while not condition():
        await asyncio.sleep(0.002)


@in_loop
async def test_handshake_submit_and_new_block(served: Served) -> None:
    """A share is answered, a new block reaches the miner, the old job is stale."""
    wire = await served.miner()
    wire.write(wire.share(5))
    assert await wire.read() == {"id": 5, "result": True, "error": None}
    late = wire.share(6)
    served.publish(b"\x22" * 32)
    notify = await wire.read()
    assert (notify["method"], notify["params"][8]) == ("mining.notify", True)
    wire.write(late)
    assert (await wire.read())["error"] == [21, "stale", None]
    assert (served.counters.connections, served.counters.ready, served.counters.accepted) == (1, 1, 1)
    wire.writer.close()
    await until(lambda: served.counters.connections == 0)
    assert served.counters.ready == 0


@in_loop
async def test_answers_in_order_with_a_slow_journal(slow: Served) -> None:
    """C-017: over the socket, too; and other connections are not held up."""
    wire, other = await slow.miner(), await slow.miner("beta.rig")
    for number in range(1, 4):
        wire.write(wire.share(number))
    wire.write({"id": 4, "method": "mining.ping"})
    await until(lambda: len(slow.journal.waiting) == 3)
    other.write({"id": 9, "method": "mining.ping"})
    assert (await other.read())["result"] == "pong"
    slow.journal.settle()
    assert [(await wire.read())["result"] for _ in range(4)] == [True, True, True, "pong"]


@in_loop
async def test_pipelined_flood_is_read_piece_by_piece(slow: Served) -> None:
    """More requests than may wait: reading pauses, and goes on after each commit."""
    wire = await slow.miner()
    wire.write(b"".join(orjson.dumps(wire.share(number)) + b"\n" for number in range(200)))
    answers: list[int] = []
    while len(answers) < 200:
        await until(lambda: bool(slow.journal.waiting))
        assert len(slow.journal.waiting) <= 64
        committed = len(slow.journal.waiting)
        slow.journal.settle()
        answers += [(await wire.read())["id"] for _ in range(committed)]
    assert answers == list(range(200))


@pytest.mark.parametrize("probe", [b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 1.2.3.4"])
@in_loop
async def test_probes_are_closed_without_a_word(served: Served, probe: bytes) -> None:
    """C-003."""
    wire = await served.connect()
    wire.write(probe)
    assert await wire.rest() == b""
    await until(lambda: served.counters.connections == 0)


@in_loop
async def test_megabyte_line_ends_the_connection(served: Served) -> None:
    """C-002: the others mine on."""
    wire, other = await served.miner(), await served.miner("beta.rig")
    wire.write(b'{"id":1,"method":"' + b"x" * 1_000_000 + b'"}\n')
    assert b"parse-error: line too long" in await wire.rest() or served.counters.connections == 1
    other.write({"id": 9, "method": "mining.ping"})
    assert (await other.read())["result"] == "pong"


@in_loop
async def test_reader_that_stops_reading_is_dropped(served: Served) -> None:
    """C-005: at 256 KiB unsent; the others are unaffected."""
    deaf, other = await served.miner(), await served.miner("beta.rig")
    deaf.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
    ping = b'{"id":"%b","method":"mining.ping"}\n' % (b"x" * 4000)
    while served.counters.connections == 2:
        deaf.write(ping * 16)
        await asyncio.sleep(0)
    other.write({"id": 9, "method": "mining.ping"})
    assert (await other.read())["result"] == "pong"


@in_loop
async def test_withdrawn_admission_ends_within_a_second(served: Served) -> None:
    """Invariant 4: the connection whose only name is refused ends; one with another name lives on."""
    gone, stays = await served.miner(), await served.miner()
    stays.write({"id": 7, "method": "mining.authorize", "params": ["beta.rig", "x"]})
    assert (await stays.read())["result"] is True
    served.gate.refusals["acme.rig07"] = "licence revoked 2026-11-01, ask the pool office"
    began = time.monotonic()
    served.server.reconsider()
    gone.write(gone.share(8))
    refused = await gone.read()
    assert refused["error"] == [24, "unauthorized: licence revoked 2026-11-01, ask the pool office", None]
    assert await gone.rest() == b""
    assert time.monotonic() - began < 1.0
    stays.write(stays.share(9, "beta.rig"))
    assert (await stays.read())["result"] is True
    assert served.gate.refused == [("acme.rig07", "127.0.0.1")] * 2


@in_loop
async def test_one_second_timer_ends_what_never_gets_ready(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """C-004: connections that do not become ready are closed at their time."""
    monkeypatch.setattr("tarazy.stratum.state.SECONDS_BEFORE_READY", 0.2)
    wire = await served.connect()
    assert await wire.rest() == b""


class Raising:
    """A gate with a bug that shows for one name."""

    def __init__(self, gate: Gate, name: str) -> None:
        self.gate, self.name = gate, name

    def admit(self, name: str, password: str, peer: str) -> Admission:
        """The decision, or an error that quotes the miner."""
        if name == self.name:
            raise RuntimeError(f"{name} from {peer}")
        return self.gate.admit(name, password, peer)


@in_loop
async def test_an_error_of_ours_ends_one_connection(served: Served) -> None:
    """Invariant 10: the others mine on; one line in the log says what and where, and nothing of the miner's."""
    other, unlucky = await served.miner("beta.rig"), await served.connect()
    served.server.board.gate = Raising(served.gate, "acme.rig07")
    with capture_logs() as lines:
        unlucky.write({"id": 1, "method": "mining.authorize", "params": ["acme.rig07"]})
        unlucky.write({"id": 2, "method": "mining.ping"})
        assert await unlucky.rest() == b""
        await until(lambda: served.counters.connections == 1)
    (line,) = lines
    where = line.pop("where")
    assert line == {"event": "connection_failed", "error": "RuntimeError", "log_level": "error"}
    assert where.startswith("test_server.py:")
    other.write(other.share(5, "beta.rig"))
    assert (await other.read())["result"] is True


@in_loop
async def test_an_error_while_reconsidering_ends_one_connection(served: Served) -> None:
    """Invariant 4: those behind it are asked about all the same."""
    miners = [await served.miner(login) for login in ("acme.a", "acme.b", "acme.c", "acme.d")]
    served.gate.refusals.update({"acme.a": "licence revoked", "acme.d": "licence revoked"})
    served.server.board.gate = Raising(served.gate, "acme.b")
    with capture_logs() as lines:
        served.server.reconsider()
        for wire in (miners[0], miners[1], miners[3]):
            assert await wire.rest() == b""
    assert [line["event"] for line in lines] == ["connection_failed"]
    miners[2].write(miners[2].share(5, "acme.c"))
    assert (await miners[2].read())["result"] is True


@in_loop
async def test_wished_difficulty_comes_with_its_own_job(served: Served) -> None:
    """A large change is served by the one-second timer, and only to the one who asked."""
    wire, other = await served.miner(), await served.miner("beta.rig")
    wire.write({"id": 8, "method": "mining.suggest_difficulty", "params": [1]})
    assert (await wire.read())["result"] is True
    assert (await wire.read())["params"] == [1]
    assert (await wire.read())["params"][8] is False
    other.write({"id": 9, "method": "mining.ping"})
    assert (await other.read())["id"] == 9


@in_loop
async def test_too_many_connections_are_closed_at_once(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """C-008: above the limit a connection is accepted and closed; below it all goes on."""
    wire = await served.miner()
    monkeypatch.setattr(served.server, "_limit", 1)
    assert await (await served.connect()).rest() == b""
    wire.write(wire.share(5))
    assert (await wire.read())["result"] is True


@in_loop
async def test_storm_of_connections(served: Served) -> None:
    """C-009 in small: 300 at once all get their work."""
    miners = await asyncio.gather(*(served.miner(f"acme.w{number}") for number in range(300)))
    assert len({wire.extranonce1 for wire in miners}) == 300
    served.publish(b"\x22" * 32)
    assert all([(await wire.read())["params"][8] for wire in miners])
    for wire in miners:
        wire.writer.close()
    await until(lambda: served.counters.connections == 0)


@in_loop
async def test_stop_closes_everything(served: Served) -> None:
    """Nobody is left and nobody is let in."""
    wire = await served.miner()
    served.server.stop()
    assert await wire.rest() == b""
    with pytest.raises(ConnectionError):
        await served.connect()


def test_port_in_use_is_an_error(served: Served) -> None:
    """OSError at the call, not in the log."""
    busy = StratumServer(
        the_loop(),
        "127.0.0.1",
        served.port,
        RULES,
        served.gate,
        served.journal,
        served.pool.blocks,
        served.pool.numbers,
    )
    with pytest.raises(OSError, match="in use"):
        busy.start()


def test_listening_socket_takes_both_families() -> None:
    """`::` is IPv6 and IPv4; accepted connections inherit keepalive and no delay."""
    try:
        bound = listener.bound_socket("::", 0)
        bound.listen()
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with bound, socket.create_connection(("127.0.0.1", bound.getsockname()[1])):
        accepted, _ = bound.accept()
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@in_loop
async def test_our_own_miner(served: Served) -> None:
    """`mine` finds shares with rolled versions, keeps to its hashrate, and comes back after a loss."""
    events: list[dict[str, Any]] = []
    task = asyncio.ensure_future(mine("127.0.0.1", served.port, "acme.rig07", "x", 5_000, "127.0.0.1", events.append))
    began = time.monotonic()
    await until(lambda: served.counters.accepted >= 5)
    assert time.monotonic() - began > 5 * 256 / 5_000 / 8, "no faster than its limit allows"
    assert not any(served.counters.rejected.values())
    assert any(record.version != 0x20000000 for record in served.journal.shares)
    for part in served.server._slices:
        for connection in tuple(part):
            connection._transport.abort()
    await until(lambda: [event["event"] for event in events].count("connected") == 2)
    task.cancel()
    assert {"connected", "authorized", "job", "difficulty", "accepted", "disconnected"} == {e["event"] for e in events}


@in_loop
async def test_our_own_miner_tells_of_refusals(served: Served) -> None:
    """The reason is reported as the pool gave it."""
    served.gate.refusals["acme.rig07"] = "no licence in force"
    events: list[dict[str, Any]] = []
    task = asyncio.ensure_future(mine("127.0.0.1", served.port, "acme.rig07", "x", None, None, events.append))
    await until(lambda: len(events) == 2)
    task.cancel()
    assert events[1] == {"event": "refused", "text": "unauthorized: no licence in force"}
