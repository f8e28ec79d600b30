"""Double entry: nothing enters one account without leaving another, and nothing is edited."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, func, insert, select, update

from tarazy.accounting import ledger, tables
from tests.accounting.books import at


def test_entries_move_satoshi(engine: Engine) -> None:
    """An entry adds to balances; accounts left at zero are no posting."""
    with engine.begin() as connection:
        first = ledger.post(connection, at(1), "test", "1", "", {"reward": -10, "immature:a": 7, "fee": 3, "z": 0})
        second = ledger.post(connection, at(2), "test", "2", "", {"immature:a": -7, "payable:a": 7})
        assert second > first
        assert ledger.balances(connection) == {"fee": 3, "immature:a": 0, "payable:a": 7, "reward": -10}
        assert ledger.balance(connection, "payable:a") == 7
        assert ledger.balance(connection, "payable:b") == 0
        assert connection.scalar(select(func.count()).select_from(tables.ledger_posting)) == 5
        assert ledger.check(connection) == []


def test_balances_of_a_past_instant(engine: Engine) -> None:
    """Invariant 6: balances as of an instant come from the entries up to it."""
    with engine.begin() as connection:
        ledger.post(connection, at(1), "test", "1", "", {"reward": -10, "fee": 10})
        ledger.post(connection, at(2), "test", "2", "", {"reward": -5, "fee": 5})
        assert ledger.balances_at(connection, at(0)) == {}
        assert ledger.balances_at(connection, at(1)) == {"fee": 10, "reward": -10}
        assert ledger.balances_at(connection, at(2)) == ledger.balances(connection) == {"fee": 15, "reward": -15}


@pytest.mark.parametrize(
    ("postings", "error", "text"),
    [
        ({"a": 1, "b": -2}, ledger.LedgerError, "add up to -1"),
        ({}, ledger.LedgerError, "without amounts"),
        ({"a": 0, "b": 0}, ledger.LedgerError, "without amounts"),
        ({"a": 1.0, "b": -1.0}, TypeError, "integers"),
        ({"a": True, "b": -1}, TypeError, "integers"),
    ],
)
def test_unsound_entries_are_refused(
    engine: Engine, postings: dict[str, int], error: type[Exception], text: str
) -> None:
    """Unbalanced, empty and fractional entries leave no trace."""
    with engine.begin() as connection:
        with pytest.raises(error, match=text):
            ledger.post(connection, at(1), "test", "1", "", postings)
        assert connection.scalar(select(func.count()).select_from(tables.ledger_entry)) == 0
        assert ledger.balances(connection) == {}


def test_sums_beyond_32_bits(engine: Engine) -> None:
    """All coins there will ever be fit an account."""
    supply = 2_100_000_000_000_000
    with engine.begin() as connection:
        for number in range(3):
            ledger.post(connection, at(number), "test", str(number), "", {"reward": -supply, "fee": supply})
        assert ledger.balance(connection, "fee") == 3 * supply
        assert ledger.balances_at(connection, at(9))["reward"] == -3 * supply


def test_the_check_finds_tampering(engine: Engine) -> None:
    """A changed posting, an entry without postings and a changed balance are each named."""
    entry, posting, account = tables.ledger_entry, tables.ledger_posting, tables.ledger_account
    with engine.begin() as connection:
        number = ledger.post(connection, at(1), "test", "1", "", {"reward": -10, "fee": 10})
        connection.execute(update(posting).where(posting.c.account == "fee").values(amount=11))
        bare = insert(entry).values(at=at(2), kind="test", reference="2", note="").returning(entry.c.entry)
        empty = connection.execute(bare).scalar_one()
        connection.execute(update(account).where(account.c.account == "reward").values(balance=-9))
        assert ledger.check(connection) == [
            f"entry {number}: 2 postings add up to 1",
            f"entry {empty}: 0 postings add up to 0",
            "account fee: balance 10, postings add up to 11",
            "account reward: balance -9, postings add up to -10",
        ]
