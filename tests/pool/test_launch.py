"""A process starts another: what it learns of it."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from tarazy.pool.launch import READY, Child, Line
from tests.stratum.test_server import in_loop


@pytest.mark.parametrize(
    ("said", "why"),
    [(b"failed no such address\n", "no such address"), (b"failed\n", "it does not say why"), (b"ready\n", "")],
)
@in_loop
async def test_what_a_process_says_of_its_start(said: bytes, why: str) -> None:
    """The reason, if it could not; one without a word is no good start."""
    ours, theirs = socket.socketpair()
    with theirs, subprocess.Popen([sys.executable, "-c", ""]) as process:
        theirs.sendall(said)
        child = Child(process, await Line.open(ours))
        assert await child.started(READY) == why
        child.line.close()
