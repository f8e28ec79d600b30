"""Bitcoin Core's consensus engine on a regtest chain, called synchronously from one thread."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pbk  # type: ignore[import-untyped]
from pbk.capi import bindings  # type: ignore[import-untyped]
from pbk.script import PrecomputedTransactionData  # type: ignore[import-untyped]

from tarazy.pool.chain.interface import Submission, SubmitVerdict, Tip
from tarazy.pool.chain.transactions import Output, Transaction, assemble_block, coinbase_transaction

MAX_BLOCK_BYTES = 4_000_000
UNDECODABLE = "block-decode-failed"
"""Reason for bytes that are no block; bitcoind has error -22 instead."""

_CHECKED = re.compile(r"BlockChecked: block hash=([0-9a-f]{64}) state=([^,\n]+)")
_MEDIAN_SPAN = 11


@dataclass(frozen=True, slots=True)
class Header:
    """A known block's header and place."""

    block_hash: bytes
    previous_block_hash: bytes
    height: int
    version: int
    merkle_root: bytes
    time: int
    median_time: int
    """Median of the times of the eleven blocks up to and including this one (BIP113)."""
    nbits: int
    nonce: int
    confirmations: int


@dataclass(frozen=True, slots=True)
class Coin:
    """An output that a transaction may spend."""

    output: Output
    height: int
    coinbase: bool


