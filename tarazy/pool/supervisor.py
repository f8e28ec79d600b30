"""Several processes on one port: opens the sockets, starts gateways and office, and keeps them running.

It has no reactor, serves nobody, and holds nothing but the sockets: connections that wait in the queue of a gateway
that died are taken by the next process of that gateway.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from tarazy.config.settings import Settings, SettingsError, load_settings
from tarazy.pool import launch, notify
from tarazy.pool.launch import Child, Role, how_ended, start_process
from tarazy.pool.log import set_level
from tarazy.pool.reload import compare
from tarazy.pool.sockets import open_listeners

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0
"""Before a process that died is started again: twice as long each time …"""
GOOD_SECONDS = 60.0
"""… until one has lived so long."""
END_SECONDS = 60.0
"""Beyond the draining; then a process is killed."""

_log = structlog.get_logger()


class _Post:
    """A process that is to be there: a gateway, or the office."""

    def __init__(self, role: Role, number: int, sockets: Sequence[socket.socket]) -> None:
        self.name = role.name_of(number)
        self.role = role
        self.number = number
        self.sockets = sockets
        self.child: Child | None = None
        """Who holds it."""
        self.successor: Child | None = None
        """Who is ready to take it over at the holder's end."""
        self.serving = asyncio.Event()


class Supervisor:
    """Keeps the processes of one server."""

    def __init__(self, settings: Settings, file: Path, inherited: Sequence[socket.socket]) -> None:
        """`inherited`: sockets for the first gateway. Raises OSError when an address cannot be had."""
        self._settings = settings
        self._file = file
        self._environment = notify.unnotified(os.environ)
        self._gateways: list[_Post] = []
        for number in settings.gateways:
            sockets = open_listeners(settings.stratum.listeners, inherited, reuse_port=True)
            self._gateways.append(_Post(Role.GATEWAY, number, sockets))
            inherited = ()
        self._office = _Post(Role.OFFICE, settings.gateway, ())
        self._posts = [*self._gateways, self._office]
        self._preparing: set[Child] = set()
        """Those that are not ready yet, for whatever post."""
        self._complete = False
        self._ending = asyncio.Event()
        self._fault: str | None = None

    async def run(self) -> str | None:
        """Run until SIGTERM or SIGINT. Returns None after an orderly end, else what hindered the start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        self._keeping = {post: asyncio.create_task(self._keep(post)) for post in self._posts}
        others = [asyncio.create_task(self._started()), asyncio.create_task(self._roll_on_demand())]
        await self._ending.wait()
        notify.notify_stopping()
        for child in self._without_a_post():
            child.process.kill()
        for task in others:
            task.cancel()
        await self._end_posts(self._gateways)
        await self._end_posts([self._office])  # last: it folds what the gateways have committed
        _log.info("server_stopped")
        return self._fault

    async def _started(self) -> None:
        for post in self._posts:
            await post.serving.wait()
        self._complete = True
        _log.info("server_started", gateways=len(self._gateways))
        notify.notify_ready()

    async def _keep(self, post: _Post) -> None:
        """Start a process, and another whenever it has died, after a pause that grows."""
        pause = FIRST_PAUSE
        while not self._ending.is_set():
            began = time.monotonic()
            code, why = await self._hold(post)
            if post.successor is not None or self._ending.is_set():
                continue
            if why and not self._complete:
                self._fault = self._fault or f"{post.name}: {why}"
                self._ending.set()
                continue
            if time.monotonic() - began > GOOD_SECONDS:
                pause = FIRST_PAUSE
            reason = why if code is None else why or how_ended(code)
            _log.error("process_died", name=post.name, code=code, reason=reason, again_in=pause)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _hold(self, post: _Post) -> tuple[int | None, str]:
        """Let a process have a post until its end: its exit code, if there was one, and why it did not serve."""
        child, post.successor = post.successor, None
        if child is None:
            child, why = await self._start(post)
            if child is None:
                return None, why
        post.child = child
        child.line.tell(launch.GO)
        if not (why := await child.started(launch.SERVING)):
            _log.info("process_serves", name=post.name, pid=child.process.pid)
            post.serving.set()
        code = await child.ended()
        post.serving.clear()
        post.child = None
        return code, why

    async def _start(self, post: _Post) -> tuple[Child | None, str]:
        """A process that is ready for a post; else why there is none."""
        try:
            child = await start_process(self._file, post.role, post.number, post.sockets, self._environment)
        except OSError as error:
            return None, f"it cannot be started: {error.strerror}"
        self._preparing.add(child)
        try:
            if self._ending.is_set():
                child.process.kill()
            if why := await child.started(launch.READY):
                await child.ended()
                return None, why
        finally:
            self._preparing.discard(child)
        return child, ""

    async def _roll_on_demand(self) -> None:
        """SIGUSR2: a new process for each post, one after the other."""
        wanted = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, wanted.set)
        while await wanted.wait():
            wanted.clear()
            for post in self._posts:
                if why := await self._replace(post):
                    _log.error("not_succeeded", name=post.name, reason=why)
                    break
            else:
                _log.info("succeeded", processes=len(self._posts))

    async def _replace(self, post: _Post) -> str:
        """Let a new process take a post over once it is ready; else why not, and the old one goes on."""
        successor, why = await self._start(post)
        if successor is None:
            return why
        post.serving.clear()
        post.successor = successor
        if post.child is not None:
            post.child.line.tell(launch.LEAVE)
        try:
            await asyncio.wait_for(post.serving.wait(), launch.START_SECONDS)
        except TimeoutError:
            return "the new process was ready and does not serve"
        return ""

    def _end(self) -> None:
        """SIGTERM, SIGINT: end in order. The second time: end now; what was answered is on disk."""
        if self._ending.is_set():
            _log.warning("ended_at_once")
            for child in (*self._holders(self._posts), *self._without_a_post()):
                child.process.kill()
            os._exit(1)
        self._ending.set()

    async def _end_posts(self, posts: Sequence[_Post]) -> None:
        """Let processes end, all at once; kill those that do not."""
        for post in posts:
            for held in post.sockets:
                held.close()
        children = self._holders(posts)
        for child in children:
            child.line.close()
        keeping = [self._keeping[post] for post in posts]
        _, slow = await asyncio.wait(keeping, timeout=self._settings.stratum.drain_seconds + END_SECONDS)
        if slow:
            _log.error("processes_killed", count=len(slow))
            for child in children:
                child.process.kill()
            await asyncio.wait(slow)

    def _reload(self) -> None:
        """SIGHUP: look at the settings file, and let every process read it."""
        notify.notify_reloading()
        try:
            wanted = load_settings(self._file)
        except SettingsError as error:
            for line in str(error).splitlines():
                _log.error("settings_not_reloaded", reason=line)
        else:
            self._settings = compare(self._settings, wanted).settings
            set_level(self._settings.log.level)
            for post in self._posts:
                if post.child is not None and post.serving.is_set():
                    post.child.process.send_signal(signal.SIGHUP)
        notify.notify_ready()

    def _holders(self, posts: Sequence[_Post]) -> list[Child]:
        return [post.child for post in posts if post.child is not None]

    def _without_a_post(self) -> list[Child]:
        """Processes that have nothing yet: no miner, no journal."""
        return [*self._preparing, *(post.successor for post in self._posts if post.successor is not None)]


def supervise(settings: Settings, file: Path, inherited: Sequence[socket.socket]) -> str | None:
    """Run the processes of a server until SIGTERM or SIGINT; what hindered the start, if anything did."""

    async def keep() -> str | None:
        return await Supervisor(settings, file, inherited).run()

    try:
        return asyncio.run(keep())
    except OSError as error:
        return str(error)
