"""PROXY headers and TLS over real sockets, on both loops."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from tarazy.pool.certificates import make_context
from tarazy.stratum.board import StratumRules
from tarazy.stratum.limits import Hit, Limits
from tarazy.stratum.miner import Event
from tarazy.stratum.miner_client import mine
from tarazy.stratum.ports import Peer
from tests.stratum.authority import Authority
from tests.stratum.house import RULES
from tests.stratum.loops import on_both_loops
from tests.stratum.test_proxy import version_2
from tests.stratum.test_server import Served, Wire, until

LOOPBACK = (ip_network("127.0.0.1/32"),)
ELSEWHERE = (ip_network("192.0.2.0/24"),)
FROM_HOME = b"PROXY TCP4 2.72.0.10 10.0.0.1 40000 3333\r\n"
PATIENT = replace(RULES, limits=Limits(handshake_seconds=60))
HASTY = replace(RULES, limits=Limits(handshake_seconds=0.3))
LOGIN = b"".join(
    (
        b'{"id":1,"method":"mining.subscribe","params":[]}\n',
        b'{"id":2,"method":"mining.authorize","params":["acme.rig07","x"]}\n',
    )
)


@asynccontextmanager
async def serving(
    loop: asyncio.AbstractEventLoop, rules: StratumRules = PATIENT, port: int = 0, **listener: Any
) -> AsyncIterator[Served]:
    """A server with one port, for the length of a block."""
    served = Served(rules=rules, loop=loop, port=port, **listener)
    try:
        yield served
    finally:
        served.server.stop()
        await until(lambda: served.counters.connections == 0)


def hits(counted: dict[Hit, int]) -> dict[str, int]:
    """Limits that were reached."""
    return {str(hit): count for hit, count in counted.items() if count}


class Secret:
    """A client's end of TLS over a plain stream, so that a test decides in which pieces its bytes leave."""

    def __init__(self, wire: Wire, context: ssl.SSLContext, before: bytes = b"", piece: int = 1 << 20) -> None:
        self._wire, self._before, self._piece = wire, before, piece
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname="127.0.0.1")
        self._text = b""

    async def _step(self, action: Any) -> Any:
        while True:
            try:
                result = action()
            except ssl.SSLWantReadError:
                await self._send()
                data = await self._wire.reader.read(65536)
                if not data:
                    raise ConnectionResetError from None
                self._incoming.write(data)
            else:
                await self._send()
                return result

    async def _send(self) -> None:
        data, self._before = self._before + self._outgoing.read(), b""
        for start in range(0, len(data), self._piece):
            self._wire.writer.write(data[start : start + self._piece])
            await self._wire.writer.drain()
            if self._piece < len(data):
                await asyncio.sleep(0.001)

    async def ask(self, data: bytes, lines: int) -> list[dict[str, Any]]:
        """Say `data` and hear so many messages."""
        await self._step(self._object.do_handshake)
        await self._step(lambda: self._object.write(data))
        while self._text.count(b"\n") < lines:
            self._text += await self._step(lambda: self._object.read(65536))
        *said, self._text = self._text.split(b"\n", lines)
        return [orjson.loads(line) for line in said]

    async def end(self) -> None:
        """Say that nothing follows, and leave the socket open."""
        with suppress(ssl.SSLWantReadError):
            self._object.unwrap()
        await self._send()

    async def rest(self) -> bytes:
        """What is left until the server says that nothing follows; an end that is not said is an error."""
        while piece := await self._step(lambda: self._object.read(65536)):
            self._text += piece
        return self._text

    @property
    def certificate(self) -> bytes | None:
        """What the server showed."""
        return self._object.getpeercert(binary_form=True)


