"""Transactions that wait for a block of the embedded chain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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

    def raw(self) -> list[bytes]:
        """The transactions as bytes, in order."""
        return [each.transaction.raw for each in self._waiting.values()]

    def for_template(self) -> tuple[TemplateTransaction, ...]:
        """The transactions as a template takes them, in order."""
        return tuple(TemplateTransaction(each.transaction.raw, txid, each.fee) for txid, each in self._waiting.items())

    def add(self, transaction: Transaction, height: int, median_time: int) -> bool:
        """Let a transaction wait for the block at `height`; `median_time` is the tip's (BIP113).

        Returns False for one that waits already. Raises `TransactionRefusedError`.
        """
        if transaction.txid in self._waiting:
            return False
        if not self._engine.acceptable(transaction):
            raise TransactionRefusedError("bad-txns: breaks a consensus rule")
        coins = self._admit(transaction, height, median_time)
        if not self._engine.scripts_satisfied(transaction, coins):
            raise TransactionRefusedError("mandatory-script-verify-flag-failed: a script is not satisfied")
        self._insert(transaction, coins)
        return True

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

    def discard(self, txids: Iterable[bytes], height: int, median_time: int) -> None:
        """Let these and what spends them wait no longer."""
        for txid in txids:
            self._waiting.pop(txid, None)
        self.rebuild((), height, median_time)

    def _insert(self, transaction: Transaction, coins: Sequence[Coin]) -> None:
        fee = sum(coin.output.value for coin in coins) - sum(output.value for output in transaction.outputs)
        self._waiting[transaction.txid] = _Waiting(transaction, fee)
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
