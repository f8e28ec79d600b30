"""The registers that the portal holds, asked by several threads while they grow."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tarazy.accreditation import registers
from tarazy.accreditation.entries import Equipment
from tarazy.accreditation.registers import append_all
from tarazy.portal.shelf import Shelf
from tests.portal.pool import EKIBASTUZ, SINCE, Pool


def test_threads_that_read_at_once_never_read_all_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None takes the ledger for a copy of another day because another has read further; what was added is seen."""
    pool = Pool(tmp_path)
    shelf = Shelf(pool.engine)

    def anew(*_: object) -> None:
        raise AssertionError("the registers were read anew")

    monkeypatch.setattr(registers, "as_of", anew)
    known = len(shelf.present(datetime.now(UTC)).equipment)
    with ThreadPoolExecutor(4) as threads:
        for number in range(12):
            entry = Equipment(
                equipment=f"NEW-{number}",
                model="S21",
                party="altyn",
                site=EKIBASTUZ,
                nominal_hash_rate_hs=2 * 10**14,
                nominal_power_w=3_500,
                valid_from=SINCE,
            )
            reading = [threads.submit(shelf.present, datetime.now(UTC)) for _ in range(8)]
            with pool.engine.begin() as connection:
                append_all(connection, [entry], datetime.now(UTC), "test")
            assert f"NEW-{number}" in shelf.present(datetime.now(UTC)).equipment
            assert {len(each.result().equipment) for each in reading} <= {known + number, known + number + 1}
