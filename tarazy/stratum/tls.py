"""TLS over a connection whose socket another holds: records in, plain bytes out, and back.

The loops' own TLS takes one context for as long as a port is open, and cannot begin behind a PROXY header that came in
one piece with the handshake. Here every connection begins with the context of the moment.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Any

_PIECE = 65536


class TlsLayer:
    """The server's end of one connection. Whatever is called, `output` has what must be sent then."""

    __slots__ = ("_incoming", "_object", "_outgoing", "bound", "ended", "established")

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.bound = context.verify_mode is not ssl.CERT_NONE
        """The peer must show a certificate."""
        self.established = False
        """The handshake is done."""
        self.ended = False
        """The peer has said that nothing follows."""

    def receive(self, data: bytes) -> bytes:
        """The plain bytes in what arrived. Raises ssl.SSLError."""
        self._incoming.write(data)
        pieces = []
        try:
            if not self.established:
                self._object.do_handshake()
                self.established = True
            while piece := self._object.read(_PIECE):
                pieces.append(piece)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        return b"".join(pieces)

    def encrypt(self, data: bytes) -> None:
        """Take plain bytes to be sent."""
        view = memoryview(data)
        while view:
            view = view[self._object.write(view) :]

    def close(self) -> None:
        """Tell the peer that nothing follows; it need not answer, and after a fault there is nothing to tell."""
        with suppress(ssl.SSLError):
            self._object.unwrap()

    def output(self) -> bytes:
        """Records to be sent."""
        return self._outgoing.read()

    @property
    def site(self) -> str | None:
        """The site that the client's certificate is bound to: its subject's one common name. None if it has none."""
        certificate: Any = self._object.getpeercert() or {}
        names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
        return names[0] if len(names) == 1 and names[0] else None
