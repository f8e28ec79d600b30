"""Files that are on the disk, not merely with the system, when a call returns."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def durable_file(path: Path, mode: int = 0o666) -> Iterator[IO[bytes]]:
    """A file to write: behind the block it is on disk; after an error or a crash before, it is not there at all.

    `mode`: who may read it, less what the umask takes away. Raises OSError.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_directory(path.parent)


def write_durably(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write a file: after the return it is on disk; after a crash before, it is there whole or not at all.

    `mode` as of `durable_file`. Raises OSError.
    """
    with durable_file(path, mode) as file:
        file.write(data)


def sync_directory(path: Path) -> None:
    """Let new names in a directory be on disk. Raises OSError."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
