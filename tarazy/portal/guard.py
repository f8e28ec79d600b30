"""What every request meets first: bounds, and the headers every answer carries. Invariant 10."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any

import orjson
from twisted.protocols.basic import LineReceiver
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

MAXIMUM_TARGET, MAXIMUM_POSTED_TARGET = 2 << 10, 8 << 10
"""Bytes of path and query; the longest are a search of a hundred letters, and what is said of a file: a reason of five
hundred letters and a title. A Cyrillic letter takes six bytes there."""
MAXIMUM_BODY = 24 << 20
"""Bytes of a body from who may write: a spreadsheet or a document, which have limits of their own."""
MAXIMUM_PUSH = 256 << 10
"""Bytes of a body from who may push readings alone."""
MAXIMUM_SIGN_IN = 4 << 10
"""Bytes of a body from anybody else, who may be about to sign in."""
MAXIMUM_DISCARDED = 1 << 20
"""Bytes of a body read and thrown away so that its sender can read the refusal; then the line is cut."""
MAXIMUM_CONNECTIONS, MAXIMUM_OF_ONE = 600, 200
"""Open connections, and those of one address that is no proxy; the rest is closed at once, so that they cannot eat
the pool's file descriptors."""
IDLE_SECONDS = 60
"""From a connection's start or its last answer until a request has come whole; of a long body, between its parts."""

SHORT = b"/api/v1/users/", b"/api/v1/quarterly/"
"""Beginnings of the paths that take short bodies, of somebody unknown or of a miner."""
WRITABLE = (
    b"/api/v1/registers/",
    b"/api/v1/me/tokens",
    b"/api/v1/accounting/payouts/",
    b"/api/v1/documents",
    b"/api/v1/findings/",
    b"/api/v1/readings",
    b"/api/v1/signatures",
    b"/api/v1/deliveries",
    *SHORT,
)
"""Beginnings of the paths that something may be sent to."""

_TARGET = re.compile(rb"/[\x21-\x7e]*")
_HOST = re.compile(rb"[A-Za-z0-9._:\[\]-]{1,255}")

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    b"content-security-policy": CONTENT_SECURITY_POLICY.encode("ascii"),
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=()",
    b"referrer-policy": b"no-referrer",
    b"server": b"tarazy",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
}


def header(request: Any, name: str) -> str | None:
    """A request's header; what is not ASCII in it is replaced."""
    value = request.getHeader(name.encode("ascii"))
    return None if value is None else value.decode("ascii", "replace")


class Fault(Exception):
    """A request that gets no figures: its status, a code for programs and a sentence for people."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


def nothing(why: object) -> Fault:
    """What is named is not there, or not for this reader."""
    return Fault(404, "no_such_entry", str(why))


def too_large(why: str) -> Fault:
    """It would take too long to wait for."""
    return Fault(422, "too_large", why)


def refuse(request: Any, fault: Fault, **details: Any) -> bytes:
    """Set the status and headers of `fault` on `request`; returns the JSON body, with `details` beside the text."""
    request.setResponseCode(fault.status)
    request.setHeader(b"content-type", b"application/json")
    request.setHeader(b"cache-control", b"no-store")
    return orjson.dumps({"error": {"status": fault.status, "code": fault.code, "text": fault.text, **details}})


class BoundedRequest(Request):
    """A request whose body is taken only from who may send one, within bounds; any other is read and thrown away."""

    channel: Any
    body_length = 0
    body_limit = 0
    """Bytes of its body that are kept."""

    def gotLength(self, length: int | None) -> None:  # noqa: N802 - Twisted's name
        """Keep space for as much of a body as its sender may send."""
        self.body_limit = self.channel.site.body_limit(self)
        super().gotLength(0 if length is None else min(length, self.body_limit))  # type: ignore[no-untyped-call]

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Keep the body within its limit, throw away the rest; cut the line when it does not end."""
        if self.body_limit > MAXIMUM_SIGN_IN:
            self.channel.resetTimeout()
        kept = self.body_length < self.body_limit
        self.body_length += len(data)
        if kept:
            super().handleContentChunk(data[: self.body_limit + 1])  # type: ignore[no-untyped-call]
        if self.body_length > self.body_limit + MAXIMUM_DISCARDED:
            self.channel.forceAbortClient()


