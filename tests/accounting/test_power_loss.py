"""What was answered `true` is on the disk, not merely with the system: a sync stands between a share and its answer."""

from __future__ import annotations

import ctypes
import platform
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_SYNCS = {"x86_64": (74, 75), "aarch64": (82, 83)}
"""Numbers of fsync and fdatasync."""
_ALLOW, _ERRNO, _EIO = 0x7FFF0000, 0x00050000, 5


def refuse_syncs() -> None:
    """From now on every fsync and fdatasync of this process fails with EIO, in all of its threads.

    A seccomp filter: load the call's number, compare, refuse or allow.
    """
    first, second = _SYNCS[platform.machine()]
    program = b"".join(
        (
            struct.pack("HBBI", 0x20, 0, 0, 0),
            struct.pack("HBBI", 0x15, 1, 0, first),
            struct.pack("HBBI", 0x15, 0, 1, second),
            struct.pack("HBBI", 0x06, 0, 0, _ERRNO | _EIO),
            struct.pack("HBBI", 0x06, 0, 0, _ALLOW),
        )
    )
    held = ctypes.create_string_buffer(program)
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, seccomp, filter_mode = 38, {"x86_64": 317, "aarch64": 277}[platform.machine()], 1
    all_threads = 1
    described = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(held))
    assert libc.prctl(no_new_privileges, 1, 0, 0, 0) == 0
    assert libc.syscall(seccomp, filter_mode, all_threads, described) == 0, ctypes.get_errno()


def answer(path: Path, synced: bool) -> None:
    """Give one share to a journal at `path`, and say what it was answered."""
    from twisted.internet import reactor as installed

    from tarazy.accounting.journal import Journal
    from tarazy.accounting.journal_file import JournalFile
    from tests.accounting.books import name_record, share

    reactor: Any = installed
    journal = Journal(JournalFile(path, 1), reactor.callFromThread)
    journal.name(name_record("alpha"))
    if not synced:
        refuse_syncs()

    def done(durable: bool) -> None:
        sys.stdout.write(f"{durable}\n")
        reactor.stop()

    reactor.callWhenRunning(lambda: journal.share(share(), done))
    reactor.run()


@pytest.mark.skipif(platform.machine() not in _SYNCS, reason="knows the system calls of x86-64 and arm64 only")
@pytest.mark.parametrize("synced", [True, False])
def test_no_true_without_a_sync(tmp_path: Path, synced: bool) -> None:
    """C-080: on a disk whose syncs fail the share is not answered `true`; on one that works it is.

    A journal that left the sync to chance, as SQLite does with any lower `synchronous` in WAL mode, would not notice.
    """
    arguments = [
        sys.executable,
        "-c",
        f"from tests.accounting.test_power_loss import *; answer(Path({str(tmp_path / 'j')!r}), {synced})",
    ]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stdout.splitlines()[:1]) == (0, [str(synced)]), done.stderr
