"""The journals of several gateways, folded by one office."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from tarazy.accounting import tables
from tarazy.accounting.cursors import FoldError
from tarazy.accounting.schemes import Schedule, Terms
from tarazy.pool.journals import Journals
from tests.accounting.books import FEE_PPM, INTERVAL, Gateway, share

SCHEDULE = Schedule(Terms(FEE_PPM))


def fold_all(engine: Engine, journals: Journals) -> dict[int, int]:
    """Gateway → shares folded now."""
    folded = {}
    for gateway in journals.gateways():
        with engine.begin() as connection:
            folded[gateway] = journals.fold(connection, gateway).shares
    return folded


def test_journal_is_waited_for(engine: Engine, tmp_path: Path) -> None:
    """A gateway that makes its journal later is folded from then on; each has a cursor of its own."""
    journals = Journals(tmp_path, INTERVAL, SCHEDULE)
    assert fold_all(engine, journals) == {}
    first = Gateway(tmp_path / "gateway-1.sqlite", ["alpha"], 1)
    first.write(share(1, 0), share(1, 0))
    assert fold_all(engine, journals) == {1: 2}
    second = Gateway(tmp_path / "gateway-12.sqlite", ["beta"], 12)
    (tmp_path / "gateway-x.sqlite").touch()
    second.write(share(1, 0))
    first.write(share(1, 0))
    assert fold_all(engine, journals) == {1: 1, 12: 1}
    second.write(share(1, 0), share(1, 0))
    assert journals.unfolded() == 2
    assert fold_all(engine, journals) == {1: 0, 12: 2}
    assert journals.unfolded() == 0
    journals.close()
    first.close()
    second.close()


def test_a_block_waits_for_the_others(engine: Engine, tmp_path: Path) -> None:
    """It closes its round as soon as each other journal tells what was there by then."""
    journals = Journals(tmp_path, INTERVAL, SCHEDULE)
    first = Gateway(tmp_path / "gateway-1.sqlite", ["alpha"], 1)
    second = Gateway(tmp_path / "gateway-2.sqlite", ["beta"], 2)
    second.write(share(1, 0))
    first.find(101)
    fold_all(engine, journals)
    with engine.begin() as connection:
        assert journals.close_round(connection, [1, 2]).waiting == (2,)
    second.write(share(1, 0, second=1))
    fold_all(engine, journals)
    with engine.begin() as connection:
        assert journals.close_round(connection, [1, 2]).block_hash
        (closed,) = connection.execute(select(tables.round_.c.cut).where(tables.round_.c.round == 1)).scalars()
        weights = connection.execute(select(tables.tally.c.round, tables.tally.c.party, tables.tally.c.shares)).all()
    assert closed == {"1": 1, "2": 1}
    assert sorted(map(tuple, weights)) == [(1, "alpha", 1), (1, "beta", 1), (2, "beta", 1)]
    journals.close()
    first.close()
    second.close()


def test_wrong_journal_is_refused_before_anything_starts(engine: Engine, tmp_path: Path) -> None:
    """Another file in a folded journal's place: named when the office checks, and by its own fold only."""
    first = Gateway(tmp_path / "gateway-1.sqlite", ["alpha"], 1)
    second = Gateway(tmp_path / "gateway-2.sqlite", ["beta"], 2)
    first.write(share(1, 0))
    journals = Journals(tmp_path, INTERVAL, SCHEDULE)
    fold_all(engine, journals)
    journals.close()
    first.close()
    for path in tmp_path.glob("gateway-1.sqlite*"):
        path.unlink()
    Gateway(tmp_path / "gateway-1.sqlite", ["alpha"], 1).close()
    second.write(share(1, 0))
    journals = Journals(tmp_path, INTERVAL, SCHEDULE)
    with pytest.raises(FoldError, match="not the journal of gateway 1"), engine.begin() as connection:
        journals.require(connection)
    with pytest.raises(FoldError, match="not the journal of gateway 1"), engine.begin() as connection:
        journals.fold(connection, 1)
    with engine.begin() as connection:
        assert journals.fold(connection, 2).shares == 1
    journals.close()
    second.close()
