"""A regtest chain in a directory: the engine and what is kept beside it. Synchronous, for one thread."""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import replace
from pathlib import Path

from tarazy.accounting.worth import REGTEST_HALVING_BLOCKS, subsidy
from tarazy.pool.chain.assembly import (
    BLOCK_VERSION,
    MATURITY,
    REGTEST_NBITS,
    REGTEST_TARGET,
    build_block,
)
from tarazy.pool.chain.engine import UNDECODABLE, Engine
from tarazy.pool.chain.interface import Submission, SubmitVerdict, Template
from tarazy.pool.chain.pending import Pending, TransactionRefusedError
from tarazy.pool.chain.store import ChainStore
from tarazy.pool.chain.transactions import (
    ANYONE_CAN_SPEND,
    HEADER_SIZE,
    Transaction,
    block_coinbase,
    block_hash,
    block_transactions,
    decode_transaction,
    height_push,
    outpoint,
    witness_commitment,
)
from tarazy.pool.chain.wallet import Wallet
from tarazy.stratum.difficulty import target_of

MINED = "Transaction outputs already in utxo set"
"""bitcoind's words for a transaction that a block has."""
FIRST_BLOCKS = MATURITY + 1
"""Mined at the first start, so that a coin is mature."""
CHECKPOINT_BLOCKS = 2_000
"""The engine is made to write after so many blocks; that bounds what a restart has to offer it again."""

_FIRST_SPACING_SECONDS = 10
_TRANSACTION_FAULTS = ("bad-txns", "bad-blk-", "bad-cb-amount", "block-script", "mandatory-script")


class ChainError(Exception):
    """The chain cannot be used; the text says why and what helps."""


