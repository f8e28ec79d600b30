"""Found blocks: on disk before anything else, submitted until answered, followed until they are mature."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import structlog
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from tarazy.accounting.blocks import MATURITY, BlockState
from tarazy.accounting.durable import write_durably
from tarazy.pool.chain.interface import Chain, Submission, SubmitVerdict
from tarazy.pool.chain.transactions import block_coinbase, block_hash, coinbase_height
from tarazy.pool.clock import Clock, Timer
from tarazy.stratum.job import displayed

FOLLOW_SECONDS = 1.0
"""Changes of the tip within this time are followed together."""
ANSWER_SECONDS = 5.0
"""So long a block without an answer is left to the process that found it."""
RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0, 15.0)
"""Pauses after calls without an answer; the last one repeats. Submitting again is harmless."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FoundBlock:
    """A found block in plain values."""

    block_hash: str
    """As displayed."""
    height: int
    reward: int
    """Satoshi that the pool's script receives in it."""
    state: BlockState = BlockState.FOUND
    confirmations: int = 0
    reason: str = ""
    """The chain's word when rejected."""


OnState = Callable[[str, BlockState, int], None]


def reward_of(block: bytes, payout_script: bytes) -> int:
    """Satoshi that `payout_script` receives in a block's coinbase. Raises ValueError when undecodable."""
    return sum(output.value for output in block_coinbase(block).outputs if output.script == payout_script)


def _unheard(block_hash: str, state: BlockState, confirmations: int) -> None:
    """Nobody listens."""


