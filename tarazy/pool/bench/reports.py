"""`tarazy bench reports`: what the documents of a national pool's year cost, each gathered and rendered by itself."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tarazy.database.engine import open_engine
from tarazy.database.schema import upgrade
from tarazy.pool.bench.measured import BenchError
from tarazy.pool.bench.year import Size, write_year

_PARTIES = {"statement": "party-0"}
"""Whom a document of one party is asked of."""


def run_reports_bench(
    directory: Path, database: str | None, kinds: tuple[str, ...], *, progress: Callable[[str], None], **size: int
) -> dict[str, Any]:
    """Write the year into an empty database, or what a run of this size left out, then build every document of `kinds`.

    Raises `BenchError`.
    """
    url = database or f"sqlite:///{directory / 'bench.db'}"
    engine = open_engine(url)
    upgrade(engine)
    began = time.perf_counter()
    write_year(engine, Size(**size), progress)
    figures: dict[str, Any] = {"database": engine.dialect.name, **size, "written_s": round(time.perf_counter() - began)}
    engine.dispose()
    figures["documents"] = {}
    for kind in kinds:
        progress(f"building {kind}")
        command = [sys.executable, "-m", "tarazy.pool.bench.built", url, kind, _PARTIES.get(kind, "")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
        if done.returncode:
            raise BenchError(f"{kind}: {done.stderr[-2000:]}")
        figures["documents"][kind] = json.loads(done.stdout)
    return figures
