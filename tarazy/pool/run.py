"""One server process: reactor, signals, the process that started it and the one that succeeds it."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from twisted.internet.defer import CancelledError, Deferred

from tarazy.accounting.energy.asyncio_bridge import run
from tarazy.config.law import LawError
from tarazy.config.settings import Settings, SettingsError, load_settings
from tarazy.pool import launch, notify
from tarazy.pool.launch import Inheritance, Parent, Role
from tarazy.pool.reactor import install_reactor
from tarazy.pool.reload import ReloadError

if TYPE_CHECKING:
    from tarazy.pool.server import Server

GC_THRESHOLD = (100_000, 50, 100)
"""A share makes no cycles: rarer collections save some 4 µs of each (see benchmarks/README.md)."""

_log = structlog.get_logger()


def run_server(settings: Settings, file: Path, role: Role, inheritance: Inheritance) -> str | None:
    """Run until SIGTERM, SIGINT or the parent's word. Returns None after an orderly end, else what hindered it.

    `file`: the settings file, which is read again on SIGHUP.
    """
    reactor: Any
    reactor, loop = install_reactor()
    from tarazy.pool.server import Server

    process = _Process(reactor, Server(reactor, loop, settings, role, inheritance.sockets), file, role)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.end)
    loop.add_signal_handler(signal.SIGHUP, process.reload)
    loop.add_signal_handler(signal.SIGUSR2, process.be_succeeded)
    reactor.callWhenRunning(process.start, inheritance)
    reactor.run(installSignalHandlers=False)
    return process.fault


class _Process:
    """What signals and other processes make the server do."""

    def __init__(self, reactor: Any, server: Server, file: Path, role: Role) -> None:
        self.fault: str | None = None
        """What hindered the start, or the succession."""
        self._reactor = reactor
        self._server = server
        self._file = file
        self._role = role
        self._parent = Parent(None)
        self._ending = False
        self._signalled = False
        self._successor: launch.Child | None = None
        """From its start on, unless it failed."""
        self._starting: Deferred[None] = Deferred()

    def start(self, inheritance: Inheritance) -> None:
        """Begin; a fault ends the process."""
        self._starting = Deferred.fromCoroutine(self._start(inheritance))

    async def _start(self, inheritance: Inheritance) -> None:
        server = self._server
        try:
            parent = self._parent = await run(Parent.meet(inheritance.parent))
            await server.prepare()
            await run(parent.turn())
            if self._role is Role.WHOLE:
                await server.mine()
                parent.serving()
                await run(parent.heard())  # the end of the predecessor
                await server.keep()
                notify.notify_ready()
            else:
                self._obey(parent)
                await server.mine()
                await server.keep()
                parent.serving()
        except CancelledError:
            return
        except Exception as error:
            _log.error("server_not_started", error=str(error) or repr(error))
            self.fault = str(error) or type(error).__name__
            self._parent.failed(self.fault)
            self._reactor.callLater(0, self._end, 0.0)
            return
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLD)

    def _obey(self, parent: Parent) -> None:
        """End when the supervisor says so or is gone: at once, when a successor waits."""

        def told(word: str | None) -> None:
            self._end(0.0 if word == launch.LEAVE else self._server.settings.stratum.drain_seconds)

        run(parent.heard()).addCallback(told)

    def end(self) -> None:
        """SIGTERM, SIGINT: end in order, with the successor. The second time: now; what was answered is on disk."""
        if self._signalled:
            _log.warning("ended_at_once")
            if self._successor is not None:
                self._successor.process.kill()
            os._exit(1)
        self._signalled = True
        if self._successor is not None:
            self._successor.process.terminate()
        self._end(self._server.settings.stratum.drain_seconds)

    def _end(self, drain_seconds: float) -> None:
        if not self._ending:
            self._ending = True
            notify.notify_stopping()
            self._starting.cancel()
            Deferred.fromCoroutine(self._server.stop(drain_seconds)).addBoth(lambda _: self._reactor.stop())

    def reload(self) -> None:
        """SIGHUP: read the settings again."""
        if not self._starting.called:
            _log.warning("settings_not_reloaded", reason="the server is still starting, with the file as it was")
            return
        notify.notify_reloading()
        try:
            settings = load_settings(self._file)
            if self._role is Role.GATEWAY:
                settings = settings.of_gateway(self._server.settings.gateway)
            self._server.reload(settings)
        except (SettingsError, LawError, ReloadError) as error:
            for line in str(error).splitlines():
                _log.error("settings_not_reloaded", reason=line)
        notify.notify_ready()

    def be_succeeded(self) -> None:
        """SIGUSR2: start a process that takes over; if it cannot, go on."""
        if self._role is not Role.WHOLE:
            _log.warning("succession_is_the_supervisors", cure="send SIGUSR2 to the process that started this one")
        elif not self._starting.called or self._ending or self._successor is not None:
            _log.warning("succession_under_way")
        else:
            Deferred.fromCoroutine(self._be_succeeded()).addErrback(self._not_succeeded)

    async def _be_succeeded(self) -> None:
        server = self._server
        successor = await run(launch.start_process(self._file, Role.WHOLE, 0, server.sockets, os.environ))
        if self._ending:
            successor.process.kill()
            return
        self._successor = successor
        _log.info("successor_starts", pid=successor.process.pid)
        why = await run(successor.started(launch.READY))
        if self._ending:
            successor.process.kill()
            return
        if why:
            _log.error("not_succeeded", reason=why)
            self._successor = None
            return
        self._ending = True
        await server.release(0.0)
        successor.line.tell(launch.GO)
        why = await run(successor.started(launch.SERVING))
        if self._signalled:
            _log.info("successor_ended_too")
        elif why:
            self.fault = f"the successor took over and failed: {why}"
            _log.error("successor_failed", reason=why)
        else:
            notify.notify_successor(successor.process.pid)
            _log.info("succeeded", pid=successor.process.pid)
        await server.stop(0.0)
        self._reactor.stop()

    def _not_succeeded(self, failure: Any) -> None:
        _log.error("not_succeeded", reason=failure.getErrorMessage())
        self._successor = None
        if self._ending:
            self._reactor.stop()
