"""What a regtest chain keeps beside the engine's files: recent blocks, unspent coins, pending transactions.

The engine writes to disk only when it is closed and does not tell what is unspent, so both are kept here, in
one SQLite file with `synchronous=FULL`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tarazy.pool.chain.engine import Coin, Engine
from tarazy.pool.chain.transactions import Output, Transaction, block_transactions, outpoint
from tarazy.stratum.job import displayed

_TABLES = """
CREATE TABLE IF NOT EXISTS block (sequence INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS coin (
  outpoint BLOB PRIMARY KEY, value INTEGER NOT NULL, script BLOB NOT NULL,
  height INTEGER NOT NULL, coinbase INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pending (position INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS coin_script ON coin (script);
CREATE TABLE IF NOT EXISTS own (txid BLOB PRIMARY KEY, data BLOB NOT NULL, fee INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS tip (id INTEGER PRIMARY KEY CHECK (id = 0), block_hash BLOB NOT NULL);
"""
_RETURN = 0x6A


class ChainStore:
    """The file. Used by the engine's thread alone."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(_TABLES)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def keep_block(self, block: bytes) -> None:
        """Remember a block that the engine took, until the engine has written it."""
        self._connection.execute("INSERT INTO block (data) VALUES (?)", (block,))

    def kept_blocks(self) -> Iterator[bytes]:
        """The remembered blocks in the order the engine took them."""
        for (data,) in self._connection.execute("SELECT data FROM block ORDER BY sequence"):
            yield data

    def kept_count(self) -> int:
        """How many blocks are remembered."""
        return int(self._connection.execute("SELECT count(*) FROM block").fetchone()[0])

    def forget_blocks(self) -> None:
        """The engine has written all of them."""
        self._connection.execute("DELETE FROM block")

    def pending(self) -> list[bytes]:
        """The pending transactions in order."""
        return [data for (data,) in self._connection.execute("SELECT data FROM pending ORDER BY position")]

    def add_pending(self, transaction: bytes) -> None:
        """Append a pending transaction."""
        self._connection.execute("INSERT INTO pending (data) VALUES (?)", (transaction,))

    def keep_pending(self, transactions: Iterable[bytes]) -> None:
        """Replace the pending transactions."""
        self._connection.execute("DELETE FROM pending")
        for raw in transactions:
            self.add_pending(raw)

    def coin(self, name: bytes) -> Coin | None:
        """The unspent output named by an outpoint, None when there is none."""
        row = self._connection.execute(
            "SELECT value, script, height, coinbase FROM coin WHERE outpoint = ?", (name,)
        ).fetchone()
        return row and Coin(Output(row[0], row[1]), row[2], bool(row[3]))

    def coins_of(self, script: bytes) -> list[tuple[bytes, Coin]]:
        """The unspent outputs that a script guards, by outpoint."""
        rows = self._connection.execute(
            "SELECT outpoint, value, height, coinbase FROM coin WHERE script = ?", (script,)
        )
        return [(row[0], Coin(Output(row[1], script), row[2], bool(row[3]))) for row in rows]

    def keep_own(self, txid: bytes, raw: bytes, fee: int) -> None:
        """Remember a transaction of the wallet for good."""
        self._connection.execute("INSERT OR REPLACE INTO own VALUES (?, ?, ?)", (txid, raw, fee))

    def own(self, txid: bytes) -> tuple[bytes, int] | None:
        """A transaction of the wallet, and its fee."""
        row = self._connection.execute("SELECT data, fee FROM own WHERE txid = ?", (txid,)).fetchone()
        return row and (row[0], row[1])

    def all_own(self) -> list[bytes]:
        """The transactions of the wallet."""
        return [data for (data,) in self._connection.execute("SELECT data FROM own ORDER BY rowid")]

    def follow(self, engine: Engine) -> list[Transaction]:
        """Bring the coins to the engine's best block.

        Returns the transactions of the blocks that left the main chain, in order and without coinbases.
        """
        best = engine.tip().block_hash
        row = self._connection.execute("SELECT block_hash FROM tip").fetchone()
        try:
            left, joined = engine.path(row[0] if row else engine.genesis(), best)
        except KeyError:  # the engine's files are older than ours: count anew
            self._connection.execute("DELETE FROM coin")
            left, joined = engine.path(engine.genesis(), best)
        returned: list[Transaction] = []
        for block_hash in left:
            returned[:0] = self._leave(engine, block_hash)
        for block_hash in joined:
            self._join(engine, block_hash)
        self._connection.execute("INSERT OR REPLACE INTO tip VALUES (0, ?)", (best,))
        return returned

    def _join(self, engine: Engine, block_hash: bytes) -> None:
        header = engine.header(block_hash)
        height = header.height if header else 0
        for position, transaction in enumerate(_transactions(engine, block_hash)):
            for each in transaction.inputs:
                self._connection.execute("DELETE FROM coin WHERE outpoint = ?", (each.outpoint,))
            for index, output in enumerate(transaction.outputs):
                self._add(outpoint(transaction.txid, index), Coin(output, height, coinbase=position == 0))

    def _leave(self, engine: Engine, block_hash: bytes) -> list[Transaction]:
        coinbase, *others = _transactions(engine, block_hash)
        spent = list(engine.spent(block_hash))
        for transaction in (coinbase, *others):
            for index in range(len(transaction.outputs)):
                name = outpoint(transaction.txid, index)
                self._connection.execute("DELETE FROM coin WHERE outpoint = ?", (name,))
        created = {transaction.txid for transaction in others}
        for transaction, coins in zip(others, spent, strict=True):
            for each, coin in zip(transaction.inputs, coins, strict=True):
                if each.outpoint[:32] not in created:
                    self._add(each.outpoint, coin)
        return others

    def _add(self, name: bytes, coin: Coin) -> None:
        if coin.output.script[:1] == bytes([_RETURN]):
            return
        row = (name, coin.output.value, coin.output.script, coin.height, coin.coinbase)
        self._connection.execute("INSERT OR REPLACE INTO coin VALUES (?, ?, ?, ?, ?)", row)


def _transactions(engine: Engine, block_hash: bytes) -> list[Transaction]:
    block = engine.block(block_hash)
    if block is None:
        raise RuntimeError(f"the engine cannot read block {displayed(block_hash)}")
    return block_transactions(block)
