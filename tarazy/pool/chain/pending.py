"""Transactions that wait for a block of the embedded chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tarazy.pool.chain.assembly import MATURITY
from tarazy.pool.chain.engine import Coin, Engine
from tarazy.pool.chain.interface import TemplateTransaction
from tarazy.pool.chain.transactions import Transaction

MAX_PENDING = 2_500
MAX_PENDING_BYTES = 900_000
"""With four weight units a byte they fit one block, whatever they contain."""

_LOCKTIME_IS_TIME = 500_000_000
_SEQUENCE_FINAL = 0xFFFFFFFF
_SEQUENCE_NOT_RELATIVE = 1 << 31
_SEQUENCE_VALUE = 0xFFFF


class TransactionRefusedError(Exception):
    """A transaction cannot wait for a block; the text says why."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    transaction: Transaction
    fee: int


class Pending:
    """The waiting transactions, parents before children, each valid for the block after the tip."""

    def __init__(self, engine: Engine, coin: Callable[[bytes], Coin | None]) -> None:
        """`coin` finds the chain's unspent output of an outpoint."""
        self._engine = engine
        self._coin = coin
        self._waiting: dict[bytes, _Waiting] = {}
        self._spent: set[bytes] = set()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def transaction(self, txid: bytes) -> Transaction | None:
        """A waiting transaction."""
        waiting = self._waiting.get(txid)
        return waiting.transaction if waiting else None

    def fee(self, txid: bytes) -> int:
        """The fee of a waiting transaction."""
        return self._waiting[txid].fee

    def transactions(self) -> list[Transaction]:
        """The waiting transactions, in order."""
        return [each.transaction for each in self._waiting.values()]

    def spends(self, name: bytes) -> bool:
        """Whether a waiting transaction spends the output named by an outpoint."""
        return name in self._spent

    def raw(self) -> list[bytes]:
        """The transactions as bytes, in order."""
        return [each.transaction.raw for each in self._waiting.values()]

    def for_template(self) -> tuple[TemplateTransaction, ...]:
        """The transactions as a template takes them, in order."""
        return tuple(TemplateTransaction(each.transaction.raw, txid, each.fee) for txid, each in self._waiting.items())

    def add(self, transaction: Transaction, height: int, median_time: int) -> bool:
        """Let a transaction wait for the block at `height`; `median_time` is the tip's (BIP113).

        Returns False for one that waits already. One that pays a higher fee replaces those that spend the same
        (BIP125). Raises `TransactionRefusedError`.
        """
        if transaction.txid in self._waiting:
            return False
        replaced = self._rivals(transaction)
        before = [each.transaction for each in self._waiting.values()]
        fees = sum(self._waiting[txid].fee for txid in replaced)
        self.discard(replaced, height, median_time)
        try:
            coins = self._judge(transaction, height, median_time)
            if replaced and _fee(transaction, coins) <= fees:
                raise TransactionRefusedError("txn-mempool-conflict: a waiting transaction spends the same")
        except TransactionRefusedError:
            if replaced:
                self.rebuild(before, height, median_time)
            raise
        self._insert(transaction, coins)
        return True

    def fee_of(self, transaction: Transaction, height: int, median_time: int) -> int:
        """The fee of a transaction that could be added. Raises `TransactionRefusedError`."""
        before = [each.transaction for each in self._waiting.values()]
        try:
            self.add(transaction, height, median_time)
            return self.fee(transaction.txid)
        finally:
            self.clear()
            self.rebuild(before, height, median_time)

    def _rivals(self, transaction: Transaction) -> list[bytes]:
        """The waiting transactions that spend the same."""
        names = {each.outpoint for each in transaction.inputs}
        if not names & self._spent:
            return []
        return [
            txid
            for txid, waiting in self._waiting.items()
            if any(each.outpoint in names for each in waiting.transaction.inputs)
        ]

    def _judge(self, transaction: Transaction, height: int, median_time: int) -> list[Coin]:
        if not self._engine.acceptable(transaction):
            raise TransactionRefusedError("bad-txns: breaks a consensus rule")
        coins = self._admit(transaction, height, median_time)
        if not self._engine.scripts_satisfied(transaction, coins):
            raise TransactionRefusedError("mandatory-script-verify-flag-failed: a script is not satisfied")
        return coins

    def rebuild(self, returned: Sequence[Transaction], height: int, median_time: int) -> None:
        """After a change of the tip: take back `returned`, drop what was mined or is spent elsewhere.

        Scripts were judged before and do not depend on the tip.
        """
        candidates = [*returned, *(each.transaction for each in self._waiting.values())]
        self.clear()
        for transaction in candidates:
            try:
                self._insert(transaction, self._admit(transaction, height, median_time))
            except TransactionRefusedError:
                continue

    def clear(self) -> None:
        """Let none wait."""
        self._waiting.clear()
        self._spent.clear()
        self._bytes = 0

    def discard(self, txids: Sequence[bytes], height: int, median_time: int) -> None:
        """Let these and what spends them wait no longer."""
        if not txids:
            return
        for txid in txids:
            self._waiting.pop(txid, None)
        self.rebuild((), height, median_time)

    def _insert(self, transaction: Transaction, coins: Sequence[Coin]) -> None:
        self._waiting[transaction.txid] = _Waiting(transaction, _fee(transaction, coins))
        self._spent.update(each.outpoint for each in transaction.inputs)
        self._bytes += len(transaction.raw)

    def _admit(self, transaction: Transaction, height: int, median_time: int) -> list[Coin]:
        """The coins a transaction spends, if it may stand in the block at `height` beside those that wait."""
        if len(self._waiting) >= MAX_PENDING or self._bytes + len(transaction.raw) > MAX_PENDING_BYTES:
            raise TransactionRefusedError("mempool-full: too many transactions wait")
        _require_final(transaction, height, median_time)
        coins = []
        for each in transaction.inputs:
            if each.outpoint in self._spent:
                raise TransactionRefusedError("txn-mempool-conflict: a waiting transaction spends the same")
            coin = self._waiting_coin(each.outpoint, height) or self._coin(each.outpoint)
            if coin is None:
                raise TransactionRefusedError("bad-txns-inputs-missingorspent: an input is unknown or spent")
            if coin.coinbase and height - coin.height < MATURITY:
                raise TransactionRefusedError(
                    f"bad-txns-premature-spend-of-coinbase: mature at height {coin.height + MATURITY}"
                )
            coins.append(coin)
        if sum(c.output.value for c in coins) < sum(o.value for o in transaction.outputs):
            raise TransactionRefusedError("bad-txns-in-belowout: pays out more than it takes in")
        return coins

    def _waiting_coin(self, name: bytes, height: int) -> Coin | None:
        parent = self._waiting.get(name[:32])
        index = int.from_bytes(name[32:], "little")
        if parent is None or index >= len(parent.transaction.outputs):
            return None
        return Coin(parent.transaction.outputs[index], height, coinbase=False)


def _fee(transaction: Transaction, coins: Sequence[Coin]) -> int:
    return sum(coin.output.value for coin in coins) - sum(output.value for output in transaction.outputs)


def _require_final(transaction: Transaction, height: int, median_time: int) -> None:
    """Lock times: absolute ones are judged, relative ones (BIP68) are refused altogether."""
    reached = height if transaction.locktime < _LOCKTIME_IS_TIME else median_time
    locked = any(each.sequence != _SEQUENCE_FINAL for each in transaction.inputs)
    if locked and transaction.locktime >= reached:
        raise TransactionRefusedError("non-final: its lock time is not reached")
    for each in transaction.inputs:
        relative = transaction.version >= 2 and not each.sequence & _SEQUENCE_NOT_RELATIVE
        if relative and each.sequence & _SEQUENCE_VALUE:
            raise TransactionRefusedError("non-BIP68-final: relative lock times are not supported here")
