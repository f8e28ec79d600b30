"""What work costs when there is much of it: counted in steps that no clock moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from tarazy.accounting.blocks import MATURITY, open_blocks
from tarazy.accounting.distribution import reconcile
from tarazy.accounting.journal_file import Segment
from tarazy.accounting.schemes import Schedule, Scheme, Terms
from tests.accounting.books import Gateway, at, job, observe_block, price_rounds, share

PARTIES = tuple(f"party-{number}" for number in range(12))
WARM, MEASURED, BEHIND = 10, 5, 100


def test_a_round_behind_a_hundred_others(sqlite_engine: Engine, tmp_path: Path) -> None:
    """Folded, sealed, closed, divided and made final under PPLNS and FPPS in turn, by the steps of SQLite's machine."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    def counted(opened: Any, _: object) -> None:
        opened.execute("PRAGMA synchronous=OFF")
        opened.set_progress_handler(step, 10)

    sqlite_engine.dispose()
    event.listen(sqlite_engine, "connect", counted)
    gateway = Gateway(tmp_path / "journal.sqlite", PARTIES, synced=False)
    terms = (
        Schedule(Terms(10_000, scheme=Scheme.PPLNS, window=2)),
        Schedule(
            Terms(10_000, scheme=Scheme.FPPS, fee_blocks=3), ((at(10**6), Terms(0, scheme=Scheme.PPLNS, window=2)),)
        ),
    )
    costs = []
    for number in range(1, BEHIND + 1):
        before = steps
        gateway.announce(number, 20)
        here = job(number, 20).number
        gateway.write(*(share(name, 3, second=number * 600, job_number=here) for name in range(1, len(PARTIES) + 1)))
        gateway.find(number, second=number * 600 + 1, job_number=here)
        with sqlite_engine.begin() as connection:
            assert len(gateway.fold(connection, schedule=terms[number % 2])) == 1
            price_rounds(connection, 5, 6, 7)
            for block in open_blocks(connection):
                observe_block(connection, block.block_hash, MATURITY, at(number))
            assert len(reconcile(connection, at(number)).finalised) == 1
        costs.append(steps - before)
    gateway.close()
    early, late = sum(costs[WARM : WARM + 2 * MEASURED]), sum(costs[-2 * MEASURED :])
    assert early > 100 * MEASURED
    assert late < 1.02 * early, (early, late)


class Looks:
    """How often an attribute of a class with slots is looked at."""

    def __init__(self, of: type, name: str) -> None:
        self._slot = of.__dict__[name]
        self.number = 0

    def __get__(self, instance: object, of: type) -> Any:
        self.number += 1
        return self._slot.__get__(instance, of)

    def __set__(self, instance: object, value: object) -> None:
        self._slot.__set__(instance, value)


def test_a_commit_costs_no_more_among_many(
    sqlite_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entering shares in the order of record looks at each commit of the journal as often as at one among few."""
    looks = Looks(Segment, "count")
    monkeypatch.setattr(Segment, "count", looks)
    gateway = Gateway(tmp_path / "journal.sqlite", PARTIES, synced=False)
    costs = []
    for commits in (100, 400):
        for second in range(commits):
            gateway.write(share(second=second))
        before = looks.number
        with sqlite_engine.begin() as connection:
            gateway.fold(connection)
        costs.append((looks.number - before) / commits)
    gateway.close()
    few, many = costs
    assert many <= few <= 10
