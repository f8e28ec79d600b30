"""The CPU miner's connection: sockets and pauses around a `MinerSession`."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable

from tarazy.stratum.miner import Event, MinerSession

SLICE_SECONDS = 0.05
"""Between two looks at the socket."""
UNLIMITED_SLICE = 20_000
LONGEST_PAUSE = 30.0


async def mine(
    host: str,
    port: int,
    user: str,
    password: str,
    hashrate: float | None,
    source_address: str | None,
    report: Callable[[Event], None],
    tls: ssl.SSLContext | None = None,
) -> None:
    """Mine until cancelled; connect again after every loss, pausing longer while nothing comes of it.

    `hashrate`: hashes per second at most. `report` is called with every event: `{"event": "accepted"}`. `tls`: whom to
    believe on a TLS port.
    """
    local = (source_address, 0) if source_address else None
    pause = 1.0
    while True:
        session = MinerSession(user, password)
        try:
            reader, writer = await asyncio.open_connection(host, port, local_addr=local, ssl=tls)
        except OSError as error:
            reason = _why_not_connected(error, tls is not None)
        else:
            report({"event": "connected"})
            reason = await _work(session, reader, writer, hashrate, report)
        pause = 1.0 if session.job is not None else min(pause * 2, LONGEST_PAUSE)
        report({"event": "disconnected", "reason": reason, "retry_seconds": pause})
        await asyncio.sleep(pause)


def _why_not_connected(error: OSError, tls: bool) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not believed: {error.verify_message}; for an authority of your own set SSL_CERT_FILE"
    if tls and isinstance(error, ssl.SSLError | ConnectionResetError | ConnectionAbortedError):
        return f"no TLS handshake: {getattr(error, 'reason', 'cut off')}; is this a TLS port?"
    return str(error) or type(error).__name__


async def _work(
    session: MinerSession,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    hashrate: float | None,
    report: Callable[[Event], None],
) -> str:
    """Serve one connection to its end; the reason of the end."""
    searching = asyncio.create_task(_search(session, writer, hashrate))
    try:
        writer.write(session.greeting())
        while data := await reader.read(65536):
            for event in session.receive(data):
                report(event)
        return "closed by the pool"
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        return str(error) or type(error).__name__
    finally:
        searching.cancel()
        writer.close()


async def _search(session: MinerSession, writer: asyncio.StreamWriter, hashrate: float | None) -> None:
    count = UNLIMITED_SLICE if hashrate is None else max(1, int(hashrate * SLICE_SECONDS))
    due = time.monotonic()
    while True:
        if session.job is None:
            await asyncio.sleep(SLICE_SECONDS)
            due = time.monotonic()
            continue
        before = session.hashes
        submit = session.search(count)
        if submit:
            writer.write(submit)
        due += (session.hashes - before) / hashrate if hashrate else 0.0
        await asyncio.sleep(max(0.0, due - time.monotonic()))
