"""A stand-in for an authority's interface on a real socket: it looks at every field and answers as it is told to."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import LoopingCall

reactor: Any = installed


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[["_Line", Asked], None]


def answer(status: int, body: bytes | object = b"", *headers: str) -> bytes:
    """An answer of HTTP; anything but bytes as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + content


def saying(status: int, body: bytes | object = b"", *headers: str) -> Behaviour:
    """Answers just so."""
    return lambda line, asked: line.say(answer(status, body, *headers))


def writing(content: bytes) -> Behaviour:
    """Writes bytes, which need be no HTTP, and hangs up."""

    def act(line: _Line, asked: Asked) -> None:
        line.say(content)
        line.hang_up()

    return act


def never(line: _Line, asked: Asked) -> None:
    """Says nothing."""


def hanging_up(line: _Line, asked: Asked) -> None:
    """Ends the connection."""
    line.hang_up()


def endless(line: _Line, asked: Asked) -> None:
    """A body without an end, as fast as it goes."""
    line.say(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n")
    line.flood(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


def endless_head(line: _Line, asked: Asked) -> None:
    """Headers without an end, as fast as it goes."""
    line.say(b"HTTP/1.1 200 X\r\n")
    line.flood(b"".join(b"X-%d: %s\r\n" % (number, b"x" * 8_000) for number in range(10)))


def dribbling(line: _Line, asked: Asked) -> None:
    """A head that comes byte by byte."""
    line.say(b"HTTP/1.1 200 X\r\nX-Slow: ")
    line.flood(b"z", 0.02)


@dataclass
class StandIn:
    """The authority: takes each key once, and gives the same receipt for it again."""

    script: list[Behaviour] = field(default_factory=list)
    """What comes first; afterwards it takes documents as it should."""
    asked: list[Asked] = field(default_factory=list)
    taken: dict[str, str] = field(default_factory=dict)
    """Key → number of the receipt."""
    port: int = 0
    _listener: Any = None
    _lines: set[_Line] = field(default_factory=set)

    def start(self, tls: Any = None) -> StandIn:
        """Listen on loopback."""
        factory: Any = Factory()
        factory.buildProtocol = lambda address: _Line(self)
        listen = (0, factory) if tls is None else (0, factory, tls)
        way = reactor.listenTCP if tls is None else reactor.listenSSL
        self._listener = way(*listen, interface="127.0.0.1")
        self.port = self._listener.getHost().port
        return self

    async def stop(self) -> None:
        """Close everything."""
        for line in [*self._lines]:
            line.hang_up()
        await self._listener.stopListening()

    def act(self, line: _Line, asked: Asked) -> None:
        """Answer a request."""
        self.asked.append(asked)
        (self.script.pop(0) if self.script else self.take)(line, asked)

    def take(self, line: _Line, asked: Asked) -> None:
        """As it should be."""
        line.say(self.receipt(asked))

    def receipt(self, asked: Asked) -> bytes:
        """Take a document, and the answer that says so."""
        key = asked.headers["idempotency-key"]
        number = self.taken.setdefault(key, f"KGD-{len(self.taken) + 1}")
        told = {"receipt": {"number": number, "sha256": asked.headers["x-document-sha256"]}}
        return answer(201, told)

    def after(self, then: Behaviour) -> Behaviour:
        """Takes the document, and then does something else than to say so."""

        def act(line: _Line, asked: Asked) -> None:
            self.receipt(asked)
            then(line, asked)

        return act


class _Line(Protocol):
    transport: Any

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        self._held = b""
        self._flood: LoopingCall | None = None

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        self._stand_in._lines.add(self)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        self._held += data
        head, end, body = self._held.partition(b"\r\n\r\n")
        if not end:
            return
        first, *lines = head.decode("ascii").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        if len(body) < int(headers.get("content-length", 0)):
            return
        method, path, _ = first.split(" ")
        self._held = b""
        self._stand_in.act(self, Asked(method, path, headers, body))

    def connectionLost(self, reason: Any = None) -> None:  # noqa: N802 - Twisted's name
        self._stand_in._lines.discard(self)
        if self._flood is not None and self._flood.running:
            self._flood.stop()

    def say(self, content: bytes) -> None:
        """Write."""
        self.transport.write(content)

    def hang_up(self) -> None:
        """End."""
        with suppress(AttributeError):
            self.transport.loseConnection()

    def flood(self, content: bytes, seconds: float = 0.0) -> None:
        """Write on and on."""
        self._flood = LoopingCall(self.say, content)
        self._flood.start(seconds)
