"""Double entry: nothing enters one account without leaving another, and nothing is edited."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, Engine, func, insert, select, update
from sqlalchemy.exc import IntegrityError

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


STATEMENTS = {
    "a posting altered": "UPDATE ledger_posting SET amount = amount + 1",
    "an account altered": "UPDATE ledger_posting SET account = 'payable:thief' WHERE account = 'fee'",
    "an entry altered": "UPDATE ledger_entry SET note = 'another'",
    "postings removed": "DELETE FROM ledger_posting",
    "an entry removed": "DELETE FROM ledger_entry",
    "a posting added to an entry": "INSERT INTO ledger_posting VALUES (1, 'payable:thief', 1)",
    "an entry without postings": "INSERT INTO ledger_entry VALUES (9, '2026-11-01', 'test', '', '')",
    "postings without an entry": "INSERT INTO ledger_posting VALUES (9, 'fee', 1), (9, 'reward', -1)",
    "an entry twice": "INSERT INTO ledger_entry SELECT * FROM ledger_entry",
}


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS.keys())
def test_the_database_itself_refuses(engine: Engine, statement: str) -> None:
    """R-020: nothing written past the code changes, unbalances or removes what is booked."""
    with engine.begin() as connection:
        assert ledger.post(connection, at(1), "test", "1", "", {"reward": -10, "fee": 10}) == 1
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.exec_driver_sql(statement)
    with engine.begin() as connection:
        assert ledger.balances_at(connection, at(1)) == {"fee": 10, "reward": -10}
        assert ledger.check(connection) == []


def test_an_unbalanced_entry_is_refused(engine: Engine) -> None:
    """Postings that do not add up to zero cannot be closed by an entry, and without one there is no commit."""
    with pytest.raises(IntegrityError, match="add up to zero"), engine.begin() as connection:
        _unbalanced(connection)


def _unbalanced(connection: Connection) -> None:
    connection.exec_driver_sql("INSERT INTO ledger_posting VALUES (9, 'fee', 1), (9, 'reward', -2)")
    connection.exec_driver_sql("INSERT INTO ledger_entry VALUES (9, '2026-11-01', 'test', '', '')")


def test_the_other_ways_of_a_database(engine: Engine) -> None:
    """R-020: replacing rows on SQLite and emptying tables on PostgreSQL are refused as well."""
    if engine.dialect.name == "sqlite":
        statements = [
            "INSERT OR REPLACE INTO ledger_posting VALUES (1, 'fee', 11)",
            "INSERT OR REPLACE INTO ledger_entry VALUES (1, '2026-11-01', 'test', '', 'another')",
        ]
    else:
        statements = ["TRUNCATE ledger_posting", "TRUNCATE ledger_entry CASCADE"]
    with engine.begin() as connection:
        ledger.post(connection, at(1), "test", "1", "", {"reward": -10, "fee": 10})
    for statement in statements:
        with pytest.raises(IntegrityError), engine.begin() as connection:
            connection.exec_driver_sql(statement)


def test_the_check_finds_tampering(engine: Engine) -> None:
    """Who takes the guards away is found out: a changed posting, an entry without postings, a changed balance."""
    entry, posting, account = tables.ledger_entry, tables.ledger_posting, tables.ledger_account
    with engine.begin() as connection:
        number = ledger.post(connection, at(1), "test", "1", "", {"reward": -10, "fee": 10})
    with engine.begin() as connection:
        _unguard(connection)
        connection.execute(update(posting).where(posting.c.account == "fee").values(amount=11))
        connection.execute(insert(entry).values(entry=9, at=at(2), kind="test", reference="2", note=""))
        connection.execute(update(account).where(account.c.account == "reward").values(balance=-9))
        assert ledger.check(connection) == [
            f"entry {number}: 2 postings add up to 1",
            "entry 9: 0 postings add up to 0",
            "account fee: balance 10, postings add up to 11",
            "account reward: balance -9, postings add up to -10",
        ]


def _unguard(connection: Connection) -> None:
    if connection.dialect.name != "sqlite":
        for table in ("ledger_entry", "ledger_posting"):
            connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        return
    triggers = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars().all()
    for name in triggers:
        connection.exec_driver_sql(f"DROP TRIGGER {name}")
