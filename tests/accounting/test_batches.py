"""Batches in the ledger: they ask the database as often for many parties, and of many batches, as for few."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, event

from tarazy.accounting.ledger import check
from tarazy.accounting.payouts.batches import batches, confirm, numbered, propose, read, sign
from tarazy.accounting.payouts.machine import BatchState, Destination, Limits
from tests.accounting.books import Gateway, at, settle, share

PARTIES = [f"party-{number:02}" for number in range(40)]
FEW = PARTIES[:3]
PLACES = {party: Destination(party, bytes.fromhex("0014" + f"{place:040x}")) for place, party in enumerate(PARTIES)}
LIMITS = Limits(threshold=1_000, outputs=100, batch=10**12, day=10**12, first=2_000)


def earn(engine: Engine, gateway: Gateway, parties: list[str], minute: int) -> None:
    """A round in which these parties worked ends, and its distribution becomes final."""
    gateway.write(*(share(PARTIES.index(party) + 1, 40) for party in parties))
    block_hash = gateway.find(100 + minute, name=1)
    with engine.begin() as connection:
        gateway.fold(connection)
    settle(engine, at(minute), **{block_hash: 200})


class Statements:
    """How many were sent to the database inside."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.sent = 0

    def __enter__(self) -> Statements:
        event.listen(self._engine, "before_cursor_execute", self._count)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "before_cursor_execute", self._count)

    def _count(self, *_: object) -> None:
        self.sent += 1


def test_a_batch_and_a_list_of_many_cost_few_queries(engine: Engine, tmp_path: Path) -> None:
    """As many for three parties as for forty, and for two batches as for one; first payments are known by address."""
    gateway = Gateway(tmp_path / "journal.sqlite", PARTIES)
    costs, numbers, chosen = [], [], []
    for minute, parties in enumerate((FEW, PARTIES, PARTIES), 1):
        earn(engine, gateway, parties, minute)
        with engine.begin() as connection, Statements(engine) as proposing:
            number, selection = propose(connection, at(minute), "aida", PLACES, LIMITS, (at(0), at(900)), unproven=True)
        assert number is not None
        with engine.begin() as connection, Statements(engine) as reading:
            found = batches(connection, list(BatchState))
        costs.append((proposing.sent, reading.sent))
        numbers.append(number)
        chosen.append(selection)
        assert [batch.number for batch in found] == numbers
        with engine.begin() as connection:
            if minute == 1:
                sign(connection, number, at(minute), "ab" * 32, "00", 100)
                confirm(connection, number, at(minute), "ab" * 32)
            assert numbered(connection, [number, 99, numbers[0]]) == [
                read(connection, number),
                read(connection, numbers[0]),
            ]
            assert check(connection) == []
    gateway.close()
    assert len(set(costs)) == 1
    first = [{each.party for each in selection.payments if each.rest is not None} for selection in chosen]
    assert first == [set(FEW), set(PARTIES[3:]), set()]
    assert [len(selection.payments) for selection in chosen] == [3, 40, 3]
    assert set(chosen[2].left_out) == set(PARTIES[3:])