class Engine:
    """A regtest chain in `directory`, judged by the engine.

    The engine writes its index to disk only when it is closed: what it accepted since is lost with the
    process and has to be offered again.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._states: dict[str, str] = {}
        """What the engine said of the block that is being judged."""
        self._parameters = pbk.ChainParameters(pbk.ChainType.REGTEST).consensus_params
        pbk.logging_set_options(pbk.LoggingOptions(log_timestamps=False))
        pbk.set_log_level_category(pbk.LogCategory.ALL, pbk.LogLevel.DEBUG)
        pbk.enable_log_category(pbk.LogCategory.VALIDATION)
        self._open()

    def _open(self) -> None:
        self._stack = ExitStack()
        self._stack.enter_context(pbk.LoggingConnection(self._listen))
        # Only an engine that has somebody to tell writes its verdict, with the reason, into its log.
        told = pbk.ValidationInterfaceCallbacks()
        self._manager = self._stack.enter_context(
            pbk.load_chainman(self._directory, pbk.ChainType.REGTEST, validation_callbacks=told)
        )
        self._chain = self._manager.get_active_chain()

    def flush(self) -> None:
        """Write everything to disk, by closing and opening again: the engine offers no other way."""
        self.close()
        self._open()

    def close(self) -> None:
        """Write everything to disk and let go of it."""
        self._stack.close()

    def _listen(self, message: str) -> None:
        if (found := _CHECKED.search(message)) and found[1] in self._states:
            self._states[found[1]] = found[2]

    def judge(self, raw: bytes) -> Submission:
        """Offer a serialised block, and add it to the chain if it is valid and best."""
        try:
            block = _block(raw)
        except ValueError:
            return Submission(SubmitVerdict.REJECTED, UNDECODABLE)
        name = str(block.block_hash)
        self._states = {name: ""}
        try:
            new = self._manager.process_block(block)
        except pbk.ProcessBlockException:
            return Submission(SubmitVerdict.REJECTED, self._states[name] or "rejected")
        state = self._states[name]
        if not new:
            return Submission(SubmitVerdict.DUPLICATE)
        if not state:
            return Submission(SubmitVerdict.INCONCLUSIVE)
        if state != "Valid":
            return Submission(SubmitVerdict.REJECTED, state)
        return Submission(SubmitVerdict.ACCEPTED)

    def tip(self) -> Tip:
        """The best block."""
        entry = self._chain.block_tree_entries[self._chain.height]
        return Tip(entry.height, bytes(entry.block_hash))

    def genesis(self) -> bytes:
        """Hash of the first block."""
        return bytes(self._chain.block_tree_entries[0].block_hash)

    def header(self, block_hash: bytes) -> Header | None:
        """Header and place of a block, None when unknown."""
        entry = self._entry(block_hash)
        if entry is None:
            return None
        header = entry.block_header
        return Header(
            block_hash=block_hash,
            previous_block_hash=bytes(header.prev_hash),
            height=entry.height,
            version=header.version,
            merkle_root=bytes(header)[36:68],
            time=int(header.timestamp.timestamp()),
            median_time=self._median_time(entry),
            nbits=header.bits,
            nonce=header.nonce,
            confirmations=self._confirmations(entry),
        )

    def confirmations(self, block_hash: bytes) -> int | None:
        """1 for the tip, more below it, -1 off the main chain, None when unknown."""
        entry = self._entry(block_hash)
        return None if entry is None else self._confirmations(entry)

    def block(self, block_hash: bytes) -> bytes | None:
        """A stored block, None when there is none."""
        entry = self._entry(block_hash)
        try:
            return None if entry is None else bytes(self._manager.blocks[entry])
        except RuntimeError:
            return None

    def path(self, start: bytes, end: bytes) -> tuple[list[bytes], list[bytes]]:
        """The way between known blocks: those to leave, newest first, and to join, oldest first.

        Raises KeyError when one is unknown.
        """
        leave, join = self._entry(start), self._entry(end)
        if leave is None or join is None:
            raise KeyError("unknown block")
        left: list[bytes] = []
        joined: list[bytes] = []
        while leave != join:
            if leave.height >= join.height:
                left.append(bytes(leave.block_hash))
                leave = leave.previous
            else:
                joined.append(bytes(join.block_hash))
                join = join.previous
        return left, joined[::-1]

    def spent(self, block_hash: bytes) -> Iterator[list[Coin]]:
        """The coins that a connected block spent: a list for each transaction after the coinbase."""
        for transaction in self._manager.block_spent_outputs[self._entry(block_hash)].transactions:
            yield [
                Coin(
                    Output(coin.output.amount, bytes(coin.output.script_pubkey)),
                    coin.confirmation_height,
                    coin.is_coinbase,
                )
                for coin in transaction.coins
            ]

    def acceptable(self, transaction: Transaction) -> bool:
        """Whether it keeps every consensus rule that needs no chain: sizes, values, doubled inputs."""
        carrier = assemble_block(bytes(80), coinbase_transaction(b"\x00\x00", [Output(0, b"")], 0), [transaction.raw])
        try:
            state = _block(carrier).check(self._parameters, pbk.BlockCheckFlags.BASE)
        except ValueError:
            return False
        return bool(state.validation_mode == pbk.ValidationMode.VALID)

    def fault(self, raw: bytes) -> str | None:
        """The rule that a block breaks of those that need neither chain nor work; None when it breaks none."""
        try:
            state = _block(raw).check(self._parameters, pbk.BlockCheckFlags.MERKLE)
        except ValueError:
            return UNDECODABLE
        if state.validation_mode == pbk.ValidationMode.VALID:
            return None
        return f"block-{state.block_validation_result.name.lower().replace('_', '-')}"

    def scripts_satisfied(self, transaction: Transaction, coins: list[Coin]) -> bool:
        """Whether every input satisfies the script of its coin; `coins` in the order of the inputs."""
        spending = pbk.Transaction(transaction.raw)
        outputs = [pbk.TransactionOutput(pbk.ScriptPubkey(coin.output.script), coin.output.value) for coin in coins]
        precomputed = PrecomputedTransactionData(spending, outputs)
        return all(
            output.script_pubkey.verify(output.amount, spending, precomputed, index, pbk.ScriptVerificationFlags.ALL)
            for index, output in enumerate(outputs)
        )

    def _entry(self, block_hash: bytes) -> pbk.BlockTreeEntry | None:
        try:
            return self._manager.block_tree_entries[pbk.BlockHash(block_hash)]
        except KeyError:
            return None

    def _confirmations(self, entry: pbk.BlockTreeEntry) -> int:
        if entry not in self._chain.block_tree_entries:
            return -1
        return int(self._chain.height - entry.height + 1)

    @staticmethod
    def _median_time(entry: pbk.BlockTreeEntry) -> int:
        times = []
        for height in range(entry.height, max(-1, entry.height - _MEDIAN_SPAN), -1):
            times.append(int(entry.get_ancestor(height).block_header.timestamp.timestamp()))
        return sorted(times)[len(times) // 2]


def _block(raw: bytes) -> pbk.Block:
    # pbk.Block(raw) spreads the bytes into arguments: 0.8 s for 4 MB with the interpreter locked.
    if len(raw) > MAX_BLOCK_BYTES:
        raise ValueError("larger than any block")
    block = pbk.Block._from_handle(bindings.btck_block_create(raw, len(raw)))
    if bytes(block) != raw:
        raise ValueError("bytes behind the block")
    return block
