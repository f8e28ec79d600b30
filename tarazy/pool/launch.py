"""One process of the server starts another: what it hands on, and the few words the two exchange.

The parent is a supervisor that keeps its children, or a server that is to be succeeded. Words are lines on a socket
between the two: the child says `ready` when all that needs no other process is done, then waits for `go`, and says
`serving` when miners are served, or `failed` and why. `leave` asks a child to make room for a successor that waits.
The end of the socket is the end of the process behind it, however it ended.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

READY, GO, SERVING, LEAVE, FAILED = "ready", "go", "serving", "leave", "failed"

START_SECONDS = 120.0
"""Longest wait for a process to start."""

_POLL_SECONDS = 0.02
"""How often a process that is about to end is looked at."""
_INHERITED = "TARAZY_INHERITED"
_FIRST_OF_SYSTEMD = 3


class Role(StrEnum):
    """What a process does."""

    WHOLE = "whole"
    """Everything."""
    GATEWAY = "gateway"
    """Miners, journal, found blocks."""
    OFFICE = "office"
    """Books, meters, page."""

    def name_of(self, number: int) -> str:
        """What a process of this role is called in the log; `number` is the gateway's."""
        return {Role.WHOLE: "", Role.GATEWAY: f"gateway-{number}", Role.OFFICE: "office"}[self]


class Line:
    """Words from and to the process at the other end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, end: socket.socket) -> Line:
        """The line over one end of a socket pair, which is the line's own now."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    def tell(self, *words: str) -> None:
        """Say something; to nobody, if nobody is there any more."""
        self._writer.write(" ".join(" ".join(words).split()).encode() + b"\n")

    async def heard(self) -> str | None:
        """The next words; None at the end."""
        try:
            return (await self._reader.readline()).decode(errors="replace").strip() or None
        except (ConnectionError, ValueError):
            return None

    def close(self) -> None:
        """End it; what was told is still sent."""
        self._writer.close()


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What the process got from the one that started it."""

    sockets: tuple[socket.socket, ...] = ()
    """Bound sockets to listen on, from the parent or from systemd."""
    parent: socket.socket | None = None
    """One end of the line to the parent."""


def inherit() -> Inheritance:
    """Take what the environment says was handed on. It says so only once, and no other process learns of it."""
    numbers = [int(number) for number in os.environ.pop(_INHERITED, "").split()]
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    ours = [socket.socket(fileno=number) for number in numbers]
    if ours:
        parent, *sockets = ours
    else:
        parent, many = None, int(count) if pid == str(os.getpid()) else 0
        sockets = [socket.socket(fileno=_FIRST_OF_SYSTEMD + at) for at in range(many)]
    for each in (*ours, *sockets):
        each.set_inheritable(False)
    return Inheritance(tuple(sockets), parent)


def how_ended(code: int) -> str:
    """What an exit code says; negative for a signal."""
    if code >= 0:
        return f"it ended with code {code}; its last line in the log says why"
    hint = "; if nobody did that, the kernel was out of memory: see its log" if code == -signal.SIGKILL else ""
    return f"it was ended by signal {-code} ({signal.strsignal(-code)}){hint}"


@dataclass(frozen=True, slots=True)
class Child:
    """A process that was started, and the line to it."""

    process: subprocess.Popen[bytes]
    line: Line

    async def started(self, word: str) -> str:
        """Wait until it says `word`: empty text; else why it will not. It ends by itself then."""
        try:
            said = await asyncio.wait_for(self.line.heard(), START_SECONDS)
        except TimeoutError:
            self.process.kill()
            return f"not {word} within {START_SECONDS:.0f} s"
        if said == word:
            return ""
        if said:
            return said.removeprefix(FAILED).strip() or "it does not say why"
        return how_ended(await self.ended())

    async def ended(self) -> int:
        """Wait for its end, which is the line's too; its exit code, negative for a signal."""
        while await self.line.heard() is not None:
            pass
        self.line.close()
        while (code := self.process.poll()) is None:
            await asyncio.sleep(_POLL_SECONDS)
        return code


async def start_process(
    settings_file: Path, role: Role, number: int, sockets: Sequence[socket.socket], environment: Mapping[str, str]
) -> Child:
    """Run `tarazy serve` in another process, in a session of its own, with `sockets` to listen on."""
    ours, theirs = socket.socketpair()
    with theirs:
        handed = [theirs.fileno(), *(each.fileno() for each in sockets)]
        process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", "tarazy", "serve", "-c", settings_file, "--role", role, "--number", str(number)],
            stdin=subprocess.DEVNULL,
            pass_fds=handed,
            env={**environment, _INHERITED: " ".join(map(str, handed))},
            start_new_session=True,
        )
    return Child(process, await Line.open(ours))


class Parent:
    """The process that started this one, if one of the server's did; without one every turn comes at once."""

    def __init__(self, line: Line | None) -> None:
        self._line = line

    @classmethod
    async def meet(cls, end: socket.socket | None) -> Parent:
        """The parent at the other end of what was inherited."""
        return cls(await Line.open(end) if end else None)

    async def turn(self) -> None:
        """Say that we are ready, and wait until nobody else holds the journal. If the parent is gone, nobody does."""
        if self._line:
            self._line.tell(READY)
            await self._line.heard()

    def serving(self) -> None:
        """Say that miners are served."""
        if self._line:
            self._line.tell(SERVING)

    def failed(self, why: str) -> None:
        """Say why not."""
        if self._line:
            self._line.tell(FAILED, why)

    async def heard(self) -> str | None:
        """The next words; None when the parent is gone, at once if there never was one."""
        return await self._line.heard() if self._line else None
