"""A document gathered and rendered in processes of their own, so that memory is theirs: JSON on standard output."""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from datetime import timedelta
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

from tarazy.config.law import load_law
from tarazy.config.settings import AccreditationSettings, EmbeddedChainSettings, PoolSettings, Settings
from tarazy.database.engine import open_engine, reader
from tarazy.pool.bench.admission import SERVER
from tarazy.pool.bench.year import YEAR
from tarazy.reports.build import RENDERINGS, Asked, gather_report, render_parts
from tarazy.reports.layout import Report

_SETTINGS = Settings(
    data=Path("data"),
    pool=PoolSettings(name="Bench", payout_address="bcrt1q"),
    chain=EmbeddedChainSettings(),
    accreditation=AccreditationSettings(server=SERVER),
)
_LANGUAGE = "ru"


def main(url: str, kind: str, party: str) -> None:
    """Seconds and peak memory of gathering a document, then of each of its files in one language."""
    as_of = YEAR.end - timedelta(seconds=1)
    asked = Asked(party or None, None if kind == "accreditation" else YEAR)
    began = time.perf_counter()
    with reader(open_engine(url)).begin() as connection:
        law = load_law(["fee-2026-ladder-continued"])
        report = gather_report(connection, kind, as_of, _SETTINGS, law, YEAR.end + timedelta(days=1), asked)
    told = {"gathered": _cost(began)}
    for form in ("json", *RENDERINGS):
        receive, send = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("fork").Process(target=_render, args=(report, form, send))
        process.start()
        send.close()
        told[form] = receive.recv()
        process.join()
    sys.stdout.write(json.dumps(told))


def _render(report: Report, form: str, pipe: Pipe) -> None:
    began = time.perf_counter()
    _, parts = render_parts(report, form, _LANGUAGE)
    size = sum(map(len, parts))
    pipe.send({**_cost(began), "bytes": size})


def _cost(began: float) -> dict[str, float]:
    return {"s": round(time.perf_counter() - began, 2), "peak_rss_bytes": _peak()}


def _peak() -> int:
    """Bytes; getrusage would tell those of the program that started this one, where they were more."""
    told = Path("/proc/self/status").read_text()
    return int(told.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
