"""The demo's processes: started with a log each, watched, ended in order."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class ChildFailed(Exception):
    """A process of the demo ended by itself. The text names it and shows the end of its log."""


@dataclass(frozen=True, slots=True)
class Child:
    """One running process."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def last_lines(self, count: int = 12) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


class Children:
    """Starts processes in sessions of their own, so that Ctrl-C reaches the demo first and it ends them in order."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: list[Child] = []

    def start(self, name: str, module: str, arguments: Sequence[str]) -> Child:
        """Run `python -m module arguments`, output to `<name>.log`."""
        log = self._logs / f"{name}.log"
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - our own modules with our own arguments
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment,
            )
        child = Child(name, process, log)
        self._children.append(child)
        return child

    def check(self) -> None:
        """Raise `ChildFailed` if one of them has ended."""
        for child in self._children:
            if (code := child.process.poll()) is not None:
                raise ChildFailed(f"{child.name} ended with code {code}; the end of {child.log}:\n{child.last_lines()}")

    def stop(self, *, seconds_each: float = 15.0) -> None:
        """End the newest first, each before the next; kill what does not end in time."""
        while self._children:
            child = self._children.pop()
            child.process.send_signal(signal.SIGTERM)
            try:
                child.process.wait(seconds_each)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()

    def stop_all_but(self, *kept: str) -> None:
        """End every process whose name is not among `kept`, all at once."""
        ending = [child for child in self._children if child.name not in kept]
        for child in ending:
            with contextlib.suppress(ProcessLookupError):
                child.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 5
        for child in ending:
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            self._children.remove(child)