def trusting(authority: Authority, client: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    """What a miner believes and shows."""
    context = ssl.create_default_context(cafile=str(authority.file))
    if client is not None:
        context.load_cert_chain(*client)
    return context


# PROXY.


@pytest.mark.parametrize("piece", [1, 7, 1000])
@pytest.mark.parametrize(
    ("header", "address"),
    [
        (FROM_HOME, "2.72.0.10"),
        (version_2(0x21, 0x11, bytes([2, 72, 0, 11, 10, 0, 0, 1, 0, 1, 0, 2]) + b"\x04\x00\x01x"), "2.72.0.11"),
        (b"PROXY UNKNOWN\r\n", ""),
        (version_2(0x20, 0x00, b""), ""),
    ],
)
@on_both_loops
async def test_the_header_gives_the_address(
    loop: asyncio.AbstractEventLoop, header: bytes, address: str, piece: int
) -> None:
    """C-117: in pieces of any size, and together with what follows; with LOCAL and UNKNOWN there is none."""
    async with serving(loop, proxies=LOOPBACK) as served:
        served.gate.refusals["acme.rig07"] = "no licence"
        wire = await served.connect()
        said = header + LOGIN
        for start in range(0, len(said), piece):
            wire.write(said[start : start + piece])
            await wire.writer.drain()
            if piece < len(header):
                await asyncio.sleep(0.001)
        assert (await wire.read())["id"] == 1
        assert (await wire.read())["error"][0] == 24
        assert served.gate.refused == [("acme.rig07", address)]


@pytest.mark.parametrize(
    "said", [LOGIN, b"GET / HTTP/1.0\r\n\r\n", b"PROXY TCP4 1.2.3.4 x\r\n", b"PROXY " + b"x" * 200]
)
@on_both_loops
async def test_without_a_good_header_nobody_gets_through(loop: asyncio.AbstractEventLoop, said: bytes) -> None:
    """C-117: missing, wrong, too long: closed without a word, counted, and named in the log without an address."""
    async with serving(loop, proxies=LOOPBACK) as served:
        with capture_logs() as lines:
            wire = await served.connect()
            wire.write(said)
            assert await wire.rest() == b""
            await until(lambda: served.counters.connections == 0)
        assert served.counters.hits[Hit.PROXY_HEADER] == 1
        [line] = lines
        assert (line["event"], line["log_level"], line["limit"]) == ("connection_refused", "debug", "proxy-header")
        assert not any("127.0.0.1" in str(value) or "1.2.3.4" in str(value) for value in line.values())


@on_both_loops
async def test_a_header_is_believed_from_listed_proxies_only(loop: asyncio.AbstractEventLoop) -> None:
    """C-118: anybody else is closed, whatever it sends."""
    async with serving(loop, proxies=ELSEWHERE) as served:
        wire = await served.connect()
        wire.write(FROM_HOME + LOGIN)
        assert await wire.rest() == b""
        assert served.counters.hits[Hit.PROXY_SOURCE] == 1
        assert served.gate.refused == []
        assert served.counters.ready == 0


@pytest.mark.parametrize(
    ("said", "hit"),
    [
        (FROM_HOME + LOGIN, Hit.PROXY_ON_PLAIN_PORT),
        (version_2(0x20, 0, b"") + LOGIN, Hit.PROXY_ON_PLAIN_PORT),
        (b"\x16\x03\x01\x02\x00\x01", Hit.TLS_ON_PLAIN_PORT),
        (b"GET / HTTP/1.1\r\n\r\n", Hit.NOT_STRATUM),
        (b"POST / HTTP/1.1\r\n\r\n", Hit.NOT_STRATUM),
    ],
)
@on_both_loops
async def test_a_plain_port_takes_no_header(loop: asyncio.AbstractEventLoop, said: bytes, hit: Hit) -> None:
    """C-118, C-003: closed without a word; each kind of stranger is counted by itself."""
    async with serving(loop) as served:
        wire = await served.connect()
        wire.write(said)
        assert await wire.rest() == b""
        assert {reached for reached, count in served.counters.hits.items() if count} == {hit}


@on_both_loops
async def test_a_header_is_taken_once(loop: asyncio.AbstractEventLoop) -> None:
    """C-118: a second one behind it is no Stratum."""
    async with serving(loop, proxies=LOOPBACK) as served:
        wire = await served.connect()
        wire.write(FROM_HOME + b"PROXY TCP4 2.72.0.11 10.0.0.1 40000 3333\r\n" + LOGIN)
        assert await wire.rest() == b""
        assert served.counters.hits[Hit.PROXY_ON_PLAIN_PORT] == 1


@pytest.mark.parametrize("said", [b"", b"PROXY TCP4 2.72", b"\r\n\r\n"])
@on_both_loops
async def test_a_header_that_does_not_come_is_not_waited_for(loop: asyncio.AbstractEventLoop, said: bytes) -> None:
    """C-117: the time for it is bounded."""
    async with serving(loop, HASTY, proxies=LOOPBACK) as served:
        wire = await served.connect()
        wire.write(said)
        assert await wire.rest() == b""
        assert served.counters.hits[Hit.HANDSHAKE_SECONDS] == 1


# TLS.


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@on_both_loops
async def test_mining_over_tls(loop: asyncio.AbstractEventLoop, tmp_path: Path, version: ssl.TLSVersion) -> None:
    """C-119: handshake, shares, new jobs and the end, with the loop's own TLS at the miner's end."""
    authority = Authority(tmp_path)
    server = make_context(authority.server())
    context = trusting(authority)
    context.minimum_version = context.maximum_version = version
    async with serving(loop, tls=lambda: server) as served:
        wire = Wire(*await asyncio.open_connection("127.0.0.1", served.port, ssl=context))
        wire.write(LOGIN)
        wire.extranonce1 = bytes.fromhex((await wire.read())["result"][1])
        assert [await wire.read() for _ in range(3)][2]["method"] == "mining.notify"
        wire.write(wire.share(5))
        assert (await wire.read())["result"] is True
        served.publish(b"\x22" * 32)
        assert (await wire.read())["params"][8] is True
        wire.write(b'{"id":"%b","method":"mining.ping"}\n' % (b"x" * 4000) * 50)
        assert all([(await wire.read())["result"] == "pong" for _ in range(50)])
        served.server.close_connections()
        assert await wire.reader.read() == b""


@on_both_loops
async def test_a_miner_is_told_why_there_is_no_tls(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    """An authority it does not know, and a port without TLS: `tarazy mine` names the cure."""
    authority = Authority(tmp_path)
    server = make_context(authority.server())

    async def fault(port: int, context: ssl.SSLContext) -> str:
        told: asyncio.Queue[Event] = asyncio.Queue()
        mining = asyncio.create_task(mine("127.0.0.1", port, "acme.a", "x", None, None, told.put_nowait, context))
        event = await asyncio.wait_for(told.get(), 10)
        mining.cancel()
        return str(event["reason"])

    async with serving(loop, tls=lambda: server) as served:
        assert "SSL_CERT_FILE" in await fault(served.port, ssl.create_default_context())
    async with serving(loop) as served:
        assert "is this a TLS port?" in await fault(served.port, trusting(authority))


@on_both_loops
async def test_old_versions_and_plain_talk_are_refused(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    """C-119: TLS 1.1 and Stratum without TLS get through nowhere; each is named in the log."""
    authority = Authority(tmp_path)
    server = make_context(authority.server())
    async with serving(loop, tls=lambda: server) as served:
        old = trusting(authority)
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with capture_logs() as lines:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection("127.0.0.1", served.port, ssl=old)
            wire = await served.connect()
            wire.write(LOGIN)
            assert b"mining" not in await wire.rest()
            await until(lambda: served.counters.connections == 0)
        assert served.counters.hits[Hit.TLS] == 2
        faults = [line["fault"] for line in lines]
        assert faults[0] == "UNSUPPORTED_PROTOCOL"
        assert len(faults) == 2


@on_both_loops
async def test_the_end_is_told_in_both_directions(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    """TLS: nobody can make a miner believe that the pool ended the conversation, and a miner that ends it is let go."""
    authority = Authority(tmp_path)
    server = make_context(authority.server())
    async with serving(loop, tls=lambda: server) as served:
        stays, goes = [Secret(await served.connect(), trusting(authority)) for _ in range(2)]
        await stays.ask(LOGIN, 4)
        await goes.ask(LOGIN, 4)
        await goes.end()
        await until(lambda: served.counters.connections == 1)
        served.server.close_connections()
        assert await stays.rest() == b""
        assert hits(served.counters.hits) == {}


@pytest.mark.parametrize("proxies", [None, LOOPBACK])
@on_both_loops
async def test_a_stalled_handshake_is_bounded(loop: asyncio.AbstractEventLoop, tmp_path: Path, proxies: Any) -> None:
    """C-119: silence, or half a hello, is waited for so long and no longer; who is through is not concerned."""
    authority = Authority(tmp_path)
    server = make_context(authority.server())
    async with serving(loop, tls=lambda: server, proxies=proxies) as served:
        header = FROM_HOME if proxies else b""
        stalled = [await served.connect(), await served.connect()]
        stalled[1].write(header + b"\x16\x03\x01\x02\x00\x01\x00")
        good = Secret(await served.connect(), trusting(authority), header)
        assert len(await good.ask(LOGIN, 4)) == 4
        await until(lambda: served.counters.connections == 3)
        waiting = [guest for guest in served.server._unready if not guest.ready]
        for part, reached in ((0.5, {}), (1.0, {"handshake-seconds": 2})):
            for guest in waiting:
                guest.tick(loop.time() + part * PATIENT.limits.handshake_seconds)
            assert hits(served.counters.hits) == reached
        assert [await wire.rest() for wire in stalled] == [b"", b""]
        assert (await good.ask(b'{"id":9,"method":"mining.ping"}\n', 1))[0]["result"] == "pong"


@pytest.mark.parametrize("piece", [1, 60, 100_000])
@on_both_loops
async def test_proxy_before_tls(loop: asyncio.AbstractEventLoop, tmp_path: Path, piece: int) -> None:
    """C-117: header, hello and the rest split anywhere, or header and hello in one packet."""
    authority = Authority(tmp_path)
    server = make_context(authority.server())
    async with serving(loop, tls=lambda: server, proxies=LOOPBACK) as served:
        served.gate.refusals["acme.rig07"] = "no licence"
        secret = Secret(await served.connect(), trusting(authority), FROM_HOME, piece)
        assert (await secret.ask(LOGIN, 2))[1]["error"][0] == 24
        assert served.gate.refused == [("acme.rig07", "2.72.0.10")]


@on_both_loops
async def test_tls_before_proxy_is_refused(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    """C-117: the header comes first or not at all."""
    authority = Authority(tmp_path)
    server = make_context(authority.server())
    async with serving(loop, tls=lambda: server, proxies=LOOPBACK) as served:
        with pytest.raises(ConnectionError):
            await Secret(await served.connect(), trusting(authority)).ask(FROM_HOME + LOGIN, 1)
        assert served.counters.hits[Hit.PROXY_HEADER] == 1


@on_both_loops
async def test_new_handshakes_take_the_new_certificate(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    """C-119: who is connected stays so, and mines on."""
    authority = Authority(tmp_path)
    contexts = [make_context(authority.server())]
    async with serving(loop, tls=lambda: contexts[-1]) as served:
        first = Secret(await served.connect(), trusting(authority))
        await first.ask(LOGIN, 4)
        contexts.append(make_context(authority.server()))
        second = Secret(await served.connect(), trusting(authority))
        await second.ask(LOGIN, 4)
        assert first.certificate != second.certificate
        assert (await first.ask(b'{"id":9,"method":"mining.ping"}\n', 1))[0]["result"] == "pong"


@on_both_loops
async def test_a_client_certificate_binds_to_its_site(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    """The gate learns the site of a certificate that the port's authority signed; without one nobody is let in."""
    authority, foreign = Authority(tmp_path), Authority(tmp_path, "foreign")
    server = make_context(authority.server(client_ca=authority.file))
    async with serving(loop, tls=lambda: server) as served:
        good = Secret(await served.connect(), trusting(authority, authority.issue("site", "ekibastuz")))
        assert len(await good.ask(LOGIN, 4)) == 4
        assert served.gate.peers == [Peer("127.0.0.1", "ekibastuz")]
        strangers = (
            (None, Hit.TLS),
            (foreign.issue("other", "ekibastuz"), Hit.TLS),
            (authority.issue("ended", "ekibastuz", days=-1), Hit.TLS),
            (authority.issue("none"), Hit.CLIENT_CERTIFICATE),
            (authority.issue("two", "ekibastuz", "karaganda"), Hit.CLIENT_CERTIFICATE),
        )
        for client, hit in strangers:
            before = served.counters.hits[hit]
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await Secret(await served.connect(), trusting(authority, client)).ask(LOGIN, 4)
            assert served.counters.hits[hit] == before + 1
        assert served.gate.peers == [Peer("127.0.0.1", "ekibastuz")]


@on_both_loops
async def test_a_deaf_reader_over_tls_is_dropped(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    """C-005: encrypted bytes count as well."""
    authority = Authority(tmp_path)
    server = make_context(authority.server())
    async with serving(loop, tls=lambda: server) as served:
        _, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=trusting(authority), limit=4096)
        writer.write(LOGIN)
        ping = b'{"id":"%b","method":"mining.ping"}\n' % (b"x" * 4000)
        while served.counters.connections:
            writer.write(ping * 16)
            await asyncio.sleep(0)
        assert served.counters.hits[Hit.UNSENT_BYTES] == 1


@on_both_loops
async def test_a_port_has_its_floor(loop: asyncio.AbstractEventLoop) -> None:
    """No wish goes below it; ports without one keep the pool's."""
    async with serving(loop, floor=3) as served:
        wire = await served.connect()
        wire.write(b'{"id":0,"method":"mining.suggest_difficulty","params":[1]}\n' + LOGIN)
        said = [await wire.read() for _ in range(4)]
        assert said[3] == {"id": None, "method": "mining.set_difficulty", "params": [8]}
