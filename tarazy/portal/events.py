"""Server-sent events: one text pushed to every open page."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer  # type: ignore[import-untyped]

from tarazy.portal.guard import Fault

MAXIMUM_STREAMS, MAXIMUM_OF_ONE = 250, 50
"""Open streams, and those of one address."""
RETRY_MILLISECONDS = 3000
"""How long a page waits before it connects again."""
BEAT_SECONDS = 15
"""A comment so often keeps proxies from closing a quiet stream."""
MAXIMUM_UNREAD = 8
"""Beats after which a stream that nobody reads is cut."""


def event(name: str, data: bytes, identity: str) -> bytes:
    """One event on the wire. `data` has no line breaks."""
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (identity.encode("ascii"), name.encode("ascii"), data)


@implementer(IPushProducer)
class _Stream:
    def __init__(self, request: Any, address: str) -> None:
        self.request, self.address = request, address
        self.paused = False
        self.unread = 0
        """Beats since the reader took anything."""
        self.missed = b""

    def send(self, text: bytes) -> None:
        """Write now, or keep only the newest for when the reader catches up."""
        if self.paused:
            self.missed = text
        else:
            self.request.write(text)

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        """The reader is slow."""
        self.paused = True

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        """The reader has caught up."""
        self.paused, self.unread = False, 0
        missed, self.missed = self.missed, b""
        if missed:
            self.request.write(missed)

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's name
        """The reader is gone; `notifyFinish` tells as well."""
        self.paused = True


class Hub:
    """The open streams. Costs nothing while there are none."""

    def __init__(self) -> None:
        self._streams: set[_Stream] = set()

    def __len__(self) -> int:
        return len(self._streams)

    def open(self, request: Any, first: bytes, address: str) -> Deferred[None]:
        """Turn the `request` of an address into a stream that begins with the event `first`; it never ends by itself.

        Raises `Fault` when there are too many.
        """
        of_one = sum(stream.address == address for stream in self._streams)
        if len(self._streams) >= MAXIMUM_STREAMS or of_one >= MAXIMUM_OF_ONE:
            request.setHeader(b"retry-after", b"30")
            raise Fault(503, "too_many_streams", "too many pages follow the pool; poll /api/v1/overview instead")
        request.setHeader(b"content-type", b"text/event-stream; charset=utf-8")
        request.setHeader(b"cache-control", b"no-cache")
        request.setHeader(b"x-accel-buffering", b"no")
        stream = _Stream(request, address)
        request.registerProducer(stream, True)
        self._streams.add(stream)
        request.notifyFinish().addBoth(lambda _: self._streams.discard(stream))
        request.write(b"retry: %d\n\n" % RETRY_MILLISECONDS + first)
        return Deferred()

    def publish(self, text: bytes) -> None:
        """Send one event to all."""
        for stream in tuple(self._streams):
            stream.send(text)

    def beat(self) -> None:
        """Send a comment to those that keep up, and cut off who has not read for long."""
        for stream in tuple(self._streams):
            if not stream.paused:
                stream.request.write(b": still here\n\n")
                continue
            stream.unread += 1
            if stream.unread > MAXIMUM_UNREAD:
                stream.request.channel.forceAbortClient()

    def close(self) -> None:
        """End every stream."""
        for stream in tuple(self._streams):
            stream.request.unregisterProducer()
            stream.request.loseConnection()