class Guard(Resource):
    """Passes decent requests on to `inner` and gives every answer the security headers."""

    isLeaf = True  # noqa: N815 - Twisted's name

    def __init__(self, inner: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._inner = inner

    def render(self, request: Any) -> Any:
        """Answer what `inner` answers, or say what is wrong with the request."""
        for name, value in HEADERS.items():
            request.setHeader(name, value)
        fault = _fault(request)
        return refuse(request, fault) if fault else self._inner.render(request)


def _fault(request: Any) -> Fault | None:
    longest = MAXIMUM_POSTED_TARGET if request.method == b"POST" else MAXIMUM_TARGET
    if len(request.uri) > longest:
        return Fault(414, "target_too_long", f"the address is longer than {longest} bytes")
    if not _TARGET.fullmatch(request.uri) or b"//" in request.path or b"%" in request.path:
        return Fault(404, "not_found", "there is nothing at this address; the API is described at /api/v1/openapi.json")
    if not _HOST.fullmatch(request.getHeader(b"host") or b"-"):
        return Fault(400, "bad_host", "the Host header is not a host name")
    writing = request.method == b"POST" and request.path.startswith(WRITABLE)
    if request.method not in (b"GET", b"HEAD") and not writing:
        request.setHeader(b"allow", b"GET, HEAD")
        return Fault(405, "method_not_allowed", "everything here is read with GET")
    may_write = request.body_limit > MAXIMUM_SIGN_IN or request.path.startswith(SHORT)
    if writing and may_write and request.body_length > request.body_limit:
        return Fault(413, "body_too_long", f"the body is longer than {request.body_limit >> 10} KiB; split it")
    if request.body_length and not writing:
        return Fault(413, "body_not_allowed", "a GET request has no body")
    return None


class BoundedChannel(HTTPChannel):
    """A connection that is counted by its site, says so when a line of its request is too long, and answers one request
    at a time: whoever sends the next before it has read an answer is not answered.
    """

    site: BoundedSite
    share = ""
    """Whose connections it counts among."""

    _buffer: bytes
    _dataBuffer: list[bytes]  # noqa: N815 - Twisted's name

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Read on, without granting time for it: a head may not come byte by byte for ever."""
        LineReceiver.dataReceived(self, data)  # type: ignore[no-untyped-call]

    def requestDone(self, request: Any) -> None:  # noqa: N802 - Twisted's name
        """Hang up after the answer when more has come already: the rest would be answered in this turn of the reactor.

        RFC 9112, 9.3.2: a client that sends requests without waiting asks those again that were not answered.
        """
        if self._buffer or any(self._dataBuffer):
            self.persistent = 0
        super().requestDone(request)  # type: ignore[no-untyped-call]

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: N802 - Twisted's name
        """Answer before hanging up."""
        text = b"a line of the request is longer than %d bytes\n" % self.MAX_LENGTH
        head = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain\r\n"
        transport: Any = self.transport
        transport.write(head + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(text) + text)
        self.loseConnection()  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Any) -> None:  # type: ignore[override]  # noqa: N802 - Twisted's name
        """Make room for another."""
        self.site.lost(self.share)
        super().connectionLost(reason)  # type: ignore[no-untyped-call]


def _share(address: str) -> str:
    """Whose connections are counted together: an IPv4 address, or the network of an IPv6 one that a household has."""
    found = ip_address(address)
    return address if isinstance(found, IPv4Address) else str(ip_network((found, 64), strict=False))


class BoundedSite(Site):
    """HTTP over TCP with a bound on connections and on what a request may cost. Logs no addresses."""

    protocol = BoundedChannel  # type: ignore[assignment]

    def __init__(
        self, inner: Any, reactor: Any, body_limit: Callable[[Any], int], is_proxy: Callable[[str], bool]
    ) -> None:
        """`body_limit` says of a request whose headers have come how many bytes of its body are wanted."""
        super().__init__(  # type: ignore[no-untyped-call]
            Guard(inner), requestFactory=BoundedRequest, timeout=IDLE_SECONDS, reactor=reactor
        )
        self.body_limit = body_limit
        self._is_proxy = is_proxy
        self._open: Counter[str] = Counter()

    @property
    def connections(self) -> int:
        """How many are open."""
        return self._open.total()

    def buildProtocol(self, addr: Any) -> Any:  # noqa: N802 - Twisted's name
        """A channel for a new connection, or none when there are too many."""
        share = _share(addr.host)
        too_many = self._open[share] >= MAXIMUM_OF_ONE and not self._is_proxy(addr.host)
        if too_many or self.connections >= MAXIMUM_CONNECTIONS:
            return None
        channel: Any = super().buildProtocol(addr)  # type: ignore[no-untyped-call]
        channel.share = share
        self._open[share] += 1
        return channel

    def lost(self, share: str) -> None:
        """A connection has ended that counted for `share`."""
        self._open[share] -= 1
        if not self._open[share]:
            del self._open[share]

    def log(self, request: Any) -> None:
        """Nothing: an access log would hold addresses (invariant 12)."""
