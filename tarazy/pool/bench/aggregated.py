"""A period's energy figures in a process of its own, so that its memory is theirs: JSON on standard output."""

from __future__ import annotations

import json
import resource
import sys
import time
from datetime import datetime

from tarazy.accounting.energy.figures import energy_by_meter, energy_by_party, peak_power
from tarazy.database.engine import open_engine, reader


def main(url: str, start: datetime, end: datetime) -> None:
    """What reports and the fee ask of a period, all sites together."""
    engine = open_engine(url)
    told: dict[str, float | int] = {}
    cpu = time.process_time()
    with reader(engine).begin() as connection:
        began = time.perf_counter()
        meters = energy_by_meter(connection, start, end)
        told |= {"meters_s": _since(began), "energy_wh": sum(each.energy_wh for each in meters.values())}
        began = time.perf_counter()
        told |= {"parties": len(energy_by_party(connection, start, end)), "parties_s": _since(began)}
        began = time.perf_counter()
        told |= {"sites": len(peak_power(connection, start, end)), "peaks_s": _since(began)}
    told["cpu_s"] = round(time.process_time() - cpu, 2)
    told["peak_rss_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sys.stdout.write(json.dumps(told))


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 2)


if __name__ == "__main__":
    main(sys.argv[1], datetime.fromisoformat(sys.argv[2]), datetime.fromisoformat(sys.argv[3]))
