"""`tarazy serve` as a process: reactor, signals, and the reason when it cannot run."""

from __future__ import annotations

import gc
import sys
from typing import Any

import structlog
from twisted.internet.defer import ensureDeferred
from twisted.python.failure import Failure

from tarazy.config.settings import Settings
from tarazy.pool.reactor import install_reactor

_GC_THRESHOLD = (100_000, 50, 100)
"""A share makes no cycles: rarer collections save some 4 µs of each (see benchmarks/README.md)."""
_SWITCH_SECONDS = 0.001
"""How long the reactor may keep the interpreter from the journal's thread: answers wait for it (default 0.005)."""

_log = structlog.get_logger()


def run_server(settings: Settings) -> str | None:
    """Run until SIGTERM or SIGINT. Returns None after an orderly end, else what hindered the start."""
    reactor: Any
    reactor, loop = install_reactor()
    from tarazy.pool.server import Server

    sys.setswitchinterval(_SWITCH_SECONDS)
    server = Server(reactor, loop, settings)
    faults: list[str] = []

    def failed(failure: Failure) -> None:
        _log.error("server_not_started", error=repr(failure.value))
        faults.append(failure.getErrorMessage())
        reactor.stop()

    def started(_: None) -> None:
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLD)

    reactor.callLater(0, lambda: ensureDeferred(server.start()).addCallback(started).addErrback(failed))
    reactor.addSystemEventTrigger("before", "shutdown", lambda: ensureDeferred(server.stop()))
    reactor.run()
    return faults[0] if faults else None
