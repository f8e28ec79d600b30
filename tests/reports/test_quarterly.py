"""The document of what parties told of a quarter."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection

from tarazy.accreditation import quarterly
from tarazy.accreditation.quarterly import QuarterlyError, Told, submit, versions
from tarazy.config.law import LawBook
from tarazy.config.law.calendar import Period, Quarter
from tarazy.reports.build import Asked, gather_report, render
from tarazy.reports.canonical import canonical_json
from tarazy.reports.document import Figure, Notice, Table
from tarazy.reports.language import LANGUAGES
from tarazy.reports.layout import lay_out
from tarazy.reports.quarterly import QuarterlyReport
from tests.reports import world

FIGURES = {"energy_wh": 12_345_678, "investment_kzt": 250_000_000, "jobs": 14, "machines": 90, "power_w": 315_000}


def _report(connection: Connection, law: LawBook, moment: datetime, **asked: Any) -> QuarterlyReport:
    wanted = Asked(period=Period.parse("2026-Q3"), **asked)
    report = gather_report(connection, "quarterly", moment, world.SETTINGS, law, world.LATER, wanted)
    assert isinstance(report, QuarterlyReport)
    return report


def test_the_document_takes_the_newest_version_known(connection: Connection) -> None:
    """Figures as known at its moment beside the pool's own; who told nothing is named; the same bytes again."""
    law, quarter = world.assumed_law(), Quarter.parse("2026-Q3")
    told = Told(12_345_678, 250_000_000, 14, 90, 315_000)
    day = timedelta(days=1)
    with pytest.raises(QuarterlyError, match="not over"):
        submit(connection, "altyn", quarter, told, None, quarter.end - day, "aigul")
    submit(connection, "altyn", quarter, told, None, world.MOMENT - 2 * day, "aigul")
    corrected = replace(told, jobs=15)
    submit(connection, "altyn", quarter, corrected, "counted again", world.MOMENT - day, "aigul")
    assert [each.version for each in versions(connection, "altyn", quarter)] == [1, 2]
    first = _report(connection, law, world.MOMENT - day)
    assert [line.told and line.told.jobs for line in first.lines if line.person.party == "altyn"] == [14]
    report = _report(connection, law, world.MOMENT)
    lines = {line.person.party: line for line in report.lines}
    assert lines["altyn"].told is not None
    assert (lines["altyn"].told.jobs, lines["altyn"].told.version) == (15, 2)
    assert (lines["altyn"].known.machines, lines["altyn"].known.power_w) == (4, 14_000)
    assert lines["sary"].told is None
    assert canonical_json(_report(connection, law, world.MOMENT)) == canonical_json(report)
    assert [line.person.party for line in _report(connection, law, world.MOMENT, party="altyn").lines] == ["altyn"]
    for lang in LANGUAGES:
        document = lay_out(report, "ab" * 32, "report.json", lang)
        notices = [block.text for block in document.cover if isinstance(block, Notice)]
        assert any("384/НҚ" in text for text in notices), "what it is not stands on its face"
        missing, table, *_ = document.sections[0].blocks
        assert isinstance(missing, Notice)
        assert report.names["sary"][lang] in missing.text
        assert isinstance(table, Table)
        figures = [cell.value for cell in table.rows[0] if isinstance(cell, Figure)]
        assert figures[1:6] == [Decimal("12345.678"), 250_000_000, 15, 90, Decimal(315)]
    name, content = render(report, "csv", "en")
    assert name == "quarterly-2026-Q3-20261120T093000Z.en.csv"
    assert b"12345.678" in content


def test_figures_are_checked_one_by_one() -> None:
    """From a file or a form: whole numbers, none missing."""
    assert quarterly.told_of(FIGURES) == Told(**FIGURES)
    for wrong in ({"jobs": True}, {"jobs": 1.5}, {"jobs": -1}, {"jobs": quarterly.HIGHEST + 1}):
        with pytest.raises(QuarterlyError, match="jobs"):
            quarterly.told_of({**FIGURES, **wrong})
    with pytest.raises(QuarterlyError, match="power_w: missing"):
        quarterly.told_of({name: value for name, value in FIGURES.items() if name != "power_w"})