class BlockStore:
    """A gateway's found blocks in a directory: `<hash>.block`, and what became of it in `<hash>.json`.

    The gateway's store takes what is found and submits it. The office's, in the same process or another, is
    started: it follows what lies in the directory. Neither needs the other.
    """

    def __init__(
        self, directory: Path, chain: Chain, clock: Clock, payout_script: bytes, on_state: OnState = _unheard
    ) -> None:
        """`on_state(block_hash, state, confirmations)` hears of every change, at the start of every block."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._chain = chain
        self._clock = clock
        self._payout_script = payout_script
        self._on_state = on_state
        self._retries: dict[str, Timer] = {}
        self._next_round: Timer | None = None
        self._started = False
        self._following = False
        self._follow_failures = 0
        self._stopped = False
        self._unreadable: set[str] = set()
        self._blocks: dict[str, FoundBlock] = {}
        self._blocks = {each.block_hash: each for each in self._new()}

    def blocks(self) -> list[FoundBlock]:
        """All blocks kept, lowest first."""
        return sorted(self._blocks.values(), key=lambda each: (each.height, each.block_hash))

    def get(self, name: str) -> FoundBlock | None:
        """The block of that hash, as displayed, if it is kept here."""
        return self._blocks.get(name)

    def start(self) -> None:
        """Tell the state of every block, submit what is not decided (C-114), follow what is not settled."""
        self._started = True
        self._chain.on_tip(self._wake)
        for each in self.blocks():
            self._tell(each)
            if each.state in (BlockState.FOUND, BlockState.SUBMITTED, BlockState.UNKNOWN):
                self._submit_again(each.block_hash)
        self._wake()

    def look(self) -> None:
        """Take up what a gateway has put into the directory. What it is still submitting is left to it for a while."""
        for each in self._new():
            if each.state is BlockState.FOUND and self._age(each.block_hash) < ANSWER_SECONDS:
                continue
            self._blocks[each.block_hash] = each
            self._tell(each)
            if each.state is BlockState.FOUND:
                self._submit_again(each.block_hash)
            self._wake()

    def stop(self) -> None:
        """Submit and follow nothing any more."""
        self._stopped = True
        for call in (*self._retries.values(), self._next_round):
            if call is not None and call.active():
                call.cancel()

    def found(self, block: bytes) -> FoundBlock:
        """Write a block to disk, durably, before anything else happens to it (invariant 5); then submit it.

        One that is kept already is not submitted again (C-089). Should the disk fail, the block is submitted
        all the same.
        """
        name = displayed(block_hash(block))
        if name in self._blocks:
            return self._blocks[name]
        try:
            write_durably(self._path(name), block)
        except OSError as error:
            _log.error("block_not_written", block=name, reason=str(error))
        self._blocks[name] = self._describe(name, block)
        self._record(name)
        self._tell(self._blocks[name])
        self._submit(name, block)
        return self._blocks[name]

    def archive(self, name: str) -> None:
        """Move a block's files to `settled/` and forget it: its last state is booked elsewhere."""
        settled = self._directory / "settled"
        settled.mkdir(exist_ok=True)
        for suffix in (".json", ".block"):
            path = self._path(name, suffix)
            if path.exists():
                path.rename(settled / path.name)
        self._blocks.pop(name, None)

    def _submit_again(self, name: str) -> None:
        try:
            block = self._path(name).read_bytes()
        except OSError as error:
            _log.error("block_not_readable", block=name, reason=str(error))
        else:
            self._submit(name, block)

    def _submit(self, name: str, block: bytes, attempt: int = 0) -> None:
        def answered(answer: Submission) -> None:
            if answer.verdict is SubmitVerdict.REJECTED:
                _log.error("block_rejected", block=name, reason=answer.reason)
                self._change(name, BlockState.REJECTED, 0, answer.reason)
            else:
                _log.info("block_submitted", block=name, verdict=str(answer.verdict))
                self._change(name, BlockState.SUBMITTED, 0)
                self._wake()

        def failed(failure: Failure) -> None:
            if self._stopped:
                return
            pause = RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]
            _log.error("block_submit_failed", block=name, reason=failure.getErrorMessage(), again_in=pause)
            self._retries[name] = self._clock.callLater(pause, self._submit, name, block, attempt + 1)

        self._retries.pop(name, None)
        self._chain.submit(block).addCallbacks(answered, failed)

    def _wake(self) -> None:
        if self._started and not self._stopped and self._next_round is None:
            self._next_round = self._clock.callLater(FOLLOW_SECONDS, self._begin_round)

    def _begin_round(self) -> None:
        self._next_round = None
        if self._following:
            self._wake()
            return
        self._following = True
        Deferred.fromCoroutine(self._follow()).addErrback(self._round_failed).addBoth(self._end_round)

    def _round_failed(self, failure: Failure) -> None:
        if self._stopped:
            return
        pause = RETRY_SECONDS[min(self._follow_failures, len(RETRY_SECONDS) - 1)]
        if not self._follow_failures:
            _log.error("block_follow_failed", reason=failure.getErrorMessage())
        self._follow_failures += 1
        if self._next_round is None:
            self._next_round = self._clock.callLater(pause, self._begin_round)

    def _end_round(self, _result: None) -> None:
        self._following = False

    async def _follow(self) -> None:
        self.look()
        height = (await self._chain.tip()).height
        for each in self.blocks():
            if _is_followed(each, height):
                confirmations = await self._chain.confirmations(bytes.fromhex(each.block_hash)[::-1])
                if self._stopped:
                    return
                if each.block_hash in self._blocks:
                    self._judge(each, confirmations, height)
        self._follow_failures = 0

    def _judge(self, block: FoundBlock, confirmations: int | None, tip_height: int) -> None:
        if confirmations is None:
            self._change(block.block_hash, BlockState.UNKNOWN, 0)
            self._submit_again(block.block_hash)
        elif confirmations >= 1:
            mature = confirmations >= MATURITY
            state = BlockState.MATURE if mature else BlockState.CONNECTED
            self._change(block.block_hash, state, confirmations)
        elif tip_height > block.height:
            self._change(block.block_hash, BlockState.ORPHANED, -1)

    def _change(self, name: str, state: BlockState, confirmations: int, reason: str = "") -> None:
        before = self._blocks.get(name)
        if before is None or (before.state, before.confirmations) == (state, confirmations):
            return
        self._blocks[name] = replace(before, state=state, confirmations=confirmations, reason=reason)
        if before.state is not state:
            self._record(name)
        self._tell(self._blocks[name])

    def _tell(self, block: FoundBlock) -> None:
        try:
            self._on_state(block.block_hash, block.state, block.confirmations)
        except Exception:
            _log.exception("block_listener_failed", block=block.block_hash)

    def _record(self, name: str) -> None:
        text = json.dumps(asdict(self._blocks[name]), indent=1, sort_keys=True)
        try:
            write_durably(self._path(name, ".json"), text.encode())
        except OSError as error:
            _log.error("block_state_not_written", block=name, reason=str(error))

    def _new(self) -> Iterator[FoundBlock]:
        """Blocks of the directory that are not known here yet."""
        for path in sorted(self._directory.glob("*.block")):
            if path.stem not in self._blocks:
                try:
                    yield self._read(path)
                except FileNotFoundError:  # settled a moment ago
                    pass
                except OSError as error:
                    self._tell_unreadable(path.stem, error)

    def _tell_unreadable(self, name: str, error: OSError) -> None:
        """Once: one file that cannot be read keeps nobody from the others."""
        if name not in self._unreadable:
            self._unreadable.add(name)
            _log.error("block_not_readable", block=name, reason=error.strerror)

    def _age(self, name: str) -> float:
        """Seconds since the block was written; none for one that is gone."""
        with suppress(FileNotFoundError):
            return time.time() - self._path(name).stat().st_mtime
        return 0.0

    def _read(self, path: Path) -> FoundBlock:
        try:
            kept = json.loads(path.with_suffix(".json").read_text())
            return FoundBlock(**(kept | {"state": BlockState(kept["state"])}))
        except (OSError, ValueError, TypeError, KeyError):
            return self._describe(path.stem, path.read_bytes())

    def _describe(self, name: str, block: bytes) -> FoundBlock:
        try:
            height = coinbase_height(block_coinbase(block))
            return FoundBlock(name, height, reward_of(block, self._payout_script))
        except ValueError as error:
            _log.error("block_unreadable", block=name, reason=str(error))
            return FoundBlock(name, 0, 0)

    def _path(self, name: str, suffix: str = ".block") -> Path:
        return self._directory / f"{name}{suffix}"


def _is_followed(block: FoundBlock, tip_height: int) -> bool:
    if block.state is BlockState.ORPHANED:
        return tip_height < block.height + MATURITY
    return block.state in (BlockState.SUBMITTED, BlockState.CONNECTED)
