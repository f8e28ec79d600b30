"""`tarazy bench reports`, small: the year it writes is what the reports tell, energy and all."""

from __future__ import annotations

from pathlib import Path

from tarazy.accounting.energy.figures import energy_by_meter, energy_by_party
from tarazy.config.law.calendar import Period
from tarazy.database.engine import open_engine
from tarazy.pool.bench.reports import run_reports_bench

SIZE = {"parties": 2, "workers": 4, "blocks": 3, "meters": 4, "tallied": 1}
DAYS = 91
"""Of the quarter, all but its last."""


def test_a_years_documents_are_measured(tmp_path: Path) -> None:
    """What the meters showed is in the quarter's figures, and every file of the document is timed."""
    figures = run_reports_bench(tmp_path, None, ("accreditation",), progress=lambda _: None, **SIZE)
    steps = figures["documents"]["accreditation"]
    assert set(steps) == {"gathered", "json", "pdf", "xlsx", "csv", "html"}
    assert all(cost["peak_rss_bytes"] > 0 for cost in steps.values())
    quarter = Period.parse("2026-Q4")
    engine = open_engine(f"sqlite:///{tmp_path / 'bench.db'}")
    with engine.begin() as connection:
        metered = energy_by_meter(connection, quarter.start, quarter.end)
        divided = energy_by_party(connection, quarter.start, quarter.end)
    engine.dispose()
    whole = SIZE["meters"] * DAYS * 24_000
    assert sum(each.energy_wh for each in metered.values()) == whole
    assert sum(each.energy_wh for each in divided.values()) == whole
