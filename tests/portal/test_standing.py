"""Where a party stands, on the page and in a report of the same moment."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from tarazy.accreditation.entries import Meter, MeterStatus
from tarazy.accreditation.registers import append_all
from tarazy.config.law import LawBook, load_law
from tarazy.portal.facts import QuarterSoFar
from tarazy.portal.snapshot import Reader
from tarazy.reports.content import AccreditationReport
from tarazy.reports.gather import gather
from tests.portal.subject import make_subject
from tests.reports import world

FAULTY_FROM = datetime(2026, 11, 10, 3, tzinfo=UTC)


def _both(engine: Engine, directory: Path, law: LawBook) -> tuple[QuarterSoFar, AccreditationReport]:
    """What the page shows at `world.MOMENT`, and the report of that moment."""
    subject = replace(make_subject(directory, world.BEGIN), law=lambda: law)
    page = Reader(engine, subject).facts(world.MOMENT).quarter
    with engine.begin() as connection:
        return page, gather(connection, world.MOMENT, world.POOL, law)


def test_page_and_report_state_the_same_fee(engine: Engine, tmp_path: Path) -> None:
    """The same records give the same tenge, also after a meter turned faulty and a price changed in mid-quarter."""
    meters = {row.meter: row for row in world.registers() if isinstance(row, Meter)}
    later = [
        replace(meters["ek-feeder-1"], status=MeterStatus.FAULTY, valid_from=FAULTY_FROM),
        replace(meters["te-feeder-1"], price_tiyn_per_kwh=600, valid_from=FAULTY_FROM),
    ]
    with engine.begin() as connection:
        world.populate(connection)
        before = gather(connection, world.MOMENT, world.POOL, world.assumed_law())
        append_all(connection, later, FAULTY_FROM + timedelta(days=1), "operator")
    page, report = _both(engine, tmp_path, world.assumed_law())
    stated = {fee.party: fee.amount_kzt for fee in report.fee.fees}
    assert {party: fee.tenge for party, fee in page.fees.items()} == stated
    assert set(stated) == {"altyn", "sary", "tau"}
    assert all(fee.amount_kzt is not None and fee.amount_kzt != stated[fee.party] for fee in before.fee.fees)
    assert {party: page.energy[party].energy_wh for party in stated} == {
        fee.party: fee.energy_wh for fee in report.fee.fees
    }
    assert not any(fee.confirmed for fee in page.fees.values())


def test_page_and_report_refuse_the_same_fee(engine: Engine, tmp_path: Path) -> None:
    """Without a rule for the quarter neither states an amount (invariant 8)."""
    with engine.begin() as connection:
        world.populate(connection)
    page, report = _both(engine, tmp_path, load_law())
    assert {fee.problem for fee in page.fees.values()} == {"no_rule"}
    assert set(page.fees) == {fee.party for fee in report.fee.fees if fee.missing is not None}