class RegtestChain:
    """The chain in `directory`, begun with 101 blocks when new. Raises `ChainError` when it is in use.

    `block_exponent`: a block of ours must meet the target of difficulty 2**block_exponent, or regtest's own
    if that is the stricter. What the engine took survives the death of the process: it stays in the store
    until the engine has written it.
    """

    def __init__(self, directory: Path, block_exponent: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(directory)
        self._target = min(target_of(block_exponent), REGTEST_TARGET)
        try:
            self.engine = Engine(directory / "engine")
            self._store = ChainStore(directory / "chain.sqlite")
            self._pending = Pending(self.engine, self._store.coin)
            self.wallet = Wallet(self.engine, self._store, self._pending)
            self._restore()
        except BaseException:
            os.close(self._lock)
            raise

    def _restore(self) -> None:
        for block in self._store.kept_blocks():
            self.engine.judge(block)
        with self._store.transaction():
            self._mine_first_blocks()
            self._store.follow(self.engine)
        self._checkpoint()
        height, median_time = self._next()
        self._pending.rebuild([decode_transaction(raw) for raw in self._store.pending()], height, median_time)

    def _mine_first_blocks(self) -> None:
        start = int(time.time()) - FIRST_BLOCKS * _FIRST_SPACING_SECONDS
        for height in range(self.engine.tip().height + 1, FIRST_BLOCKS + 1):
            moment = start + height * _FIRST_SPACING_SECONDS
            block = build_block(replace(self.template(), curtime=moment), ANYONE_CAN_SPEND, b"tarazy")
            verdict = self.engine.judge(block)
            if verdict.verdict is not SubmitVerdict.ACCEPTED:
                raise ChainError(f"the engine refused block {height} of a new chain: {verdict.reason}")
            self._store.keep_block(block)

    def close(self) -> None:
        """Let the engine write, and let go of the directory."""
        self.engine.close()
        self._store.forget_blocks()
        self._store.close()
        os.close(self._lock)

    def template(self) -> Template:
        """The template for the block after the tip, with the pending transactions."""
        tip = self.engine.tip()
        height, median_time = self._next()
        transactions = self._pending.for_template()
        return Template(
            height=height,
            previous_block_hash=tip.block_hash,
            version=BLOCK_VERSION,
            nbits=REGTEST_NBITS,
            target=self._target,
            curtime=max(int(time.time()), median_time + 1),
            mintime=median_time + 1,
            coinbase_value=subsidy(height, REGTEST_HALVING_BLOCKS) + sum(each.fee for each in transactions),
            witness_commitment=witness_commitment(each.data for each in transactions),
            transactions=transactions,
        )

    def submit(self, block: bytes) -> Submission:
        """Judge a block of ours: first by this chain's own target, then by the engine."""
        if len(block) < HEADER_SIZE:
            return Submission(SubmitVerdict.REJECTED, UNDECODABLE)
        if int.from_bytes(block_hash(block), "little") > self._target:
            return Submission(SubmitVerdict.REJECTED, "high-hash")
        answer = self.relay(block)
        if answer.reason.startswith(_TRANSACTION_FAULTS):
            self._distrust(block)
        return answer

    def propose(self, block: bytes) -> str | None:
        """Why a block on the tip would be refused, in bitcoind's words; None when it would not.

        The engine offers only the rules that need no chain; the coinbase's are added here. Scripts are not run
        again. No verdict, `inconclusive…`, on a block of other transactions than the pending ones.
        """
        if (reason := self.engine.fault(block)) is not None:
            return reason
        template, coinbase = self.template(), block_coinbase(block)
        if block[4:36] != template.previous_block_hash:
            return "inconclusive-not-best-prevblk"
        if not block.endswith(b"".join(each.data for each in template.transactions)):
            return "inconclusive-other-transactions"
        if not coinbase.inputs[0].script.startswith(height_push(template.height)):
            return "bad-cb-height"
        if coinbase.outputs[-1].script != template.witness_commitment:
            return "bad-witness-merkle-match"
        if sum(each.value for each in coinbase.outputs) > template.coinbase_value:
            return "bad-cb-amount"
        return None

    def relay(self, block: bytes) -> Submission:
        """Judge a block by the engine alone."""
        before = self.engine.tip().block_hash
        answer = self.engine.judge(block)
        with self._store.transaction():
            if answer.verdict in (SubmitVerdict.ACCEPTED, SubmitVerdict.INCONCLUSIVE):
                self._store.keep_block(block)
            if self.engine.tip().block_hash != before:
                self._rebuild_pending(self._store.follow(self.engine))
        if self._store.kept_count() >= CHECKPOINT_BLOCKS:
            self._checkpoint()
        return answer

    def add_transaction(self, raw: bytes) -> bytes:
        """Let a transaction wait for a block; returns its txid. Raises `TransactionRefusedError`."""
        try:
            transaction = decode_transaction(raw)
        except ValueError as error:
            raise TransactionRefusedError(f"TX decode failed: {error}") from error
        if any(self._store.coin(outpoint(transaction.txid, index)) for index in range(len(transaction.outputs))):
            raise TransactionRefusedError(MINED)
        if self._pending.add(transaction, *self._next()):
            with self._store.transaction():
                self._store.keep_pending(self._pending.raw())
                if self.wallet.spends(transaction):
                    self._store.keep_own(transaction.txid, raw, self._pending.fee(transaction.txid))
        return transaction.txid

    def _next(self) -> tuple[int, int]:
        """Height of the next block, and the tip's median time."""
        tip = self.engine.tip()
        header = self.engine.header(tip.block_hash)
        return tip.height + 1, header.median_time if header else 0

    def _rebuild_pending(self, returned: list[Transaction]) -> None:
        if not returned and not self._pending:
            return
        self._pending.rebuild(returned, *self._next())
        self._store.keep_pending(self._pending.raw())

    def _distrust(self, block: bytes) -> None:
        """A transaction made the engine refuse a block of ours: let none of them into the next template."""
        try:
            txids = [each.txid for each in block_transactions(block)]
        except ValueError:
            return
        with self._store.transaction():
            self._pending.discard(txids, *self._next())
            self._store.keep_pending(self._pending.raw())

    def _checkpoint(self) -> None:
        if self._store.kept_count():
            self.engine.flush()
            self._store.forget_blocks()


def _lock(directory: Path) -> int:
    handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise ChainError(
            f"{directory} is in use by another process; stop that one or choose another data directory"
        ) from None
    return handle
