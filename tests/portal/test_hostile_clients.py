"""What a hostile client may cost the portal, which shares its reactor with Stratum."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor, threads
from twisted.internet.defer import Deferred

from tarazy.portal import events, guard
from tarazy.portal.past import PastSnapshots
from tests.portal.conftest import Running
from tests.portal.test_app import raw


async def _sleep(seconds: float) -> None:
    await Deferred.fromFuture(asyncio.ensure_future(asyncio.sleep(seconds)))


@pytest_twisted.ensureDeferred
async def test_pipelined_requests_of_who_reads_nothing_are_bounded(
    own: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 KB of requests on one line, no answer read: few are answered, and the loop turns meanwhile (invariant 10)."""
    rendered: list[float] = []
    render = guard.Guard.render

    def counted(self: Any, request: Any) -> Any:
        rendered.append(time.monotonic())
        return render(self, request)

    monkeypatch.setattr(guard.Guard, "render", counted)
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.connect(("127.0.0.1", own.port))
    line.setblocking(False)
    line.send(b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
    longest = 0.0
    for _ in range(200):
        began = time.monotonic()
        await _sleep(0.01)
        longest = max(longest, time.monotonic() - began)
    line.close()
    assert len(rendered) < 50, (
        f"{len(rendered)} answers of 100 KB wait in memory; the loop stood still for {longest:.2f} s"
    )


@pytest.mark.parametrize("header", [b"Authorization: Bearer \xff", b"X-Forwarded-For: \xff", b"Accept-Language: \xff"])
@pytest_twisted.ensureDeferred
async def test_headers_that_are_no_utf8_get_an_answer(running: Running, header: bytes) -> None:
    """Not a cut line with a traceback in the log, and not 500 (invariant 10)."""
    path = b"/" if header.startswith(b"Accept") else b"/api/v1/me"
    answer = await raw(running.port, b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n\r\n" % (path, header))
    assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 401", b"HTTP/1.1 302", b"HTTP/1.1 303", b"HTTP/1.1 200"), answer[
        :40
    ]


@pytest_twisted.ensureDeferred
async def test_who_sends_its_head_byte_by_byte_makes_room(own: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that never ends holds a place for a bounded time, not for ever."""
    monkeypatch.setattr(guard, "MAXIMUM_CONNECTIONS", 1)
    own.portal.site.timeOut = 1
    line = socket.create_connection(("127.0.0.1", own.port))
    line.sendall(b"GET / HTTP/1.1\r\nX: ")
    with suppress(OSError):
        for _ in range(100):
            await _sleep(0.1)
            line.sendall(b"a")
    line.close()
    while own.portal.site.connections:
        await _sleep(0.05)
    assert (await raw(own.port, b"GET /kk/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).startswith(
        b"HTTP/1.1 200"
    )


@pytest_twisted.ensureDeferred
async def test_one_address_does_not_take_all_streams(own: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a share of them, and who reads nothing is cut off after a while."""
    monkeypatch.setattr(events, "MAXIMUM_OF_ONE", 1)
    asked = b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n"
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.connect(("127.0.0.1", own.port))
    line.sendall(asked)
    while not len(own.portal.hub):
        await _sleep(0.05)
    assert (await raw(own.port, asked, until=b"\r\n")).startswith(b"HTTP/1.1 503")
    own.portal.hub.publish(b"x" * 8_000_000)
    for _ in range(events.MAXIMUM_UNREAD + 1):
        assert len(own.portal.hub)
        own.portal.hub.beat()
    while len(own.portal.hub):
        await _sleep(0.05)
    line.close()


@pytest_twisted.ensureDeferred
async def test_a_long_body_may_take_its_time(own: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of who may send one: each part of it counts anew."""
    own.portal.site.timeOut = 1
    body = b'{"entries": []}' + b" " * 20
    told = f"POST /api/v1/registers/party HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {own.operator}\r\n"
    line = socket.create_connection(("127.0.0.1", own.port))
    line.sendall(f"{told}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode())
    for byte in body:
        await _sleep(0.1)
        line.sendall(bytes([byte]))
    line.setblocking(False)
    answer = await Deferred.fromFuture(asyncio.ensure_future(asyncio.get_event_loop().sock_recv(line, 4096)))
    line.close()
    assert answer.startswith(b"HTTP/1.1 4"), "it was read whole, and is refused for what it says"


HANGS_UP = """
import socket, struct, sys, time
port, bursts, of_one, pause = (float(each) for each in sys.argv[1:])
body = b'{"name":"nobody","password":"x","code":"1"}'
head = b"POST /api/v1/users/sign-in HTTP/1.1\\r\\nHost: x\\r\\nOrigin: http://x\\r\\n"
for _ in range(int(bursts)):
    lines = []
    for _ in range(int(of_one)):
        line = socket.create_connection(("127.0.0.1", int(port)))
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        lines.append(line)
    for line in lines:
        line.sendall(head + b"Content-Length: %d\\r\\n\\r\\n" % len(body) + body)
    time.sleep(pause)
    for line in lines:
        line.close()
"""


@pytest.mark.parametrize(("bursts", "of_one", "pause"), [(4, 195, 0.0), (100, 8, 0.05)], ids=["many", "often"])
@pytest_twisted.ensureDeferred
async def test_who_hangs_up_keeps_nobody_from_anything(own: Running, bursts: int, of_one: int, pause: float) -> None:
    """Hundreds of sign-ins of one address, each hung up on: at another people sign in, and the portal reads on."""

    def elsewhere(number: int) -> int:
        line = http.client.HTTPConnection("127.0.0.1", own.port, timeout=30, source_address=("127.0.0.9", 0))
        told = {"name": f"anna-{number}", "password": "x" * 20, "code": "123456"}
        line.request("POST", "/api/v1/users/sign-in", json.dumps(told), {"origin": own.url})
        code = line.getresponse().status
        line.close()
        return code

    told = [sys.executable, "-c", HANGS_UP, *map(str, (own.port, bursts, of_one, pause))]
    attack = threads.deferToThread(subprocess.run, told, check=True)
    codes = [await threads.deferToThread(elsewhere, number) for number in range(8)]
    await attack
    assert set(codes) == {401}
    answer = await Deferred.fromCoroutine(own.get("/api/v1/registers/party")).addTimeout(10, reactor)
    assert answer.code == 200


@pytest_twisted.ensureDeferred
async def test_many_who_ask_for_one_moment_are_answered(own: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody hangs up, nobody is hostile: all open a moment of a pool that takes a while to read."""
    read = PastSnapshots._read

    def slow(*args: Any) -> Any:
        time.sleep(1)
        return read(*args)

    monkeypatch.setattr(PastSnapshots, "_read", slow)
    path = "/api/v1/overview?as_of=" + time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 7200))
    asked = [Deferred.fromCoroutine(own.get(path)).addTimeout(60, reactor) for _ in range(190)]
    assert [(await each).code for each in asked] == [200] * 190


@pytest.mark.parametrize("chunked", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_connection_outlives_what_was_posted(running: Running, chunked: bool) -> None:
    """A client that reads each answer before it posts again keeps its connection, as the answer says nothing else."""

    def post() -> list[int]:
        line = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
        told = []
        for _ in range(3):
            body = iter([b"{", b"}"]) if chunked else b"{}"
            line.request("POST", "/api/v1/users/sign-in", body, encode_chunked=chunked)
            line.auto_open = 0
            answer = line.getresponse()
            answer.read()
            assert answer.getheader("connection") != "close"
            told.append(answer.status)
        return told

    assert await threads.deferToThread(post) == [403] * 3


def test_a_household_of_ipv6_is_one() -> None:
    """It has more addresses than anybody can count."""
    assert guard._share("2001:db8:1:2::7") == guard._share("2001:db8:1:2:ffff::1") != guard._share("2001:db8:1:3::7")
    assert guard._share("192.0.2.1") != guard._share("192.0.2.2")
