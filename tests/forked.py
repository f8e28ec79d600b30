"""Commands that start in no time: forks of one process that has imported beforehand what they need.

A start of Python with all that the server imports takes more than two seconds of CPU, and the tests start hundreds of
servers. A fork is a process like any other: a child of the one that asked for it, with its working directory and
environment, which ends as it would have ended. `/proc` alone shows another command line.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from functools import cache
from importlib import import_module
from typing import IO

_IMPORTED = (
    "tarazy.pool.cli.server",
    "tarazy.pool.preflight",
    "tarazy.pool.run",
    "tarazy.pool.server",
    "tarazy.pool.supervisor",
    "jinja2",
    "werkzeug.routing",
)
_LONGEST_REQUEST = 1 << 20
_SET_CHILD_SUBREAPER = 36
"""`PR_SET_CHILD_SUBREAPER` of <linux/prctl.h>."""


class Forked:
    """A running `python -m MODULE ARGUMENTS`, with what tests use of `subprocess.Popen`."""

    def __init__(
        self,
        module: str,
        *arguments: str,
        stdout: IO[bytes] | int,
        stderr: IO[bytes] | None = None,
        stdin: IO[bytes] | None = None,
    ) -> None:
        """`stdout`: a file or `subprocess.PIPE`. Without `stderr` it goes where ours does; so with `stdin`."""
        given = stdin.fileno() if stdin else 0
        self.args = [module, *arguments]
        self.returncode: int | None = None
        self.stdout: IO[bytes] | None = None
        if isinstance(stdout, int):
            assert stdout == subprocess.PIPE
            reading, writing = os.pipe()
            self.stdout = os.fdopen(reading, "rb")
            self.pid = _fork(self.args, given, writing, 2)
            os.close(writing)
        else:
            self.pid = _fork(self.args, given, stdout.fileno(), stderr.fileno() if stderr else 2)

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float = 120.0) -> int:
        """The exit code, negative for a signal; `subprocess.TimeoutExpired` when it runs on for `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        """Unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


def run_forked(module: str, *arguments: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run it to its end, and what it wrote."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = Forked(module, *arguments, stdout=out, stderr=err)
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
        written = []
        for file in (out, err):
            file.seek(0)
            written.append(file.read().decode())
    return subprocess.CompletedProcess(process.args, code, *written)


def _fork(command: list[str], stdin: int, stdout: int, stderr: int) -> int:
    """The new process. It is an orphan, which falls to us."""
    line, _ = _forker()
    words = {"command": command, "directory": os.getcwd(), "environment": dict(os.environ)}
    adopt_orphans()
    socket.send_fds(line, [json.dumps(words).encode()], [stdin, stdout, stderr])
    return int(line.recv(100))


@cache
def adopt_orphans() -> None:
    """From now on a process becomes our child, to wait for, when the one of our descendants that started it ends."""
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@cache
def _forker() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Started when it is first needed; the line to it, with which it ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", __name__, str(theirs.fileno())]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
    return ours, process


def _serve(line: socket.socket) -> None:
    """Fork for each request, without end; returns in the new process only, made to be what was asked for."""
    while True:
        request, handed, *_ = socket.recv_fds(line, _LONGEST_REQUEST, 3)
        if not request:
            os._exit(0)
        between = os.fork()
        if between:
            os.waitpid(between, 0)
            for number in handed:
                os.close(number)
            continue
        parent = os.getpid()
        if os.fork():
            os._exit(0)
        while os.getppid() == parent:
            time.sleep(0.0005)
        line.send(str(os.getpid()).encode())
        line.close()
        for number, given in enumerate(handed):
            os.dup2(given, number)
            os.close(given)
        words = json.loads(request)
        os.chdir(words["directory"])
        os.environ.clear()
        os.environ.update(words["environment"])
        sys.argv = words["command"]
        return


if __name__ == "__main__":
    for name in _IMPORTED:
        import_module(name)
    assert "twisted.internet.reactor" not in sys.modules, "a reactor cannot be shared"
    assert len(os.listdir("/proc/self/task")) == 1, "threads do not survive a fork"
    gc.freeze()
    _serve(socket.socket(fileno=int(sys.argv[1])))
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="runpy")  # it finds the module imported already
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
