"""Directories that commands write: whole, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tarazy.pool.cli.common import Wanting


@contextmanager
def whole_directory(directory: Path) -> Iterator[Path]:
    """Where to write what `directory` is to hold: it gets there behind the block; after an error none of it does.

    One that is there already keeps its other files. What cannot be written is told in one line.
    """
    directory = directory.absolute()
    partial = directory.with_name(f".{directory.name}.{os.getpid()}.partial")
    try:
        if directory.exists():
            partial = directory / f".{os.getpid()}.partial"
        directory.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        yield partial
        if partial.parent == directory:
            for path in partial.iterdir():
                path.replace(directory / path.name)
        else:
            partial.rename(directory)
    except OSError as error:
        raise _unwritten(error, partial, directory) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _unwritten(error: OSError, partial: Path, directory: Path) -> Wanting:
    place = str(error.filename or directory).replace(str(partial), str(directory))
    return Wanting(f"{place}: {error.strerror}; free space, or name another place, and begin anew")
